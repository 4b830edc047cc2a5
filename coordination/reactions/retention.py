"""What is kept for how long, in one list, and the proof that it was erased.

CLASSES is the whole list of what ends by itself; KEPT names every other table and why it stays. The terms
are part of the product and not a district's to lengthen by a click: each has its reason and its source.
Most classes are erased by a tick of their own (`worker.TICKS`), which notes what it did here; the rest is
erased here, a batch at a time. Every night each class gets a line: what was the oldest that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, DateTime, Delete, Select, cast, delete, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import refuse_unless_allowed
from coordination.domain.agenda.models import CalendarEntry, EntryAudience, FeedToken
from coordination.domain.agenda.services import TOMBSTONE_DAYS
from coordination.domain.care.keeping import LOOKS_KEPT, UNCONFIRMED
from coordination.domain.care.models import CardLook, HealthCard
from coordination.domain.communication.files.child_files import KEPT as FILES_KEPT
from coordination.domain.communication.models import ChildFile, Notice
from coordination.domain.oversight.erasing import ERASED, erase_child
from coordination.domain.oversight.models import DataRequest, ErasureRun
from coordination.domain.people.models import (
    AccessCode,
    AccountSession,
    ClassMember,
    OneTimeCode,
    Person,
    RosterRefusal,
)
from coordination.domain.practice.headcount.models import StageMark
from coordination.domain.practice.headcount.notes import KEPT as HEADCOUNTS_KEPT
from coordination.domain.practice.models import ClassEnrolment, PracticeSession
from coordination.ground.actor import Actor
from coordination.ground.text import Text
from coordination.ground.throttle import Throttle
from coordination.ground.uow import UnitOfWork
from notifications.models import InboundText, OutboxMessage
from notifications.states import FINAL

BATCH = 2000
EVERY = timedelta(hours=20)
BODIES_DAYS = 180
LEFT_DAYS = 730

Oldest = Select[datetime | None]


@dataclass(frozen=True, slots=True)
class DataClass:
    """Data of one kind that ends: where it stands, after how many days, why then, and who says so."""

    key: str
    what: Text
    days: int
    # from when the days count
    since: Text
    why: Text
    tables: tuple[str, ...]
    # the oldest that is left; a day more than the term is what a tick may be behind
    oldest: Oldest
    # one batch of what is older; None if a tick of its own erases it
    batch: Callable[[datetime], Delete] | None = None


_LAW = Text("《个人信息保护法》第十九条：最短必要时间", "PIPL art. 19: the shortest time necessary")


def _batch_of(
    table: type[AccessCode] | type[FeedToken] | type[RosterRefusal], column: str
) -> Callable[[datetime], Delete]:
    def make(before: datetime) -> Delete:
        old = select(table.id).where(getattr(table, column) < before).limit(BATCH)
        return delete(table).where(table.id.in_(old))

    return make


# what the tick of health cards erases
CARE = {"cards": ("health_card", "pickup_permit"), "looks": ("card_look",)}

CLASSES: tuple[DataClass, ...] = (
    DataClass(
        "texts",
        Text("短信和邮件正文", "Words of texts and mails"),
        BODIES_DAYS,
        Text("写成", "writing"),
        Text(
            "用来答复“发了什么”；之后只留摘要和结果，仍能证明发过。",
            "To answer what was said; the hash and the outcome stay as proof.",
        ),
        ("outbox_message", "simulated_message"),
        # one that may still be sent keeps its words until that is settled
        select(func.min(OutboxMessage.created_at)).where(
            OutboxMessage.body.is_not(None), OutboxMessage.state.in_(FINAL)
        ),
    ),
    DataClass(
        "inbound",
        Text("收到的短信（只记有过一条）", "Texts that came in (only that one came)"),
        BODIES_DAYS,
        Text("收到", "receipt"),
        Text("运营商可能重复上报。", "Providers may report one again."),
        ("inbound_text",),
        select(func.min(InboundText.at)),
    ),
    DataClass(
        "child_files",
        Text("一人一份材料的文件", "A child's own files"),
        FILES_KEPT.days,
        Text("发出", "sending"),
        Text(
            "家长有两个月时间下载；之后只留有过这份材料。",
            "Families have two months; that there was one stays.",
        ),
        ("child_file",),
        select(func.min(Notice.sent_at))
        .join(ChildFile, ChildFile.notice_id == Notice.id)
        .where(ChildFile.erased_at.is_(None)),
    ),
    DataClass(
        "headcounts",
        Text("点名明细和离队说明", "Taps of head-counts, and with whom a child left"),
        HEADCOUNTS_KEPT.days,
        Text("活动结束", "the day ended"),
        Text(
            "当天的事在两个月内都能说清；之后只留各班人数。",
            "Whatever a day leaves is settled by then; the numbers of each class stay.",
        ),
        ("stage_mark", "group_leaver"),
        select(func.min(PracticeSession.return_at))
        .join(ClassEnrolment, ClassEnrolment.session_id == PracticeSession.id)
        .join(StageMark, StageMark.class_enrolment_id == ClassEnrolment.id),
    ),
    DataClass(
        "cards",
        Text("健康提示卡和代接人", "Health cards, and who may collect a child"),
        UNCONFIRMED.days,
        Text("上次确认", "last confirmed"),
        Text(
            "没有家长再确认的内容可能已经不对；孩子离校、家长撤回或授权到期的，当晚就删。",
            "What nobody confirms may be wrong by now; at once when the child leaves, a guardian"
            " withdraws, or the permit is over.",
        ),
        CARE["cards"],
        select(func.min(HealthCard.confirmed_at)),
    ),
    DataClass(
        "looks",
        Text("谁看过健康提示卡", "Who looked at a health card"),
        LOOKS_KEPT.days,
        Text("查看", "looked"),
        Text("家长能问到谁看过，和卡片一样久。", "As long as a family may ask about its card."),
        CARE["looks"],
        select(func.min(CardLook.at)),
    ),
    DataClass(
        "sign_ins",
        Text("登录验证码", "Sign-in codes"),
        1,
        Text("到期", "expiry"),
        Text("到期后没有用处。", "Of no use once they expire."),
        ("one_time_code",),
        select(func.min(OneTimeCode.expires_at)),
    ),
    DataClass(
        "sessions",
        Text("登录会话", "Sessions"),
        1,
        Text("到期", "expiry"),
        Text("到期后没有用处。", "Of no use once they expire."),
        ("account_session",),
        select(func.min(AccountSession.expires_at)),
    ),
    DataClass(
        "counters",
        Text("限频计数", "Counters of tries"),
        2,
        Text("开始", "the first try"),
        Text(
            "只用来挡住反复尝试，不含姓名和号码。", "To stop guessing; no name or number in them."
        ),
        ("throttle",),
        select(func.min(Throttle.window_starts_at)),
    ),
    DataClass(
        "codes",
        Text("短信里的短码", "Short codes of texts"),
        180,
        Text("到期", "expiry"),
        Text(
            "半年内点开，页面还能说明为什么过期。",
            "For half a year the page can still say why it is too late.",
        ),
        ("access_code",),
        select(func.min(AccessCode.expires_at)),
        _batch_of(AccessCode, "expires_at"),
    ),
    DataClass(
        "calendars",
        Text("停用的日历订阅", "Closed calendar addresses"),
        180,
        Text("停用", "closing"),
        Text("主人还能看到为什么停用。", "So that the owner sees why it was closed."),
        ("feed_token",),
        select(func.min(FeedToken.revoked_at)),
        _batch_of(FeedToken, "revoked_at"),
    ),
    DataClass(
        "tombstones",
        Text("取消的日程", "Cancelled entries of calendars"),
        TOMBSTONE_DAYS,
        Text("取消", "cancelling"),
        Text(
            "手机日历要先知道已取消，之后不再列出谁受影响。",
            "Phones learn first that it was cancelled; then whom it concerned goes.",
        ),
        ("entry_audience",),
        select(func.min(CalendarEntry.cancelled_at)).where(
            select(EntryAudience.id).where(EntryAudience.entry_id == CalendarEntry.id).exists()
        ),
    ),
    DataClass(
        "refusals",
        Text("名册导入中不能接受的行", "Rows that an import refused"),
        180,
        Text("导入", "the import"),
        Text("留给学校改正后再导入。", "For the school to correct and import again."),
        ("roster_refusal",),
        select(func.min(RosterRefusal.created_at)),
        _batch_of(RosterRefusal, "created_at"),
    ),
)

LEFT = DataClass(
    "left",
    Text("离校学生和家长的姓名、电话", "Names and numbers of who has left"),
    LEFT_DAYS,
    Text("离校", "leaving"),
    Text(
        "转学回来、补办证明用两年；家长申请删除且学校同意的，离校当晚就删。只留人数。",
        "Two years for a return or a certificate; on the night after leaving where the family asked and"
        " the school agreed. Counts stay.",
    ),
    ("person", "contact_point", "guardianship", "follow_up", "data_request", "correction"),
    select(func.min(cast(ClassMember.ends_on, DateTime(timezone=True))))
    .join(Person, Person.id == ClassMember.person_id)
    .where(Person.is_student, Person.status == "left", Person.name != ERASED),
)
ALL = (*CLASSES, LEFT)

_EVIDENCE = Text("凭据：谁同意、谁参加、谁做了什么", "Evidence: who agreed, took part, did what")
_SETTINGS = Text("设置和目录，不含个人内容", "Settings and catalogues; nothing personal")
_WORK = Text("计数和运行所需，不含姓名和号码", "Counts and what makes it run; no name or number")
_ROSTER = Text("名册：在校、在职期间", "The roster: while at school or in office")
_UNDO = Text(
    "为能撤销导入；人被删除时一并删除", "So that an import can be taken back; goes with the person"
)

BECAUSE: dict[Text, str] = {
    _EVIDENCE: """
        audit_entry consent_request consent_ask consent_answer card_consent enrolment class_enrolment attendance
        practice_hour shift_time shift_objection service_certificate turn_child turn_move shift_assignment
        stage_count notice notice_recipient notice_choice booking booking_occurrence partner_document
        erasure_run delivery_attempt
    """,
    _ROSTER: "class_member membership account class_group",
    _UNDO: "roster_batch roster_change roster_upload",
    _SETTINGS: """
        organisation school_turn turn_class term calendar_day resource opening_rule partner_profile activity
        practice_session shift_need adult_ratio reminder_set reminder_rule hour_rule volunteer_rule
        quiet_policy text_limit second_look_policy family_budget text_budget wording_approval calendar_entry
        busy_source busy_span
    """,
    _WORK: """
        clock_tick feed_version text_spend text_returned notice_round broadcast erasure_mark merged_message
        held_message delivery_worker outbox_hold delivery_circuit suppression reminder
    """,
}
# every other table, and why nothing of it ends by itself: the same by table
KEPT: dict[str, Text] = {table: why for why, tables in BECAUSE.items() for table in tables.split()}


@dataclass(frozen=True, slots=True)
class Line:
    """A class with what was done about it, as the page shows it."""

    data_class: DataClass
    # the last night
    looked_at: datetime | None
    oldest: datetime | None
    late: bool
    # the last time that anything was erased, how much then, and in all
    erased_at: datetime | None
    erased: int
    total: int


# a class is behind if something is older than its term and what a tick or a night may take
GRACE = timedelta(days=2)


def note(session: Session, key: str, before: datetime, erased: int, now: datetime) -> None:
    """Note that a tick erased something; nothing is noted of nothing."""
    if erased:
        session.add(ErasureRun(data_class=key, at=now, before=before, erased=erased))


def due(session: Session, now: datetime) -> bool:
    """Whether a night has passed since every class was last looked at."""
    last = session.scalar(select(func.max(ErasureRun.at)).where(ErasureRun.data_class == LEFT.key))
    return last is None or last <= now - EVERY


def erase_batch(uow: UnitOfWork, data_class: DataClass) -> int:
    """Erase one batch of what is older than its term; how many rows went."""
    uow.authorize(Action.SYSTEM_RUN)
    if data_class.batch is None:
        return 0
    before = uow.now - timedelta(days=data_class.days)
    statement = data_class.batch(before).execution_options(synchronize_session=False)
    return len(uow.session.execute(statement.returning(_key_of(statement))).all())


def _key_of(statement: Delete) -> ColumnElement[int]:
    column: ColumnElement[int] = statement.table.c.id
    return column


def gone_long_enough(session: Session, now: datetime, limit: int = 500) -> list[int]:
    """Children who left so long ago, or whose family asked and the school agreed."""
    last = (
        select(func.max(ClassMember.ends_on))
        .where(ClassMember.person_id == Person.id)
        .scalar_subquery()
    )
    asked = (
        select(DataRequest.id)
        .where(
            DataRequest.child_id == Person.id,
            DataRequest.kind == "erase",
            DataRequest.state == "done",
        )
        .exists()
    )
    return list(
        session.scalars(
            select(Person.id)
            .where(
                Person.is_student,
                Person.status == "left",
                Person.name != ERASED,
                or_(asked, last < (now - timedelta(days=LEFT_DAYS)).date()),
            )
            .order_by(Person.id)
            .limit(limit)
        )
    )


def erase_who_left(uow: UnitOfWork, child_id: int) -> None:
    """Erase one of them, unless the roster has brought the child back meanwhile."""
    uow.authorize(Action.SYSTEM_RUN)
    child = uow.session.get(Person, child_id, with_for_update=True)
    if child is not None and child.status == "left" and child.name != ERASED:
        erase_child(uow, child)


def close_night(uow: UnitOfWork, erased: Mapping[str, int]) -> None:
    """Write a line for every class: what went this night, and the oldest that is left."""
    uow.authorize(Action.SYSTEM_RUN)
    for one in ALL:
        uow.session.execute(
            insert(ErasureRun)
            .values(
                data_class=one.key,
                at=uow.now,
                before=uow.now - timedelta(days=one.days),
                erased=erased.get(one.key, 0),
                oldest_left=uow.session.scalar(one.oldest),
            )
            .on_conflict_do_nothing()
        )


def lines_of(session: Session, actor: Actor) -> list[Line]:
    """Every class for the page; numbers only."""
    refuse_unless_allowed(actor, Action.RETENTION_READ)
    nights = {
        row.data_class: row
        for row in session.scalars(
            select(ErasureRun)
            .ext(distinct_on(ErasureRun.data_class))
            .where(ErasureRun.at.in_(_nights()))
            .order_by(ErasureRun.data_class, ErasureRun.at.desc())
        )
    }
    erased = {
        row.data_class: row
        for row in session.scalars(
            select(ErasureRun)
            .ext(distinct_on(ErasureRun.data_class))
            .where(ErasureRun.erased > 0)
            .order_by(ErasureRun.data_class, ErasureRun.at.desc())
        )
    }
    totals = dict(
        session.execute(
            select(ErasureRun.data_class, func.sum(ErasureRun.erased)).group_by(
                ErasureRun.data_class
            )
        ).all()
    )
    return [
        Line(
            one,
            night.at if (night := nights.get(one.key)) else None,
            night.oldest_left if night else None,
            bool(night and night.oldest_left and night.oldest_left < night.before - GRACE),
            last.at if (last := erased.get(one.key)) else None,
            last.erased if last else 0,
            int(totals.get(one.key, 0)),
        )
        for one in ALL
    ]


def _nights() -> Select[datetime]:
    # a night writes a line for every class at one moment; ticks write their own between
    return select(ErasureRun.at).where(ErasureRun.data_class == LEFT.key)
