"""What is kept about a guardian and about the children whom custody leaves open to them.

One list of sections, each with what it is kept for; the page shows it and the file holds it. Nothing of
any other guardian is in it: not their answers, their reading, their number, nor that there is one.
Texts themselves are left out: one may name a sibling whom custody hides by now. Must not know pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.agenda.models import FeedToken
from coordination.domain.communication.models import (
    ChildFile,
    FollowUp,
    Notice,
    NoticeRecipient,
)
from coordination.domain.communication.unanswered.unreachable import DONE
from coordination.domain.consents.models import ConsentAnswer, ConsentRequest
from coordination.domain.consents.rules import STATES as RESPONSES
from coordination.domain.oversight.models import DataRequest
from coordination.domain.oversight.wording import subject_word
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import (
    AccountSession,
    ClassGroup,
    ClassMember,
    ContactPoint,
    Guardianship,
    Organisation,
    Person,
)
from coordination.domain.practice.models import Activity, Attendance, Enrolment, PracticeSession
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.ground.actor import Actor
from coordination.ground.errors import TooMany
from coordination.ground.text import Text
from coordination.ground.throttle import admit
from coordination.ground.uow import UnitOfWork
from notifications.models import OutboxMessage

COPIES, WINDOW = 5, timedelta(days=1)

Value = str | int | bool | datetime | date | Text | None


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is kept: its name for machines, its name for people, and the value."""

    key: str
    label: Text
    value: Value


@dataclass(frozen=True, slots=True)
class Section:
    """Things of one kind, what they are kept for and how long."""

    key: str
    title: Text
    why: Text
    entries: tuple[tuple[Field, ...], ...]


_CHILD = ("child", Text("孩子", "Child"))


def kept_about(session: Session, actor: Actor, today: date) -> list[Section]:
    """Everything, in the order of the page."""
    held = (
        ("me", Text("您本人", "You"), _ROSTER, _me(session, actor)),
        ("children", Text("您的孩子", "Your children"), _ROSTER, _children(session, actor, today)),
        ("consents", Text("您的同意与不同意", "Your consents"), _CONSENTS, _consents(session, actor)),
        ("activities", Text("孩子的活动", "Activities"), _ACTIVITIES, _activities(session, actor)),
        ("notices", Text("发给您的通知", "Notices to you"), _NOTICES, _notices(session, actor)),
        ("files", Text("孩子的材料", "The child's files"), _FILES, _files(session, actor)),
        ("texts", Text("发给您的短信和邮件", "Texts and mails to you"), _TEXTS, _texts(session, actor)),
        ("follow_ups", Text("学校的联系", "How you were reached"), _FOLLOWED, _followed(session, actor)),
        ("shifts", Text("您的志愿服务", "Your volunteering"), _SHIFTS, _shifts(session, actor)),
        ("calendars", Text("您的日历订阅", "Your calendar addresses"), _FEEDS, _feeds(session, actor)),
        ("sign_ins", Text("您的登录", "Your sign-ins"), _SIGN_INS, _sign_ins(session, actor)),
        ("requests", Text("您的申请", "What you asked for"), _REQUESTS, _requests(session, actor)),
    )  # fmt: skip
    return [Section(key, title, why, tuple(entries)) for key, title, why, entries in held]


def take_copy(uow: UnitOfWork, *, today: date) -> list[Section]:
    """The same as a file; how often is limited, and that it was taken stands in the audit trail."""
    person = uow.session.get_one(Person, uow.actor.person_id)
    uow.authorize(Action.DATA_TAKE, person)
    if not admit(uow.session, "own data", str(person.id), limit=COPIES, window=WINDOW, now=uow.now):
        raise TooMany(
            Text(
                f"一天最多下载 {COPIES} 次。内容可以随时在网页上查看，或明天再下载。",
                f"At most {COPIES} downloads a day. The page shows the same at any time; or download"
                " again tomorrow.",
            )
        )
    uow.trail.line("look", "person", person.id, None, None, reason="own_copy")
    return kept_about(uow.session, uow.actor, today)


