"""The process that reads a partner's calendar file, under limits it cannot lift.

Started by `busy.py` only. Reads the question (one JSON line) and the unfolded file from
standard input, writes one JSON answer; before each component it writes the component's name
to standard error, so that the parent can say where it was when it had to be killed.
"""

from __future__ import annotations

import json
import resource
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar, Component, vRecur

from calendars.errors import RefusedCalendar, RefusedRule, UnknownZone
from calendars.recurrence import holds_its_start, refuse_unsafe_rule
from calendars.text import one_line
from calendars.zones import zone_named

# What the readers below raise on values they do not understand.
_NOT_UNDERSTOOD = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    ArithmeticError,
    RecursionError,
)
_TIMES = ("DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "RDATE", "EXDATE", "FREEBUSY")
_MARGIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Question:
    """What the parent asks for."""

    starts_at: datetime
    ends_at: datetime
    zone: ZoneInfo
    most_spans: int
    ours: str


def main() -> int:
    """Answer one question and end."""
    asked = json.loads(sys.stdin.buffer.readline())
    _limit(asked["limits"]["cpu_seconds"], asked["limits"]["memory_octets"])
    question = Question(
        starts_at=datetime.fromtimestamp(asked["starts_at"], UTC),
        ends_at=datetime.fromtimestamp(asked["ends_at"], UTC),
        zone=zone_named(asked["zone"]),
        most_spans=asked["limits"]["spans"],
        ours=asked["ours"],
    )
    answer: dict[str, object]
    try:
        spans = _spans(_decoded(sys.stdin.buffer.read()), question)
        answer = {"spans": [(start.timestamp(), end.timestamp()) for start, end in spans]}
    except RefusedCalendar as refusal:
        answer = {"component": refusal.component, "reason": refusal.reason}
    json.dump(answer, sys.stdout)
    return 0


def _limit(cpu_seconds: int, memory_octets: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_octets, memory_octets))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return "".join(letter for letter in text if letter >= " " or letter in "\r\n\t")
    raise RefusedCalendar("file", "neither UTF-8 nor GB 18030")


def _spans(text: str, question: Question) -> list[tuple[datetime, datetime]]:
    _reach("file")
    try:
        roots = Calendar.from_ical(text, multiple=True)
    except _NOT_UNDERSTOOD as error:
        raise RefusedCalendar("file", f"cannot be read: {one_line(str(error))[:200]}") from error
    found: set[tuple[datetime, datetime]] = set()
    for root in roots:
        scale = str(root.get("CALSCALE", "GREGORIAN")).strip().upper()
        if scale != "GREGORIAN":
            raise RefusedCalendar("VCALENDAR", f"CALSCALE {scale[:40]} is not understood")
        floating = _floating_zone(root, question.zone)
        series: defaultdict[str, list[Component]] = defaultdict(list)
        for number, component in enumerate(root.walk()):
            if component.name == "VEVENT":
                _refuse_unread(component)
                uid = str(component.get("UID", f"without UID {number}"))
                if not (question.ours and uid.endswith(question.ours)):
                    series[uid].append(component)
            elif component.name == "VFREEBUSY":
                _refuse_unread(component)
                _collect(found, component, _reported(component), floating, question)
        for members in series.values():
            _collect(found, members[0], _expanded(members, question), floating, question)
    return sorted(found)


def _collect(
    found: set[tuple[datetime, datetime]],
    component: Component,
    pairs: Iterator[tuple[date, date]],
    floating: ZoneInfo,
    question: Question,
) -> None:
    label = _label(component)
    _reach(label)
    try:
        for first, last in pairs:
            start, end = _instant(first, floating), _instant(last, floating)
            if start < end and start < question.ends_at and end > question.starts_at:
                found.add((start, end))
            if len(found) > question.most_spans:
                raise RefusedCalendar(label, f"more than {question.most_spans} busy times")
    except RefusedRule as refusal:
        raise RefusedCalendar(label, f"RRULE: {refusal.reason}") from refusal
    except _NOT_UNDERSTOOD as error:
        reason = one_line(str(error))[:200] or type(error).__name__
        raise RefusedCalendar(label, f"cannot be understood: {reason}") from error


def _refuse_unread(component: Component) -> None:
    label = _label(component)
    try:
        _refuse_odd(component, label)
    except _NOT_UNDERSTOOD as error:
        raise RefusedCalendar(
            label, f"cannot be understood: {one_line(str(error))[:200]}"
        ) from error


