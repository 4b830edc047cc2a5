"""The day itself: counted at each stage by name, nobody lost, nobody twice, and the roll written by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordination.domain.practice.headcount import notes
from coordination.domain.practice.headcount.closing import Gone, SomebodyMissing
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooLate
from tests.build.counted import CLASS_A, Counted
from tests.build.outing import DAY, FRIDAY, HOUR, Outing

MINUTE = timedelta(minutes=1)


@pytest.fixture
def day(stage: Outing) -> Counted:
    """Classes 3(2) and 3(1) at the gate; only 李想's family has agreed."""
    session = stage.plan(capacity=20)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.answer(session, "friend_mother", "friend")
    clock.travel_to(FRIDAY)
    return Counted(stage, session)


# -- marks ----------------------------------------------------------------------------------------


def test_a_child_counts_once_whoever_marks_it_how_often(day: Counted) -> None:
    day.mark("leave", "child", "friend")
    day.mark("leave", "child", role="school_admin")
    taps = day.taps("leave", "reader")
    assert set(day.keep(taps).values()) == {"kept"}
    assert set(day.keep(taps).values()) == {"repeat"}
    assert set(day.keep([*taps, *taps]).values()) == {"repeat"}
    assert day.here("leave") == {"child", "friend", "reader"}
    assert day.board().line("leave").here == 3


def test_the_later_tap_holds_whichever_comes_first(day: Counted) -> None:
    now = clock.now()
    first = day.taps("leave", "child", mark="here", at=now - 20 * MINUTE)
    later = day.taps("leave", "child", mark="away", at=now - 10 * MINUTE)
    day.keep(later, sent_at=now)
    day.keep(first, sent_at=now)  # an hour late, as it had no signal
    assert day.here("leave") == set()
    # and by the age of the tap, not by the clock of a phone that is a day ahead
    wrong = now + DAY
    day.keep(day.taps("leave", "child", mark="here", at=wrong - 15 * MINUTE), sent_at=wrong)
    assert day.here("leave") == set()
    day.keep(day.taps("leave", "child", mark="here", at=wrong - 5 * MINUTE), sent_at=wrong)
    assert day.here("leave") == {"child"}


def test_what_does_not_belong_here_is_refused_without_keeping_the_rest_out(day: Counted) -> None:
    good, stranger = day.taps("leave", "child", "kid_0")
    unknown = day.taps("supper", "friend")[0]
    odd = day.taps("leave", "friend", mark="perhaps")[0]
    assert list(day.keep([good, stranger, unknown, odd]).values()) == [
        "kept",
        "refused",
        "refused",
        "refused",
    ]
    assert day.here("leave") == {"child"}


@pytest.mark.parametrize("role", ["teacher", "school_admin"])
def test_those_of_the_class_may_count_it(day: Counted, role: str) -> None:
    day.mark("leave", "child", role=role)
    assert day.here("leave") == {"child"}


@pytest.mark.parametrize(
    "role",
    [
        "teacher_c",
        "teacher_b",
        "school_admin_b",
        "coordinator",
        "district_admin",
        "partner",
        "guardian",
        "volunteer",
    ],
)
def test_others_may_not(day: Counted, role: str) -> None:
    for attempt in (
        lambda: day.mark("leave", "child", role=role),
        lambda: day.close("leave", role),
        lambda: day.left("child", "absent", role=role),
    ):
        with pytest.raises((Forbidden, NotFound)):
            attempt()
    assert day.stage.sql("select 1 from stage_mark") == []


def test_a_class_that_is_not_in_the_session_is_not_found(day: Counted) -> None:
    with pytest.raises(NotFound):
        day.keep(day.taps("leave", "child"), "teacher_five", "class_five")


def test_the_day_opens_on_its_date_and_says_so(day: Counted) -> None:
    clock.travel_to(FRIDAY - 9 * HOUR)  # half past eleven the night before
    for attempt in (
        lambda: day.mark("leave", "child"),
        lambda: day.close("leave"),
        lambda: day.left("child", "absent"),
    ):
        with pytest.raises(Conflict) as refused:
            attempt()
        assert refused.value.code == "too_early"
        assert "12月11日" in refused.value.message.zh
    clock.travel_to(FRIDAY - 8 * HOUR)
    day.mark("leave", "child")
    clock.travel_to(FRIDAY + 8 * HOUR + DAY + MINUTE)
    with pytest.raises(TooLate):
        day.mark("leave", "child")


