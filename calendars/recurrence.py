"""Series to single occurrences: our own weekly bookings, and rules of partners' calendars.

Our series are stored as occurrences, so that a moved lesson cannot leave a phantom.
Must not know what is booked, or the clock.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from itertools import islice

from dateutil.rrule import rrule, rrulestr

from calendars.errors import RefusedRule, UnfitSeries
from calendars.values import Span
from calendars.zones import DISTRICT, at_wall, zone_named

MOST_OCCURRENCES = 400

# Sub-daily rules of partners are understood only if they say where they end.
_UNBOUNDED_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_BOUNDED_FREQUENCIES = frozenset({"HOURLY", "MINUTELY", "SECONDLY"})
_PARTS = frozenset(
    (
        *("FREQ", "UNTIL", "COUNT", "INTERVAL", "WKST", "BYSETPOS"),
        *("BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY"),
        *("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH"),
    )
)
_MOST_COUNTED = 1_000


def occurrences(
    *,
    weekday: int,
    from_date: date,
    to_date: date,
    starts: time,
    ends: time,
    skip: Collection[date] = (),
    zone: str = DISTRICT,
    every_weeks: int = 1,
) -> tuple[Span, ...]:
    """Each `weekday` (Monday is 0) from `from_date` to `to_date`, both included, except `skip`.

    Wall time of `zone`. `every_weeks` counts from the first matching day, skipped days too.
    """
    if not 0 <= weekday <= 6:
        raise UnfitSeries(f"no weekday {weekday}")
    if every_weeks < 1:
        raise UnfitSeries("a series repeats every week or less often")
    if ends <= starts:
        raise UnfitSeries("an occurrence ends on the day it starts, after it starts")
    if to_date < from_date:
        raise UnfitSeries("a series ends before it starts")
    place = zone_named(zone)
    offset = (weekday - from_date.weekday()) % 7
    span_days = (to_date - from_date).days
    if (span_days - offset) // (7 * every_weeks) >= MOST_OCCURRENCES:
        raise UnfitSeries(f"more than {MOST_OCCURRENCES} occurrences")
    skipped = frozenset(skip)
    days = (
        from_date + timedelta(days=shift) for shift in range(offset, span_days + 1, 7 * every_weeks)
    )
    return tuple(
        Span(at_wall(day, starts, place), at_wall(day, ends, place))
        for day in days
        if day not in skipped
    )


def refuse_unsafe_rule(rule: str) -> None:
    """Refuse an RRULE outside the allow-list, with the reason."""
    parts: dict[str, str] = {}
    for part in rule.strip().removeprefix("RRULE:").rstrip(";").upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name not in _PARTS:
            raise RefusedRule(rule, f"unknown part {part!r}")
        if name in parts:
            raise RefusedRule(rule, f"{name} twice")
        parts[name] = value
    frequency = parts.get("FREQ", "")
    if "COUNT" in parts and "UNTIL" in parts:
        raise RefusedRule(rule, "COUNT and UNTIL together")
    for name in ("COUNT", "INTERVAL"):
        if name in parts and not _is_small_number(parts[name]):
            raise RefusedRule(rule, f"{name} is not a usable number")
    if frequency in _UNBOUNDED_FREQUENCIES:
        return
    if frequency not in _BOUNDED_FREQUENCIES:
        raise RefusedRule(rule, "no known FREQ")
    if "UNTIL" not in parts and int(parts.get("COUNT", _MOST_COUNTED + 1)) > _MOST_COUNTED:
        raise RefusedRule(rule, f"FREQ={frequency} without a near end")


def expand_rule(rule: str, starts_at: datetime, *, most: int = 5_000) -> tuple[datetime, ...]:
    """Every instance of a rule that ends, at most `most`, in order.

    A rule may run for ever without an instance (30 February): call it where it can be killed.
    """
    found = tuple(islice(_parsed(rule, starts_at), most + 1))
    if len(found) > most:
        raise RefusedRule(rule, f"more than {most} instances")
    return found


def holds_its_start(rule: str, starts_at: datetime) -> bool:
    """Whether a series' start is an instance of its own rule (a Wednesday rule may start Monday).

    May run for ever like `expand_rule`.
    """
    return next(iter(_parsed(rule, starts_at)), None) == starts_at


def _parsed(rule: str, starts_at: datetime) -> rrule:
    refuse_unsafe_rule(rule)
    try:
        parsed = rrulestr(_with_matching_until(rule, starts_at), dtstart=starts_at)
    except (ValueError, TypeError) as error:
        raise RefusedRule(rule, str(error)) from error
    if not isinstance(parsed, rrule):
        raise RefusedRule(rule, "more than one rule")
    return parsed


def _is_small_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 6 and int(value) > 0


def _with_matching_until(rule: str, starts_at: datetime) -> str:
    # UNTIL in UTC beside a floating start is against the RFC but common; read it as floating too.
    # A date alone means that whole day.
    clock = "" if starts_at.utcoffset() is None else "Z"
    parts = []
    for part in rule.strip().removeprefix("RRULE:").rstrip(";").upper().split(";"):
        if part.startswith("UNTIL="):
            stamp = part.removeprefix("UNTIL=").rstrip("Z")
            part = f"UNTIL={stamp}{'' if 'T' in stamp else 'T235959'}{clock}"
        parts.append(part)
    return ";".join(parts)
