"""Tables of notices and who received them, per guardian."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Literal

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger, Text

from coordination.ground.constraints import explain
from coordination.ground.errors import Stale
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text as Words


class Notice(Row, Base):
    """通知: one message of a school to the guardians of some classes, in two languages."""

    __tablename__ = "notice"
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    class_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    # set when all classes of the notice have one: lets the class teacher read it
    class_id: Mapped[int | None] = mapped_column(ForeignKey("class_group.id"))
    sender_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    draft_key: Mapped[str] = mapped_column(unique=True)
    # to some classes, to everybody of the school or district that `school_id` names, or to the children
    # of one class who have a file with it (ChildFile)
    reach: Mapped[str] = mapped_column(server_default="classes")
    title_zh: Mapped[str]
    title_en: Mapped[str]
    body_zh: Mapped[str]
    body_en: Mapped[str]
    level: Mapped[str]
    # what families choose from, in both languages and one order; empty where they only confirm
    options_zh: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    options_en: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    state: Mapped[str]
    due_at: Mapped[datetime | None]
    # set when the sender had the texts leave in quiet hours too, and why
    urgent_reason: Mapped[str | None]
    # the kind of an alert (alerts.KINDS), whose words come from lists; None of what somebody wrote
    alert: Mapped[str | None]
    # minutes without an answer after which the phone rings (ringing); None: no automatic calls
    call_after: Mapped[int | None] = mapped_column(SmallInteger)
    # until when the phone rings about it where it is to; None: nowhere
    ringing_until: Mapped[datetime | None]
    # what the sender was warned of (content.WORDS) and sent all the same
    looked_at: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    # sent as urgent although the month's budget was used up
    over_budget: Mapped[bool] = mapped_column(server_default=text("false"))
    # when the clock is to send it; kept after that, so that one sees what was planned
    send_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    # stands on the platform alone until the first step, which texts those who are silent then
    page_first: Mapped[bool] = mapped_column(server_default=text("false"))
    # how long the clock waits for an answer before each next step (silence.climb), when the
    # next one is due, and since when the call list is
    ladder_hours: Mapped[int | None]
    ladder_at: Mapped[datetime | None]
    calls_since: Mapped[datetime | None]
    # 复核: who let it leave beside its writer, or who gave it back and with what to change
    approved_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    approved_at: Mapped[datetime | None]
    returned_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    returned_reason: Mapped[str | None]
    # why the clock did not send it (dispatch.UNSENT); None if somebody withdrew it
    unsent_reason: Mapped[str | None]

    __scope__ = {"school": "school_id", "class": "class_id", "person": "sender_id"}
    __table_args__ = (
        Index("ix_notice_ladder", "ladder_at", postgresql_where=text("ladder_at is not null")),
        Index("ix_notice_calls", "calls_since", postgresql_where=text("calls_since is not null")),
        Index(
            "ix_notice_ringing",
            "ringing_until",
            postgresql_where=text("ringing_until is not null"),
        ),
        Index("ix_notice_scheduled", "send_at", postgresql_where=text("state = 'scheduled'")),
        Index(
            "ix_notice_unlooked", "id", postgresql_where=text("state in ('awaiting', 'returned')")
        ),
        CheckConstraint("level in ('info','confirm')", name="level"),
        CheckConstraint(
            "cardinality(options_zh) = cardinality(options_en) and cardinality(options_zh) <> 1"
            " and (level = 'confirm' or cardinality(options_zh) = 0)",
            name="options",
        ),
        CheckConstraint(
            "state in ('draft','awaiting','returned','scheduled','sent','cancelled')", name="state"
        ),
        CheckConstraint("approved_by_id <> sender_id", name="second_person"),
        CheckConstraint("(approved_by_id is null) = (approved_at is null)", name="approved"),
        CheckConstraint("state <> 'returned' or returned_reason is not null", name="returned"),
        CheckConstraint("state <> 'scheduled' or send_at is not null", name="scheduled"),
        CheckConstraint("reach in ('classes','children','school','district')", name="reach"),
        CheckConstraint("alert in ('cancelled','delayed','emergency')", name="alert"),
        CheckConstraint(
            "alert is null or (urgent_reason is not null and level = 'confirm')",
            name="alert_urgent",
        ),
        CheckConstraint(
            "call_after is null or (alert is not null and call_after between 1 and 60)",
            name="call_after",
        ),
        # a family that never looks must be written to, and what is urgent at once
        CheckConstraint(
            "not page_first or (ladder_hours is not null and urgent_reason is null)",
            name="page_first",
        ),
    )

    @property
    def calls_all(self) -> bool:
        """Whether all who are silent are to be phoned, though no reminder was sent."""
        return self.calls_since is not None and (self.page_first or self.alert is not None)

    @property
    def first_text(self) -> int:
        """The round that writes the first text; what comes after it are reminders."""
        return 1 if self.page_first else 0


class QuietPolicy(Row, Base):
    """免打扰时段: when the district's texts wait until morning; equal times mean none. And between which
    times of a day notices wait for each other, if they do (傍晚合并发送).
    """

    __tablename__ = "quiet_policy"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    quiet_from: Mapped[time]
    quiet_until: Mapped[time]
    rest_days: Mapped[bool]
    gather_from: Mapped[time | None]
    gather_at: Mapped[time | None]

    __scope__ = {"school": "org_id"}
    __table_args__ = (
        CheckConstraint(
            "(gather_from is null) = (gather_at is null) and gather_from < gather_at", name="gather"
        ),
    )


class TextLimit(Row, Base):
    """每日上限: how many routine texts a phone of the district gets in a day; 0 is any number."""

    __tablename__ = "text_limit"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    per_day: Mapped[int]

    __scope__ = {"school": "org_id"}
    __table_args__ = (CheckConstraint("per_day between 0 and 100", name="per_day"),)


class SecondLookPolicy(Row, Base):
    """双人复核: above how many guardians a second person looks at a notice first; None: never."""

    __tablename__ = "second_look_policy"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    above: Mapped[int | None]
    urgent_too: Mapped[bool]

    __scope__ = {"school": "org_id"}
    __table_args__ = (CheckConstraint("above between 1 and 1000000", name="above"),)


class FamilyBudget(Row, Base):
    """家庭短信条数: how many routine texts a family of the district should get in a week."""

    __tablename__ = "family_budget"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    per_week: Mapped[int]

    __scope__ = {"school": "org_id"}
    __table_args__ = (CheckConstraint("per_week between 1 and 50", name="per_week"),)


class TextBudget(Row, Base):
    """短信预算: what the texts of a school, or of the district's own notices, may cost in a month."""

    __tablename__ = "text_budget"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    yuan: Mapped[int]

    __scope__ = {"school": "org_id"}
    __table_args__ = (CheckConstraint("yuan between 0 and 10000000", name="yuan"),)