def test_a_cancelled_session_is_not_counted(stage: Outing) -> None:
    session = stage.plan()
    stage.enrol(session)
    stage.cancel(session)
    clock.travel_to(FRIDAY)
    day = Counted(stage, session)
    with pytest.raises(Conflict) as refused:
        day.mark("leave", "child")
    assert refused.value.code == "over"
    with pytest.raises(Conflict):
        day.close("leave")
    assert stage.messages("safe_return") == []


# -- closing --------------------------------------------------------------------------------------


def test_nobody_leaves_while_a_child_is_missing(day: Counted) -> None:
    day.mark("leave", "child", "friend", "reader")
    with pytest.raises(SomebodyMissing) as refused:
        day.close("leave")
    assert refused.value.message.zh.startswith("还差 1 人：王小宇。")
    assert refused.value.enrolment_ids == {day.enrolment("brother")}
    assert day.state() == "open"
    assert day.roll() == {}
    day.mark("leave", "brother")
    assert day.close("leave") == (4, 4)
    assert day.state() == "departed"


def test_a_reason_for_each_who_is_missing_closes_it_and_writes_the_roll(day: Counted) -> None:
    day.mark("leave", "child", "friend")
    assert day.close("leave", brother=Gone("absent"), reader=Gone("excused", "发烧")) == (4, 2)
    assert day.roll() == {
        "child": "present",
        "friend": "present",
        "brother": "absent",
        "reader": "absent",
    }
    states = day.stage.states(day.session_id)
    assert (states["child"], states["brother"], states["reader"]) == (
        "attended",
        "absent",
        "excused",
    )
    # who did not come is not waited for any more
    assert day.board().line("arrive").expected == 2


def test_a_reason_of_another_stage_names_the_child(day: Counted) -> None:
    day.mark("leave", "child", "friend", "reader")
    with pytest.raises(Invalid) as refused:
        day.close("leave", brother=Gone("guardian", "母亲"))
    ((key, said),) = refused.value.fields.items()
    assert key == f"gone-{day.enrolment('brother')}"
    assert said.zh.startswith("王小宇：")
    assert day.stage.sql("select 1 from group_leaver") == []


def test_who_is_here_cannot_be_given_a_reason_for_being_away(day: Counted) -> None:
    day.mark("leave", *CLASS_A)
    with pytest.raises(Conflict) as refused:
        day.close("leave", child=Gone("absent"))
    assert refused.value.code == "is_here"
    assert day.state() == "open"


def test_without_consent_a_child_leaves_only_if_somebody_answers_for_it(day: Counted) -> None:
    day.mark("leave", *CLASS_A)
    with pytest.raises(Conflict) as refused:
        day.close("leave", checked=False)
    assert refused.value.code == "no_consent"
    assert "李想" not in refused.value.message.zh  # his family agreed
    assert "王小雨" in refused.value.message.zh
    day.close("leave", checked=True)
    ((after,),) = day.stage.sql("select after from audit_entry where action = 'override'")
    assert isinstance(after, dict)
    assert len(after["enrolments"]) == 3


def test_an_answer_on_the_way_takes_no_child_off_the_list(stage: Outing) -> None:
    """The class leaves a little early; the withdrawal that comes then would free the child's place."""
    clock.travel_to(FRIDAY - 40 * MINUTE)  # asked so late, families may answer until the start
    session = stage.plan(signup_until=FRIDAY - 30 * MINUTE)
    stage.enrol(session)
    stage.answer(session, "friend_mother", "friend")
    day = Counted(stage, session)
    clock.travel_to(FRIDAY - 10 * MINUTE)
    day.mark("leave", *CLASS_A[:3])
    day.close("leave", reader=Gone("no_consent"))
    with pytest.raises(TooLate):
        day.stage.answer(day.session_id, "friend_mother", "friend", "withdrawn")
    assert day.board().line("arrive").expected == 3
    assert day.stage.states(day.session_id)["friend"] == "attended"
    # who stayed may still be answered for
    day.stage.answer(day.session_id, "english", "reader", "refused")


def test_stages_are_finished_in_their_order_and_once(day: Counted) -> None:
    day.mark("arrive", *CLASS_A)
    with pytest.raises(Conflict) as refused:
        day.close("arrive")
    assert refused.value.code == "out_of_turn"
    assert "出校" in refused.value.message.zh
    day.whole_stage("leave")
    with pytest.raises(Conflict) as refused:
        day.close("leave")
    assert refused.value.code == "already_counted"
    day.close("arrive")  # its marks were there before
    assert day.state() == "on_site"
    with pytest.raises(Invalid):
        day.close("supper")


