"""Two phones at one moment, in real transactions; and the same again with the lock taken out."""

from __future__ import annotations

from functools import partial

import pytest

from coordination.domain.practice import services
from coordination.domain.practice.headcount import closing, counting, leaving
from coordination.domain.practice.models import ClassEnrolment, PracticeSession
from coordination.ground import clock
from coordination.ground.uow import UnitOfWork
from tests.build.counted import CLASS_A, Counted
from tests.build.outing import FRIDAY, Outing, all_at_once, meet


@pytest.fixture
def day(stage: Outing) -> Counted:
    """Class 3(2) at the gate."""
    session = stage.plan()
    stage.enrol(session)
    clock.travel_to(FRIDAY)
    return Counted(stage, session)


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody queues up, neither at the class nor at the session: all look before one writes."""

    def unlocked(uow: UnitOfWork, row: ClassEnrolment) -> None:
        meet()

    def unlocked_session(uow: UnitOfWork, *, session_id: int) -> PracticeSession:
        return uow.session.get_one(PracticeSession, session_id)

    for module in (counting, closing, leaving):
        monkeypatch.setattr(module, "lock", unlocked)
    monkeypatch.setattr(services, "lock_session", unlocked_session)


def send_twice(day: Counted) -> list[str]:
    """The same batch twice at once: the phone heard nothing of the first."""
    taps = day.taps("leave", *CLASS_A)
    outcomes: list[str] = []

    def send() -> None:
        outcomes.extend(day.keep(taps).values())

    all_at_once(send, send)
    return outcomes


def test_a_batch_sent_twice_at_once_is_kept_once(day: Counted) -> None:
    assert sorted(send_twice(day)) == ["kept"] * 4 + ["repeat"] * 4
    assert day.board().line("leave").here == 4


@pytest.mark.usefixtures("no_lock")
def test_without_the_lock_the_second_of_two_batches_is_lost(day: Counted) -> None:
    """The index still keeps a mark from being there twice, but a phone is told nothing of its marks."""
    assert sorted(send_twice(day)) == ["kept"] * 4
    assert day.stage.sql("select count(*) from stage_mark") == [(4,)]


def undo_while_closing(day: Counted) -> tuple[str, str]:
    """A child is found not to be there in the moment in which the teacher finishes the count."""
    day.mark("leave", *CLASS_A)
    closed, undone = all_at_once(
        partial(day.close, "leave"), partial(day.mark, "leave", "child", mark="away")
    )
    return closed, undone


def noticed(day: Counted) -> bool:
    """Whether the class did not leave, or the mark is known to have come after."""
    outcomes = day.stage.sql(
        "select c.id is null or m.received_at >= c.closed_at from stage_mark m"
        " left join stage_count c on c.stage = m.stage where m.mark = 'away'"
    )
    return day.state() == "open" or (outcomes == [(True,)] and bool(day.board().doubtful))


def test_no_stage_closes_between_a_look_and_a_tap(day: Counted) -> None:
    closed, undone = undo_while_closing(day)
    assert undone == "ok"
    if closed == "ok":
        assert [c.name for c in day.board().doubtful] == ["王小雨"]
    else:
        assert closed == "missing"
        assert day.state() == "open"
    assert noticed(day)


def finish_twice(day: Counted) -> list[str]:
    day.mark("leave", *CLASS_A)
    return sorted(all_at_once(partial(day.close, "leave"), partial(day.close, "leave")))


def test_two_who_finish_at_once_finish_once(day: Counted) -> None:
    assert finish_twice(day) == ["already_counted", "ok"]
    assert day.stage.sql("select count(*) from stage_count") == [(1,)]
    assert day.state() == "departed"


def leave_while_marked(day: Counted) -> list[str]:
    """One adult notes that a child has left, another marks it as here."""
    return sorted(
        all_at_once(partial(day.left, "child", "absent"), partial(day.mark, "leave", "child"))
    )


def test_a_child_is_not_both_here_and_gone_without_anybody_knowing(day: Counted) -> None:
    outcome = leave_while_marked(day)
    if outcome == ["is_here", "ok"]:
        assert day.here("leave") == {"child"}
    else:
        # the mark came after the note: kept, for it may be true
        assert outcome == ["ok", "ok"]
        assert day.stage.sql("select count(*) from group_leaver") == [(1,)]


def last_two_classes(day: Counted) -> str:
    """Both classes are back in the same moment."""
    stage = day.stage
    everybody = {
        "class_a": ("teacher", CLASS_A),
        "class_c": ("teacher_c", ("kid_0", "kid_1", "kid_2")),
    }
    for name in ("leave", "arrive", "lunch", "board", "back"):
        for class_key, (role, children) in everybody.items():
            day.mark(name, *children, role=role)
            if name != "back":
                day.close(name, role, class_key)
    all_at_once(
        *(partial(day.close, "back", role, class_key) for class_key, (role, _) in everybody.items())
    )
    return stage.session(day.session_id).state


def two_classes(stage: Outing) -> Counted:
    session = stage.plan(capacity=20)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    clock.travel_to(FRIDAY)
    return Counted(stage, session)


def test_the_session_is_back_when_two_classes_come_at_once(stage: Outing) -> None:
    assert last_two_classes(two_classes(stage)) == "returned"


@pytest.mark.usefixtures("no_lock")
def test_without_the_lock_each_of_two_classes_waits_for_the_other(stage: Outing) -> None:
    day = two_classes(stage)
    assert last_two_classes(day) == "on_site"