class TextSpend(Base):
    """短信花费: what was written on an account in a month; given back with a minus. Only added to."""

    __tablename__ = "text_spend"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    month: Mapped[date]
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    texts: Mapped[int]
    segments: Mapped[int]

    __table_args__ = (
        # an account is summed up from the index alone
        Index("ix_text_spend_account", "org_id", "month", postgresql_include=["segments"]),
        Index("ix_text_spend_subject", "subject_type", "subject_id"),
    )


class TextReturned(Base):
    """短信退费: a text that ended unsent, and whose cost was given back. Its key makes it once."""

    __tablename__ = "text_returned"
    message_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class WordingApproval(Row, Base):
    """模板报备: the provider's id and state for a wording in one language.

    `version` names the text that was handed in under this id.
    """

    __tablename__ = "wording_approval"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    key: Mapped[str]
    language: Mapped[str]
    template_id: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str]
    version: Mapped[str]

    __scope__ = {"school": "org_id"}
    __table_args__ = (
        UniqueConstraint("key", "language"),
        Index(
            "uq_wording_approval_template_id",
            "template_id",
            unique=True,
            postgresql_where=text("template_id <> ''"),
        ),
        CheckConstraint("language in ('zh','en')", name="language"),
        CheckConstraint("state in ('draft','submitted','approved','rejected')", name="state"),
        CheckConstraint("state <> 'approved' or template_id <> ''", name="id"),
    )


def _entered_meanwhile() -> Stale:
    return Stale(
        Words(
            "刚刚有人填写了同一条文案或同一个编号，请查看后再填。",
            "Somebody else has just entered this wording or this id; look again.",
        )
    )


explain("uq_wording_approval_key_language", _entered_meanwhile)
explain("uq_wording_approval_template_id", _entered_meanwhile)


class NoticeRound(Row, Base):
    """发送轮次: the first text (0) or a reminder (1, 2, …), written out a stretch at a time.

    Of a notice that begins on the platform, 0 lists its recipients and 1 is the first text.
    `upto` is the last recipient row whose text stands in the outbox.
    """

    __tablename__ = "notice_round"
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id"))
    number: Mapped[int]
    started_at: Mapped[datetime]
    upto: Mapped[int] = mapped_column(BigInteger, server_default="0")
    done_at: Mapped[datetime | None]
    # segments of the texts still to be written, and of one of them: while a round is open, they are
    # as good as spent
    reserved: Mapped[int] = mapped_column(BigInteger, server_default="0")
    segments_each: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # of the first text: for how many families it was more than they should get in that week; None
    # where that was not counted
    families_over: Mapped[int | None]

    __table_args__ = (
        Index("uq_notice_round", "notice_id", "number", unique=True),
        Index("ix_notice_round_open", "id", postgresql_where=text("done_at is null")),
    )


