"""Use cases of consents: ask, answer. Answers are rows that are never changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.consents import rules
from coordination.domain.consents.events import ConsentAnswered, ConsentAsked
from coordination.domain.consents.models import ConsentAnswer, ConsentAsk, ConsentRequest
from coordination.domain.people.models import Guardianship
from coordination.domain.people.recipients import is_told
from coordination.ground.errors import Forbidden, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Asked:
    """A child to be asked about, with class and school."""

    child_id: int
    class_id: int
    school_id: int


def ask(
    uow: UnitOfWork,
    *,
    subject_type: str,
    subject_id: int,
    title: Text,
    body: Text,
    due_at: datetime,
    children: Collection[Asked],
    announce: bool = True,
) -> ConsentRequest:
    """Ask for consent; another wording makes a new version and asks everybody given again.

    Called by reactions to an authorized change, so it authorizes nothing itself. Without `announce`
    the caller tells the families itself, together with the news that made it ask.
    """
    digest = rules.text_hash(title, body)
    current = open_request(uow.session, subject_type, subject_id)
    if current is None or current.state != "open" or current.text_hash != digest:
        version = 1
        if current is not None:
            current.state, version = "replaced", current.version + 1
        current = ConsentRequest(
            subject_type=subject_type,
            subject_id=subject_id,
            version=version,
            title_zh=title.zh,
            title_en=title.en,
            body_zh=body.zh,
            body_en=body.en,
            text_hash=digest,
            due_at=due_at,
            state="open",
        )
        uow.session.add(current)
        uow.session.flush()  # the asks refer to it
    known = set(
        uow.session.scalars(select(ConsentAsk.child_id).where(ConsentAsk.request_id == current.id))
    )
    fresh = [c for c in children if c.child_id not in known]
    for child in fresh:
        uow.session.add(
            ConsentAsk(
                request_id=current.id,
                child_id=child.child_id,
                class_id=child.class_id,
                school_id=child.school_id,
            )
        )
    if fresh and announce:
        uow.record(ConsentAsked(current.id, tuple(c.child_id for c in fresh)))
    return current


def open_request(session: Session, subject_type: str, subject_id: int) -> ConsentRequest | None:
    """The version in force; closed, if the subject was cancelled."""
    return session.scalar(
        select(ConsentRequest)
        .where(
            ConsentRequest.subject_type == subject_type,
            ConsentRequest.subject_id == subject_id,
            ConsentRequest.state != "replaced",
        )
        .order_by(ConsentRequest.version.desc())
        .limit(1)
    )


def close(uow: UnitOfWork, *, subject_type: str, subject_id: int) -> None:
    """Nobody is asked any more; what was answered stays."""
    current = open_request(uow.session, subject_type, subject_id)
    if current is not None:
        current.state = "closed"


def refuse_replaced(uow: UnitOfWork, *, request_id: int) -> None:
    """Refuse an answer to a wording that is no longer asked; looks at the row as it is now."""
    state = uow.session.scalar(select(ConsentRequest.state).where(ConsentRequest.id == request_id))
    if state == "closed":
        raise TooLate(
            Text("活动已取消，无需再作答。", "This is cancelled; no answer is needed."),
            code="consent_closed",
        )
    if state != "open":
        raise TooLate(
            Text(
                "活动安排有变，请打开最新短信里的短码重新作答。",
                "The plan has changed; please use the code in the newest message.",
            ),
            code="consent_replaced",
        )


def answer(
    uow: UnitOfWork,
    *,
    request_id: int,
    child_id: int,
    response: str,
    signed_name: str,
    route: str,
    language: str,
) -> str:
    """One guardian's answer for one child; returns the child's state."""
    asked = lock_ask(uow, request_id=request_id, child_id=child_id)
    request = uow.session.get(ConsentRequest, request_id)
    if asked is None or request is None:
        raise NotFound()
    uow.authorize(Action.CONSENT_ANSWER, asked)
    guardian = uow.actor.person_id
    if guardian not in who_may_answer(uow.session, [child_id], uow.now.date()):
        raise Forbidden()
    refuse_replaced(uow, request_id=request_id)
    own = uow.session.scalar(
        select(ConsentAnswer)
        .where(
            ConsentAnswer.request_id == request_id,
            ConsentAnswer.child_id == child_id,
            ConsentAnswer.guardian_id == guardian,
        )
        .order_by(ConsentAnswer.id.desc())
        .limit(1)
    )
    noted_at = own.at if own is not None and own.recorded_by_id is not None else None
    if rules.answers_until(request.due_at, noted_at) <= uow.now:
        raise TooLate(
            Text(
                "已过答复截止时间，请直接联系班主任。",
                "The time to answer has passed; please call the class teacher.",
            )
        )
    if response not in ("given", "refused", "withdrawn"):
        raise Invalid(fields={"response": Text("请选择同意或不同意。", "Choose yes or no.")})
    if not signed_name.strip():
        raise Invalid(
            fields={
                "signed_name": Text(
                    "请填写您的姓名，作为签名。", "Type your name; it is your signature."
                )
            }
        )
    given = ConsentAnswer(
        request_id=request_id,
        child_id=child_id,
        guardian_id=guardian,
        response=response,
        route=route,
        language=language,
        text_hash=request.text_hash,
        signed_name=signed_name.strip()[:60],
        note="",
        at=uow.now,
    )
    return keep(uow, request=request, given=given)


def keep(uow: UnitOfWork, *, request: ConsentRequest, given: ConsentAnswer) -> str:
    """Add a checked answer; returns what the child's consent now amounts to."""
    uow.session.add(given)
    uow.session.flush()  # the new answer counts in the state
    state = state_for(uow.session, request.id, [given.child_id])[given.child_id]
    uow.record(
        ConsentAnswered(request.id, request.subject_type, request.subject_id, given.child_id, state)
    )
    return state


def lock_ask(uow: UnitOfWork, *, request_id: int, child_id: int) -> ConsentAsk | None:
    """Two guardians of one child queue up: each one's answer counts the other's."""
    return uow.session.scalar(
        select(ConsentAsk)
        .where(ConsentAsk.request_id == request_id, ConsentAsk.child_id == child_id)
        .with_for_update()
    )


def who_may_answer(session: Session, child_ids: Collection[int], today: date) -> set[int]:
    """Guardians who may consent for at least one of these children today."""
    return set(
        session.scalars(
            select(Guardianship.guardian_id).where(
                Guardianship.child_id.in_(child_ids),
                Guardianship.may_consent.is_(True),
                is_told(today),
            )
        )
    )


def state_for(session: Session, request_id: int, child_ids: Collection[int]) -> dict[int, str]:
    """State per child."""
    answers: dict[int, list[rules.Answered]] = {c: [] for c in child_ids}
    for row in session.scalars(
        select(ConsentAnswer)
        .where(ConsentAnswer.request_id == request_id, ConsentAnswer.child_id.in_(child_ids))
        .order_by(ConsentAnswer.id)
    ):
        answers[row.child_id].append(rules.Answered(row.guardian_id, row.response))
    return {child: rules.state_of(given) for child, given in answers.items()}
