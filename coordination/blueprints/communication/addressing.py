"""Whom a form names: its classes or everybody, how many that is, and who would be asked first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from coordination.blueprints.communication import preview
from coordination.blueprints.communication.forms import WhomForm
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import queries, reach, second_look, services
from coordination.domain.communication.notices.audience import (
    Audience,
    Counts,
    audience_of,
    counts_of_organisation,
)
from coordination.domain.communication.notices.content import Concern
from coordination.domain.communication.texts import budgets
from coordination.domain.people.models import ClassGroup, Organisation
from coordination.ground.text import Text
from coordination.reactions.quiet_hours import Wait
from coordination.web import when
from coordination.web.request import (
    current_actor,
    language,
)


@dataclass(frozen=True, slots=True)
class Addressees:
    """Whom a draft is for, as its pages show it."""

    label: Text
    sender: Text
    counts: Counts
    # the lists of names, for some classes only
    audience: Audience | None
    # what the sender chose, if not at once
    planned: datetime | None = None
    # until when the texts will wait then, and why
    wait: Wait | None = None
    # when the platform has had it alone long enough; None if the texts leave with it
    texts_at: datetime | None = None
    # for whom it would wait, if so many may not be written to by one person alone
    seconds: tuple[str, ...] = ()
    # whose texts these are, and what their month has cost; None before anybody is chosen
    account: budgets.Account | None = None


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom a form names: what they are called, who writes to them, how many they are."""

    label: Text
    sender: Text
    counts: Counts
    audience: Audience | None
    org_id: int | None


def whom_of(held: Session, form: WhomForm) -> Whom:
    """Whom the form names now; the choices of the form are what the actor may write to."""
    if form.org_id.data:
        org = held.get_one(Organisation, int(form.org_id.data))
        counts = counts_of_organisation(held, org.id, when.today())
        return Whom(everybody(org), Text(org.name_zh, org.name_en), counts, None, org.id)
    groups = [
        g
        for g in queries.classes_to_write_to(held, current_actor())
        if g.id in (form.class_ids.data or [])
    ]
    audience = audience_of(held, [g.id for g in groups], when.today())
    school = held.get(Organisation, groups[0].school_id) if groups else None
    label = Text("、".join(g.name_zh for g in groups), ", ".join(g.name_en for g in groups))
    sender = sender_of(groups, school)
    return Whom(label, sender, audience.counts(), audience, school.id if school else None)


def seconds_of(held: Session, whom: Whom, *, urgent: bool) -> tuple[str, ...]:
    """Who could be the second person of a notice to so many; empty if it needs none."""
    policy = second_look.policy_of(held)
    if whom.org_id is None or not second_look.is_needed(
        policy, whom.counts.guardians, urgent=urgent
    ):
        return ()
    writer = current_actor().person_id or 0
    found = second_look.seconds_of(held, org_id=whom.org_id, writer_id=writer, today=when.today())
    return tuple(person.name for person in found)


def everybody(org: Organisation) -> Text:
    return Text(f"{org.name_zh}全体家长", f"All families of {org.name_en}")


def sender_of(held_groups: list[ClassGroup], school: Organisation | None) -> Text:
    if school is None:
        return Text("学校", "School")
    if len(held_groups) == 1:
        group = held_groups[0]
        return Text(f"{school.name_zh}{group.name_zh}", f"{school.name_en}, {group.name_en}")
    return Text(school.name_zh, school.name_en)


def offer(held: Session, form: WhomForm) -> bool:
    """Fill in whom the actor may write to, in this page's language; False if to nobody."""
    groups = queries.classes_to_write_to(held, current_actor())
    offices = queries.organisations_to_write_to(held, current_actor())
    form.class_ids.choices = [(g.id, Text(g.name_zh, g.name_en).in_(language())) for g in groups]
    form.org_id.choices = [
        *([("", Text("选择班级", "Some classes").in_(language()))] if groups else []),
        *((str(o.id), everybody(o).in_(language())) for o in offices),
    ]
    if not form.is_submitted():
        if len(groups) == 1:
            form.class_ids.data = [groups[0].id]
        if not groups and offices and not form.org_id.data:
            form.org_id.data = str(offices[0].id)
    return bool(groups or offices)


def said_of(held: Session, notice: Notice) -> dict[str, Any]:
    """Whom a notice that has not left is for, as its pages say it."""
    if notice.reach in reach.WIDE:
        org = held.get_one(Organisation, notice.school_id)
        label, counts = everybody(org), counts_of_organisation(held, org.id, when.today())
    else:
        names = queries.class_names(held, notice.class_ids)
        label = Text("、".join(n.zh for n in names), ", ".join(n.en for n in names))
        counts = audience_of(held, notice.class_ids, when.today()).counts()
    chosen = {"page_first": notice.page_first}
    return {
        "label": label,
        "counts": counts,
        "how": preview.how(notice.level, notice.ladder_hours, **chosen),
        "then": preview.then(notice.level, notice.ladder_hours, **chosen),
    }


def concerns_for(held: Session, form: WhomForm, title: Text, body: Text) -> list[Concern]:
    """What in a text to whom the form names gives reason to think."""
    children = reach.children_named(
        form.class_ids.data or [], int(form.org_id.data or 0), when.today()
    )
    return services.concerns_of(held, children, title, body)