def test_the_session_follows_the_first_to_leave_and_the_last_to_be_back(day: Counted) -> None:
    kids = ("kid_0", "kid_1", "kid_2")

    def kids_at(name: str) -> None:
        day.mark(name, *kids, role="teacher_c")
        day.close(name, "teacher_c", "class_c")

    day.whole_stage("leave")
    assert day.state() == "departed"
    kids_at("leave")
    for name in ("arrive", "lunch", "board"):
        day.whole_stage(name)
        kids_at(name)
    assert day.state() == "on_site"
    day.whole_stage("back")
    assert day.state() == "on_site"
    kids_at("back")
    assert day.state() == "returned"


def test_a_class_that_stays_at_school_holds_up_nobody(day: Counted) -> None:
    gone = {f"kid_{n}": Gone("excused") for n in range(3)}
    assert day.close("leave", "teacher_c", "class_c", **gone) == (3, 0)
    assert day.state() == "open"
    for name in ("leave", "arrive", "lunch", "board", "back"):
        day.whole_stage(name)
    assert day.state() == "returned"
    assert day.board("class_c").current is None


# -- leaving on the way ---------------------------------------------------------------------------


def test_a_child_that_is_picked_up_is_not_waited_for(day: Counted) -> None:
    for name in ("leave", "arrive", "lunch"):
        day.whole_stage(name)
    day.left("child", "guardian", "外婆")
    with pytest.raises(Conflict):
        day.left("child", "ill")
    day.mark("board", "brother", "friend", "reader")
    assert day.close("board") == (4, 3)
    assert day.board().line("back").expected == 3
    assert day.roll()["child"] == "left_early"


def test_who_is_marked_here_has_not_left(day: Counted) -> None:
    day.whole_stage("leave")
    day.mark("arrive", "child")
    with pytest.raises(Conflict) as refused:
        day.left("child", "ill")
    assert refused.value.code == "is_here"


def test_a_child_that_comes_late_joins_its_class(day: Counted) -> None:
    day.mark("leave", "child", "friend", "reader")
    day.close("leave", brother=Gone("absent"))
    day.came_back("brother")
    assert day.roll()["brother"] == "late"
    assert day.stage.states(day.session_id)["brother"] == "attended"
    assert day.board().line("arrive").expected == 4
    assert day.board().doubtful == []
    # what was counted at school stays as it was
    assert (day.board().line("leave").expected, day.board().line("leave").here) == (4, 3)
    with pytest.raises(NotFound):
        day.came_back("brother")
    assert day.stage.sql(
        "select 1 from audit_entry where table_name = 'group_leaver' and action = 'remove'"
    )


def test_a_mark_that_contradicts_a_finished_count_is_shown(day: Counted) -> None:
    day.whole_stage("leave")
    assert day.board().doubtful == []
    clock.travel_to(FRIDAY + MINUTE)
    assert set(day.keep(day.taps("leave", "child", mark="away")).values()) == {"late"}
    assert [c.name for c in day.board().doubtful] == ["王小雨"]
    day.mark("leave", "child")
    assert day.board().doubtful == []
    # a child seen after somebody had noted that it left
    day.left("friend", "ill", "校医")
    clock.travel_to(FRIDAY + 2 * MINUTE)
    day.mark("arrive", "friend")
    assert [c.name for c in day.board().doubtful] == ["李想"]
    day.mark("arrive", "child", "brother", "reader")
    with pytest.raises(Conflict) as refused:
        day.close("arrive")
    assert refused.value.code == "seen_again"
    assert "李想" in refused.value.message.zh
    day.came_back("friend")
    assert day.close("arrive") == (4, 4)


