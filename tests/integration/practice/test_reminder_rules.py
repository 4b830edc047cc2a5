"""Rules of reminders: who may set them, what they replace, and what becomes of rows that are planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, time

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassMember, Guardianship
from coordination.domain.practice import reminding
from coordination.domain.practice import services as practice
from coordination.domain.practice.models import Enrolment
from coordination.domain.practice.reminding import Place, Rule, rule_of
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound
from coordination.reactions import reminders
from tests.build import world as worlds
from tests.build.outing import DAY, FRIDAY, HOUR, NOW, ZONE, Outing, all_at_once, meet

THREE = datetime(2026, 12, 8, 18, tzinfo=ZONE)
ONE = datetime(2026, 12, 10, 18, tzinfo=ZONE)
TWO_HOURS = Rule("start", "-120m", "everybody")
WHO = {"district": "district_admin", "school": "school_admin", "activity": "coordinator"}


@pytest.fixture
def going(stage: Outing) -> int:
    session = stage.plan(helpers=2)
    stage.enrol(session)
    stage.take(session, "guardian_b")
    stage.forget_messages()
    clock.travel_to(NOW)
    return session


def place(stage: Outing, scope: str) -> Place:
    thing = {"district": "district", "school": "school_a", "activity": "activity"}[scope]
    return Place(scope, stage.world.things[thing])  # type: ignore[arg-type]


def add(stage: Outing, scope: str, rule: Rule, role: str = "") -> None:
    stage.act(role or WHO[scope], lambda uow: reminding.add_rule(uow, place(stage, scope), rule))


def remove(stage: Outing, scope: str, key: str) -> None:
    stage.act(WHO[scope], lambda uow: reminding.remove_rule(uow, place(stage, scope), key))


def only(stage: Outing, scope: str, *rules: Rule) -> None:
    """The place has these rules and no other."""
    for rule in in_force(stage, scope).rules:
        remove(stage, scope, rule.key)
    for rule in rules:
        add(stage, scope, rule)


def in_force(stage: Outing, scope: str) -> reminding.InForce:
    with Session(stage.engine) as session:
        return reminding.in_force(session, place(stage, scope))


def planned(stage: Outing, session_id: int, state: str = "pending") -> list[tuple[str, datetime]]:
    rows = stage.sql(
        "select rule_key, due_at from reminder where subject_type = 'session'"
        " and subject_id = :s and state = :state order by due_at, rule_key",
        s=session_id,
        state=state,
    )
    return [(str(key), due.astimezone(ZONE)) for key, due in rows]  # type: ignore[attr-defined]


def keys(stage: Outing, session_id: int, state: str = "pending") -> list[str]:
    return [key for key, _ in planned(stage, session_id, state)]


def send(stage: Outing, at: datetime) -> int:
    clock.travel_to(at)
    return stage.system(lambda uow: reminders.send_due(uow))


def told(stage: Outing, session_id: int) -> dict[str, list[str]]:
    """Who was told what, of everything that reminds."""
    found = {
        key: stage.told(key, session_id)
        for key in (
            "session_reminder",
            "session_reminder_staff",
            "consent_reminder",
            "session_return",
            "session_roll",
        )
    }
    return {key: who for key, who in found.items() if who}


# -- what a rule may be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "rule", "zh", "en"),
    [
        (
            ("everybody", 3, "days", time(18)),
            Rule("start", "3d@18:00", "everybody"),
            "活动开始前 3 天 18:00",
            "3 days before the start, at 18:00",
        ),
        (
            ("families", 0, "days", time(7)),
            Rule("start", "0d@07:00", "families"),
            "活动当天 07:00",
            "On the day itself, at 07:00",
        ),
        (
            ("staff", 2, "hours", time(18)),
            Rule("start", "-120m", "staff"),
            "活动开始前 2 小时",
            "2 hours before the start",
        ),
        (
            ("answer", 1, "days", time(18)),
            Rule("answer_due", "1d@18:00", "silent"),
            "答复截止前 1 天 18:00",
            "1 day before the answer is due, at 18:00",
        ),
        (
            ("signup", 90, "minutes", None),
            Rule("signup_close", "-90m", "silent"),
            "报名截止前 90 分钟",
            "90 minutes before sign-up closes",
        ),
        (
            ("pickup", 1, "hours", None),
            Rule("end", "-60m", "pickup"),
            "返校前 1 小时",
            "1 hour before the return",
        ),
        (
            ("roll", 1, "days", time(9)),
            Rule("end", "+1d@09:00", "unmarked"),
            "返校后 1 天 09:00",
            "1 day after the return, at 09:00",
        ),
    ],
)
def test_a_rule_says_in_words_what_it_does(
    asked: tuple[str, int, str, time | None], rule: Rule, zh: str, en: str
) -> None:
    assert rule_of(*asked) == rule
    words = reminding.when_words(rule)
    assert (words.zh, words.en) == (zh, en)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (("everybody", None, "days", time(18)), "number"),
        (("everybody", -1, "days", time(18)), "number"),
        (("everybody", 61, "days", time(18)), "number"),
        (("everybody", 1441, "hours", None), "number"),
        (("everybody", 86_401, "minutes", None), "number"),
        (("everybody", 9, "minutes", None), "number"),
        (("everybody", 0, "hours", None), "number"),
        (("everybody", 1, "days", None), "at"),
        (("everybody", 1, "weeks", None), "unit"),
        (("nobody", 1, "hours", None), "kind"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_field(
    asked: tuple[str, int | None, str, time | None], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        rule_of(*asked)
    assert set(refused.value.fields) == {field}


@pytest.mark.parametrize("asked", [("everybody", 1440, "hours"), ("roll", 10, "minutes")])
def test_what_may_be_asked_for_is_taken_by_the_table(
    stage: Outing, asked: tuple[str, int, str]
) -> None:
    add(stage, "activity", rule_of(*asked, None))
    assert rule_of(*asked, None) in in_force(stage, "activity").rules


# -- who may ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "role"),
    [
        ("district", "coordinator"),
        ("district", "school_admin"),
        ("district", "data_officer"),
        ("school", "school_admin_b"),
        ("school", "teacher"),
        ("school", "district_admin"),
        ("activity", "school_admin"),
        ("activity", "teacher"),
        ("activity", "partner"),
        ("activity", "guardian"),
    ],
)
def test_who_may_not_set_rules(stage: Outing, scope: str, role: str) -> None:
    for use in (
        lambda uow: reminding.add_rule(uow, place(stage, scope), TWO_HOURS),
        lambda uow: reminding.remove_rule(uow, place(stage, scope), "start|3d@18:00"),
        lambda uow: reminding.inherit(uow, place(stage, scope)),
    ):
        with pytest.raises(Forbidden):
            stage.act(role, use)
    assert stage.sql("select count(*) from reminder_set") == [(0,)]


def test_a_place_that_is_none_is_not_found(stage: Outing) -> None:
    office = stage.world.things["district"]
    for role, nowhere in (
        ("coordinator", Place("activity", 999_999)),
        ("district_admin", Place("school", office)),
        ("school_admin", Place("district", stage.world.things["school_a"])),
    ):
        with pytest.raises(NotFound):
            stage.act(role, lambda uow, at=nowhere: reminding.add_rule(uow, at, TWO_HOURS))


# -- sets ---------------------------------------------------------------------------------------------


def test_without_any_set_the_rules_are_as_ever(stage: Outing, going: int) -> None:
    for scope in WHO:
        found = in_force(stage, scope)
        assert (found.source, found.own, found.rules) == ("product", False, reminding.DEFAULT)
    assert planned(stage, going) == [("start|3d@18:00", THREE), ("start|1d@18:00", ONE)]


def test_adding_one_makes_the_others_ones_own(stage: Outing, going: int) -> None:
    add(stage, "activity", TWO_HOURS)
    found = in_force(stage, "activity")
    assert (found.source, found.own) == ("activity", True)
    assert found.rules == (*reminding.DEFAULT, TWO_HOURS)
    assert planned(stage, going)[-1] == ("start|-120m", FRIDAY - 2 * HOUR)
    # from now on what the district does is no longer its business
    remove(stage, "district", "start|3d@18:00")
    assert len(in_force(stage, "activity").rules) == 3
    assert in_force(stage, "school").rules == reminding.DEFAULT[1:]
    assert in_force(stage, "school").source == "district"


def test_an_empty_set_reminds_nobody(stage: Outing, going: int) -> None:
    only(stage, "activity")
    assert in_force(stage, "activity").rules == ()
    assert keys(stage, going) == []
    assert send(stage, ONE) == 0


def test_back_to_the_wider_rules(stage: Outing, going: int) -> None:
    only(stage, "activity", TWO_HOURS)
    assert keys(stage, going) == ["start|-120m"]
    stage.act("coordinator", lambda uow: reminding.inherit(uow, place(stage, "activity")))
    assert not in_force(stage, "activity").own
    assert keys(stage, going) == ["start|3d@18:00", "start|1d@18:00"]
    assert stage.sql("select count(*) from reminder_rule") == [(0,)]


def test_refusals_say_why(stage: Outing) -> None:
    def refused(use: Callable[[], object]) -> str:
        with pytest.raises(Conflict) as found:
            use()
        assert found.value.message.zh and found.value.message.en
        return found.value.code

    assert refused(lambda: add(stage, "school", Rule("start", "1d@18:00", "staff"))) == "same_time"
    assert refused(lambda: remove(stage, "school", "start|2d@18:00")) == "already_gone"
    assert (
        refused(
            lambda: stage.act(
                "school_admin", lambda uow: reminding.inherit(uow, place(stage, "school"))
            )
        )
        == "nothing_own"
    )
    for hours in range(1, 5):
        add(stage, "school", Rule("start", f"-{hours * 60}m", "everybody"))
    assert refused(lambda: add(stage, "school", Rule("start", "-900m", "staff"))) == "too_many"
    assert len(in_force(stage, "school").rules) == reminding.MOST_RULES


def test_who_changed_what_is_in_the_trail(stage: Outing, going: int) -> None:
    add(stage, "activity", TWO_HOURS)
    remove(stage, "activity", "start|3d@18:00")
    lines = stage.sql(
        "select actor_id, action, table_name, coalesce(after->>'spec', before->>'spec'),"
        " after->>'written', after->>'cancelled' from audit_entry"
        " where table_name like 'reminder%'"
    )
    by = stage.world.people["coordinator"]
    assert Counter(lines) == Counter(
        [
            (by, "add", "reminder_set", None, None, None),
            (by, "add", "reminder_rule", "3d@18:00", None, None),
            (by, "add", "reminder_rule", "1d@18:00", None, None),
            (by, "add", "reminder_rule", "-120m", None, None),
            (by, "change", "reminder", None, "4", "0"),  # the world has a session without any rows
            (by, "remove", "reminder_rule", "3d@18:00", None, None),
            (by, "change", "reminder", None, "0", "2"),
        ]
    )


# -- rows follow ----------------------------------------------------------------------------------------


def test_a_session_that_is_planned_has_its_rows_at_once(stage: Outing) -> None:
    add(stage, "district", TWO_HOURS)
    session = stage.plan()
    assert keys(stage, session) == ["start|3d@18:00", "start|1d@18:00", "start|-120m"]


def test_a_moved_session_takes_all_its_rules_along(stage: Outing, going: int) -> None:
    only(stage, "activity", TWO_HOURS, rule_of("pickup", 1, "hours", None))
    stage.move(going, FRIDAY + 3 * HOUR)
    assert planned(stage, going) == [
        ("start|-120m", FRIDAY + HOUR),
        ("end|-60m", FRIDAY + 10 * HOUR),
    ]


def test_the_time_to_answer_by_moves_with_the_question(stage: Outing, going: int) -> None:
    only(stage, "activity", rule_of("answer", 2, "hours", None))
    assert planned(stage, going) == [("answer_due|-120m", FRIDAY - DAY - 2 * HOUR)]
    stage.move(going, FRIDAY + 2 * DAY)
    assert planned(stage, going) == [("answer_due|-120m", FRIDAY + DAY - 2 * HOUR)]


def test_a_session_without_a_question_is_not_reminded_of_answers(stage: Outing) -> None:
    only(stage, "activity", rule_of("answer", 2, "hours", None))
    session = stage.plan()
    assert keys(stage, session) == []
    stage.enrol(session)
    assert keys(stage, session) == ["answer_due|-120m"]


def test_a_rule_whose_time_has_passed_reminds_nobody_at_once(stage: Outing, going: int) -> None:
    clock.travel_to(FRIDAY - HOUR)
    add(stage, "activity", TWO_HOURS)
    assert "start|-120m" not in keys(stage, going)
    send(stage, FRIDAY - HOUR)
    assert "session_reminder" not in told(stage, going)


def test_what_was_sent_stays_sent_however_rules_change(stage: Outing, going: int) -> None:
    send(stage, THREE)
    first = told(stage, going)
    for _ in range(2):
        remove(stage, "activity", "start|3d@18:00")
        add(stage, "activity", reminding.DEFAULT[0])
    stage.act("coordinator", lambda uow: reminding.inherit(uow, place(stage, "activity")))
    add(stage, "school", TWO_HOURS)
    assert keys(stage, going, "done") == ["start|3d@18:00"]
    assert send(stage, THREE) == 0
    assert told(stage, going) == first


def test_a_change_of_one_activity_leaves_the_others_alone(stage: Outing, going: int) -> None:
    other = stage.act(
        "coordinator",
        lambda uow: (
            practice.plan_activity(
                uow,
                type="labour",
                title=reminding.UNITS["days"],
                purpose=reminding.UNITS["days"],
                bring=reminding.UNITS["days"],
                base_id=stage.world.things["partner_p"],
                grades=[3],
            ).id
        ),
    )
    elsewhere = stage.plan(activity=other)
    only(stage, "activity", TWO_HOURS)
    assert keys(stage, elsewhere) == ["start|3d@18:00", "start|1d@18:00"]


def test_a_cancelled_session_gets_no_rows_from_a_new_rule(stage: Outing, going: int) -> None:
    stage.cancel(going)
    add(stage, "district", TWO_HOURS)
    assert keys(stage, going) == []


def test_a_thousand_sessions_are_rewritten_by_one_statement(stage: Outing, going: int) -> None:
    stage.sql(
        "insert into practice_session (activity_id, base_id, starts_at, ends_at, return_at,"
        " meeting_point_zh, meeting_point_en, place_zh, place_en, capacity, signup_until)"
        " select activity_id, base_id, starts_at + n * interval '1 hour',"
        " ends_at + n * interval '1 hour', return_at + n * interval '1 hour', '', '', '', '', 10,"
        " signup_until from practice_session, generate_series(1, 1000) n where id = :s",
        s=going,
    )
    add(stage, "district", TWO_HOURS)
    assert stage.sql(
        "select rule_key, count(*) from reminder where state = 'pending' and subject_id >= :s"
        " group by 1 order by 1",
        s=going,
    ) == [("start|-120m", 1001), ("start|1d@18:00", 1001), ("start|3d@18:00", 1001)]


# -- whom they reach ------------------------------------------------------------------------------------


def test_everybody_can_be_families_only_or_staff_only(stage: Outing, going: int) -> None:
    only(
        stage,
        "activity",
        Rule("start", "2d@10:00", "families"),
        Rule("start", "2d@11:00", "staff"),
    )
    send(stage, datetime(2026, 12, 9, 10, tzinfo=ZONE))
    families = {"session_reminder": ["english", "friend_mother", "guardian"]}
    assert told(stage, going) == families
    send(stage, datetime(2026, 12, 9, 11, tzinfo=ZONE))
    assert told(stage, going) == {
        **families,
        "session_reminder_staff": ["guardian_b", "teacher"],
    }


@pytest.mark.parametrize("kind", ["answer", "signup"])
def test_only_the_silent_are_asked_again_and_can_answer(
    stage: Outing, going: int, kind: str
) -> None:
    only(stage, "activity", rule_of(kind, 2, "hours", None))
    stage.answer(going, "friend_mother", "friend")
    stage.answer(going, "english", "reader", "refused")
    ((_, due),) = planned(stage, going)
    assert send(stage, due) == 1
    # one of the siblings has no answer yet either
    assert told(stage, going) == {"consent_reminder": ["guardian"]}
    (message,) = stage.messages("consent_reminder", going)
    assert "王*雨" in message.body and "作答" in message.body
    assert message.message_class == "sign"
    stage.answer(going, "guardian", "child")
    assert stage.states(going)["child"] == "cleared"


def test_families_pick_up_and_who_was_absent_does_not(stage: Outing, going: int) -> None:
    only(stage, "activity", rule_of("pickup", 1, "hours", None))
    clock.travel_to(FRIDAY)
    mark(stage, going, friend="absent", reader="present")
    assert send(stage, FRIDAY + 7 * HOUR) == 1
    assert told(stage, going) == {"session_return": ["english", "guardian"]}
    assert all("16:30" in m.body for m in stage.messages("session_return", going))


def test_the_roll_is_asked_for_where_it_is_open(stage: Outing, going: int) -> None:
    stage.enrol(going, "class_c", role="teacher_c")
    only(stage, "activity", rule_of("roll", 30, "minutes", None))
    clock.travel_to(FRIDAY)
    mark(stage, going, kid_0="present", kid_1="absent", kid_2="late", friend="present")
    assert send(stage, FRIDAY + 8 * HOUR + HOUR / 2) == 1
    assert told(stage, going) == {"session_roll": ["teacher"]}
    (message,) = stage.messages("session_roll", going)
    assert "3名学生" in message.body


def mark(stage: Outing, session_id: int, **marks: str) -> None:
    with Session(stage.engine) as session:
        rows = {
            child: row
            for child, row in session.execute(
                select(Enrolment.child_id, Enrolment.id).where(Enrolment.session_id == session_id)
            )
        }
    stage.act(
        "district_admin",
        lambda uow: practice.take_attendance(
            uow,
            session_id=session_id,
            marks={rows[stage.world.people[child]]: how for child, how in marks.items()},
        ),
    )


def foreign_class(stage: Outing, session_id: int) -> None:
    """Another school's class comes along, and the mother of a child of ours has a child in it."""
    with Session(stage.engine) as session:
        session.add(
            Guardianship(
                child_id=stage.world.people["child_b"],
                guardian_id=stage.world.people["english"],
                relation="parent",
                starts_on=worlds.LONG_AGO,
                contact_order=5,
                legal=True,
                may_consent=True,
                may_pick_up=True,
                receives_notice=True,
                no_disclosure=False,
            )
        )
        assert session.scalar(
            select(ClassMember.person_id).where(
                ClassMember.class_id == stage.world.things["class_b"]
            )
        )
        session.commit()
    stage.enrol(session_id, "class_b", role="teacher_b")
    stage.forget_messages()
    clock.travel_to(NOW)


