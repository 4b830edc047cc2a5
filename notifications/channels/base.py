"""What every channel offers. Must not know any provider, nor the database of messages."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from notifications.values import Answer, Attempt, Finding


class Channel(Protocol):
    """A way to reach a person. `send` never raises for what a provider answers."""

    name: str

    def send(self, attempt: Attempt) -> Answer:
        """Call the provider once, with explicit timeouts and without retries of its own."""
        ...

    def find(self, attempt: Attempt, known: frozenset[str], /) -> Finding:
        """Ask whether the provider has this attempt; `known` ids belong to other attempts."""
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
