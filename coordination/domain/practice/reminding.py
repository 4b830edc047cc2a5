"""Rules of reminders: the district's, a school's own, an activity's own; and which hold for whom.

A set replaces the wider one as a whole: an activity's own holds for all who take part, a school's own
for its classes, the district's for everybody else and for the helpers. Must not know how a reminder
is kept or sent; it says which rules hold for which sessions, and whoever keeps rows follows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
    values,
)
from sqlalchemy import column as sql_column
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.consents.models import ConsentRequest
from coordination.domain.people.models import Organisation
from coordination.domain.practice.events import ReminderRulesChanged
from coordination.domain.practice.models import (
    Activity,
    ClassEnrolment,
    PracticeSession,
    ReminderRule,
    ReminderSet,
)
from coordination.domain.practice.rules import LONGEST
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

Unit = Literal["days", "hours", "minutes"]
UNITS: Mapping[str, Text] = {
    "days": Text("天", "days"),
    "hours": Text("小时", "hours"),
    "minutes": Text("分钟", "minutes"),
}
_MINUTES = {"hours": 60, "minutes": 1}
MOST_RULES = 6
MOST_DAYS = 60
LEAST_MINUTES = 10  # the clock, the queue and the provider need some
# how many hours late a reminder may still be worth sending, and what it is if nobody says
USEFUL = (1, 3, 12, 24)
USUALLY_USEFUL = 12
OVER = ("closed_out", "cancelled", "aborted")


@dataclass(frozen=True, slots=True)
class Rule:
    """When and whom: `spec` is `3d@18:00` or `-120m` before the anchor, with a plus after it.

    If its time was missed, it is sent up to `useful_hours` later, and then no more.
    """

    anchor: str
    spec: str
    audience: str
    useful_hours: int = USUALLY_USEFUL

    @property
    def key(self) -> str:
        """The rule whoever set it: two sets with the same rule remind once."""
        return f"{self.anchor}|{self.spec}"


@dataclass(frozen=True, slots=True)
class Kind:
    """What one may choose: the time it hangs on, whom it reaches, and which side of the time."""

    anchor: str
    audience: str
    label: Text
    after: bool = False


KINDS: Mapping[str, Kind] = {
    "everybody": Kind(
        "start",
        "everybody",
        Text("活动开始前：家庭、老师和志愿者", "Before the start: families, teachers and helpers"),
    ),
    "families": Kind(
        "start", "families", Text("活动开始前：只提醒家庭", "Before the start: families only")
    ),
    "staff": Kind(
        "start",
        "staff",
        Text("活动开始前：只提醒老师和志愿者", "Before the start: teachers and helpers only"),
    ),
    "answer": Kind(
        "answer_due",
        "silent",
        Text("答复截止前：还没答复的家庭", "Before the answer is due: families who are silent"),
    ),
    "signup": Kind(
        "signup_close",
        "silent",
        Text("报名截止前：还没答复的家庭", "Before sign-up closes: families who are silent"),
    ),
    "pickup": Kind(
        "end", "pickup", Text("返校前：家庭准备接孩子", "Before the return: families, to pick up")
    ),
    "roll": Kind(
        "end",
        "unmarked",
        Text("返校后：还没点完名的班主任", "After the return: teachers whose roll is open"),
        after=True,
    ),
}
# what holds where nobody has set anything
DEFAULT = (Rule("start", "3d@18:00", "everybody"), Rule("start", "1d@18:00", "everybody"))

_ANCHORS = {
    "start": Text("活动开始", "the start"),
    "answer_due": Text("答复截止", "the answer is due"),
    "signup_close": Text("报名截止", "sign-up closes"),
    "end": Text("返校", "the return"),
}
_DAYS = {
    "start": Text("活动当天", "On the day itself"),
    "answer_due": Text("答复截止当天", "On the day the answer is due"),
    "signup_close": Text("报名截止当天", "On the day sign-up closes"),
    "end": Text("返校当天", "On the day of the return"),
}
AUDIENCES: Mapping[str, Text] = {
    "everybody": Text("参加的家庭、班主任和志愿者", "Families, class teachers and helpers who go"),
    "families": Text("参加的家庭", "Families whose children go"),
    "staff": Text("班主任和志愿者", "Class teachers and helpers"),
    "silent": Text("还没答复的家庭", "Families who have not answered"),
    "pickup": Text("参加的家庭（准备接孩子）", "Families whose children go, to pick them up"),
    "unmarked": Text("还没点完名的班主任", "Class teachers whose roll is not complete"),
}


# -- one rule -------------------------------------------------------------------------------------


def rule_of(
    kind: str,
    number: int | None,
    unit: str,
    at: time | None,
    useful_hours: int | None = USUALLY_USEFUL,
) -> Rule:
    """The rule that a form asks for; Invalid with the field that does not fit."""
    fields: dict[str, Text] = {}
    chosen = KINDS.get(kind)
    if chosen is None:
        fields["kind"] = Text("请选择提醒什么。", "Choose what to remind of.")
    if unit not in UNITS:
        fields["unit"] = Text("请选择天、小时或分钟。", "Choose days, hours or minutes.")
    if number is None or number < 0:
        fields["number"] = Text("请填写 0 或更大的整数。", "Enter a whole number, 0 or more.")
    elif unit == "days" and number > MOST_DAYS:
        fields["number"] = Text(f"最多 {MOST_DAYS} 天。", f"{MOST_DAYS} days at most.")
    elif unit in _MINUTES and number * _MINUTES[unit] > MOST_DAYS * 24 * 60:
        fields["number"] = Text(
            f"最多 {MOST_DAYS} 天，请换成较大的单位。",
            f"{MOST_DAYS} days at most; a larger unit may be what you mean.",
        )
    elif unit in _MINUTES and number * _MINUTES[unit] < LEAST_MINUTES:
        fields["number"] = Text(
            f"至少 {LEAST_MINUTES} 分钟，再短就来不及送达。",
            f"At least {LEAST_MINUTES} minutes; less may not arrive in time.",
        )
    if unit == "days" and at is None:
        fields["at"] = Text(
            "按天提醒时请填写几点发送，例如 18:00。",
            "Counting in days, say at what time, for example 18:00.",
        )
    if useful_hours not in USEFUL:
        fields["useful_hours"] = Text("请选择列出的一种。", "Choose one of those listed.")
    if fields or chosen is None or number is None or useful_hours is None:
        raise Invalid(fields=fields)
    if unit == "days" and at is not None:
        spec = f"{number}d@{at:%H:%M}"
        spec = f"+{spec}" if chosen.after else spec
    else:
        spec = f"{'+' if chosen.after else '-'}{number * _MINUTES[unit]}m"
    return Rule(chosen.anchor, spec, chosen.audience, useful_hours)


def when_words(rule: Rule) -> Text:
    """活动开始前 3 天 18:00 / 3 days before the start, at 18:00."""
    anchor = _ANCHORS[rule.anchor]
    after = rule.spec.startswith("+")
    plain = rule.spec.lstrip("+-")
    side = Text("后", "after") if after else Text("前", "before")
    if "@" in plain:
        days, _, at = plain.partition("d@")
        if days == "0":
            day = _DAYS[rule.anchor]
            return Text(f"{day.zh} {at}", f"{day.en}, at {at}")
        return Text(
            f"{anchor.zh}{side.zh} {days} 天 {at}",
            f"{days} {'day' if days == '1' else 'days'} {side.en} {anchor.en}, at {at}",
        )
    minutes = int(plain.removesuffix("m"))
    count, unit = (minutes // 60, "hours") if minutes % 60 == 0 else (minutes, "minutes")
    word = UNITS[unit].en if count != 1 else UNITS[unit].en.removesuffix("s")
    return Text(
        f"{anchor.zh}{side.zh} {count} {UNITS[unit].zh}",
        f"{count} {word} {side.en} {anchor.en}",
    )


def clock_of(rule: Rule) -> time | None:
    """The time of day of a rule that has one."""
    _, found, at = rule.spec.partition("@")
    return time.fromisoformat(at) if found else None


def order(rule: Rule) -> tuple[int, int, str]:
    """In which order rules are shown: as a session goes by, as far as that can be said."""
    number = int("".join(c for c in rule.spec.partition("d@")[0] if c.isdigit()))
    distance = number * (1440 if "@" in rule.spec else 1)
    place = list(_ANCHORS).index(rule.anchor) if rule.anchor != "start" else 2
    return place, distance if rule.spec.startswith("+") else -distance, rule.spec


# -- sets -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Whose set: the district's (by its office), a school's, or an activity's."""

    scope: Literal["district", "school", "activity"]
    id: int


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules of a place: `source` says whose they are, `own` whether the place set them itself."""

    rules: tuple[Rule, ...]
    source: Literal["product", "district", "school", "activity"]
    own: bool


def name_of(session: Session, place: Place) -> Text:
    """What a place is called; NotFound if there is none."""
    if place.scope == "activity":
        activity = session.get(Activity, place.id)
        if activity is None:
            raise NotFound()
        return Text(activity.title_zh, activity.title_en)
    body = session.get(Organisation, place.id)
    if body is None or body.kind != place.scope or not body.active:
        raise NotFound()
    return Text(body.name_zh, body.name_en)


def set_of(session: Session, place: Place) -> ReminderSet | None:
    """A place's own set."""
    condition = {
        "district": ReminderSet.scope == "district",
        "school": and_(ReminderSet.scope == "school", ReminderSet.org_id == place.id),
        "activity": ReminderSet.activity_id == place.id,
    }[place.scope]
    return session.scalar(select(ReminderSet).where(condition))


