"""Signing in and out: passwords for staff and partners, one-time codes by phone for parents.

A wrong password or code is an answer (None), not a refusal: the tries must be committed. Known and
unknown logins and numbers take the same path. Must not know cookies or pages.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import date, datetime, timedelta
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.contacts import persons_by_phone
from coordination.domain.people.events import SignInCodeIssued
from coordination.domain.people.models import (
    Account,
    AccountSession,
    Guardianship,
    OneTimeCode,
    Person,
)
from coordination.ground import crypto
from coordination.ground.errors import Invalid, TooMany
from coordination.ground.phones import normal_phone
from coordination.ground.text import Language, Text, clean, half_width
from coordination.ground.throttle import admit, forgive, sweep
from coordination.ground.uow import UnitOfWork

PASSWORD_SESSION = timedelta(hours=12)
CODE_SESSION = timedelta(days=30)
CODE_LIFE = timedelta(minutes=5)
CODE_TRIES = 5
SHORTEST_PASSWORD = 10

_QUARTER, _HOUR, _DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
_hasher = PasswordHasher()

_WAIT = Text(
    "尝试次数过多，请 15 分钟后再试。",
    "Too many attempts; please try again in 15 minutes.",
)
_WAIT_CODE = Text(
    "验证码请求过于频繁，请一小时后再试。",
    "Too many codes were requested; please try again in an hour.",
)


def hash_password(password: str) -> str:
    """The argon2 hash of a password; Invalid if it is too short."""
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(
            fields={
                "password": Text(
                    f"密码至少 {SHORTEST_PASSWORD} 位。",
                    f"A password needs at least {SHORTEST_PASSWORD} characters.",
                )
            }
        )
    return _hasher.hash(password)


@lru_cache(maxsize=1)
def _nobody() -> str:
    """A hash that costs an unknown login the time of a known one."""
    return _hasher.hash(secrets.token_urlsafe(24))


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def open_account(uow: UnitOfWork, *, person_id: int, login: str, password: str) -> Account:
    """Give a person a password account; for the command line and the administration."""
    uow.authorize(Action.ROSTER_IMPORT)
    account = Account(
        person_id=person_id,
        login=normal_login(login),
        password_hash=hash_password(password),
    )
    uow.session.add(account)
    return account


def normal_login(typed: str) -> str:
    """A login as it is stored: half-width, lower case, no blanks around."""
    return clean(half_width(typed)).casefold()


def sign_in(uow: UnitOfWork, *, login: str, password: str, address: str) -> str | None:
    """The secret of a new session, or None if login and password do not belong together."""
    uow.authorize(Action.ACCOUNT_SIGN_IN)
    login = normal_login(login)
    pair = f"{login}\x00{address}"
    # The pair is limited hardest: a stranger guessing elsewhere does not lock the owner out.
    if not (
        admit(uow.session, "sign_in.pair", pair, limit=10, window=_QUARTER, now=uow.now)
        and admit(
            uow.session,
            "sign_in.address",
            address,
            limit=100,
            window=_QUARTER,
            now=uow.now,
        )
        and admit(uow.session, "sign_in.login", login, limit=200, window=_HOUR, now=uow.now)
    ):
        raise TooMany(_WAIT)
    account = uow.session.scalar(
        select(Account).where(Account.login == login, Account.disabled_at.is_(None))
    )
    right = _matches(account.password_hash if account else _nobody(), password)
    if account is None or not right:
        return None
    if _hasher.check_needs_rehash(account.password_hash):
        account.password_hash = _hasher.hash(password)
    account.last_sign_in_at = uow.now
    forgive(uow.session, "sign_in.pair", pair)
    return _open_session(uow, account.person_id, "password", PASSWORD_SESSION)


def request_code(uow: UnitOfWork, *, phone: str, address: str) -> int:
    """Send a sign-in code to a phone if somebody here holds it; the id of the code either way."""
    uow.authorize(Action.ACCOUNT_SIGN_IN)
    number = normal_phone(phone)
    if number is None:
        raise Invalid(
            fields={"phone": Text("请填写 11 位手机号码。", "Enter a mobile number, 11 digits.")}
        )
    if not (
        admit(uow.session, "code.address", address, limit=30, window=_HOUR, now=uow.now)
        and admit(uow.session, "code.number", number, limit=5, window=_HOUR, now=uow.now)
        and admit(uow.session, "code.number.day", number, limit=10, window=_DAY, now=uow.now)
    ):
        raise TooMany(_WAIT_CODE)
    index = crypto.blind_index(number)
    uow.session.execute(
        update(OneTimeCode)
        .where(OneTimeCode.phone_index == index, OneTimeCode.used_at.is_(None))
        .values(used_at=uow.now)
    )
    person_id = _holder(uow.session, number, uow.now.date())
    digits = f"{secrets.randbelow(1_000_000):06d}"
    code = OneTimeCode(
        phone_index=index,
        person_id=person_id,
        code_hash=_code_hash(index, digits),
        expires_at=uow.now + CODE_LIFE,
        tries_left=CODE_TRIES,
    )
    uow.session.add(code)
    uow.session.flush()  # the id goes to the browser's session
    if person_id is not None:
        uow.record(SignInCodeIssued(person_id=person_id, code_id=code.id, code=digits))
    return code.id


def verify_code(uow: UnitOfWork, *, code_id: int, typed: str, address: str) -> str | None:
    """The secret of a new session, or None for a wrong, used or expired code."""
    uow.authorize(Action.ACCOUNT_SIGN_IN)
    if not admit(uow.session, "code.verify", address, limit=60, window=_QUARTER, now=uow.now):
        raise TooMany(_WAIT)
    code = uow.session.scalar(
        select(OneTimeCode)
        .where(
            OneTimeCode.id == code_id,
            OneTimeCode.used_at.is_(None),
            OneTimeCode.expires_at > uow.now,
            OneTimeCode.tries_left > 0,
        )
        .with_for_update()
    )
    digits = half_width(typed).replace(" ", "").replace("-", "")
    if code is None:
        return None
    code.tries_left -= 1
    right = hmac.compare_digest(code.code_hash, _code_hash(code.phone_index, digits))
    if not right or code.person_id is None:
        return None
    code.used_at = uow.now
    return _open_session(uow, code.person_id, "code", CODE_SESSION)


def sign_out(uow: UnitOfWork, *, token: str) -> None:
    """Revoke the session behind `token`; an unknown one is no fault."""
    uow.authorize(Action.ACCOUNT_SIGN_IN)
    held = uow.session.scalar(
        select(AccountSession).where(AccountSession.token_hash == crypto.token_hash(token))
    )
    if held is not None and held.revoked_at is None:
        held.revoked_at = uow.now


def sign_out_everywhere(uow: UnitOfWork) -> None:
    """Revoke every session of the actor."""
    uow.authorize(Action.LANGUAGE_CHOOSE, Scope(person=uow.actor.person_id))
    for held in uow.session.scalars(
        select(AccountSession).where(
            AccountSession.person_id == uow.actor.person_id,
            AccountSession.revoked_at.is_(None),
        )
    ):
        held.revoked_at = uow.now


def forget_expired(uow: UnitOfWork) -> dict[str, tuple[int, datetime]]:
    """Delete what has no use any more: old codes, ended sessions, counters of tries; how many of each,
    and what they were older than."""
    uow.authorize(Action.SYSTEM_RUN)
    before, counters = uow.now - _DAY, uow.now - 2 * _DAY
    codes = delete(OneTimeCode).where(OneTimeCode.expires_at < before).returning(OneTimeCode.id)
    ended = delete(AccountSession).where(AccountSession.expires_at < before)
    return {
        "sign_ins": (len(uow.session.execute(codes).all()), before),
        "sessions": (
            len(uow.session.execute(ended.returning(AccountSession.id)).all()),
            before,
        ),
        "counters": (sweep(uow.session, older_than=counters), counters),
    }


def change_password(uow: UnitOfWork, *, old: str, new: str) -> str | None:
    """Replace the actor's password, end the other sessions; the secret of a fresh one, or None."""
    uow.authorize(Action.LANGUAGE_CHOOSE, Scope(person=uow.actor.person_id))
    if not admit(
        uow.session,
        "password.change",
        str(uow.actor.person_id),
        limit=10,
        window=_QUARTER,
        now=uow.now,
    ):
        raise TooMany(_WAIT)
    account = uow.session.scalar(select(Account).where(Account.person_id == uow.actor.person_id))
    if account is None or not _matches(account.password_hash, old):
        return None
    account.password_hash = hash_password(new)
    sign_out_everywhere(uow)
    return _open_session(uow, account.person_id, "password", PASSWORD_SESSION)