_ROSTER = Text(
    "来自学校名册，用来联系家长、安排班级活动；在校期间保留。",
    "From the school's roster: to reach you and to plan for the class; as long as the child is at school.",
)
_CONSENTS = Text(
    "知情同意的凭据，不能修改；只列您自己的答复。",
    "The proof of consent, never changed; your own answers only.",
)
_ACTIVITIES = Text(
    "参加活动的记录，是社会实践的凭据。", "What the child took part in; the record of practice."
)
_NOTICES = Text(
    "学校知道谁收到、谁确认，才能找到没收到的人。",
    "So that the school knows whom a notice has not reached.",
)
_FILES = Text(
    "文件内容 60 天后删除，只留下有过这份材料。",
    "The file is erased after 60 days; that there was one stays.",
)
_TEXTS = Text(
    "用来证明发过没有；正文到期删除，这里不重复正文。",
    "To prove what was sent; the words are erased in time and not repeated here.",
)
_FOLLOWED = Text(
    "联系不上家长时，班主任做了什么。", "What the class teacher did when no message reached you."
)
_SHIFTS = Text("志愿服务的凭据。", "The record of your service.")
_FEEDS = Text(
    "地址本身只存加密摘要，可随时停用。",
    "The address itself is kept as a hash; you may close it at any time.",
)
_SIGN_INS = Text("用来让您保持登录；到期删除。", "To keep you signed in; deleted when they expire.")
_REQUESTS = Text(
    "您对个人信息提出的申请和学校的答复。", "What you asked about your data, and the answers."
)


