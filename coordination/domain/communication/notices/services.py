"""Use cases of notices: send now or later, change, read, confirm, nudge, stop.

Who receives is decided by `people.recipients` alone; what the text message says and when it leaves
is decided by the reactions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict, Unpack

from sqlalchemy import (
    Select,
    func,
    select,
)
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication.events import (
    NoticeAcknowledged,
    NoticeStopped,
    NoticeTested,
)
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import reach, rules, second_look
from coordination.domain.communication.notices.content import Concern, concerns
from coordination.domain.communication.notices.dispatch import let_go
from coordination.domain.communication.notices.reach import (
    addressed,
    children_around,
    children_of,
    places_of,
)
from coordination.domain.people.contacts import phones_in_need_of
from coordination.domain.people.models import Person
from coordination.domain.people.recipients import (
    recipients_query,
)
from coordination.ground.errors import Conflict, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


class Said(TypedDict):
    """What a sender says, and how: the same when a notice is sent and when it is changed.

    `write` has what holds for the rest that is left out.
    """

    title: Text
    body: Text
    level: str
    due_at: NotRequired[datetime | None]
    send_at: NotRequired[datetime | None]
    links_allowed: NotRequired[bool]
    urgent_reason: NotRequired[str]
    looked_at: NotRequired[Collection[str]]
    ladder_hours: NotRequired[int | None]
    page_first: NotRequired[bool]
    alert: NotRequired[str | None]
    options: NotRequired[Sequence[Text]]


def send_notice(
    uow: UnitOfWork,
    *,
    draft_key: str,
    class_ids: Collection[int] = (),
    org_id: int | None = None,
    **said: Unpack[Said],
) -> Notice:
    """Send a notice to the guardians of some classes of one school, or (with `org_id`) of a whole
    school or district; with `send_at` the clock sends it then. A second call with the same
    `draft_key` (a double click, a retried post) returns the first notice and sends nothing."""
    # two presses that arrive together: the second waits here and then finds the first's notice
    uow.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(draft_key, 0))))
    known = uow.session.scalar(select(Notice).where(Notice.draft_key == draft_key))
    if known is not None:
        for place in places_of(known):
            uow.authorize(Action.NOTICE_SEND, place)
        return known
    notice = addressed(uow, class_ids, org_id)
    notice.draft_key = draft_key
    write(uow, notice=notice, **said)
    return notice


def change_notice(
    uow: UnitOfWork,
    *,
    notice_id: int,
    class_ids: Collection[int] = (),
    org_id: int | None = None,
    **said: Unpack[Said],
) -> Notice:
    """Change a notice that waits for its time or for its second person, or came back from there;
    without `send_at` it leaves now, unless it waits for a second person again. Whoever changes it last
    is its sender."""
    # the clock takes the same lock: the notice leaves as it was, or as it is now, never both
    notice = reach.locked(uow, notice_id)
    if notice is None:
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    refuse_unless_changeable(notice)
    whom = addressed(uow, class_ids, org_id)
    notice.school_id, notice.reach = whom.school_id, whom.reach
    notice.class_ids, notice.class_id = whom.class_ids, whom.class_id
    if said.get("urgent_reason") and said["level"] == "confirm":
        said.setdefault("alert", notice.alert)  # with other words it goes the same ways
    write(uow, notice=notice, **said)
    return notice


# what has not left and still may
CHANGEABLE = frozenset({"returned", "awaiting", "scheduled"})


def refuse_unless_changeable(notice: Notice) -> None:
    """Refuse to change what has left, or never will."""
    if notice.state == "sent":
        raise Conflict(
            Text(
                "这条通知已经发出，不能再改。您写的内容还在下面，可以作为新通知发送。",
                "This notice has left and cannot be changed. What you wrote is still below; "
                "you can send it as a new notice.",
            ),
            code="notice_left",
        )
    if notice.state not in CHANGEABLE:
        raise Conflict(
            Text(
                "这条通知已撤回，不会发出。您写的内容还在下面，可以作为新通知发送。",
                "This notice was withdrawn and will not leave. What you wrote is still below; "
                "you can send it as a new notice.",
            ),
            code="notice_stopped",
        )


def write(
    uow: UnitOfWork,
    *,
    notice: Notice,
    title: Text,
    body: Text,
    level: str,
    due_at: datetime | None = None,
    send_at: datetime | None = None,
    links_allowed: bool = False,
    urgent_reason: str = "",
    looked_at: Collection[str] = (),
    ladder_hours: int | None = None,
    page_first: bool = False,
    alert: str | None = None,
    options: Sequence[Text] = (),
    as_draft: bool = False,
) -> None:
    """Refuse what must not be said, or not then; write the rest, and send it or leave it to the clock.
    A draft goes to nobody yet, so that its sender has still to look at what gives reason to think.
    """
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    rules.refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=links_allowed,
    )
    found = concerns_of(uow.session, children_around(notice, uow.now.date()), title, body)
    rules.refuse_concerns([c for c in found if c.stops or not as_draft], looked_at)
    rules.refuse_poor_reason(urgent_reason)
    rules.refuse_odd_ladder(ladder_hours)
    rules.refuse_odd_beginning(
        page_first=page_first, hours=ladder_hours, urgent_reason=urgent_reason
    )
    rules.refuse_poor_times(
        send_at=send_at,
        due_at=due_at,
        now=uow.now,
        alone=timedelta(hours=ladder_hours or 0) if page_first else timedelta(0),
    )
    recipient = recipients_query(children_of(notice, uow.now.date()), uow.now.date())
    if not as_draft and not uow.session.scalar(select(select(recipient).exists())):
        raise Conflict(
            Text(
                "这里还没有登记家长，无法发送。请先导入名册。",
                "No guardian is known here yet; import the roster first.",
            ),
            code="no_audience",
        )
    # files go to one class, whose teacher has seen each beside its child
    # looked up before anything of a notice that waits is changed: it must not be written half-way
    unlooked = notice.reach != reach.CHILDREN and second_look.needs(
        uow.session, notice, uow.now.date(), urgent=bool(urgent_reason.strip())
    )
    notice.sender_id = _sender(uow)
    notice.title_zh, notice.title_en = title.zh, title.en
    notice.body_zh, notice.body_en = body.zh, body.en
    notice.level, notice.due_at = level, due_at
    notice.options_zh, notice.options_en = [o.zh for o in options], [o.en for o in options]
    notice.urgent_reason = urgent_reason.strip() or None
    notice.looked_at = sorted({c.kind for c in found}) or None
    notice.send_at = send_at
    notice.page_first, notice.alert = page_first, alert
    # who need not confirm is not asked again
    notice.ladder_hours = ladder_hours if level == "confirm" or page_first else None
    notice.approved_by_id = notice.approved_at = None
    notice.returned_by_id = notice.returned_reason = None
    if as_draft:
        notice.state = "draft"
        uow.session.add(notice)
        uow.session.flush()  # its files refer to it
    elif unlooked:
        second_look.hand_over(uow, notice)
    else:
        let_go(uow, notice)


def try_notice(
    uow: UnitOfWork,
    *,
    test_key: str,
    title: Text,
    body: Text,
    class_ids: Collection[int] = (),
    org_id: int | None = None,
    links_allowed: bool = False,
) -> None:
    """Show the writer of a draft, on their own phone, the text that a family would get.

    Nothing is sent to anybody else, and nobody is counted as a recipient. A second call with the same
    `test_key` sends nothing.
    """
    draft = addressed(uow, class_ids, org_id)
    for place in places_of(draft):
        uow.authorize(Action.NOTICE_SEND, place)
    rules.refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=links_allowed,
    )
    found = concerns_of(uow.session, children_around(draft, uow.now.date()), title, body)
    rules.refuse_concerns([c for c in found if c.stops], ())
    person = _sender(uow)
    if not phones_in_need_of(uow.session, [person]):
        raise Conflict(
            Text(
                "您没有登记能收短信的手机号，无法试发。",
                "No phone of yours is known to which a text could go.",
            ),
            code="no_phone",
        )
    uow.record(NoticeTested(person, draft.school_id, draft.class_id, title, test_key))


def concerns_of(session: Session, children: Select[int], title: Text, body: Text) -> list[Concern]:
    """What in a text to the families of `children` gives reason to think; see `content`."""
    said = {"title_zh": title.zh, "title_en": title.en, "body_zh": body.zh, "body_en": body.en}
    everything = "\n".join(said.values())
    # a text is short and a district is large: the database looks which names stand in it
    names = session.scalars(
        select(Person.name)
        .where(
            Person.id.in_(children),
            func.length(Person.name) > 1,
            func.strpos(everything, Person.name) > 0,
        )
        .distinct()
    )
    return concerns(said, list(names))


def _sender(uow: UnitOfWork) -> int:
    if uow.actor.person_id is None:
        raise NotFound()
    return uow.actor.person_id


def recipient_of(session: Session, notice_id: int, guardian_id: int) -> NoticeRecipient:
    """The row of one guardian; NotFound if the notice is not theirs."""
    row = session.scalar(
        select(NoticeRecipient).where(
            NoticeRecipient.notice_id == notice_id, NoticeRecipient.guardian_id == guardian_id
        )
    )
    if row is None:
        raise NotFound()
    return row


def acknowledge(uow: UnitOfWork, *, notice_id: int, confirm: bool) -> None:
    """Mark the actor's copy as read, and as confirmed if asked; the first time counts."""
    row = recipient_of(uow.session, notice_id, uow.actor.person_id or 0)
    if not uow.actor.child_ids.intersection(row.child_ids):
        raise NotFound()  # custody has changed since the text was sent
    uow.authorize(Action.NOTICE_ACKNOWLEDGE, row)
    if row.read_at is None:
        row.read_at = uow.now
    # where there is something to choose, choosing is the answer (see `choices`)
    asks = confirm and uow.session.get_one(Notice, notice_id).options_zh
    if confirm and not asks and row.confirmed_at is None:
        row.confirmed_at = uow.now
    uow.record(NoticeAcknowledged(notice_id, row.guardian_id))


def stop_notice(uow: UnitOfWork, *, notice_id: int) -> Notice:
    """Let nothing more leave; what has left cannot be called back."""
    notice = reach.locked(uow, notice_id)
    if notice is None or notice.state == "draft":
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    if notice.state != "cancelled":
        notice.state, notice.ladder_at = "cancelled", None
        uow.record(NoticeStopped(notice_id))
    return notice
