"""更正: what a guardian proposes to put right, and what became of it."""

from __future__ import annotations

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.family.blueprint import bp
from coordination.blueprints.family.forms import CodeForm, CorrectionForm
from coordination.domain.people.corrections import deciding, proposing
from coordination.domain.people.family import OwnChild, children_of, tell_apart
from coordination.domain.people.models import Person
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
from coordination.web.forms import attempt, both, render_form
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.when import today

TONES = {"waiting": "info", "unproven": "need", "accepted": "ok", "declined": "bad"}
WRONG_CODE = both("验证码不对，请核对短信。", "This is not the code; check the text.")


@bp.get("/family/corrections")
@guard(Access.GUARDIAN)
def corrections() -> ResponseReturnValue:
    """What is registered, what was proposed, and what the school said."""
    actor = current_actor()
    with reading() as held:
        children = children_of(held, actor, today())
        page = paged(held, deciding.own_query(actor), size=20)
        lines = deciding.lines_of(held, page.items)
        me = held.get_one(Person, actor.person_id)
        own = [
            (f, proposing.LABELS[f], proposing.present(held, me, f)) for f in proposing.OF_ONESELF
        ]
    return render_template(
        "family/corrections.html",
        own=own,
        children=children,
        called=tell_apart(children),
        lines=lines,
        page=page,
        states=deciding.STATES,
        tones=TONES,
    )


@bp.route("/family/corrections/new", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def new_correction() -> ResponseReturnValue:
    """One field as it should be, with the reason."""
    form, actor = CorrectionForm(), current_actor()
    with reading() as held:
        children = children_of(held, actor, today())
        me = held.get_one(Person, actor.person_id)
    named = tell_apart(children)
    said = language()
    form.field.choices = [
        *((f"own-{f}", _own(f).in_(said)) for f in proposing.OF_ONESELF),
        *(
            (f"{c.id}-{f}", _of(named[c.id], f).in_(said))
            for c in children
            for f in proposing.OF_CHILD
        ),
    ]
    if form.validate_on_submit():
        whose, _, field = (form.field.data or "").partition("-")
        made = None
        with attempt(form) as done, unit_of_work() as uow:
            made = proposing.propose(
                uow,
                child_id=int(whose) if whose != "own" else _first(children),
                of_child=whose != "own",
                field=field,
                typed=form.typed.data or "",
                reason=form.reason.data or "",
            ).id
        if done.ok and made is not None:
            if field == "phone":
                say(Text("验证码已发到新号码。", "A code has gone to the new number."))
                return redirect(url_for("family.prove_phone", correction_id=made), 303)
            say(
                Text(
                    "已提交，学校处理后会发短信告诉您。", "Sent. You get a text once it is decided."
                )
            )
            return redirect(url_for("family.corrections"), 303)
    if not form.is_submitted():
        form.field.data = request.args.get("field", "own-phone")
    return render_form("family/new_correction.html", form, name=me.name)


def _own(field: str) -> Text:
    label = proposing.LABELS[field]
    return Text(f"我的{label.zh}", f"My {label.en}")


def _of(child: Text, field: str) -> Text:
    label = proposing.LABELS[field]
    return Text(f"{child.zh}的{label.zh}", f"{label.en.capitalize()} of {child.en}")


def _first(children: list[OwnChild]) -> int:
    """The child whose school decides on what is the guardian's own."""
    if not children:
        raise NotFound()
    return next((c.id for c in children if c.class_name), children[0].id)


@bp.route("/family/corrections/<int:correction_id>/code", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def prove_phone(correction_id: int) -> ResponseReturnValue:
    """The code that went to the new number."""
    form = CodeForm()
    with reading() as held:
        line = deciding.own_of(held, current_actor(), correction_id)
    if line.field != "phone":
        raise NotFound()
    if line.state != "unproven":
        return redirect(url_for("family.corrections"), 303)
    if form.validate_on_submit():
        right = False
        with attempt(form) as done, unit_of_work() as uow:
            right = proposing.prove(uow, correction_id=correction_id, typed=form.code.data or "")
        if done.ok and right:
            say(
                Text(
                    "号码已验证。学校核对后会发短信告诉您。",
                    "The number is proven. You get a text once the school has checked it.",
                )
            )
            return redirect(url_for("family.corrections"), 303)
        if done.ok:
            form.code.errors = [*form.code.errors, WRONG_CODE]
    return render_form("family/prove_phone.html", form, line=line)


@bp.post("/family/corrections/<int:correction_id>/again")
@guard(Access.GUARDIAN)
def send_phone_code(correction_id: int) -> ResponseReturnValue:
    """Another code to the new number."""
    with unit_of_work() as uow:
        proposing.send_again(uow, correction_id=correction_id)
    say(Text("新的验证码已发出。", "Another code has been sent."))
    return redirect(url_for("family.prove_phone", correction_id=correction_id), 303)


@bp.post("/family/corrections/<int:correction_id>/withdraw")
@guard(Access.GUARDIAN)
def withdraw_correction(correction_id: int) -> ResponseReturnValue:
    """Take it back."""
    with unit_of_work() as uow:
        proposing.withdraw(uow, correction_id=correction_id)
    say(Text("已撤回。", "Withdrawn."))
    return redirect(url_for("family.corrections"), 303)