def in_force(session: Session, place: Place) -> InForce:
    """The rules a place lives by: its own, else the district's, else the product's."""
    district: Place = Place("district", 0)
    for here in dict.fromkeys((place, district)):
        found = set_of(session, here)
        if found is not None:
            rules = session.scalars(select(ReminderRule).where(ReminderRule.set_id == found.id))
            return InForce(
                tuple(sorted((_rule(r) for r in rules), key=order)),
                here.scope,
                own=here.scope == place.scope,
            )
    return InForce(DEFAULT, "product", own=False)


def _rule(row: ReminderRule) -> Rule:
    return Rule(row.anchor, row.spec, row.audience, row.useful_hours)


def others(session: Session) -> dict[str, int]:
    """How many schools and activities have rules of their own."""
    rows = session.execute(
        select(ReminderSet.scope, func.count())
        .where(ReminderSet.scope != "district")
        .group_by(ReminderSet.scope)
    )
    return {scope: count for scope, count in rows}


def lock_rules(session: Session, *, alone: bool) -> None:
    """Who changes rules is alone; who plans by them goes together with others who plan.

    So a session that is planned while a rule changes has exactly the rows of one or the other: it
    reads the new rules, or the change finds its session.
    """
    lock = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
    session.execute(select(lock(func.hashtextextended("reminder rules", 0))))


