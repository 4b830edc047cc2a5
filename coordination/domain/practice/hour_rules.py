"""课时规定 (B99): what a session counts for, and what each grade should reach in a term.

The district sets it, from a day on, with its source. Until it does, sessions count as `PROPOSED` says
and no grade has a target. Writes no ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.models import Term
from coordination.domain.practice.events import HourRuleSet
from coordination.domain.practice.models import HourRule
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

GRADES = range(1, 10)
SHORTEST_PERIOD, LONGEST_PERIOD = 20, 120
MOST_A_DAY = 12
MOST_PERIODS, MOST_TIMES = 200, 60
LONGEST_SOURCE = 120
# 《中小学综合实践活动课程指导纲要》(教材〔2017〕4号): at least so many periods a week, bundled or spread
A_WEEK = {grade: 1 if grade <= 2 else 2 for grade in GRADES}
OUTLINE = "《中小学综合实践活动课程指导纲要》（教材〔2017〕4号）"
NONE = (0,) * len(GRADES)


@dataclass(frozen=True, slots=True)
class Target:
    """What a child of a grade should reach in a term; nought is no target."""

    periods: int = 0
    times: int = 0

    def __bool__(self) -> bool:
        return bool(self.periods or self.times)


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a period is, how many one day counts for at most, and the targets of grades 1 to 9."""

    minutes: int = 40
    most_a_day: int = 6
    periods: tuple[int, ...] = NONE
    times: tuple[int, ...] = NONE
    source: str = ""
    # None: nobody has set it
    starts_on: date | None = None

    def periods_of(self, starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> int:
        """Whole periods of a session as planned, day by day, each day up to the most."""
        first, last = starts_at.astimezone(zone), ends_at.astimezone(zone)
        found = 0
        for number in range((last.date() - first.date()).days + 1):
            midnight = datetime.combine(first.date() + timedelta(days=number), time(), tzinfo=zone)
            # the last day needs no next one: there may be none
            ends = last if midnight.date() == last.date() else midnight + timedelta(days=1)
            spent = ends - max(first, midnight)
            found += min(int(spent.total_seconds() // 60) // self.minutes, self.most_a_day)
        return found

    def target(self, grade: int | None) -> Target:
        """What a grade should reach; nothing for grades that have no target."""
        if grade is None or grade not in GRADES:
            return Target()
        return Target(self.periods[grade - 1], self.times[grade - 1])


PROPOSED = Rule()


@dataclass(frozen=True, slots=True)
class Stretch:
    """学期: the days over which hours are added up."""

    name: Text
    first: date
    last: date

    @property
    def weeks(self) -> int:
        """Weeks of it, begun ones included."""
        return -(-((self.last - self.first).days + 1) // 7)


def rules_of(session: Session) -> list[Rule]:
    """Every rule that was set, the latest first."""
    return [
        Rule(
            row.minutes,
            row.most_a_day,
            tuple(row.periods),
            tuple(row.times),
            row.source,
            row.starts_on,
        )
        for row in session.scalars(select(HourRule).order_by(HourRule.starts_on.desc()))
    ]


def on(rules: Sequence[Rule], day: date) -> Rule:
    """The rule that holds on a day, out of `rules_of`."""
    return next((r for r in rules if r.starts_on is not None and r.starts_on <= day), PROPOSED)


def stretch_of(session: Session, today: date) -> Stretch:
    """The present term, or the last one in the holidays; the school year where no term is entered."""
    term = session.scalar(
        select(Term).where(Term.starts_on <= today).order_by(Term.starts_on.desc()).limit(1)
    )
    if term is not None:
        return Stretch(Text(term.name_zh, term.name_en), term.starts_on, term.ends_on)
    year = today.year if today.month >= 9 else today.year - 1
    return Stretch(
        Text(f"{year}—{year + 1}学年", f"School year {year}–{year + 1}"),
        date(year, 9, 1),
        date(year + 1, 8, 31),
    )


def proposed(stretch: Stretch) -> Rule:
    """What the form begins with: the outline's least number of periods for each week of the term."""
    return Rule(
        periods=tuple(A_WEEK[grade] * stretch.weeks for grade in GRADES),
        source=OUTLINE,
        starts_on=stretch.first,
    )


def set_rule(uow: UnitOfWork, *, org_id: int, rule: Rule, today: date) -> None:
    """Set what sessions count for and what grades should reach, from `rule.starts_on` on."""
    uow.authorize(Action.HOUR_SET, Scope(school=org_id))
    first = stretch_of(uow.session, today).first
    _refuse_unfit(rule, first, today)
    starts_on = rule.starts_on
    if starts_on is None:  # refused above; said once more for the reader's and the checker's sake
        raise Invalid()
    row = uow.session.scalar(
        select(HourRule).where(HourRule.starts_on == starts_on).with_for_update()
    )
    if row is None:
        row = HourRule(org_id=org_id, starts_on=starts_on)
        uow.session.add(row)
    row.minutes, row.most_a_day = rule.minutes, rule.most_a_day
    row.periods, row.times = list(rule.periods), list(rule.times)
    row.source = rule.source
    uow.session.flush()  # the ledger is counted anew from the rows
    uow.record(HourRuleSet(starts_on))


def _refuse_unfit(rule: Rule, first: date, today: date) -> None:
    fields: dict[str, Text] = {}
    latest = today + timedelta(days=366)
    if rule.starts_on is None or not first <= rule.starts_on <= latest:
        fields["starts_on"] = Text(
            f"请填写 {first.isoformat()}（本学期第一天）到 {latest.isoformat()} 之间的日期；"
            "以前学期的课时不再改算。",
            f"Enter a day from {first.isoformat()}, the first of this term, to {latest.isoformat()}; "
            "earlier terms stay as they were counted.",
        )
    for name, value, low, high in (
        ("minutes", rule.minutes, SHORTEST_PERIOD, LONGEST_PERIOD),
        ("most_a_day", rule.most_a_day, 1, MOST_A_DAY),
        *((f"periods_{g}", rule.periods[g - 1], 0, MOST_PERIODS) for g in GRADES),
        *((f"times_{g}", rule.times[g - 1], 0, MOST_TIMES) for g in GRADES),
    ):
        if not low <= value <= high:
            fields[name] = Text(
                f"请填写 {low} 到 {high} 之间的整数。",
                f"Enter a whole number from {low} to {high}.",
            )
    if not rule.source.strip() or len(rule.source) > LONGEST_SOURCE:
        fields["source"] = Text(
            f"请写明依据的文件，不超过 {LONGEST_SOURCE} 字，老师和家长会看到。",
            f"Name the document it rests on, in at most {LONGEST_SOURCE} characters; teachers and "
            "families see it.",
        )
    if fields:
        raise Invalid(fields=fields)
