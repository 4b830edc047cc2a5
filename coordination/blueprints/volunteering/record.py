"""志愿服务记录: one's own record with what the Measures ask for, and the certificate to print."""

from __future__ import annotations

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from coordination.blueprints.volunteering.blueprint import bp, layout_of
from coordination.domain.people.contacts import masks_of
from coordination.domain.volunteering import certificates, time_queries, time_rules
from coordination.ground import clock
from coordination.ground.errors import Conflict
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, reading, unit_of_work
from coordination.web.say import say
from coordination.web.urls import external_url


@bp.get("/record")
@guard(Access.SIGNED_IN)
def record() -> ResponseReturnValue:
    """Every shift of mine that has begun: what counts, what is not settled, what I can object to."""
    actor = current_actor()
    with reading() as held:
        lines = time_queries.own_record(held, actor, clock.now())
        rule = time_rules.in_force(held)
        made = certificates.own(held, actor.person_id)
        phone = masks_of(held, [actor.person_id or 0]).get(actor.person_id or 0, "")
    confirmed = [x for x in lines if x.confirmed and x.counts_for]
    return render_template(
        "volunteering/record.html",
        lines=lines,
        rule=rule,
        made=made,
        phone=phone,
        services=len(confirmed),
        minutes=sum(x.counts_for or 0 for x in confirmed),
        layout=layout_of(actor),
    )


@bp.post("/record/certificate")
@guard(Access.SIGNED_IN)
def certify() -> ResponseReturnValue:
    """Make a certificate of all that counts, free of charge."""
    try:
        with unit_of_work() as uow:
            number = certificates.issue(uow, zone=when.zone()).number
    except Conflict as refused:
        say(refused.message, "need")
        return redirect(url_for("volunteering.record"), 303)
    say(Text("证明已开具，可以打印。", "The certificate is made and can be printed."))
    return redirect(url_for("volunteering.certificate", number=number), 303)


@bp.get("/record/certificates/<number>")
@guard(Access.SIGNED_IN)
def certificate(number: str) -> ResponseReturnValue:
    """A certificate of mine on one page, Chinese with English beneath."""
    actor = current_actor()
    with reading() as held:
        made = certificates.own_one(held, actor.person_id, number)
        lines = [
            x
            for x in time_queries.own_record(held, actor, clock.now())
            if x.confirmed
            and x.counts_for
            and x.time
            and x.time.confirmed_at
            and x.time.confirmed_at <= made.created_at
        ]
        phone = masks_of(held, [actor.person_id or 0]).get(actor.person_id or 0, "")
    return render_template(
        "volunteering/certificate.html",
        made=made,
        lines=lines,
        phone=phone,
        issuers=list({x.shift.organiser.id: x.shift.organiser for x in lines}.values()),
        address=external_url("verify.number", number=made.number),
        layout=layout_of(actor),
        day=when.day,
        duration=when.duration,
    )
