"""What the texts of a school may cost in a month: set, counted, and held against routine notices.

A budget refuses only what a person is about to send and could leave: notices and reminders by hand.
What follows from something that happened (moved, cancelled, due) is counted and always leaves.

A text is counted when it is written, by our own count of segments, in a row for each round, stretch or
happening; those who claim, send and record know nothing of it. What a stop keeps from leaving is given
back, and what of a notice ended without a provider having taken it (`reactions/unsent_texts.py`); of
other messages that stays counted, so that an account shows rather too much than too little.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, or_, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.communication.models import (
    Notice,
    NoticeRound,
    TextBudget,
    TextSpend,
)
from coordination.domain.people.models import Organisation
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# What one segment costs is the operator's price; shown so that a sender sees the difference.
YUAN_PER_SEGMENT = Decimal("0.05")
MOST_YUAN = 10_000_000
WARN_AT = 80

_zone = ZoneInfo("Asia/Shanghai")

# (session, notice, key of the wording) -> language -> segments of one text
Estimate = Callable[[Session, Notice, str], Mapping[str, int]]
_estimates: list[Estimate] = []


def use_zone(zone: ZoneInfo) -> None:
    """Set once by the composition root: months begin at the district's midnight."""
    global _zone
    _zone = zone


def zone() -> ZoneInfo:
    """The district's zone."""
    return _zone


def estimated_by(estimate: Estimate) -> None:
    """Say who knows the wordings: how long a text of a notice will be."""
    _estimates[:] = [estimate]


def month_of(at: datetime) -> date:
    """The month in which a text written now is counted, as its first day."""
    return at.astimezone(_zone).date().replace(day=1)


@dataclass(frozen=True, slots=True)
class Account:
    """What an organisation may spend in a month and has spent, in yuan; no budget is None."""

    org_id: int
    name: Text
    budget: Decimal | None
    used: Decimal

    def percent(self, more: Decimal = Decimal(0)) -> int | None:
        """Used, with `more`, in whole percent, rounded down; of nothing, anything is too much."""
        if self.budget is None:
            return None
        total = self.used + more
        if not self.budget:
            return 100 if not total else 999
        return int(total * 100 / self.budget)

    def is_near(self, more: Decimal = Decimal(0)) -> bool:
        """Whether it is time to warn."""
        percent = self.percent(more)
        return percent is not None and percent >= WARN_AT

    def has_no_room(self, more: Decimal) -> bool:
        """Whether `more` would go beyond the budget."""
        return self.budget is not None and self.used + more > self.budget


def accounts(session: Session, org_ids: Collection[int], month: date) -> dict[int, Account]:
    """The accounts of these organisations in a month.

    One statement, so that what is both written and still reserved is never missed: a stretch that is
    written meanwhile moves from the one to the other.
    """
    spent = (
        select(func.coalesce(func.sum(TextSpend.segments), 0))
        .where(TextSpend.org_id == Organisation.id, TextSpend.month == month)
        .scalar_subquery()
    )
    reserved = (
        select(func.coalesce(func.sum(NoticeRound.reserved), 0))
        .join(Notice, Notice.id == NoticeRound.notice_id)
        .where(
            NoticeRound.done_at.is_(None),
            Notice.school_id == Organisation.id,
            Notice.state == "sent",
        )
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            Organisation.id,
            Organisation.name_zh,
            Organisation.name_en,
            TextBudget.yuan,
            spent + reserved,
        )
        .outerjoin(TextBudget, TextBudget.org_id == Organisation.id)
        .where(Organisation.id.in_(org_ids))
        .order_by(Organisation.kind, Organisation.id)
    )
    return {
        org: Account(org, Text(zh, en), None if yuan is None else Decimal(yuan), cost(int(used)))
        for org, zh, en, yuan, used in rows
    }


def accounts_of_district(session: Session, office: int, month: date) -> list[Account]:
    """The district's own account and those of its schools."""
    ids = session.scalars(
        select(Organisation.id).where(
            or_(
                Organisation.id == office,
                (Organisation.parent_id == office) & (Organisation.kind == "school"),
            ),
            Organisation.active.is_(True),
        )
    ).all()
    return list(accounts(session, ids, month).values())


def account(session: Session, org_id: int, at: datetime) -> Account:
    """The account on which a text written at `at` is counted."""
    return accounts(session, [org_id], month_of(at))[org_id]


def cost(segments: int) -> Decimal:
    """In yuan."""
    return YUAN_PER_SEGMENT * segments


