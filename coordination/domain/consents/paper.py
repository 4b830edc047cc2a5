"""Consents on paper and by word of mouth: whose family to write to, and what the school writes down.

For the class teacher and the leaders of the school in which the child is today. Only a guardian who may
consent and may be told is named or recorded; an answer is a row beside the others and changes none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.authz.visibility import where_visible
from coordination.domain.consents import services
from coordination.domain.consents.events import ConsentRecorded
from coordination.domain.consents.models import ConsentAnswer, ConsentAsk, ConsentRequest
from coordination.domain.consents.rules import LONGEST_NOTE, RECORDED
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Guardianship,
    Organisation,
    Person,
)
from coordination.domain.people.recipients import is_there, is_told
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Signer:
    """A guardian who may answer for a child."""

    guardian_id: int
    name: str
    relation: Text
    language: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A child of whom consent is asked, with those who may sign, in the order to ask them."""

    child_id: int
    child: str
    class_name: Text
    school: Text
    signers: tuple[Signer, ...]

    @property
    def language(self) -> str:
        """What a letter to the family is written in: English if nobody there reads Chinese."""
        english = self.signers and all(s.language == "en" for s in self.signers)
        return "en" if english else "zh"


@dataclass(frozen=True, slots=True)
class Letters:
    """The sheets of a request: children whose families have not answered."""

    request: ConsentRequest
    # the request in force, if the plan has changed since
    newer_id: int | None
    sheets: tuple[Sheet, ...]
    # children for whom nobody may sign
    unsigned: tuple[Sheet, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that stands in the record."""

    guardian: str
    response: str
    route: str
    note: str
    recorded_by: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Slip:
    """One child and request, to write an answer down."""

    request: ConsentRequest
    newer_id: int | None
    sheet: Sheet
    # oldest first
    said: tuple[Said, ...]
    state: str
    # the newest answer; whoever records says which one was on the page
    last_id: int


def _asked(actor: Actor, request_id: int, today: date) -> Select[int, str, str, str, str, str]:
    """Children of the actor's classes of whom consent is asked, in the order of the list."""
    return (
        select(
            ConsentAsk.child_id,
            Person.name,
            ClassGroup.name_zh,
            ClassGroup.name_en,
            Organisation.name_zh.label("school_zh"),
            Organisation.name_en.label("school_en"),
        )
        .join(Person, Person.id == ConsentAsk.child_id)
        .join(ClassMember, ClassMember.person_id == Person.id)
        .join(
            ClassGroup,
            and_(
                ClassGroup.id == ClassMember.class_id, ClassGroup.school_id == ConsentAsk.school_id
            ),
        )
        .join(Organisation, Organisation.id == ConsentAsk.school_id)
        .where(
            ConsentAsk.request_id == request_id,
            is_there(today),
            where_visible(ClassGroup, actor, Action.CONSENT_RECORD),
        )
        .order_by(ClassGroup.grade, ClassGroup.id, Person.pinyin, Person.id)
    )


def _sheets(session: Session, rows: Sequence[Any], today: date) -> list[Sheet]:
    by_child = {row.child_id: row for row in rows}
    signers = _signers(session, by_child, today)
    return [
        Sheet(
            child,
            row.name,
            Text(row.name_zh, row.name_en),
            Text(row.school_zh, row.school_en),
            tuple(signers[child]),
        )
        for child, row in by_child.items()
    ]


def _signers(session: Session, child_ids: Collection[int], today: date) -> dict[int, list[Signer]]:
    found: dict[int, list[Signer]] = defaultdict(list)
    for child, guardian, name, relation, language in session.execute(
        select(
            Guardianship.child_id,
            Guardianship.guardian_id,
            Person.name,
            Guardianship.relation,
            Person.language,
        )
        .join(Person, Person.id == Guardianship.guardian_id)
        .where(
            Guardianship.child_id.in_(child_ids),
            Guardianship.may_consent.is_(True),
            Person.status == "active",
            is_told(today),
        )
        .order_by(Guardianship.contact_order, Guardianship.guardian_id)
    ):
        found[child].append(Signer(guardian, name, RELATIONS[relation], language))
    return found


def children_to_record(
    session: Session, actor: Actor, request_id: int, today: date
) -> dict[int, bool]:
    """Child -> whether the family has answered, of those whose answers the actor may write down."""
    asked = _asked(actor, request_id, today).subquery()
    answered = exists().where(
        ConsentAnswer.request_id == request_id, ConsentAnswer.child_id == asked.c.child_id
    )
    return {child: said for child, said in session.execute(select(asked.c.child_id, answered))}


def letters_of(session: Session, actor: Actor, request_id: int, today: date) -> Letters:
    """What to print of a request; NotFound if it asks about none of the actor's children."""
    known = children_to_record(session, actor, request_id, today)
    request = session.get(ConsentRequest, request_id)
    if request is None or not known:
        raise NotFound()
    silent = [child for child, answered in known.items() if not answered]
    rows = session.execute(
        _asked(actor, request_id, today).where(ConsentAsk.child_id.in_(silent))
    ).all()
    sheets = _sheets(session, rows, today)
    return Letters(
        request,
        _newer(session, request),
        tuple(s for s in sheets if s.signers),
        tuple(s for s in sheets if not s.signers),
    )


def _newer(session: Session, request: ConsentRequest) -> int | None:
    if request.state != "replaced":
        return None
    current = services.open_request(session, request.subject_type, request.subject_id)
    return current.id if current is not None else None


def slip_of(session: Session, actor: Actor, request_id: int, child_id: int, today: date) -> Slip:
    """One child's record in a request; NotFound for whoever may not write answers down for it."""
    row = session.execute(
        _asked(actor, request_id, today).where(ConsentAsk.child_id == child_id)
    ).first()
    request = session.get(ConsentRequest, request_id)
    if request is None or row is None:
        raise NotFound()
    guardian, staff = aliased(Person), aliased(Person)
    answers = session.execute(
        select(ConsentAnswer, guardian.name, staff.name)
        .join(guardian, guardian.id == ConsentAnswer.guardian_id)
        .outerjoin(staff, staff.id == ConsentAnswer.recorded_by_id)
        .where(ConsentAnswer.request_id == request_id, ConsentAnswer.child_id == child_id)
        .order_by(ConsentAnswer.id)
    ).all()
    return Slip(
        request,
        _newer(session, request),
        _sheets(session, [row], today)[0],
        tuple(Said(name, a.response, a.route, a.note, by, a.at) for a, name, by in answers),
        services.state_for(session, request_id, [child_id])[child_id],
        answers[-1][0].id if answers else 0,
    )


def record(
    uow: UnitOfWork,
    *,
    request_id: int,
    child_id: int,
    guardian_id: int,
    response: str,
    route: str,
    note: str,
    last_id: int,
    today: date,
) -> str:
    """Write down what a guardian answered; returns what the child's consent now amounts to.

    `last_id` is the newest answer on the page from which this comes (0 if there was none): who did not
    see the one that stands is shown it first.
    """
    if services.lock_ask(uow, request_id=request_id, child_id=child_id) is None:
        raise NotFound()
    row = uow.session.execute(
        _asked(uow.actor, request_id, today).where(ConsentAsk.child_id == child_id)
    ).first()
    recorder = uow.actor.person_id
    if row is None or recorder is None:
        raise NotFound()
    uow.authorize(Action.CONSENT_RECORD, _place(uow, child_id, today))
    sheet = _sheets(uow.session, [row], today)[0]
    request = uow.session.get_one(ConsentRequest, request_id)
    _refuse_past(request)
    newest = uow.session.scalar(
        select(func.max(ConsentAnswer.id)).where(
            ConsentAnswer.request_id == request_id, ConsentAnswer.child_id == child_id
        )
    )
    if (newest or 0) != last_id:
        raise Conflict(
            Text(
                "刚刚有了新的答复，见下面的“已有答复”。请核对；仍要登记，请再按一次。",
                "An answer has come in meanwhile; see “Answers so far” below. Check it, and press "
                "again if yours is to be noted as well.",
            ),
            code="consent_answered_meanwhile",
        )
    _refuse_incomplete(response, route, note)
    signer = next((s for s in sheet.signers if s.guardian_id == guardian_id), None)
    if signer is None:
        raise Invalid(
            fields={
                "guardian": Text(
                    "请选择一位可以代表孩子答复的监护人。",
                    "Choose a guardian who may answer for the child.",
                )
            }
        )
    if response == "given":
        _refuse_over_own_no(uow.session, request_id, child_id, guardian_id)
    given = ConsentAnswer(
        request_id=request_id,
        child_id=child_id,
        guardian_id=guardian_id,
        response=response,
        route=route,
        language=sheet.language if route == "paper" else signer.language,
        text_hash=request.text_hash,
        signed_name=signer.name[:60],
        note=note,
        recorded_by_id=recorder,
        at=uow.now,
    )
    state = services.keep(uow, request=request, given=given)
    uow.record(ConsentRecorded(given.id))
    return state


def _place(uow: UnitOfWork, child_id: int, today: date) -> Scope:
    """The class of the child by which the actor may record."""
    places = [
        Scope(school=school, class_=class_)
        for school, class_ in uow.session.execute(
            select(ClassGroup.school_id, ClassGroup.id)
            .join(ClassMember, ClassMember.class_id == ClassGroup.id)
            .join(Person, Person.id == ClassMember.person_id)
            .where(ClassMember.person_id == child_id, is_there(today))
        )
    ]
    for place in places:
        if allowed(uow.actor, Action.CONSENT_RECORD, place):
            return place
    raise NotFound()


def _refuse_past(request: ConsentRequest) -> None:
    """Refuse an answer to a wording that is no longer asked."""
    if request.state == "closed":
        raise TooLate(
            Text(
                "活动已取消，不用再登记答复。",
                "This is cancelled; no answer needs to be noted.",
            ),
            code="consent_closed",
        )
    if request.state != "open":
        raise TooLate(
            Text(
                f"这是第 {request.version} 版同意书，活动安排后来有变，家长已收到新的一版。"
                "请按新版重新征询后登记。",
                f"This is version {request.version} of the form. The plan has changed since and "
                "families are asked anew; ask again by the new version and note that answer.",
            ),
            code="consent_replaced",
        )


def _refuse_over_own_no(session: Session, request_id: int, child_id: int, guardian_id: int) -> None:
    """Whoever said no without the school's help says yes without it, too."""
    last = session.scalar(
        select(ConsentAnswer)
        .where(
            ConsentAnswer.request_id == request_id,
            ConsentAnswer.child_id == child_id,
            ConsentAnswer.guardian_id == guardian_id,
            ConsentAnswer.recorded_by_id.is_(None),
        )
        .order_by(ConsentAnswer.id.desc())
        .limit(1)
    )
    if last is not None and last.response != "given":
        raise Conflict(
            Text(
                "这位监护人自己已经答复不同意或撤回，不能由学校改成同意。请家长用短信里的短码自己更改。",
                "This guardian has said no, or withdrawn, without the school; the school cannot turn that "
                "into a yes. Ask them to change it with the code in their text.",
            ),
            code="consent_own_answer",
        )


def _refuse_incomplete(response: str, route: str, note: str) -> None:
    wrong: dict[str, Text] = {}
    if response not in ("given", "refused"):
        wrong["response"] = Text("请选择同意或不同意。", "Choose yes or no.")
    if route not in RECORDED:
        wrong["route"] = Text("请选择答复是怎么来的。", "Choose how the answer came.")
    elif route != "paper" and not note:
        wrong["note"] = Text(
            "口头答复请简单写明什么时候、怎么说的。",
            "Of a spoken answer say in a few words when it was given and how.",
        )
    if len(note) > LONGEST_NOTE:
        wrong["note"] = Text(
            f"最多 {LONGEST_NOTE} 个字。", f"Use at most {LONGEST_NOTE} characters."
        )
    if wrong:
        raise Invalid(fields=wrong)
