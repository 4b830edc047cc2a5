"""What this library refuses.

Must not know the product's error family: the floors above translate these by type.
"""


class CalendarError(Exception):
    """Base of everything this library raises on purpose."""


class UnfitEntry(CalendarError):
    """An entry whose values no calendar could show (naive time, end before start, empty UID)."""


class UnknownZone(CalendarError):
    """A time zone name that the zone database does not have."""


class UnfitSeries(CalendarError):
    """A series that cannot be expanded: wrong weekday, empty span, too many occurrences."""


class UnfitAddress(CalendarError):
    """A feed or mail address that cannot be written into a link or an invitation."""


class RefusedRule(CalendarError):
    """A recurrence rule outside the allow-list."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{reason}: {rule}")
        self.rule = rule
        self.reason = reason


class RefusedCalendar(CalendarError):
    """A partner's file that is refused as a whole, with the component and the reason."""

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component}: {reason}")
        self.component = component
        self.reason = reason


class RefusedAddress(CalendarError):
    """An address that is never asked: not https, not public, or with a password in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FailedFetch(CalendarError):
    """A public address that did not give a file within the limits."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
