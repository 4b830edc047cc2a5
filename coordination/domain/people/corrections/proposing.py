"""A guardian's side: propose that a name, phone or e-mail is put right, prove a phone, withdraw.

Language is chosen at once and needs nobody (`accounts.choose_language`); who is whose guardian and
custody are not proposed here: the school enters those by their papers.
"""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people import contacts
from coordination.domain.people.corrections.models import Correction
from coordination.domain.people.events import (
    CorrectionCodeIssued,
    CorrectionProposed,
    CorrectionWithdrawn,
)
from coordination.domain.people.models import Person
from coordination.ground import crypto
from coordination.ground.errors import Conflict, Invalid, NotFound, TooLate, TooMany
from coordination.ground.phones import mask_email, mask_phone, normal_phone
from coordination.ground.text import Text, half_width
from coordination.ground.throttle import admit
from coordination.ground.uow import UnitOfWork

OF_ONESELF = ("name", "name_en", "phone", "email")
OF_CHILD = ("name", "name_en")
LABELS = {
    "name": Text("姓名", "name"),
    "name_en": Text("英文姓名", "English name"),
    "phone": Text("手机号", "mobile number"),
    "email": Text("电子邮箱", "e-mail address"),
}
LONGEST_NAME, LONGEST_REASON, LONGEST_EMAIL = 60, 200, 120
CODE_LIFE, CODE_TRIES = timedelta(minutes=10), 5
A_DAY, CODES_A_DAY = 10, 5
_DAY = timedelta(days=1)
_EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;.]{2,}")
_TOO_MANY = Text(
    "今天提交的次数太多了，请明天再试，或直接联系学校。",
    "That was too often for one day; try again tomorrow, or speak to the school.",
)


def propose(
    uow: UnitOfWork, *, child_id: int, of_child: bool, field: str, typed: str, reason: str
) -> Correction:
    """Put a correction before the school of the child; a phone is proven by a code first."""
    uow.authorize(Action.CORRECTION_PROPOSE, Scope(child=child_id))
    child = uow.session.get(Person, child_id)
    actor = uow.actor.person_id
    if child is None or child.school_id is None or actor is None:
        raise NotFound()
    if field not in (OF_CHILD if of_child else OF_ONESELF):
        raise Invalid(fields={"field": Text("请选择列出的一项。", "Choose one of those listed.")})
    if not admit(uow.session, "correction", str(actor), limit=A_DAY, window=_DAY, now=uow.now):
        raise TooMany(_TOO_MANY)
    person = child if of_child else uow.session.get_one(Person, actor)
    if len(reason) > LONGEST_REASON:
        raise Invalid(
            fields={
                "reason": Text(
                    f"最多 {LONGEST_REASON} 个字。", f"Use at most {LONGEST_REASON} characters."
                )
            }
        )
    proposed = Correction(
        school_id=child.school_id,
        child_id=child.id,
        person_id=person.id,
        proposed_by_id=actor,
        field=field,
        before=present(uow.session, person, field),
        reason=reason,
    )
    if field in ("phone", "email"):
        _with_contact(uow.session, proposed, person, field, typed)
    else:
        _with_name(proposed, person, field, typed, reason)
    uow.session.add(proposed)
    uow.session.flush()  # the code refers to it
    if field == "phone":
        _send_code(uow, proposed, normal_phone(typed) or "")
    else:
        uow.record(CorrectionProposed(proposed.id))
    return proposed


def present(session: Session, person: Person, field: str) -> str:
    """What is known now, as it may be shown: phones and addresses masked."""
    if field == "name":
        return person.name
    if field == "name_en":
        return person.name_en or ""
    return contacts.mask_in_use(session, person.id, field) or ""


def send_again(uow: UnitOfWork, *, correction_id: int) -> None:
    """Another code to the same new phone; the one before is of no use then."""
    held = own(uow, correction_id)
    _refuse_unless_unproven(held)
    number = contacts.opened("phone", held.sealed or b"")
    _send_code(uow, held, number)


def prove(uow: UnitOfWork, *, correction_id: int, typed: str) -> bool:
    """Whether the code is the one that went to the new phone; then it waits for the school.

    A wrong code is an answer, not a refusal: the try must be counted.
    """
    held = own(uow, correction_id)
    _refuse_unless_unproven(held)
    if held.code_until is None or held.code_until < uow.now or held.tries_left <= 0:
        raise TooLate(
            Text(
                "验证码已失效，请重新获取。",
                "This code is of no use any more; ask for another one.",
            )
        )
    held.tries_left -= 1
    digits = half_width(typed).replace(" ", "").replace("-", "")
    if not hmac.compare_digest(held.code_hash or b"", _hash(held.id, digits)):
        return False
    held.state, held.code_hash, held.code_until = "waiting", None, None
    uow.record(CorrectionProposed(held.id))
    return True


