"""Asking once more the families whose answer is missing: whom, how often, and by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from coordination.domain.practice import nudging
from coordination.domain.practice.models import ClassEnrolment
from coordination.ground import clock
from coordination.ground.errors import Conflict, NotFound, TooLate, TooMany
from coordination.ground.uow import UnitOfWork
from tests.build.outing import DAY, FRIDAY, HOUR, Outing, all_at_once, meet


@pytest.fixture
def going(stage: Outing) -> int:
    """Classes 3(2) and 3(1) were signed up yesterday; nobody has answered."""
    session = stage.plan(capacity=20)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.forget_messages()
    clock.travel_to(clock.now() + 12 * HOUR)
    return session


def ask(stage: Outing, going: int, role: str = "teacher") -> int:
    return stage.act(role, lambda uow: nudging.nudge_families(uow, session_id=going))


def test_a_class_teacher_asks_the_silent_families_of_the_class_and_no_other(
    stage: Outing, going: int
) -> None:
    stage.answer(going, "friend_mother", "friend")
    assert ask(stage, going) == 3  # two siblings and one more child
    assert stage.told("consent_reminder", going) == ["english", "guardian"]


def test_the_text_asks_and_opens_the_answer(stage: Outing, going: int) -> None:
    ask(stage, going)
    text = next(
        m.body or ""
        for m in stage.messages("consent_reminder", going)
        if m.recipient_id == stage.world.people["guardian"]
    )
    assert "还没有收到您的答复" in text
    assert "王*雨、王*宇" in text


def test_who_plans_asks_everybody_who_is_silent(stage: Outing, going: int) -> None:
    stage.answer(going, "kid_0_mother", "kid_0", "refused", signed="周一")
    ask(stage, going, "coordinator")
    assert stage.told("consent_reminder", going) == [
        *("english", "friend_mother", "guardian"),
        *("kid_1_mother", "kid_2_mother"),
    ]


def test_a_class_is_not_asked_again_within_twelve_hours(stage: Outing, going: int) -> None:
    ask(stage, going)
    clock.travel_to(clock.now() + 11 * HOUR)
    with pytest.raises(TooMany, match="12 hours"):
        ask(stage, going)
    # the other class has not been asked; who plans reaches it, and only it
    assert ask(stage, going, "coordinator") == 3
    clock.travel_to(clock.now() + HOUR + timedelta(minutes=1))
    assert ask(stage, going) == 4


def test_who_was_asked_a_moment_ago_is_not_asked_again(stage: Outing, going: int) -> None:
    other = stage.plan(FRIDAY + DAY, capacity=20)
    stage.enrol(other)
    with pytest.raises(TooMany):
        ask(stage, other)
    stage.move(going, FRIDAY + 2 * DAY)  # asks everybody again by itself
    with pytest.raises(TooMany):
        ask(stage, going)


def test_nobody_is_asked_who_has_answered_or_when_it_is_over(stage: Outing, going: int) -> None:
    for role, child in (
        *(("guardian", "child"), ("guardian", "brother")),
        *(("friend_mother", "friend"), ("english", "reader")),
    ):
        stage.answer(going, role, child)
    with pytest.raises(Conflict, match="Every family has answered"):
        ask(stage, going)
    clock.travel_to(FRIDAY)
    with pytest.raises(TooLate, match="Phone the families"):
        ask(stage, going, "teacher_c")
    assert stage.told("consent_reminder") == []


@pytest.mark.parametrize("role", ["teacher_five", "partner", "guardian", "school_admin_b"])
def test_others_find_nothing_to_ask(stage: Outing, going: int, role: str) -> None:
    with pytest.raises(NotFound):
        ask(stage, going, role)


def test_two_who_press_at_once_ask_once(stage: Outing, going: int) -> None:
    found = Counter(all_at_once(partial(ask, stage, going), partial(ask, stage, going)))
    assert found == {"ok": 1, "too_many": 1}


def test_without_the_lock_both_ask(
    stage: Outing, going: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlocked(uow: UnitOfWork, session_id: int) -> Sequence[ClassEnrolment]:
        rows = uow.session.scalars(
            select(ClassEnrolment).where(ClassEnrolment.session_id == session_id)
        ).all()
        meet()
        return rows

    monkeypatch.setattr(nudging, "_locked", unlocked)
    found = Counter(all_at_once(partial(ask, stage, going), partial(ask, stage, going)))
    assert found == {"ok": 2}


def test_the_button_says_how_many_and_goes_when_pressed(
    stage: Outing, going: int, visit: Callable[[str], FlaskClient]
) -> None:
    browser = visit("teacher")
    page = browser.get(f"/activities/sessions/{going}?lang=en").text
    assert "Ask the families of 4 again" in page
    after = browser.post(f"/activities/sessions/{going}/nudge?lang=en", follow_redirects=True).text
    assert "The families of 4 children have been asked" in after
    assert "Ask the families" not in after
    again = browser.post(f"/activities/sessions/{going}/nudge?lang=en", follow_redirects=True).text
    assert "within the last 12 hours" in again
