"""What happens to feeds; the entries themselves follow other features' events."""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class FeedOpened(Event):
    """A new secret address was made."""

    token_id: int


@dataclass(frozen=True, slots=True)
class FeedChanged(Event):
    """The owner chose other options."""

    token_id: int


@dataclass(frozen=True, slots=True)
class FeedRevoked(Event):
    """A secret address was closed."""

    token_id: int


@dataclass(frozen=True, slots=True)
class BusySourceAdded(Event):
    """A partner gave a calendar of its own."""

    source_id: int


@dataclass(frozen=True, slots=True)
class BusySourceTakenIntoUse(Event):
    """Its owner looked at what was understood and lets it take time away."""

    source_id: int


@dataclass(frozen=True, slots=True)
class BusySourceRemoved(Event):
    """A partner took it back."""

    source_id: int


@dataclass(frozen=True, slots=True)
class BusySourceRead(Event):
    """New busy times were read."""

    source_id: int


@dataclass(frozen=True, slots=True)
class BusySourceFailed(Event):
    """It could not be read for a whole day; recorded once per failure."""

    source_id: int