def add_rule(uow: UnitOfWork, place: Place, rule: Rule) -> None:
    """One rule more. Whoever lived by a wider set has it from now on as its own, and this one too."""
    _authorize(uow, place)
    lock_rules(uow.session, alone=True)
    before = in_force(uow.session, place)
    same = next((r for r in before.rules if r.key == rule.key), None)
    if same is not None:
        raise Conflict(
            Text(
                f"已经有“{when_words(same).zh}”的提醒（{AUDIENCES[same.audience].zh}）。"
                "要换人或换补发的时限，请先删除它。",
                f"There is a reminder {_lower(when_words(same).en)} already, to "
                f"{_lower(AUDIENCES[same.audience].en)}. Remove it first to remind others, or"
                " to change how late it may be.",
            ),
            code="same_time",
        )
    if len(before.rules) >= MOST_RULES:
        raise Conflict(
            Text(
                f"最多 {MOST_RULES} 条提醒，太多会打扰家长。请先删除一条。",
                f"{MOST_RULES} reminders at most; more would be noise. Remove one first.",
            ),
            code="too_many",
        )
    _replace(uow, place, [*before.rules, rule])


def remove_rule(uow: UnitOfWork, place: Place, key: str) -> Rule:
    """One rule less; what it has reminded of stays, what it was still to remind of does not."""
    _authorize(uow, place)
    lock_rules(uow.session, alone=True)
    before = in_force(uow.session, place)
    gone = next((r for r in before.rules if r.key == key), None)
    if gone is None:
        raise Conflict(
            Text("这条提醒已经不在了。", "This reminder is gone already."), code="already_gone"
        )
    _replace(uow, place, [r for r in before.rules if r != gone])
    return gone