def _me(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    person = session.get_one(Person, actor.person_id)
    yield (
        Field("name", Text("姓名", "Name"), person.name),
        Field(
            "language",
            Text("通知语言", "Language"),
            Text("中文", "Chinese") if person.language == "zh" else Text("英文", "English"),
        ),
        Field("notices_from", Text("几点起收通知", "Notices from"), f"{person.notices_from:%H:%M}")
        if person.notices_from
        else Field("notices_from", Text("几点起收通知", "Notices from"), None),
        *(
            Field(
                f"{point.kind}_{number}",
                Text("手机号", "Phone") if point.kind == "phone" else Text("电子邮箱", "E-mail"),
                point.mask,
            )
            for number, point in enumerate(
                session.scalars(
                    select(ContactPoint)
                    .where(ContactPoint.person_id == person.id)
                    .order_by(ContactPoint.kind.desc(), ContactPoint.id)
                ),
                1,
            )
        ),
    )


def _children(session: Session, actor: Actor, today: date) -> Iterator[tuple[Field, ...]]:
    rows = session.execute(
        select(Person, Guardianship, Organisation, ClassGroup, ClassMember)
        .join(Guardianship, Guardianship.child_id == Person.id)
        .outerjoin(Organisation, Organisation.id == Person.school_id)
        .outerjoin(ClassMember, ClassMember.person_id == Person.id)
        .outerjoin(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .where(
            Person.id.in_(actor.child_ids),
            Guardianship.guardian_id == actor.person_id,
            Guardianship.ends_on.is_(None) | (Guardianship.ends_on >= today),
        )
        .order_by(Person.id, ClassMember.starts_on.desc())
    )
    for child, kin, school, group, member in rows:
        yield (
            Field("name", Text("姓名", "Name"), child.name),
            Field("relation", Text("您是孩子的", "You are the"), RELATIONS[kin.relation]),
            Field("school", Text("学校", "School"), _named(school)),
            Field("class", Text("班级", "Class"), _named(group)),
            Field("from", Text("入班", "In it from"), member.starts_on if member else None),
            Field("until", Text("离班", "In it until"), member.ends_on if member else None),
            Field(
                "birth_month",
                Text("出生年月", "Month of birth"),
                f"{child.birth_month:%Y-%m}" if child.birth_month else None,
            ),
            Field("may_consent", Text("由您签署同意", "You may consent"), kin.may_consent),
            Field("may_pick_up", Text("由您接孩子", "You may pick up"), kin.may_pick_up),
        )


def _named(thing: Organisation | ClassGroup | None) -> Text | None:
    return Text(thing.name_zh, thing.name_en) if thing else None


def _consents(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    rows = session.execute(
        select(ConsentAnswer, ConsentRequest, Person.name)
        .join(ConsentRequest, ConsentRequest.id == ConsentAnswer.request_id)
        .join(Person, Person.id == ConsentAnswer.child_id)
        .where(
            ConsentAnswer.guardian_id == actor.person_id,
            ConsentAnswer.child_id.in_(actor.child_ids),
        )
        .order_by(ConsentAnswer.at.desc())
    )
    for answer, asked, child in rows:
        yield (
            Field("what", Text("事项", "What"), Text(asked.title_zh, asked.title_en)),
            Field(*_CHILD, child),
            Field("response", Text("答复", "Answer"), RESPONSES[answer.response]),
            Field("signed_name", Text("签名", "Signed"), answer.signed_name),
            Field("at", Text("时间", "When"), answer.at),
            Field("text_hash", Text("原文摘要", "Hash of the text"), answer.text_hash[:12]),
        )


_ATTENDED = {
    "present": Text("到场", "present"),
    "absent": Text("缺席", "absent"),
    "late": Text("迟到", "late"),
    "left_early": Text("早退", "left early"),
}


def _activities(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    rows = session.execute(
        select(Activity, PracticeSession.starts_at, Person.name, Attendance.status)
        .select_from(Enrolment)
        .join(PracticeSession, PracticeSession.id == Enrolment.session_id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .join(Person, Person.id == Enrolment.child_id)
        .outerjoin(Attendance, Attendance.enrolment_id == Enrolment.id)
        .where(Enrolment.child_id.in_(actor.child_ids))
        .order_by(PracticeSession.starts_at.desc())
    )
    for activity, starts_at, child, attended in rows:
        yield (
            Field("what", Text("活动", "Activity"), Text(activity.title_zh, activity.title_en)),
            Field(*_CHILD, child),
            Field("at", Text("时间", "When"), starts_at),
            Field("attended", Text("考勤", "Attendance"), _ATTENDED.get(attended or "")),
        )


def _notices(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    rows = session.execute(
        select(Notice, NoticeRecipient)
        .join(NoticeRecipient, NoticeRecipient.notice_id == Notice.id)
        .where(
            NoticeRecipient.guardian_id == actor.person_id,
            # a notice to them about none but a child whom custody hides is not theirs any more
            NoticeRecipient.child_ids.overlap(sorted(actor.child_ids)),
        )
        .order_by(Notice.sent_at.desc())
    )
    for notice, own in rows:
        yield (
            Field("what", Text("通知", "Notice"), Text(notice.title_zh, notice.title_en)),
            Field("at", Text("发出", "Sent"), notice.sent_at),
            Field("read_at", Text("您阅读", "You read it"), own.read_at),
            Field("confirmed_at", Text("您确认", "You confirmed"), own.confirmed_at),
        )


def _files(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    rows = session.execute(
        select(ChildFile, Notice, Person.name)
        .join(Notice, Notice.id == ChildFile.notice_id)
        .join(Person, Person.id == ChildFile.child_id)
        .where(ChildFile.child_id.in_(actor.child_ids), Notice.sent_at.is_not(None))
        .order_by(ChildFile.id.desc())
    )
    for file, notice, child in rows:
        mine = file.opened_by_id == actor.person_id
        yield (
            Field("what", Text("通知", "Notice"), Text(notice.title_zh, notice.title_en)),
            Field(*_CHILD, child),
            Field("kind", Text("种类", "Kind"), file.kind.upper()),
            Field("at", Text("发出", "Sent"), notice.sent_at),
            Field("opened_at", Text("您打开", "You opened it"), file.opened_at if mine else None),
            Field("erased_at", Text("已删除", "Erased"), file.erased_at),
        )


def _texts(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    rows = session.scalars(
        select(OutboxMessage)
        .where(OutboxMessage.recipient_id == actor.person_id)
        .order_by(OutboxMessage.created_at.desc())
    )
    for message in rows:
        yield (
            Field("about", Text("关于", "About"), subject_word(message.subject_type)),
            Field(
                "channel",
                Text("方式", "By"),
                Text("短信", "text") if message.channel == "sms" else Text("邮件", "mail"),
            ),
            Field("at", Text("写成", "Written"), message.created_at),
            Field("state", Text("结果", "State"), message.state),
            Field("to", Text("号码", "To"), message.address_mask),
            Field("erased_at", Text("正文删除", "Words erased"), message.erased_at),
        )


def _followed(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    rows = session.execute(
        select(FollowUp, Person.name)
        .join(Person, Person.id == FollowUp.child_id)
        .where(FollowUp.child_id.in_(actor.child_ids))
        .order_by(FollowUp.month.desc())
    )
    for follow, child in rows:
        yield (
            Field(*_CHILD, child),
            Field("month", Text("月份", "Month"), f"{follow.month:%Y-%m}"),
            Field("done", Text("怎么联系的", "What was done"), DONE[follow.done]),
        )


def _shifts(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    rows = session.execute(
        select(ShiftNeed, ShiftAssignment.state)
        .join(ShiftAssignment, ShiftAssignment.need_id == ShiftNeed.id)
        .where(ShiftAssignment.person_id == actor.person_id)
        .order_by(ShiftNeed.starts_at.desc())
    )
    for need, state in rows:
        yield (
            Field("role", Text("岗位", "Role"), Text(need.role_zh, need.role_en)),
            Field("at", Text("时间", "When"), need.starts_at),
            Field("stands", Text("状态", "State"), _SHIFT_STATES.get(state, Text("", ""))),
        )


_SHIFT_STATES = {
    "assigned": Text("已报名", "taken"),
    "confirmed": Text("已确认", "confirmed"),
    "signed_in": Text("已签到", "signed in"),
    "signed_out": Text("已完成", "done"),
    "withdrawn": Text("已退出", "left"),
    "no_show": Text("未到", "did not come"),
    "cancelled": Text("班次取消", "cancelled"),
}


def _feeds(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    for token in session.scalars(
        select(FeedToken).where(FeedToken.owner_id == actor.person_id).order_by(FeedToken.id.desc())
    ):
        yield (
            Field("name", Text("名称", "Name"), token.name),
            Field("made_at", Text("建立", "Made"), token.created_at),
            Field("fetched_at", Text("最近更新", "Last read"), token.last_fetched_at),
            Field("closed_at", Text("停用", "Closed"), token.revoked_at),
        )


def _sign_ins(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    for one in session.scalars(
        select(AccountSession)
        .where(AccountSession.person_id == actor.person_id)
        .order_by(AccountSession.id.desc())
    ):
        yield (
            Field("at", Text("登录", "Signed in"), one.created_at),
            Field("seen_at", Text("最近使用", "Last used"), one.last_seen_at),
            Field("until", Text("到期", "Until"), one.expires_at),
        )


def _requests(session: Session, actor: Actor) -> Iterator[tuple[Field, ...]]:
    for one in session.scalars(
        select(DataRequest)
        .where(DataRequest.guardian_id == actor.person_id)
        .order_by(DataRequest.id.desc())
    ):
        yield (
            Field("at", Text("提出", "Asked"), one.created_at),
            Field("words", Text("内容", "What"), one.words),
            Field("answer", Text("答复", "Answer"), one.answer),
            Field("answered_at", Text("答复时间", "Answered"), one.answered_at),
        )