def test_a_school_has_its_own_and_the_others_and_the_helpers_the_districts(
    stage: Outing, going: int
) -> None:
    foreign_class(stage, going)
    only(stage, "school", Rule("start", "2d@10:00", "everybody"))
    assert keys(stage, going) == ["start|3d@18:00", "start|2d@10:00", "start|1d@18:00"]
    send(stage, THREE)
    assert told(stage, going) == {
        "session_reminder": ["english", "guardian_b"],
        "session_reminder_staff": ["teacher_b"],  # the helper is a parent of a child who goes
    }
    (text,) = [m for m in stage.messages("session_reminder") if m.language == "en"]
    assert "赵*诺" not in text.body and "张*" in text.body
    send(stage, datetime(2026, 12, 9, 10, tzinfo=ZONE))
    assert told(stage, going) == {
        "session_reminder": sorted(
            ["english", "guardian_b", "english", "friend_mother", "guardian"]
        ),
        "session_reminder_staff": ["teacher", "teacher_b"],
    }


def test_an_activitys_rules_hold_for_every_school(stage: Outing, going: int) -> None:
    foreign_class(stage, going)
    only(stage, "school", Rule("start", "2d@10:00", "everybody"))
    only(stage, "activity", TWO_HOURS)
    assert keys(stage, going) == ["start|-120m"]
    send(stage, FRIDAY - 2 * HOUR)
    assert told(stage, going)["session_reminder"] == [
        "english",
        "friend_mother",
        "guardian",
        "guardian_b",
    ]