def withdraw(uow: UnitOfWork, *, correction_id: int) -> None:
    """Take a proposal back that the school has not decided."""
    held = own(uow, correction_id)
    if held.state not in ("unproven", "waiting"):
        raise Conflict(
            Text("学校已经处理过了。", "The school has dealt with it already."), code="decided"
        )
    held.state = "withdrawn"
    forget(held)
    uow.record(CorrectionWithdrawn(held.id))


def own(uow: UnitOfWork, correction_id: int) -> Correction:
    """One of the actor's own, held; NotFound for others."""
    held = uow.session.scalar(
        select(Correction)
        .where(Correction.id == correction_id, Correction.proposed_by_id == uow.actor.person_id)
        .with_for_update()
    )
    if held is None:
        raise NotFound()
    uow.authorize(Action.CORRECTION_OWN, held)
    return held


def forget(held: Correction) -> None:
    """Once it is decided the number stands where it is used, or nowhere."""
    held.sealed = held.sealed_index = held.code_hash = held.code_until = None


def _with_name(proposed: Correction, person: Person, field: str, typed: str, reason: str) -> None:
    if not typed or len(typed) > LONGEST_NAME:
        raise Invalid(
            fields={
                "typed": Text(
                    f"请填写正确的姓名，最多 {LONGEST_NAME} 个字。",
                    f"Enter the right name, at most {LONGEST_NAME} characters.",
                )
            }
        )
    if typed == (person.name if field == "name" else person.name_en or ""):
        raise Invalid(fields={"typed": _SAME})
    if not reason:
        raise Invalid(
            fields={
                "reason": Text(
                    "请写明原因，例如“户口本上是这个字”。",
                    "Say why, for example that the passport spells it so.",
                )
            }
        )
    proposed.value = proposed.shown = typed


_SAME = Text("和现在登记的一样。", "This is what is registered already.")


def _with_contact(
    session: Session, proposed: Correction, person: Person, field: str, typed: str
) -> None:
    if field == "phone":
        normal = normal_phone(typed)
        if normal is None:
            raise Invalid(
                fields={
                    "typed": Text("请填写 11 位手机号码。", "Enter a mobile number, 11 digits.")
                }
            )
        mask = mask_phone(normal)
    else:
        normal = typed.strip().lower()
        if len(normal) > LONGEST_EMAIL or not _EMAIL.fullmatch(normal):
            raise Invalid(
                fields={
                    "typed": Text(
                        "请填写完整的邮箱地址，例如 name@example.com。",
                        "Enter a whole address, for example name@example.com.",
                    )
                }
            )
        mask = mask_email(normal)
    if contacts.is_in_use(session, person.id, field, normal):
        raise Invalid(fields={"typed": _SAME})
    proposed.sealed, proposed.sealed_index, _ = contacts.sealed(field, normal)
    proposed.shown = mask
    proposed.state = "unproven" if field == "phone" else "waiting"


def _send_code(uow: UnitOfWork, held: Correction, number: str) -> None:
    actor = str(held.proposed_by_id)
    if not (
        admit(uow.session, "correction.code", actor, limit=CODES_A_DAY, window=_DAY, now=uow.now)
        # whoever holds the number is not to be bothered by several people, either
        and admit(
            uow.session, "correction.number", number, limit=CODES_A_DAY, window=_DAY, now=uow.now
        )
    ):
        raise TooMany(_TOO_MANY)
    digits = f"{secrets.randbelow(1_000_000):06d}"
    held.code_hash, held.code_until = _hash(held.id, digits), uow.now + CODE_LIFE
    held.tries_left = CODE_TRIES
    uow.record(CorrectionCodeIssued(held.id, held.proposed_by_id, digits))


def _refuse_unless_unproven(held: Correction) -> None:
    if held.state != "unproven":
        raise Conflict(
            Text("这个号码已经验证过了。", "This number has been proven already."), code="proven"
        )


def _hash(correction_id: int, digits: str) -> bytes:
    return crypto.token_hash(f"correction\x00{correction_id}\x00{digits}")