def _refuse_odd(component: Component, label: str) -> None:
    for name, problem in component.errors:
        raise RefusedCalendar(label, f"{name}: {one_line(str(problem))[:200]}")
    if component.name != "VEVENT":
        return
    if "DTSTART" not in component:
        raise RefusedCalendar(label, "no DTSTART")
    if "DTEND" in component and _ends_early(component):
        raise RefusedCalendar(label, "DTEND is before DTSTART")
    if "EXRULE" in component:
        raise RefusedCalendar(label, "EXRULE is not understood")
    rules = component.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        try:
            refuse_unsafe_rule(_rule_text(rule))
        except RefusedRule as refusal:
            raise RefusedCalendar(label, f"RRULE: {refusal.reason}") from refusal
    for name in _TIMES:
        values = component.get(name, [])
        for value in values if isinstance(values, list) else [values]:
            zone = value.params.get("TZID")
            moments = [item.dt for item in getattr(value, "dts", [value])]
            for moment in moments:
                if zone and isinstance(moment, datetime) and moment.tzinfo is None:
                    raise RefusedCalendar(label, f"{name}: unknown time zone {str(zone)[:80]}")


def _ends_early(component: Component) -> bool:
    start, end = _moment(component, "DTSTART"), _moment(component, "DTEND")
    if isinstance(start, datetime) and isinstance(end, datetime):
        # Only times of one kind can be compared; the expander settles the others.
        return (start.tzinfo is None) == (end.tzinfo is None) and end < start
    return not isinstance(start, datetime) and not isinstance(end, datetime) and end < start


def _expanded(members: list[Component], question: Question) -> Iterator[tuple[date, date]]:
    calendar = Calendar()
    for member in members:
        calendar.add_component(member)
    stray = _stray_start(members)
    # Floating times have no instant yet: look a day further on both sides, cut afterwards.
    query = recurring_ical_events.of(calendar, components=["VEVENT"])
    for event in query.between(question.starts_at - _MARGIN, question.ends_at + _MARGIN):
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        if str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
            continue
        start = event["DTSTART"].dt
        if stray is None or start != stray:
            yield start, event["DTEND"].dt


def _stray_start(members: list[Component]) -> date | None:
    """The start of a series that its rule does not make and nothing else asks for.

    The expander always lists it; libical and dateutil, and the calendars built on them, do not.
    """
    masters = [member for member in members if "RECURRENCE-ID" not in member]
    if len(masters) != 1 or "RRULE" not in masters[0] or "RDATE" in masters[0]:
        return None
    rules = masters[0]["RRULE"]
    start = _moment(masters[0], "DTSTART")
    if isinstance(rules, list) or any(
        start in (_moment(member, "RECURRENCE-ID"), _moment(member, "DTSTART"))
        for member in members
        if "RECURRENCE-ID" in member
    ):
        return None
    wall = datetime.combine(start, start.time() if isinstance(start, datetime) else time())
    return None if holds_its_start(_rule_text(rules), wall) else start


def _reported(component: Component) -> Iterator[tuple[date, date]]:
    values = component.get("FREEBUSY", [])
    for value in values if isinstance(values, list) else [values]:
        if str(value.params.get("FBTYPE", "BUSY")).upper() == "FREE":
            continue
        for period in getattr(value, "dts", [value]):
            yield period.start, period.end


def _floating_zone(root: Component, zone: ZoneInfo) -> ZoneInfo:
    try:
        return zone_named(str(root["X-WR-TIMEZONE"])) if "X-WR-TIMEZONE" in root else zone
    except UnknownZone:
        return zone


def _instant(moment: date, floating: ZoneInfo) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - placed below
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=floating)
    return moment.astimezone(UTC)


def _moment(component: Component, name: str) -> date:
    moment = getattr(component[name], "dt", None)
    if not isinstance(moment, date):
        raise TypeError(f"{name} is not one time")
    return moment


def _rule_text(rule: object) -> str:
    if not isinstance(rule, vRecur):
        raise TypeError("RRULE is not a rule")
    written: bytes = rule.to_ical()  # type: ignore[no-untyped-call]
    return written.decode("utf-8", "replace")


def _label(component: Component) -> str:
    name = one_line(str(component.get("SUMMARY") or component.get("UID") or ""))[:80]
    return f"{component.name} {name}".strip()


def _reach(label: str) -> None:
    sys.stderr.write(f"@ {label}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
