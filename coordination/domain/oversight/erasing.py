"""Erasing a child who has left, and guardians who have nobody else here. Counts stay, names do not.

Rows that are counted (enrolments, attendance, answers to consents, who a notice reached) stay as rows of
a person without a name; what says who it was is gone, from the trail of changes and of imports too. Done
by statements the session does not see: an audit line of the change would keep what it erases. Messages
are the reaction's.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    Delete,
    Update,
    delete,
    exists,
    select,
    update,
)
from sqlalchemy.orm import Session

from coordination.domain.agenda.models import EntryAudience, FeedToken
from coordination.domain.communication.models import ChildFile, FollowUp
from coordination.domain.consents.models import ConsentAnswer
from coordination.domain.oversight.events import ChildErased
from coordination.domain.oversight.models import DataRequest
from coordination.domain.people.corrections.models import Correction
from coordination.domain.people.models import (
    AccessCode,
    Account,
    AccountSession,
    ClassMember,
    ContactPoint,
    Guardianship,
    Membership,
    OneTimeCode,
    Person,
    RosterChange,
)
from coordination.domain.practice.models import Enrolment
from coordination.ground.audit import AuditEntry
from coordination.ground.uow import UnitOfWork

ERASED = "已删除"


def erase_child(uow: UnitOfWork, child: Person) -> None:
    """Erase who a child was who has left; the caller has authorized it and holds the row."""
    if child.status != "left":
        raise ValueError("a child at school is not erased: the roster needs them")
    guardians = _nobody_elses(uow.session, child.id)
    for statement in (*_of_child(uow, child.id), *_of_guardians(uow, guardians)):
        uow.session.execute(statement.execution_options(synchronize_session=False))
    for person in (child.id, *guardians):
        uow.trail.line("remove", "person", person, None, {"erased": True})
    uow.session.expire(child)
    uow.record(ChildErased(child.id, tuple(guardians)))


def _nobody_elses(session: Session, child_id: int) -> list[int]:
    """Guardians of the child who are here for nobody and nothing else."""
    mine, others = Guardianship.__table__.alias("mine"), Guardianship.__table__.alias("others")
    other_child = Person.__table__.alias("other_child")
    return list(
        session.scalars(
            select(Person.id)
            .join(mine, mine.c.guardian_id == Person.id)
            .where(
                mine.c.child_id == child_id,
                Person.name != ERASED,
                ~exists().where(
                    others.c.guardian_id == Person.id,
                    others.c.child_id == other_child.c.id,
                    other_child.c.id != child_id,
                    other_child.c.name != ERASED,
                ),
                # whoever works or volunteers here is known for that
                ~exists().where(Membership.person_id == Person.id),
                ~exists().where(Account.person_id == Person.id),
            )
            .distinct()
        )
    )


def _of_child(uow: UnitOfWork, child: int) -> list[Update | Delete]:
    return [
        *_nameless([child]),
        update(ChildFile)
        .where(ChildFile.child_id == child, ChildFile.erased_at.is_(None))
        .values(body_enc=None, erased_at=uow.now),
        update(ChildFile).where(ChildFile.child_id == child).values(name=""),
        delete(FollowUp).where(FollowUp.child_id == child),
        _unsaid("correction", select(Correction.id).where(Correction.child_id == child)),
        delete(Correction).where(Correction.child_id == child),
        delete(AccessCode).where(AccessCode.child_id == child),
        delete(EntryAudience).where(
            EntryAudience.kind == "child", EntryAudience.audience_id == child
        ),
        update(Enrolment).where(Enrolment.child_id == child).values(reason=None),
        # the answer and the hash of what was read stay as the proof; who signed does not
        update(ConsentAnswer)
        .where(ConsentAnswer.child_id == child)
        .values(signed_name="", note=""),
        update(Guardianship).where(Guardianship.child_id == child).values(limit_reason=None),
        _unlabelled("guardianship", select(Guardianship.id).where(Guardianship.child_id == child)),
        _unlabelled("class_member", select(ClassMember.id).where(ClassMember.person_id == child)),
        _unsaid("consent_answer", select(ConsentAnswer.id).where(ConsentAnswer.child_id == child)),
        _unsaid("guardianship", select(Guardianship.id).where(Guardianship.child_id == child)),
        _unsaid("child_file", select(ChildFile.id).where(ChildFile.child_id == child)),
        _unsaid("data_request", select(DataRequest.id).where(DataRequest.child_id == child)),
        update(DataRequest)
        .where(DataRequest.child_id == child)
        .values(words="", erased_at=uow.now),
    ]


def _of_guardians(uow: UnitOfWork, guardians: Collection[int]) -> list[Update | Delete]:
    if not guardians:
        return []
    return [
        *_nameless(guardians),
        delete(AccountSession).where(AccountSession.person_id.in_(guardians)),
        delete(OneTimeCode).where(OneTimeCode.person_id.in_(guardians)),
        delete(AccessCode).where(AccessCode.person_id.in_(guardians)),
        update(FeedToken)
        .where(FeedToken.owner_id.in_(guardians))
        .values(name="", last_client=None, revoked_at=uow.now),
        update(DataRequest).where(DataRequest.guardian_id.in_(guardians)).values(words=""),
        update(Person).where(Person.id.in_(guardians)).values(status="left", notices_from=None),
        # that a guardian did something stays; who that was does not
        update(AuditEntry).where(AuditEntry.actor_id.in_(guardians)).values(actor=ERASED),
    ]


def _nameless(people: Collection[int]) -> list[Update | Delete]:
    """Take who they are from persons, and from what was noted of them."""
    theirs = select(ContactPoint.id).where(ContactPoint.person_id.in_(people))
    return [
        _unsaid("contact_point", theirs),
        _unimported("contact_point", theirs),
        _unsaid("person", select(Person.id).where(Person.id.in_(people))),
        _unimported("person", people),
        delete(ContactPoint).where(ContactPoint.person_id.in_(people)),
        update(Person)
        .where(Person.id.in_(people))
        .values(name=ERASED, name_en=None, pinyin="", birth_month=None, source_id=None),
    ]


def _unsaid(table: str, rows: object) -> Update:
    """The lines of the trail stay (who did something, and when); what it was from and to does not."""
    return (
        update(AuditEntry)
        .where(AuditEntry.table_name == table, AuditEntry.row_id.in_(rows))  # type: ignore[arg-type]
        .values(before=None, after=None)
    )


def _unlabelled(table: str, rows: object) -> Update:
    """An import names the person beside what it changed of theirs."""
    return (
        update(RosterChange)
        .where(RosterChange.table_name == table, RosterChange.row_id.in_(rows))  # type: ignore[arg-type]
        .values(label="")
    )


def _unimported(table: str, rows: object) -> Delete:
    """What an import changed of who they are goes: taking that import back must not bring it back."""
    return delete(RosterChange).where(
        RosterChange.table_name == table,
        RosterChange.row_id.in_(rows),  # type: ignore[arg-type]
    )
