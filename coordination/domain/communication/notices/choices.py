"""接龙 (B28): a notice that offers options; a family chooses one for each child, and the last word counts.

What one family chose no other family sees: class teacher and school see it by name, others as numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.communication.events import NoticeAcknowledged
from coordination.domain.communication.models import Notice, NoticeChoice, NoticeRecipient
from coordination.domain.communication.notices.rules import BANNED
from coordination.domain.people.models import ClassMember, Person
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

FEWEST = 2
MOST = 6
LONGEST = 20


def options_of(zh: str, en: str) -> list[Text]:
    """Options as they were typed, one a line; Invalid where they are not two lists of one meaning."""
    lines = {
        name: [line.strip() for line in typed.splitlines() if line.strip()]
        for name, typed in (("options_zh", zh), ("options_en", en))
    }
    fields: dict[str, Text] = {}
    for name, found in lines.items():
        longest = LONGEST if name == "options_zh" else LONGEST * 2
        long = next((line for line in found if len(line) > longest), None)
        banned = next((w for line in found for w in BANNED if w in line.casefold()), None)
        if not FEWEST <= len(found) <= MOST:
            fields[name] = Text(
                f"请写 {FEWEST} 到 {MOST} 个选项，每行一个；现在是 {len(found)} 个。",
                f"Write {FEWEST} to {MOST} options, one a line; there are {len(found)}.",
            )
        elif len(set(found)) < len(found):
            fields[name] = Text(
                "有两个选项相同，请改一个。", "Two options are the same; change one."
            )
        elif long is not None:
            fields[name] = Text(
                f"“{long}”太长，每个选项最多 {longest} 个字。",
                f"“{long}” is too long: at most {longest} characters an option.",
            )
        elif banned is not None:
            fields[name] = Text(
                f"不能出现“{banned}”：通知里不谈付款和验证码，以防冒充。请删去。",
                f"Remove '{banned}': notices never speak of payment or codes, as frauds do.",
            )
    if not fields and len(lines["options_zh"]) != len(lines["options_en"]):
        fields["options_en"] = Text(
            f"中文有 {len(lines['options_zh'])} 个选项，英文有 {len(lines['options_en'])} 个，"
            "请一一对应。",
            f"There are {len(lines['options_zh'])} options in Chinese and"
            f" {len(lines['options_en'])} in English; write each in both.",
        )
    if fields:
        raise Invalid(fields=fields)
    return [Text(zh, en) for zh, en in zip(lines["options_zh"], lines["options_en"], strict=True)]


def offered_by(notice: Notice) -> list[Text]:
    """The options of a notice; empty where it only informs, or asks for a confirmation."""
    return [Text(zh, en) for zh, en in zip(notice.options_zh, notice.options_en, strict=True)]


def is_open(notice: Notice, now: datetime) -> bool:
    """Whether a choice still counts."""
    return notice.state == "sent" and (notice.due_at is None or now < notice.due_at)


def chosen_for(session: Session, notice_id: int, children: Collection[int]) -> dict[int, int]:
    """Child -> position of the option that was chosen."""
    rows = session.execute(
        select(NoticeChoice.child_id, NoticeChoice.position).where(
            NoticeChoice.notice_id == notice_id, NoticeChoice.child_id.in_(children)
        )
    )
    return {child: position for child, position in rows}


def choose(uow: UnitOfWork, *, notice_id: int, child_id: int, position: int) -> None:
    """Choose for one of the actor's children; a guardian who has chosen for all of theirs has confirmed.

    Two guardians who choose at once wait for each other: the later one's word stands.
    """
    person = uow.actor.person_id or 0
    rows = _locked(uow, notice_id, child_id)
    own = next((row for row in rows if row.guardian_id == person), None)
    # custody may have changed since the text was sent
    if own is None or child_id not in uow.actor.child_ids:
        raise NotFound()
    uow.authorize(Action.NOTICE_ACKNOWLEDGE, own)
    notice = uow.session.get_one(Notice, notice_id)
    _refuse_closed(notice, uow)
    if not 0 <= position < len(notice.options_zh):
        raise Invalid(fields={"choice": Text("请选择一项。", "Choose one.")})
    found = uow.session.scalar(
        select(NoticeChoice).where(
            NoticeChoice.notice_id == notice_id, NoticeChoice.child_id == child_id
        )
    )
    if found is None:
        found = NoticeChoice(notice_id=notice_id, child_id=child_id)
        uow.session.add(found)
    found.position, found.guardian_id, found.chosen_at = position, person, uow.now
    uow.session.flush()  # counted below
    chosen = chosen_for(uow.session, notice_id, {c for row in rows for c in row.child_ids})
    own.read_at = own.read_at or uow.now
    if uow.actor.child_ids.intersection(own.child_ids) <= chosen.keys():
        own.confirmed_at = own.confirmed_at or uow.now
    for row in rows:
        if row is not own and row.reached_at is None and chosen.keys() >= set(row.child_ids):
            row.reached_at = uow.now  # by nobody of the school: see `NoticeRecipient.told`
    uow.record(NoticeAcknowledged(notice_id, person))


def _locked(uow: UnitOfWork, notice_id: int, child_id: int) -> Sequence[NoticeRecipient]:
    """All who have this notice about the child, in one order."""
    return uow.session.scalars(
        select(NoticeRecipient)
        .where(
            NoticeRecipient.notice_id == notice_id,
            NoticeRecipient.child_ids.op("@>")(cast([child_id], ARRAY(BigInteger))),
        )
        .order_by(NoticeRecipient.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _refuse_closed(notice: Notice, uow: UnitOfWork) -> None:
    if not notice.options_zh:
        raise NotFound()
    if notice.state != "sent":
        raise Conflict(
            Text("学校已撤回这条通知，不用再选。", "The school has withdrawn this notice."),
            code="notice_stopped",
        )
    if not is_open(notice, uow.now):
        raise TooLate(
            Text(
                "已过截止时间，不能再选或更改。请联系班主任。",
                "The time to choose is over. Please tell the class teacher.",
            )
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """How often an option was chosen, and for whom, where the viewer may know."""

    option: Text | None
    count: int
    names: tuple[str, ...]


def tally_of(session: Session, actor: Actor, notice: Notice) -> list[Tally]:
    """Each option, and last (as no option) those who have not chosen; children, not guardians.

    Names are of children of the actor's own classes or school.
    """
    row = NoticeRecipient
    children = (
        select(func.unnest(row.child_ids).label("child_id"))
        .where(row.notice_id == notice.id)
        .distinct()
        .subquery("children")
    )
    rows = session.execute(
        select(
            children.c.child_id,
            NoticeChoice.position,
            Person.name,
            Person.school_id,
            ClassMember.class_id,
        )
        .join(Person, Person.id == children.c.child_id)
        .outerjoin(
            NoticeChoice,
            (NoticeChoice.child_id == children.c.child_id) & (NoticeChoice.notice_id == notice.id),
        )
        .outerjoin(
            ClassMember,
            (ClassMember.person_id == children.c.child_id) & ClassMember.ends_on.is_(None),
        )
        .order_by(Person.pinyin, Person.id)
    ).all()
    places = {(r.school_id, r.class_id) for r in rows}
    known = {
        place
        for place in places
        if allowed(actor, Action.NOTICE_CALL, Scope(school=place[0], class_=place[1]))
    }
    counts: dict[int | None, set[int]] = {}
    names: dict[int | None, dict[int, str]] = {}
    for found in rows:
        counts.setdefault(found.position, set()).add(found.child_id)
        if (found.school_id, found.class_id) in known:
            names.setdefault(found.position, {})[found.child_id] = found.name
    return [
        Tally(option, len(counts.get(at, ())), tuple(names.get(at, {}).values()))
        for at, option in [*enumerate(offered_by(notice)), (None, None)]
    ]
