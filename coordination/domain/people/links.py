"""Short codes that open exactly one thing for one person, without a password.

Only hashes are kept; a wrong, revoked or foreign code all look the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.orm import Session

from coordination.domain.people.models import AccessCode
from coordination.ground import clock, crypto
from coordination.ground.errors import NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


def issue(
    uow: UnitOfWork,
    person_id: int,
    subject_type: str,
    subject_id: int,
    *,
    expires_at: datetime,
    child_id: int | None = None,
) -> str:
    """A new code for one person and one subject; the plain text exists only in the message."""
    code = crypto.new_code()
    uow.session.add(
        AccessCode(
            code_hash=crypto.token_hash(code),
            person_id=person_id,
            subject_type=subject_type,
            subject_id=subject_id,
            child_id=child_id,
            expires_at=expires_at,
        )
    )
    return code


def issue_many(
    uow: UnitOfWork,
    person_ids: Collection[int],
    subject_type: str,
    subject_id: int,
    *,
    expires_at: datetime,
) -> dict[int, str]:
    """A new code for each of many people and one subject, by one statement."""
    codes = {person: crypto.new_code() for person in person_ids}
    if codes:
        uow.session.execute(
            insert(AccessCode),
            [
                {
                    "code_hash": crypto.token_hash(code),
                    "person_id": person,
                    "subject_type": subject_type,
                    "subject_id": subject_id,
                    "expires_at": expires_at,
                }
                for person, code in codes.items()
            ],
        )
    return codes


def issue_each(
    connection: Connection,
    wanted: Sequence[tuple[int, int]],
    subject_type: str,
    *,
    expires_at: datetime,
) -> list[str]:
    """A new code for each (person, subject), in the same order: for what is written while it is sent,
    where there is no use case."""
    codes = [crypto.new_code() for _ in wanted]
    connection.execute(
        insert(AccessCode),
        [
            {
                "code_hash": crypto.token_hash(code),
                "person_id": person,
                "subject_type": subject_type,
                "subject_id": subject,
                "expires_at": expires_at,
            }
            for code, (person, subject) in zip(codes, wanted, strict=True)
        ],
    )
    return codes


def shown(code: str) -> str:
    """A code as it is printed: 7K3QX-9MD2F."""
    return f"{code[:5]}-{code[5:]}"


def open_code(session: Session, typed: str) -> AccessCode:
    """The row behind a typed code; NotFound for wrong and revoked alike, TooLate when expired."""
    code = crypto.normal_code(typed)
    row = session.scalar(select(AccessCode).where(AccessCode.code_hash == crypto.token_hash(code)))
    if row is None or row.revoked_at is not None:
        raise NotFound(
            Text(
                "没有找到这个短码，请核对短信中的 10 位字符。",
                "We do not know this code; please check the 10 characters in the message.",
            ),
            code="code_unknown",
        )
    if row.expires_at <= clock.now():
        raise TooLate(
            Text(
                "短码已过期。请用手机号登录，或联系班主任重新发送。",
                "This code has expired. Sign in with your phone, or ask the class teacher "
                "for a new message.",
            ),
            code="code_expired",
        )
    return row


def revoke(
    uow: UnitOfWork, subject_type: str, subject_id: int, *, person_id: int | None = None
) -> None:
    """Close all codes of a subject (of one person only, if given)."""
    statement = (
        update(AccessCode)
        .where(
            AccessCode.subject_type == subject_type,
            AccessCode.subject_id == subject_id,
            AccessCode.revoked_at.is_(None),
        )
        .values(revoked_at=uow.now)
    )
    if person_id is not None:
        statement = statement.where(AccessCode.person_id == person_id)
    uow.session.execute(statement)