def test_the_same_minute_is_one_text_with_all_children(stage: Outing, going: int) -> None:
    """The school's day before by hours, the district's by the clock: both at 18:00 that day."""
    foreign_class(stage, going)
    evening = FRIDAY.replace(hour=18, minute=0)
    stage.move(going, evening)
    stage.forget_messages()
    clock.travel_to(NOW)
    only(stage, "school", Rule("start", "-1440m", "families"))
    assert planned(stage, going)[1:] == [
        ("start|-1440m", evening - DAY),
        ("start|1d@18:00", evening - DAY),
    ]
    assert send(stage, evening - DAY) == 2
    assert stage.told("session_reminder", going).count("english") == 1
    (text,) = [m for m in stage.messages("session_reminder") if m.language == "en"]
    assert "赵*诺" in text.body and "张*" in text.body


def test_the_same_minute_in_two_batches_is_still_one(stage: Outing, going: int) -> None:
    evening = FRIDAY.replace(hour=18, minute=0)
    stage.move(going, evening)
    stage.forget_messages()
    clock.travel_to(NOW)
    only(
        stage,
        "activity",
        Rule("start", "1d@18:00", "everybody"),
        Rule("start", "-1440m", "families"),
    )
    clock.travel_to(evening - DAY)
    for _ in range(3):
        stage.system(lambda uow: reminders.send_due(uow, limit=1))
    assert told(stage, going) == {
        "session_reminder": ["english", "friend_mother", "guardian"],
        "session_reminder_staff": ["guardian_b", "teacher"],
    }


