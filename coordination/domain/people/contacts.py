"""The only reader and writer of phone numbers and e-mail addresses.

Values are encrypted at rest; look-up goes through the keyed blind index; everybody else sees masks.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from cryptography.exceptions import InvalidTag
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import ContactPoint
from coordination.ground import crypto
from coordination.ground.errors import Invalid
from coordination.ground.phones import mask_email, mask_phone, normal_landline, normal_phone
from coordination.ground.text import Text

# why a phone is not written to: its holder asked for it, or no text arrives there
OPTED_OUT, BAD_NUMBER = "opted_out", "bad_number"
# nor does any on a landline; it rings
LANDLINE = "landline"
_CONTEXT = {"phone": "contact_point.phone", "email": "contact_point.email"}


def sealed(kind: str, normal: str) -> tuple[bytes, bytes, str]:
    """(ciphertext, blind index, mask) of a normalised phone or e-mail; for bulk writers."""
    mask = mask_phone(normal) if kind == "phone" else mask_email(normal)
    return crypto.encrypt(normal, _CONTEXT[kind]), crypto.blind_index(normal), mask


def opened(kind: str, value_enc: bytes) -> str:
    """What was sealed; for a number that is being proven, and that nobody is written to yet."""
    return crypto.decrypt(value_enc, _CONTEXT[kind])


def replace(
    session: Session, person_id: int, kind: str, value_enc: bytes, value_index: bytes, mask: str
) -> None:
    """Make this the only phone or e-mail of a person: an old phone must not sign anybody in.

    Whoever asked for no texts on the old one has not asked for them on the new one.
    """
    held = session.scalars(
        select(ContactPoint)
        .where(ContactPoint.person_id == person_id, ContactPoint.kind == kind)
        .order_by(ContactPoint.id)
        .with_for_update()
    ).all()
    opted_out = next((p for p in held if p.suppressed_reason == OPTED_OUT), None)
    stopped = (opted_out.suppressed_at, OPTED_OUT) if opted_out is not None else (None, None)
    for point in held:
        session.delete(point)
    session.flush()  # the same number may have stood among the old ones
    session.add(
        ContactPoint(
            person_id=person_id,
            kind=kind,
            value_enc=value_enc,
            value_index=value_index,
            mask=mask,
            suppressed_at=stopped[0],
            suppressed_reason=stopped[1],
        )
    )


def seal_number(normal: str, whose: str) -> bytes:
    """A number (E.164) of somebody who is no person of the roster, bound to the row it stands in."""
    return crypto.encrypt(normal, whose)


def open_number(sealed: bytes, whose: str) -> str:
    """The reverse, for a use case that has noted who asks."""
    return crypto.decrypt(sealed, whose)


def numbers_to_call(session: Session, person_ids: Collection[int]) -> dict[int, str]:
    """`phone_to_call` of several; who holds no number at all is not in it."""
    rows = session.execute(
        select(ContactPoint.person_id, ContactPoint.value_enc)
        .where(ContactPoint.person_id.in_(person_ids), ContactPoint.kind == "phone")
        # the last of a person stays
        .order_by(ContactPoint.suppressed_at.is_(None), ContactPoint.id)
    )
    newest = {person: value for person, value in rows}
    return {person: crypto.decrypt(v, _CONTEXT["phone"]) for person, v in newest.items()}


def set_phone(
    session: Session, person_id: int, typed: str, *, batch_id: int | None = None
) -> ContactPoint:
    """Give a person a phone (added if new); Invalid names the reason if it is none."""
    normal = normal_phone(typed)
    if normal is None:
        raise Invalid(
            fields={
                "phone": Text(
                    "手机号无效，请填写 11 位手机号码。",
                    "This is not a valid mobile number; enter all of its digits.",
                )
            }
        )
    return _set(session, person_id, "phone", normal, batch_id)


def set_landline(session: Session, person_id: int, typed: str, now: datetime) -> ContactPoint:
    """Give a person a landline, to which nothing is ever texted; Invalid if it is none."""
    normal = normal_landline(typed)
    if normal is None:
        raise Invalid(
            fields={
                "landline": Text(
                    "座机号码无效，请连区号填写，例如 010-62345678。",
                    "This is not a valid landline; enter it with its area code, such as 010-62345678.",
                )
            }
        )
    point = _set(session, person_id, "phone", normal, None)
    if point.suppressed_at is None:
        point.suppressed_at, point.suppressed_reason = now, LANDLINE
    return point


def set_email(
    session: Session, person_id: int, address: str, *, batch_id: int | None = None
) -> ContactPoint:
    """Give a person an e-mail address (already checked for shape)."""
    return _set(session, person_id, "email", address.strip().lower(), batch_id)


def _set(
    session: Session, person_id: int, kind: str, normal: str, batch_id: int | None
) -> ContactPoint:
    index = crypto.blind_index(normal)
    known = session.scalar(
        select(ContactPoint).where(
            ContactPoint.person_id == person_id,
            ContactPoint.kind == kind,
            ContactPoint.value_index == index,
        )
    )
    if known is not None:
        return known
    value, index, mask = sealed(kind, normal)
    point = ContactPoint(
        person_id=person_id,
        kind=kind,
        value_enc=value,
        value_index=index,
        mask=mask,
        batch_id=batch_id,
    )
    session.add(point)
    session.flush()  # callers use the id and the unique key at once
    return point


def phones_of(session: Session, person_ids: Collection[int]) -> dict[int, str]:
    """Usable phone (E.164) per person; the newest one that is not suppressed."""
    return _values(session, person_ids, "phone")


def phones_in_need_of(session: Session, person_ids: Collection[int]) -> dict[int, str]:
    """The same, and of those who opted out of routine texts too: for codes, and what cannot wait."""
    return _values(session, person_ids, "phone", opted_out=True)


def phone_to_call(session: Session, person_id: int) -> tuple[int, str] | None:
    """(id of the row, number) to phone a person at: the newest in use, else the newest of all; a
    number that takes no texts may still ring."""
    points = session.scalars(
        select(ContactPoint)
        .where(ContactPoint.person_id == person_id, ContactPoint.kind == "phone")
        .order_by(ContactPoint.suppressed_at.is_(None).desc(), ContactPoint.id.desc())
        .limit(1)
    ).all()
    if not points:
        return None
    return points[0].id, crypto.decrypt(points[0].value_enc, _CONTEXT["phone"])


def phones_to_call(session: Session, person_ids: Collection[int]) -> dict[int, str]:
    """Number to ring per person, chosen as `phone_to_call` does."""
    rows = session.execute(
        select(ContactPoint.person_id, ContactPoint.value_enc)
        .where(ContactPoint.person_id.in_(person_ids), ContactPoint.kind == "phone")
        .order_by(ContactPoint.suppressed_at.is_(None), ContactPoint.id)
    )
    return {person: crypto.decrypt(value, _CONTEXT["phone"]) for person, value in rows}


def emails_of(session: Session, person_ids: Collection[int]) -> dict[int, str]:
    """Usable e-mail address per person."""
    return _values(session, person_ids, "email")


def _values(
    session: Session, person_ids: Collection[int], kind: str, *, opted_out: bool = False
) -> dict[int, str]:
    usable: ColumnElement[bool] = ContactPoint.suppressed_at.is_(None)
    if opted_out:
        usable = or_(usable, ContactPoint.suppressed_reason == OPTED_OUT)
    rows = session.execute(
        select(ContactPoint.person_id, ContactPoint.value_enc)
        .where(
            ContactPoint.person_id.in_(person_ids),
            ContactPoint.kind == kind,
            usable,
        )
        .order_by(ContactPoint.id)
    )
    return {person: crypto.decrypt(value, _CONTEXT[kind]) for person, value in rows}


def readable(session: Session) -> bool | None:
    """Whether what is stored can be read with this key, tried on one; None if nothing is stored."""
    point = session.scalars(select(ContactPoint).order_by(ContactPoint.id).limit(1)).first()
    if point is None:
        return None
    try:
        return bool(crypto.decrypt(point.value_enc, _CONTEXT[point.kind]))
    except InvalidTag:
        return False


def masks_of(session: Session, person_ids: Collection[int]) -> dict[int, str]:
    """Masked phone per person, for screens."""
    rows = session.execute(
        select(ContactPoint.person_id, ContactPoint.mask)
        .where(ContactPoint.person_id.in_(person_ids), ContactPoint.kind == "phone")
        .order_by(ContactPoint.id)
    )
    return {person: mask for person, mask in rows}


def mask_in_use(session: Session, person_id: int, kind: str) -> str | None:
    """The mask of what a person is written to, or would be if it were not stopped."""
    point = _in_use(session, person_id, kind)
    return point.mask if point is not None else None


def is_in_use(session: Session, person_id: int, kind: str, normal: str) -> bool:
    """Whether this is what a person is written to already."""
    point = _in_use(session, person_id, kind)
    return point is not None and point.value_index == crypto.blind_index(normal)


def _in_use(session: Session, person_id: int, kind: str) -> ContactPoint | None:
    return session.scalar(
        select(ContactPoint)
        .where(ContactPoint.person_id == person_id, ContactPoint.kind == kind)
        .order_by(ContactPoint.suppressed_at.is_(None).desc(), ContactPoint.id.desc())
        .limit(1)
    )


def persons_by_phone(session: Session, normal: str) -> list[int]:
    """Persons who hold this phone (E.164), oldest first; several if a family shares it."""
    return list(
        session.scalars(
            select(ContactPoint.person_id)
            .where(
                ContactPoint.kind == "phone",
                ContactPoint.value_index == crypto.blind_index(normal),
            )
            .order_by(ContactPoint.person_id)
        )
    )


def person_by_phone(session: Session, normal: str) -> int | None:
    """The first person who holds this phone."""
    found = persons_by_phone(session, normal)
    return found[0] if found else None


def suppress(session: Session, person_id: int, reason: str, now: datetime) -> None:
    """Stop using a person's phones (opted out, or the number is bad); what is stopped stays as it is.

    All of them: whoever asks for no texts does not mean to get them on an older number. Who asks
    again has asked later: an order to go on that was sent between must not count.
    """
    for point in _phones(session, person_id):
        if point.suppressed_at is None:
            point.suppressed_at, point.suppressed_reason = now, reason
        elif point.suppressed_reason == reason == OPTED_OUT:
            point.suppressed_at = max(point.suppressed_at, now)


def resume(session: Session, person_id: int, reason: str, said_at: datetime) -> bool:
    """Use a person's phones again that were stopped for this reason; False if that was said later."""
    stopped = [p for p in _phones(session, person_id) if p.suppressed_reason == reason]
    if any(p.suppressed_at is not None and p.suppressed_at > said_at for p in stopped):
        return False
    for point in stopped:
        point.suppressed_at = point.suppressed_reason = None
    return True


def _phones(session: Session, person_id: int) -> list[ContactPoint]:
    return list(
        session.scalars(
            select(ContactPoint)
            .where(ContactPoint.person_id == person_id, ContactPoint.kind == "phone")
            .order_by(ContactPoint.id)
            .with_for_update()
        )
    )


def in_use(session: Session, person_id: int, normal: str) -> bool:
    """Whether this is the phone that the person is written to, or would be if it were not stopped."""
    points = _phones(session, person_id)
    current = [p for p in points if p.suppressed_at is None] or points
    return bool(current) and current[-1].value_index == crypto.blind_index(normal)
