"""The family's side: a child's health card, who may collect the child, and who has looked."""

from __future__ import annotations

from datetime import timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.care.blueprint import bp
from coordination.blueprints.care.forms import CardForm, CollectorForm, number
from coordination.domain.care import cards, looks, pickups
from coordination.domain.care.cards import FamilyCard
from coordination.domain.care.content import CONSENT, LEFT_OPEN, QUESTIONS, Card, in_words
from coordination.domain.care.standing import Kin
from coordination.ground.errors import CoordinationError, Forbidden, NotFound, Stale
from coordination.ground.phones import mask_phone
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.forms import attempt, render_form
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say


@bp.get("/family/children/<int:child_id>/card")
@guard(Access.GUARDIAN)
def card(child_id: int) -> ResponseReturnValue:
    """What the card says, who has looked at it, and the ways to confirm or withdraw it."""
    with reading() as held:
        found = cards.card_of(held, current_actor(), child_id, when.today(), when.zone())
        seen = looks.looks_at(held, current_actor(), child_id)
    return render_template(
        "care/card.html", found=found, rows=_rows(found.card, found.kin), seen=seen, consent=CONSENT
    )


def _rows(card: Card | None, kin: tuple[Kin, ...]) -> list[tuple[Text, Text]]:
    """A card line by line, as pages of the family show it."""
    if card is None:
        return []
    names = {k.id: k for k in kin}
    rows = [(q.asks, in_words(key, card.answer(key))) for key, q in QUESTIONS.items()]
    # nobody chosen: the leader is shown the guardians in the order of the roster
    calls = [names[i] for i in card.calls if i in names] or list(kin)
    zh = [f"{k.name}（{k.relation.zh}）" for k in calls]
    en = [f"{k.name} ({k.relation.en})" for k in calls]
    if card.other is not None:
        said = card.other
        who = f"{said.relation}，" if said.relation else "", f"{said.relation}, "
        zh.append(f"{said.name}（{who[0]}{mask_phone(said.phone)}）")
        en.append(f"{said.name} ({who[1] if said.relation else ''}{mask_phone(said.phone)})")
    called = Text(" → ".join(zh), " → ".join(en)) if zh else LEFT_OPEN
    return [*rows, (Text("紧急时打给", "In an emergency phone"), called)]


@bp.route("/family/children/<int:child_id>/card/edit", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def write(child_id: int) -> ResponseReturnValue:
    """Write the card, the first time with the consent it stands on."""
    form, theirs = CardForm(), None
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            cards.write(
                uow,
                child_id=child_id,
                card=form.card(),
                version=number(form.version.data),
                agreed=bool(form.agree.data),
                language=language(),
                today=when.today(),
            )
        if done.ok:
            say(Text("健康提示卡已保存。", "The card is saved."))
            return redirect(url_for("care.card", child_id=child_id), 303)
    with reading() as held:
        found = cards.card_of(held, current_actor(), child_id, when.today(), when.zone())
    if not found.may_write:
        raise _not_theirs()
    form.offer(found.kin, language())
    if request.method == "GET":
        form.show(found.card, found.version, found.kin)
    elif isinstance(form.refusal, Stale):
        # what was typed stays; what the other guardian saved stands above it, and may be replaced now
        theirs = _differing(found, form.card())
        form.version.data = str(found.version)
    return render_form(
        "care/write.html",
        form,
        found=found,
        questions=QUESTIONS,
        theirs=theirs,
        consent=CONSENT,
    )


def _not_theirs() -> Forbidden:
    return Forbidden(
        Text(
            "只有可以代表孩子作决定的法定监护人能填写和更改。",
            "Only a legal guardian who may decide for the child can write this.",
        )
    )


def _differing(found: FamilyCard, typed: Card) -> list[tuple[Text, Text, bool]]:
    """The saved card line by line, and whether the typed one says otherwise there."""
    saved, mine = _rows(found.card, found.kin), _rows(typed, found.kin)
    return [
        (asks, words, words != own) for (asks, words), (_, own) in zip(saved, mine, strict=False)
    ]


@bp.post("/family/children/<int:child_id>/card/confirm")
@guard(Access.GUARDIAN)
def confirm(child_id: int) -> ResponseReturnValue:
    """It still holds."""
    try:
        with unit_of_work() as uow:
            cards.confirm(
                uow,
                child_id=child_id,
                version=number(request.form.get("version")),
                today=when.today(),
            )
        say(Text("已核对，谢谢。", "Confirmed, thank you."))
    except Stale:
        say(
            Text(
                "这张卡刚刚有改动，请看过现在的内容再核对。",
                "The card has just changed; read what it says now and confirm that.",
            ),
            "need",
        )
    return redirect(url_for("care.card", child_id=child_id), 303)


@bp.post("/family/children/<int:child_id>/card/withdraw")
@guard(Access.GUARDIAN)
def withdraw(child_id: int) -> ResponseReturnValue:
    """Take the consent back: the card is erased at once."""
    with unit_of_work() as uow:
        was = cards.withdraw(uow, child_id=child_id, language=language(), today=when.today())
    say(
        Text("已撤回同意，健康提示卡已删除。", "Withdrawn; the card is erased.")
        if was
        else Text("这张卡之前已经删除。", "The card had been erased before.")
    )
    return redirect(url_for("care.card", child_id=child_id), 303)


@bp.route("/family/children/<int:child_id>/pickup", methods=["GET", "POST"])
@guard(Access.GUARDIAN)
def pickup(child_id: int) -> ResponseReturnValue:
    """Who may collect the child besides its guardians, from when until when."""
    form = CollectorForm()
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            pickups.add(
                uow,
                child_id=child_id,
                name=form.name.data or "",
                relation=form.relation.data or "",
                phone=form.phone.data or "",
                starts_on=form.starts_on.data,
                ends_on=form.ends_on.data,
                today=when.today(),
            )
        if done.ok:
            say(Text("已登记代接人。", "Added."))
            return redirect(url_for("care.pickup", child_id=child_id), 303)
    with reading() as held:
        found = pickups.pickup_of(held, current_actor(), child_id, when.today())
    if request.method == "GET":
        form.starts_on.data = when.today()
    return render_form(
        "care/pickup.html",
        form,
        found=found,
        today=when.today(),
        latest=when.today() + timedelta(days=pickups.LONGEST.days),
        day=when.day,
    )


@bp.post("/family/children/<int:child_id>/pickup/<int:permit_id>/end")
@guard(Access.GUARDIAN)
def end_pickup(child_id: int, permit_id: int) -> ResponseReturnValue:
    """This person may no longer collect the child."""
    try:
        with unit_of_work() as uow:
            pickups.end(uow, child_id=child_id, permit_id=permit_id, today=when.today())
        say(Text("已结束，这个人不能再代接。", "Ended: this person may no longer collect."))
    except CoordinationError as refusal:
        if isinstance(refusal, (Forbidden, NotFound)):
            raise
        say(refusal.message, "need")
    return redirect(url_for("care.pickup", child_id=child_id), 303)
