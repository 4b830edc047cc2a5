"""What every channel offers. Must not know any provider, nor the database of messages."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from notifications.values import Answer, Attempt, Finding


class Channel(Protocol):
    """A way to reach a person. `send` never raises for what a provider answers."""

    # its own name, under which attempts remember it: where it stands among others may change
    name: str
    # kinds of address that it reaches: a number is never given to one that writes to mailboxes
    kinds: frozenset[str]

    def send(self, attempt: Attempt) -> Answer:
        """Call the provider once, with explicit timeouts and without retries of its own."""
        ...

    def find(self, attempt: Attempt, known: frozenset[str], /) -> Finding:
        """Ask whether the provider has this attempt; `known` ids belong to other attempts."""
        ...


@runtime_checkable
class ChoosyChannel(Channel, Protocol):
    """A channel that cannot carry everything, whoever it is for."""

    def carries(self, attempt: Attempt) -> bool:
        """Tell, without calling the provider, whether this message can go by it at all."""
        ...


@runtime_checkable
class AsyncChannel(Channel, Protocol):
    """A channel that can carry many messages at once in one event loop."""

    async def asend(self, attempt: Attempt) -> Answer:
        """Like `send`; without blocking."""
        ...

    async def aclose(self) -> None:
        """Let go of what `asend` keeps open."""
        ...