def inherit(uow: UnitOfWork, place: Place) -> None:
    """Give up the own set: the district's holds again (for the district: the product's)."""
    _authorize(uow, place)
    lock_rules(uow.session, alone=True)
    own = set_of(uow.session, place)
    if own is None:
        raise Conflict(
            Text("这里没有自己的规则。", "There are no rules of its own here."),
            code="nothing_own",
        )
    for rule in uow.session.scalars(select(ReminderRule).where(ReminderRule.set_id == own.id)):
        uow.session.delete(rule)
    uow.session.flush()  # the set goes after its rules
    uow.session.delete(own)
    uow.record(ReminderRulesChanged(place.scope, place.id))


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]


def permission(place: Place) -> tuple[Action, Scope | None]:
    """What the policy is asked before a place's rules are shown or changed."""
    if place.scope == "activity":
        return Action.ACTIVITY_PLAN, None
    return Action.REMINDER_SET, Scope(school=place.id)


def _authorize(uow: UnitOfWork, place: Place) -> None:
    action, thing = permission(place)
    uow.authorize(action, thing)
    name_of(uow.session, place)


def _replace(uow: UnitOfWork, place: Place, rules: Sequence[Rule]) -> None:
    """Make these the place's own; rows that stay are not touched, so the trail shows the change."""
    own = set_of(uow.session, place)
    if own is None:
        own = ReminderSet(
            scope=place.scope,
            org_id=None if place.scope == "activity" else place.id,
            activity_id=place.id if place.scope == "activity" else None,
        )
        uow.session.add(own)
        uow.session.flush()  # the rules refer to it
    known = {
        _rule(r): r
        for r in uow.session.scalars(select(ReminderRule).where(ReminderRule.set_id == own.id))
    }
    for rule, row in known.items():
        if rule not in rules:
            uow.session.delete(row)
    for rule in rules:
        if rule not in known:
            uow.session.add(
                ReminderRule(
                    set_id=own.id,
                    anchor=rule.anchor,
                    spec=rule.spec,
                    audience=rule.audience,
                    useful_hours=rule.useful_hours,
                )
            )
    uow.record(ReminderRulesChanged(place.scope, place.id))


# -- which rules hold for which sessions ----------------------------------------------------------


def concerned(place: Place) -> ColumnElement[bool]:
    """The sessions for which a change of this place's rules may mean something."""
    if place.scope == "activity":
        return PracticeSession.activity_id == place.id
    if place.scope == "school":
        return PracticeSession.id.in_(
            select(ClassEnrolment.session_id).where(ClassEnrolment.school_id == place.id)
        )
    return PracticeSession.id.is_not(None)


def ahead(now: datetime) -> ColumnElement[bool]:
    """Sessions for which a reminder may still come: the last rule reaches some weeks past the end."""
    return and_(
        PracticeSession.state.not_in(OVER),
        PracticeSession.starts_at > now - LONGEST - timedelta(days=MOST_DAYS + 1),
    )


