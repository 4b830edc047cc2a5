"""Small types of the library: what is to be sent, where to, and what a provider answered.

Must not know the database, a provider, or where an address comes from. What is made once for every
message that leaves is a named tuple: a frozen dataclass takes five times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

MessageClass = Literal["info", "confirm", "sign", "urgent", "otp"]
# wanted now, so no daily limit holds them, nor do they use one up
UNLIMITED = frozenset({"otp", "urgent"})
# the smaller, the earlier it is claimed
PRIORITY: Mapping[str, int] = {
    "otp": 0,
    "urgent": 0,
    "sign": 1,
    "confirm": 2,
    "info": 3,
}


# what an opt-out stops; a code that was asked for, and what cannot wait, still goes
ROUTINE = frozenset({"info", "confirm", "sign"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to one recipient, rendered, as the application hands it over."""

    recipient_id: int
    household_key: str | None
    template_key: str
    language: str
    params: Mapping[str, str]
    body: str
    message_class: MessageClass
    channel: str = "sms"
    subject_type: str
    subject_id: int
    dedupe_key: str
    not_before: datetime | None = None
    valid_until: datetime | None = None
    link: str | None = None
    # the place in the queue of another class, for what is routine and still wanted within minutes
    queued_as: MessageClass | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """One notice to many; `key` is unique, so expanding it twice writes once."""

    key: str
    template_key: str
    message_class: MessageClass
    channel: str = "sms"
    subject_type: str
    subject_id: int
    not_before: datetime | None = None
    valid_until: datetime | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where to send: lives only in memory between claim and call. `kind` is sms or email.

    `key` tells addresses apart without telling them: what was sent to one is counted by it.
    """

    kind: str
    value: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"Address({self.kind}, {mask(self)})"


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a message must not go now; with `until` it is held, without it is suppressed."""

    reason_code: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DayLimit:
    """At most `most` routine messages to one address from `since` on; the rest wait until `until`."""

    most: int
    since: datetime
    until: datetime


class Pending(Protocol):
    """A message as the resolver sees it: who and why. A row of the outbox is one already."""

    @property
    def id(self) -> int: ...
    @property
    def recipient_id(self) -> int: ...
    @property
    def household_key(self) -> str | None: ...
    @property
    def template_key(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def message_class(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def subject_type(self) -> str: ...
    @property
    def subject_id(self) -> int: ...
    @property
    def tries(self) -> int: ...


class Attempt(NamedTuple):
    """One intended call to a provider."""

    id: UUID
    message_id: int
    recipient_id: int
    address: Address
    template_key: str
    params: Mapping[str, str]
    body: str
    language: str
    link: str | None
    message_class: str
    subject_type: str
    subject_id: int
    intent_at: datetime
    valid_until: datetime | None


class Claimed(NamedTuple):
    """An attempt that this worker alone may now carry out.

    `channel` is the one that carries it, `route` what the message asked for: opt-outs and strikes
    belong to the route. `spare` says that another channel could carry it too, `bears` how many noes
    of this one it still bears before it goes there.
    """

    channel: str
    attempt: Attempt
    tries: int
    route: str
    spare: bool = False
    bears: int = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider took the message; `delivered` if it lies on the phone already."""

    provider_id: str
    segments: int | None = None
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider certainly did not take the message.

    `suppress` says that the recipient must not be written to again; `strike` that the address
    looks bad; `halt` that the whole channel is broken (our credentials); `slower` that we ask too
    often, and should after `retry_after` seconds.
    """

    code: str
    reason: str
    permanent: bool
    retry_after: float | None = None
    suppress: bool = False
    strike: bool = False
    halt: bool = False
    slower: bool = False

    @property
    def of_provider(self) -> bool:
        """Whether this no is about the provider, so that another one may well say yes."""
        about = self.halt or self.slower or self.code in UNREACHED
        return about and not self.permanent


@dataclass(frozen=True, slots=True)
class Doubt:
    """Nobody knows whether the provider took the message."""

    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The provider was asked and has the message."""

    provider_id: str
    status: str
    segments: int | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """The provider was asked and does not have the message (yet)."""


# not even asked: its channel had been halted since the claim
HALTED = "channel_halted"
# nothing left our host, or nobody was there
UNREACHED = frozenset({"not_connected", "connect_timeout", "tls_handshake"})

Answer = Sent | Refused | Doubt
Finding = Found | Absent | Doubt


def mask(address: Address) -> str:
    """Return the address as it may be stored and logged."""
    if address.kind == "email":
        name, _, domain = address.value.partition("@")
        return f"{name[:1]}***@{domain}"
    digits = address.value
    if len(digits) < 8:
        return "*" * len(digits)
    if digits.startswith("+86"):
        digits = digits[3:]  # at home a number is known without its country
    return f"{digits[:3]}****{digits[-4:]}"