def charge(uow: UnitOfWork, texts: Mapping[int, Sequence[int]], subject: tuple[str, int]) -> None:
    """Note what was written into the outbox: for each payer, the segments of every text.

    A row is added and none is changed: whoever writes at the same time does not wait.
    """
    rows = [
        {
            "org_id": payer,
            "month": month_of(uow.now),
            "subject_type": subject[0],
            "subject_id": subject[1],
            "texts": len(sizes),
            "segments": sum(sizes),
        }
        for payer, sizes in sorted(texts.items())
        if sizes
    ]
    if rows:
        uow.session.execute(insert(TextSpend), rows)


def give_back(
    uow: UnitOfWork,
    subject: tuple[str, int],
    texts: int,
    segments: int,
    *,
    month: date | None = None,
) -> None:
    """Give back what so many texts of a subject had cost, of which none left: to the month they were
    counted in, that is `month` if it is known, and else the latest first."""
    written = uow.session.execute(
        select(TextSpend.org_id, TextSpend.month, func.sum(TextSpend.texts))
        .where(TextSpend.subject_type == subject[0], TextSpend.subject_id == subject[1])
        .group_by(TextSpend.org_id, TextSpend.month)
        .order_by(TextSpend.month.desc(), TextSpend.org_id)
    ).all()
    for org, counted_in, count in sorted(written, key=lambda row: row.month != month):
        back = min(texts, int(count))
        if back <= 0:
            continue
        share = segments * back // texts
        texts, segments = texts - back, segments - share
        uow.session.execute(
            insert(TextSpend).values(
                org_id=org,
                month=counted_in,
                subject_type=subject[0],
                subject_id=subject[1],
                texts=-back,
                segments=-share,
            )
        )


def set_budget(uow: UnitOfWork, *, office_id: int, org_id: int, yuan: int | None) -> None:
    """Set what an organisation's texts may cost in a month; None lifts the budget."""
    uow.authorize(Action.LIMIT_SET, Scope(school=office_id))
    org = uow.session.get(Organisation, org_id)
    if org is None or not (
        org.id == office_id or (org.parent_id, org.kind) == (office_id, "school")
    ):
        raise NotFound()
    if yuan is not None and not 0 <= yuan <= MOST_YUAN:
        raise Invalid(
            fields={
                "yuan": Text(
                    f"请填写 0 到 {MOST_YUAN} 之间的整数，或留空表示不设预算。",
                    f"Enter a whole number from 0 to {MOST_YUAN}, or leave it empty for no budget.",
                )
            }
        )
    known = uow.session.scalar(select(TextBudget).where(TextBudget.org_id == org_id))
    if yuan is None:
        if known is not None:
            uow.session.delete(known)
        return
    if known is None:
        known = TextBudget(org_id=org_id)
        uow.session.add(known)
    known.yuan = yuan


def estimate(
    session: Session, notice: Notice, key: str, texts: Mapping[str, int]
) -> tuple[int, int]:
    """Segments of all `texts` (how many, by language), and of one of them on average, at the least."""
    each = _estimates[0](session, notice, key)
    total = sum(count * each[language] for language, count in texts.items())
    return total, total // max(1, sum(texts.values()))


def lock(uow: UnitOfWork, org_id: int) -> bool:
    """Keep others from spending of this budget until the transaction ends; False if there is none.

    To be followed by the look at what is used, in a statement of its own.
    """
    found = uow.session.scalar(
        select(TextBudget.id).where(TextBudget.org_id == org_id).with_for_update()
    )
    return found is not None


def refuse_beyond(account: Account, more: Decimal) -> None:
    """Refuse a routine notice for which the month's budget has no room."""
    if not account.has_no_room(more):
        return
    sentence = Text(
        f"{_shortage(account, more).zh}请联系教育局增加预算；"
        "确实紧急的，写明理由就能马上发送，理由会报教育局。",
        f"{_shortage(account, more).en} Ask the education bureau for more. What is urgent leaves if "
        "you say why here; the bureau sees the reason.",
    )
    here = Text("确实不能等的，在这里写明理由。", "If it cannot wait, say why here.")
    raise Conflict(sentence, code="budget_used_up", fields={"urgent_reason": here})


def refuse_reminder_beyond(account: Account, more: Decimal) -> None:
    """Refuse a reminder by hand for which the month's budget has no room."""
    if account.has_no_room(more):
        raise Conflict(
            Text(
                f"{_shortage(account, more).zh}请联系教育局增加预算，或按名单打电话提醒。",
                f"{_shortage(account, more).en} Ask the education bureau for more, or call the "
                "families on the list.",
            ),
            code="budget_used_up",
        )


def _shortage(account: Account, more: Decimal) -> Text:
    return Text(
        f"{account.name.zh}本月短信预算 {account.budget} 元，已用 {account.used} 元，"
        f"这次约需 {more} 元，预算不够，没有发送。",
        f"{account.name.en} may spend ¥{account.budget} on texts this month and has used "
        f"¥{account.used}; this needs about ¥{more}, so it was not sent.",
    )
