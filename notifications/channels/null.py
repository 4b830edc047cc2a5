"""A channel that sends nothing and says so: for imports, seeds and load trials."""

from __future__ import annotations

from notifications.segments import segments
from notifications.values import Absent, Answer, Attempt, Finding, Sent


class NullChannel:
    """Accepts every message and forgets it."""

    name = "null"
    kinds = frozenset({"sms", "email", "voice"})

    def send(self, attempt: Attempt) -> Answer:
        """Accept at once, under the attempt's own id."""
        return Sent(f"null-{attempt.id}", segments(attempt.body).count)

    def find(self, _attempt: Attempt, _known: frozenset[str]) -> Finding:
        """Nothing is ever kept."""
        return Absent()