def holding(
    condition: ColumnElement[bool],
) -> Select[int, str, int | None, str, str, str, int, datetime]:
    """The rules that hold for the sessions of a condition, as rows for a statement.

    Columns: session_id; scope and school_id: for whom the rule holds there (`activity`: for all,
    `school`: for that school's classes, `district`: for the helpers and the classes of schools
    without rules of their own); anchor, spec, audience, useful_hours; anchor_at, null if the session
    has no such time. A rule that several schools have is there several times.
    """
    held = (
        select(
            PracticeSession.id,
            PracticeSession.activity_id,
            PracticeSession.starts_at,
            PracticeSession.return_at,
            PracticeSession.signup_until,
            ConsentRequest.due_at,
        )
        .outerjoin(
            ConsentRequest,
            and_(
                ConsentRequest.subject_type == "session",
                ConsentRequest.subject_id == PracticeSession.id,
                ConsentRequest.state == "open",
            ),
        )
        .where(condition)
        .cte("held")
    )
    rule = (
        ReminderRule.anchor,
        ReminderRule.spec,
        ReminderRule.audience,
        ReminderRule.useful_hours,
    )
    narrow = ReminderSet.__table__.alias("narrow")
    without_own = ~(
        select(narrow.c.id)
        .where(narrow.c.activity_id == held.c.activity_id)
        .exists()
        .correlate(held)
    )
    no_school = cast(null(), BigInteger)
    of_activity = (
        select(
            held.c.id.label("session_id"),
            literal("activity", String).label("scope"),
            no_school.label("school_id"),
            *rule,
        )
        .join(ReminderSet, ReminderSet.activity_id == held.c.activity_id)
        .join(ReminderRule, ReminderRule.set_id == ReminderSet.id)
    )
    comers = (
        select(ClassEnrolment.session_id, ClassEnrolment.school_id)
        .where(ClassEnrolment.session_id.in_(select(held.c.id)))
        .distinct()
        .subquery("comers")
    )
    of_school = (
        select(held.c.id, literal("school", String), comers.c.school_id, *rule)
        .join(comers, comers.c.session_id == held.c.id)
        .join(
            ReminderSet,
            and_(ReminderSet.scope == "school", ReminderSet.org_id == comers.c.school_id),
        )
        .join(ReminderRule, ReminderRule.set_id == ReminderSet.id)
        .where(without_own)
    )
    of_district = (
        select(held.c.id, literal("district", String), no_school, *rule)
        .select_from(held)
        .join(ReminderSet, ReminderSet.scope == "district")
        .join(ReminderRule, ReminderRule.set_id == ReminderSet.id)
        .where(without_own)
    )
    ours = values(
        *(sql_column(name, String) for name in ("anchor", "spec", "audience")),
        sql_column("useful_hours", BigInteger),
        name="ours",
    ).data([(r.anchor, r.spec, r.audience, r.useful_hours) for r in DEFAULT])
    of_product = (
        select(held.c.id, literal("district", String), no_school, *ours.c)
        .select_from(held)
        .join(ours, literal(True))
        .where(
            without_own,
            ~select(narrow.c.id).where(narrow.c.scope == "district").exists(),
        )
    )
    found = union_all(of_activity, of_school, of_district, of_product).subquery("found")
    at = case(
        (found.c.anchor == "start", held.c.starts_at),
        (found.c.anchor == "end", held.c.return_at),
        (found.c.anchor == "signup_close", held.c.signup_until),
        (found.c.anchor == "answer_due", held.c.due_at),
    )
    return select(
        found.c.session_id,
        found.c.scope,
        found.c.school_id,
        found.c.anchor,
        found.c.spec,
        found.c.audience,
        found.c.useful_hours,
        at.label("anchor_at"),
    ).join(held, held.c.id == found.c.session_id)


def schools_with_rules(session: Session, school_ids: Collection[int]) -> set[int]:
    """Those of these schools that have a set of their own, be it empty."""
    rows = session.scalars(
        select(ReminderSet.org_id).where(
            ReminderSet.scope == "school", ReminderSet.org_id.in_(school_ids)
        )
    )
    return {org for org in rows if org is not None}