def test_who_is_asked_to_answer_is_not_reminded_in_the_same_minute(
    stage: Outing, going: int
) -> None:
    # the answer is due a day before the start: 2 hours before that is 26 hours before the start
    only(
        stage,
        "activity",
        Rule("answer_due", "-120m", "silent"),
        Rule("start", f"-{26 * 60}m", "everybody"),
    )
    stage.answer(going, "friend_mother", "friend")
    assert send(stage, FRIDAY - 26 * HOUR) == 2
    assert told(stage, going) == {
        "consent_reminder": ["english", "guardian"],
        "session_reminder": ["friend_mother"],
        "session_reminder_staff": ["guardian_b", "teacher"],
    }


def test_a_rule_that_changes_hands_reminds_once(stage: Outing, going: int) -> None:
    """From the district's to the school's and the activity's: the row is the same one."""
    rows = "select id, rule_key from reminder where subject_id = :s and rule_key like '%@%' order by id"
    before = stage.sql(rows, s=going)
    add(stage, "school", TWO_HOURS)
    add(stage, "activity", TWO_HOURS)
    assert stage.sql(rows, s=going) == before
    send(stage, THREE)
    assert len(stage.told("session_reminder", going)) == 3


# -- races ------------------------------------------------------------------------------------------------


@pytest.fixture
def planning_meets_changing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read what they go by before either writes, if nothing keeps them apart."""
    rewrite = reminders.reminders.rewrite

    def slowly(*args: object, **more: object) -> object:
        done = rewrite(*args, **more)  # type: ignore[arg-type]
        meet()
        return done

    monkeypatch.setattr(reminders.reminders, "rewrite", slowly)


def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminding, "lock_rules", lambda session, *, alone: None)


def plan_while_a_rule_changes(stage: Outing) -> list[str]:
    made: list[int] = []
    results = all_at_once(
        lambda: made.append(stage.plan()), lambda: add(stage, "district", TWO_HOURS)
    )
    assert results == ["ok", "ok"]
    return keys(stage, made[0])


WANTED = ["start|3d@18:00", "start|1d@18:00", "start|-120m"]


@pytest.mark.usefixtures("planning_meets_changing")
def test_a_session_planned_while_a_rule_changes_has_exactly_the_rows_wanted(
    stage: Outing,
) -> None:
    assert plan_while_a_rule_changes(stage) == WANTED


@pytest.mark.usefixtures("planning_meets_changing")
def test_without_the_lock_it_would_miss_the_new_rule(
    stage: Outing, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_lock(monkeypatch)
    assert plan_while_a_rule_changes(stage) != WANTED


def cancel_while_a_rule_changes(stage: Outing, going: int) -> list[str]:
    assert all_at_once(lambda: stage.cancel(going), lambda: add(stage, "district", TWO_HOURS)) == [
        "ok",
        "ok",
    ]
    return keys(stage, going)


@pytest.fixture
def dropping_meets_changing(monkeypatch: pytest.MonkeyPatch, planning_meets_changing: None) -> None:
    drop = reminders.reminders.drop

    def slowly(*args: object, **more: object) -> object:
        done = drop(*args, **more)  # type: ignore[arg-type]
        meet()
        return done

    monkeypatch.setattr(reminders.reminders, "drop", slowly)


@pytest.mark.usefixtures("dropping_meets_changing")
def test_a_session_cancelled_while_a_rule_changes_has_no_rows(stage: Outing, going: int) -> None:
    assert cancel_while_a_rule_changes(stage, going) == []


@pytest.mark.usefixtures("dropping_meets_changing")
def test_without_the_lock_a_cancelled_session_would_keep_a_row(
    stage: Outing, going: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_lock(monkeypatch)
    assert cancel_while_a_rule_changes(stage, going) != []


def test_a_rule_removed_while_its_reminder_goes_out_leaves_it_sent(
    stage: Outing, going: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is taken and its transaction still open: the change waits, and finds it fired."""
    calls = reminders.calls

    def slowly(*args: object) -> object:
        meet()
        return calls(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(reminders, "calls", slowly)
    clock.travel_to(THREE)
    assert all_at_once(
        lambda: stage.system(lambda uow: reminders.send_due(uow)),
        lambda: remove(stage, "activity", "start|3d@18:00"),
    ) == ["ok", "ok"]
    # whoever came first: it was sent, or it was not; never sent and cancelled
    sent = bool(stage.told("session_reminder", going))
    assert keys(stage, going, "done" if sent else "cancelled") == ["start|3d@18:00"]
    assert keys(stage, going) == ["start|1d@18:00"]


def test_two_who_add_at_once_both_have_added(stage: Outing) -> None:
    other = Rule("start", "-180m", "staff")
    assert all_at_once(
        lambda: add(stage, "activity", TWO_HOURS), lambda: add(stage, "activity", other)
    ) == ["ok", "ok"]
    assert set(in_force(stage, "activity").rules) == {*reminding.DEFAULT, TWO_HOURS, other}


def test_two_who_add_the_same_add_one(stage: Outing) -> None:
    results = all_at_once(*[lambda: add(stage, "activity", TWO_HOURS)] * 2)
    assert sorted(results) == ["ok", "same_time"]