def test_who_fetched_a_child_is_sealed_and_erased_in_time(day: Counted) -> None:
    for name in ("leave", "arrive"):
        day.whole_stage(name)
    day.left("child", "guardian", "外婆赵兰花")
    assert [c.left.note for c in day.board().children if c.left] == ["外婆赵兰花"]
    dump = day.stage.sql("select g::text from group_leaver g") + day.stage.sql(
        "select coalesce(a.before::text, '') || coalesce(a.after::text, '') from audit_entry a"
        " where table_name = 'group_leaver'"
    )
    assert len(dump) == 2
    assert "外婆" not in str(dump)
    clock.travel_to(FRIDAY + 8 * HOUR + notes.KEPT - MINUTE)
    day.stage.system(notes.erase_due)
    assert [c.left.note for c in day.board().children if c.left] == ["外婆赵兰花"]
    clock.travel_to(FRIDAY + 8 * HOUR + notes.KEPT)
    day.stage.system(notes.erase_due)
    day.stage.system(notes.erase_due)
    board = day.board()
    assert [(c.left.reason, c.left.note) for c in board.children if c.left] == [("guardian", "")]
    assert day.stage.sql("select 1 from stage_mark") == []
    assert board.line("arrive").here == 4  # the numbers stay
    assert board.doubtful == []
    erased = "select count(*) from audit_entry where action = 'erase'"
    assert day.stage.sql(erased) == [(2,)]


# -- safe return ----------------------------------------------------------------------------------


@pytest.fixture
def at_school(day: Counted) -> Counted:
    """Home again but for the last count; 赵一诺 was fetched on the way."""
    for name in ("leave", "arrive", "lunch"):
        day.whole_stage(name)
    day.left("reader", "guardian", "母亲")
    day.whole_stage("board", "child", "brother", "friend")
    clock.travel_to(FRIDAY + 8 * HOUR + 12 * MINUTE)
    day.mark("back", "child", "brother", "friend")
    return day


def test_each_family_is_told_once_that_the_class_is_back(at_school: Counted) -> None:
    at_school.close("back")
    # one text per phone: 李想's parents share theirs; custody and the early pick-up keep others out
    assert at_school.stage.told("safe_return") == ["friend_mother", "guardian"]
    message = at_school.stage.messages("safe_return")[0]
    assert message.body == "【school_a】三（2）班已于16:42回到学校。"
    assert message.message_class == "info"
    assert message.priority == 1
    assert message.valid_until == clock.now() + HOUR
    with pytest.raises(Conflict):
        at_school.close("back")
    assert len(at_school.stage.messages("safe_return")) == 2


def test_families_read_it_in_their_language(day: Counted) -> None:
    for name in ("leave", "arrive", "lunch", "board", "back"):
        day.whole_stage(name)
    bodies = {m.language: m.body for m in day.stage.messages("safe_return")}
    assert bodies["en"] == "[school_a] Class 3(2) got back to school at 08:30."
    assert "王小雨" not in "".join(bodies.values())


def test_nobody_is_told_of_a_class_of_which_nobody_came(day: Counted) -> None:
    day.close("leave", "teacher_c", "class_c", **{f"kid_{n}": Gone("absent") for n in range(3)})
    for name in ("arrive", "lunch", "board", "back"):
        day.close(name, "teacher_c", "class_c")
    assert day.stage.messages("safe_return") == []
    assert day.state() == "open"


# -- helpers --------------------------------------------------------------------------------------


def test_a_helper_counts_the_class_of_the_own_child_and_does_nothing_else(stage: Outing) -> None:
    session = stage.plan(helpers=2, capacity=20)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.take(session, "friend_mother")
    stage.take(session, "volunteer")  # no child of theirs goes: numbers only
    clock.travel_to(FRIDAY)
    day = Counted(stage, session)
    day.help(day.taps("leave", "child", "friend"), "friend_mother")
    assert day.here("leave") == {"child", "friend"}
    for role, class_key, child in (
        ("friend_mother", "class_c", "kid_0"),
        ("volunteer", "class_a", "child"),
        ("friend_father", "class_a", "child"),  # no shift
        ("guardian", "class_a", "child"),
    ):
        with pytest.raises(NotFound):
            day.help(day.taps("leave", child), role, class_key)
    for attempt in (
        lambda: day.close("leave", "friend_mother"),
        lambda: day.left("child", "absent", role="friend_mother"),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_a_helper_whom_custody_limits_since_counts_nobody(stage: Outing) -> None:
    session = stage.plan(helpers=2)
    stage.enrol(session)
    stage.take(session, "friend_father")
    stage.sql(
        "update guardianship set no_disclosure = true where guardian_id = :g",
        g=stage.world.people["friend_father"],
    )
    clock.travel_to(FRIDAY)
    day = Counted(stage, session)
    with pytest.raises(NotFound):
        day.help(day.taps("leave", "child"), "friend_father")
