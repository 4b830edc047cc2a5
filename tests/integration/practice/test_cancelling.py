"""A session is cancelled: everybody once, tombstones, no question and no shift left open."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from coordination.domain.consents.queries import requests_of
from coordination.domain.practice import services as practice
from coordination.domain.practice.rules import reason_in_words
from coordination.ground.errors import Conflict, Invalid, TooLate
from coordination.ground.text import Text
from coordination.reactions import reminders
from tests.build.outing import DAY, FRIDAY, HOUR, Outing


@pytest.fixture
def going(stage: Outing) -> int:
    """Class 3(2) goes, two of class 3(1) wait, a mother of the class and another parent help."""
    session = stage.plan(capacity=5, helpers=2)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.take(session, "guardian_b")
    stage.take(session, "guardian")
    stage.answer(session, "friend_mother", "friend")
    stage.forget_messages()
    return session


def test_everybody_is_told_once_with_the_reason(stage: Outing, going: int) -> None:
    stage.cancel(going, Text("大风橙色预警", ""))
    assert stage.told("session_cancelled", going) == [
        "english",
        "friend_mother",
        "guardian",
        "guardian_b",
        "kid_0_mother",
        "kid_1_mother",
        "kid_2_mother",
        "partner",
        "teacher",
        "teacher_c",
    ]
    for message in stage.messages("session_cancelled", going):
        if message.language == "en":  # no word that its reader cannot read
            assert message.body.endswith("is cancelled: the weather")
        else:
            assert message.body.endswith("取消：天气原因（大风橙色预警）")
        assert message.message_class == "urgent"


@pytest.mark.parametrize(
    ("code", "note", "fields"),
    [
        ("", Text("", ""), {"code"}),
        ("storm", Text("", ""), {"code"}),
        ("other", Text("", ""), {"note_zh", "note_en"}),
        ("other", Text("停电", ""), {"note_en"}),
        ("weather", Text("风" * 41, ""), {"note_zh"}),
    ],
)
def test_a_reason_is_one_that_every_family_can_read(
    stage: Outing, going: int, code: str, note: Text, fields: set[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        stage.act(
            "coordinator",
            lambda uow: practice.cancel_session(uow, session_id=going, code=code, note=note),
        )
    assert set(refused.value.fields) == fields
    assert stage.session(going).state == "open"
    assert stage.told("session_cancelled") == []


def test_a_reason_of_their_own_words_is_said_in_both_languages() -> None:
    assert reason_in_words("other", "停电", "power cut") == Text("停电", "power cut")
    assert reason_in_words("weather", None, "storm") == Text("天气原因", "the weather (storm)")
    assert reason_in_words("大风", None, None) == Text(
        "大风", "大风"
    )  # typed before there were codes
    assert reason_in_words(None, None, None) is None


def test_the_calendar_keeps_a_cancelled_entry(stage: Outing, going: int) -> None:
    before = stage.entry("session", going)
    stage.cancel(going)
    after = stage.entry("session", going)
    assert (after.status, after.uid) == ("cancelled", before.uid)
    assert after.sequence == before.sequence + 1
    assert b"STATUS:CANCELLED" in after.fragment_zh
    assert stage.audience("session", going) >= {("child", "child"), ("class_staff", "class_a")}


def test_nothing_is_left_that_somebody_could_wait_for(stage: Outing, going: int) -> None:
    stage.cancel(going)
    assert set(stage.states(going).values()) == {"cancelled"}
    assert stage.sql("select distinct state from shift_assignment") == [("cancelled",)]
    assert stage.sql("select state from shift_need where session_id = :s", s=going) == [
        ("cancelled",)
    ]
    assert stage.sql(
        "select distinct state from reminder where subject_type = 'session' and subject_id = :s",
        s=going,
    ) == [("cancelled",)]
    with Session(stage.engine) as session:
        open_now = requests_of(session, stage.actor("guardian"))
    assert going not in {f.request.subject_id for f in open_now}
    assert stage.system(lambda uow: reminders.send_due(uow)) == 0


def test_its_volunteers_and_children_are_free_for_something_else(stage: Outing, going: int) -> None:
    stage.cancel(going)
    other = stage.plan(FRIDAY + HOUR, helpers=1)
    stage.take(other, "guardian_b")
    assert stage.enrol(other) == (4, 0)


def test_nobody_answers_or_takes_a_shift_any_more(stage: Outing, going: int) -> None:
    stage.cancel(going)
    for response in ("given", "refused"):
        with pytest.raises(TooLate) as refused:
            stage.answer(going, "english", "reader", response)
        assert refused.value.code == "consent_closed"
    with pytest.raises(TooLate):
        stage.take(going, "friend_mother")


def test_a_second_cancelling_is_refused_and_tells_nobody_again(stage: Outing, going: int) -> None:
    stage.cancel(going)
    stage.forget_messages()
    with pytest.raises(Conflict):
        stage.cancel(going)
    with pytest.raises(Conflict):
        stage.move(going, FRIDAY + DAY)
    assert stage.told("session_cancelled") == []