def choose_language(uow: UnitOfWork, *, language: Language) -> None:
    """Remember the language of the actor's pages and messages."""
    uow.authorize(Action.LANGUAGE_CHOOSE, Scope(person=uow.actor.person_id))
    person = uow.session.get(Person, uow.actor.person_id)
    if person is not None:
        person.language = language


def _open_session(uow: UnitOfWork, person_id: int, route: str, life: timedelta) -> str:
    token = crypto.new_token()
    uow.session.add(
        AccountSession(
            person_id=person_id,
            token_hash=crypto.token_hash(token),
            route=route,
            last_seen_at=uow.now,
            expires_at=uow.now + life,
        )
    )
    return token


def _code_hash(phone_index: bytes, digits: str) -> bytes:
    return crypto.token_hash(f"code\x00{phone_index.hex()}\x00{digits}")


def _holder(session: Session, number: str, today: date) -> int | None:
    """The person a number signs in: a guardian before anybody else who shares the phone."""
    holders = persons_by_phone(session, number)
    if not holders:
        return None
    active = list(
        session.scalars(
            select(Person.id)
            .where(
                Person.id.in_(holders),
                Person.status == "active",
                Person.is_student.is_(False),
            )
            .order_by(Person.id)
        )
    )
    guardians = set(
        session.scalars(
            select(Guardianship.guardian_id).where(
                Guardianship.guardian_id.in_(active),
                Guardianship.no_disclosure.is_(False),
                or_(Guardianship.ends_on.is_(None), Guardianship.ends_on >= today),
            )
        )
    )
    return next((p for p in active if p in guardians), active[0] if active else None)


def admit_code_guess(uow: UnitOfWork, *, address: str) -> None:
    """Count one typed or followed short code; TooMany beyond what a person needs."""
    uow.authorize(Action.ACCOUNT_SIGN_IN)
    if not admit(uow.session, "code.open", address, limit=120, window=_QUARTER, now=uow.now):
        raise TooMany(_WAIT)
