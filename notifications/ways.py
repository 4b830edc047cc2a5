"""Which provider carries a message: by preference, and by what is known of each just now.

Only what was certainly not taken ever comes here again, so going by another way tells nobody twice.
Plain decisions: must not know the database, nor any provider.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from notifications.values import PROOF, Attempt

# after so many definite noes that were the provider's own fault, another is asked; whoever waits
# for a sign-in code, or has to be warned, does not wait for a second no
PATIENCE = 2
PATIENCE_AT_ONCE = 1
_AT_ONCE = frozenset({"otp", PROOF, "urgent"})


def _always(_name: str, _attempt: Attempt) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Ways:
    """Route -> names of channels, the preferred one first; `can` says what one is able to carry."""

    order: Mapping[str, Sequence[str]]
    can: Callable[[str, Attempt], bool] = _always

    def open_routes(self, shut: Collection[str]) -> dict[str, str]:
        """Route -> the first channel that is not shut; a route without one is left out."""
        found = {}
        for route, names in self.order.items():
            for name in names:
                if name not in shut:
                    found[route] = name
                    break
        return found

    def able(self, route: str, attempt: Attempt) -> Sequence[str]:
        """Channels that can carry it at all: all of the route if none can, so that one says why."""
        names = self.order[route]
        if len(names) == 1:
            return names
        return [name for name in names if self.can(name, attempt)] or names


def patience(message_class: str) -> int:
    """How many noes of a provider a message bears before it goes by another."""
    return PATIENCE_AT_ONCE if message_class in _AT_ONCE else PATIENCE


def choose(
    able: Sequence[str], shut: Collection[str], faults: Mapping[str, int], bears: int
) -> str | None:
    """The channel for one try: the preferred one, unless it is shut or has failed too often.

    None if all that can carry the message are shut. If all have failed, the one that did so least.
    """
    if able and not shut and not faults:
        return able[0]  # nearly always
    usable = [name for name in able if name not in shut]
    for name in usable:
        if faults.get(name, 0) < bears:
            return name
    return min(usable, key=lambda name: faults.get(name, 0), default=None)