class NoticeRecipient(Row, Base):
    """收件人: one guardian of a notice; read and confirmed are theirs, delivery is the outbox's."""

    __tablename__ = "notice_recipient"
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id"))
    guardian_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    child_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    household_key: Mapped[str]
    language: Mapped[str]
    # the guardian whose phone carries the message for the whole household; own id if told directly
    told_via_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    skip_reason: Mapped[str | None]
    read_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    nudges: Mapped[int] = mapped_column(server_default="0")
    # told by phone, or by a letter whose slip came back: when, and which member of staff said so;
    # nobody, where the child's other guardian has chosen. The guardian's own answer stays apart
    reached_at: Mapped[datetime | None]
    reached_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    by_letter: Mapped[bool] = mapped_column(server_default=text("false"))
    # confirmed by a key in an automatic call
    by_call: Mapped[bool] = mapped_column(server_default=text("false"))

    __scope__ = {"person": "guardian_id"}
    __table_args__ = (Index("uq_notice_recipient", "notice_id", "guardian_id", unique=True),)

    @property
    def told(self) -> Literal["", "phone", "letter", "family"]:
        """How the school told them beside the message, if it did, or that the family has answered."""
        if self.reached_at is None:
            return ""
        if self.reached_by_id is None:
            return "family"
        return "letter" if self.by_letter else "phone"


class NoticeChoice(Row, Base):
    """家长的选择: which of a notice's options was chosen for a child, and by whom; the last word counts."""

    __tablename__ = "notice_choice"
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id"))
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    # counted from nought, in the order of the options
    position: Mapped[int] = mapped_column(SmallInteger)
    guardian_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    chosen_at: Mapped[datetime]

    __scope__ = {"child": "child_id"}
    __table_args__ = (UniqueConstraint("notice_id", "child_id"),)


class ChildFile(Row, Base):
    """一人一份材料: the file of one child with a notice, sealed for this notice and child; the bytes are
    erased after a time (child_files.KEPT), that there was one and when it was opened stays.
    """

    __tablename__ = "child_file"
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id", ondelete="CASCADE"))
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    # as it was handed in, for the sender; empty once erased
    name: Mapped[str]
    kind: Mapped[str]
    size: Mapped[int]
    body_enc: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    # by a guardian, the first time
    opened_at: Mapped[datetime | None]
    opened_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    erased_at: Mapped[datetime | None]

    __scope__ = {"child": "child_id"}
    __table_args__ = (
        Index("uq_child_file", "notice_id", "child_id", unique=True),
        Index("ix_child_file_kept", "notice_id", postgresql_where=text("erased_at is null")),
        CheckConstraint("kind in ('pdf','png','jpeg')", name="kind"),
        CheckConstraint("(body_enc is null) = (erased_at is not null)", name="erased"),
    )


def _added_meanwhile() -> Stale:
    return Stale(
        Words(
            "刚刚有人给同一个孩子加了文件，请刷新后查看。",
            "Somebody else has just added a file for the same child; reload and look.",
        )
    )


explain("uq_child_file", _added_meanwhile)


class FollowUp(Row, Base):
    """联系跟进: what was done in a month about the family of a child that is not reached."""

    __tablename__ = "follow_up"
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    month: Mapped[date]
    done: Mapped[str]
    by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))

    __scope__ = {"child": "child_id"}
    __table_args__ = (
        UniqueConstraint("child_id", "month"),
        CheckConstraint("done in ('number','spoke','paper','other')", name="done"),
    )


explain(
    "uq_follow_up_child_id_month",
    lambda: Stale(
        Words(
            "刚刚有人记下了这个孩子，请刷新后再看。",
            "Somebody else has just noted this child; look again.",
        )
    ),
)


def _saved_meanwhile() -> Stale:
    return Stale(
        Words(
            "刚刚已有人保存了这项规定，请刷新后再看。",
            "Somebody has just saved this rule; reload and look again.",
        )
    )


# each is one row, which two may write for the first time at once
for _policy in (QuietPolicy, TextLimit, SecondLookPolicy, FamilyBudget):
    explain(f"uq_{_policy.__tablename__}_org_id", _saved_meanwhile)
