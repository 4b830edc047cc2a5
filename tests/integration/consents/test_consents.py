"""Consents: who may answer, what the answers amount to, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordination.domain.consents import queries
from coordination.domain.consents.models import ConsentAnswer
from coordination.domain.people.models import Guardianship
from coordination.ground import clock
from coordination.ground.errors import Forbidden, Invalid, NotFound, TooLate
from tests.build.outing import DAY, FRIDAY, HOUR, NOW, Outing


@pytest.fixture
def asked(stage: Outing) -> int:
    """A session for which class 3(2) is signed up."""
    session = stage.plan()
    stage.enrol(session)
    return session


def set_guardianship(stage: Outing, role: str, **values: object) -> None:
    with Session(stage.engine) as session:
        session.execute(
            update(Guardianship)
            .where(Guardianship.guardian_id == stage.world.people[role])
            .values(**values)
        )
        session.commit()


def answers(stage: Outing) -> list[ConsentAnswer]:
    with Session(stage.engine, expire_on_commit=False) as session:
        return list(session.scalars(select(ConsentAnswer).order_by(ConsentAnswer.id)))


def test_a_yes_clears_the_child(stage: Outing, asked: int) -> None:
    assert stage.answer(asked, "friend_mother", "friend") == "given"
    assert stage.states(asked)["friend"] == "cleared"
    (kept,) = answers(stage)
    assert (kept.guardian_id, kept.response, kept.route, kept.signed_name) == (
        stage.world.people["friend_mother"],
        "given",
        "code",
        "王敏",
    )
    assert len(kept.text_hash) == 64  # evidence of the wording that was shown


def test_a_mother_answers_for_each_child_alone(stage: Outing, asked: int) -> None:
    stage.answer(asked, "guardian", "child", "given")
    stage.answer(asked, "guardian", "brother", "refused")
    states = stage.states(asked)
    assert (states["child"], states["brother"]) == ("cleared", "refused")
    assert stage.session(asked).taken == 3


def test_disagreement_keeps_the_place_but_clears_nobody(stage: Outing, asked: int) -> None:
    stage.answer(asked, "friend_mother", "friend", "given")
    assert stage.answer(asked, "friend_father", "friend", "refused") == "conflict"
    assert stage.states(asked)["friend"] == "enrolled"
    assert stage.session(asked).taken == 4
    assert stage.answer(asked, "friend_father", "friend", "given") == "given"
    assert stage.states(asked)["friend"] == "cleared"


def test_two_refusals_free_the_place_once(stage: Outing, asked: int) -> None:
    stage.answer(asked, "friend_mother", "friend", "refused")
    assert stage.answer(asked, "friend_father", "friend", "refused") == "refused"
    assert stage.session(asked).taken == 3


def test_disagreement_after_a_refusal_gives_no_place_back_by_itself(
    stage: Outing, asked: int
) -> None:
    stage.answer(asked, "friend_mother", "friend", "refused")
    assert stage.answer(asked, "friend_father", "friend", "given") == "conflict"
    assert stage.states(asked)["friend"] == "refused"
    assert stage.session(asked).taken == 3


def test_an_answer_can_be_taken_back_until_the_deadline(stage: Outing, asked: int) -> None:
    stage.answer(asked, "friend_mother", "friend", "given")
    assert stage.answer(asked, "friend_mother", "friend", "withdrawn") == "withdrawn"
    assert stage.states(asked)["friend"] == "withdrawn"
    assert [a.response for a in answers(stage)] == ["given", "withdrawn"]  # nothing is overwritten


@pytest.mark.parametrize("role", ["restricted", "former"])
def test_whom_custody_keeps_out_can_neither_read_nor_answer(
    stage: Outing, asked: int, role: str
) -> None:
    with pytest.raises(Forbidden):
        stage.answer(asked, role, "child")
    with Session(stage.engine) as session, pytest.raises(NotFound):
        queries.request_for(session, stage.actor(role), stage.request_of(asked))
    with Session(stage.engine) as session:
        assert queries.requests_of(session, stage.actor(role)) == []
    assert answers(stage) == []


@pytest.mark.parametrize("role", ["guardian_b", "teacher", "school_admin", "coordinator", "child"])
def test_nobody_answers_for_a_child_that_is_not_theirs(
    stage: Outing, asked: int, role: str
) -> None:
    with pytest.raises(Forbidden):
        stage.answer(asked, role, "child")
    assert answers(stage) == []


def test_a_guardian_without_the_right_to_consent_is_refused(stage: Outing, asked: int) -> None:
    set_guardianship(stage, "friend_father", may_consent=False)
    with pytest.raises(Forbidden):
        stage.answer(asked, "friend_father", "friend")
    assert stage.answer(asked, "friend_mother", "friend") == "given"


def test_the_question_goes_to_a_guardian_who_may_answer_it(stage: Outing) -> None:
    set_guardianship(stage, "friend_mother", may_consent=False)  # the first on the shared phone
    set_guardianship(stage, "english", may_consent=False)
    session = stage.plan()
    stage.enrol(session)
    assert stage.told("consent_asked", session) == ["friend_father", "guardian"]


def test_who_may_not_answer_still_learns_that_it_moved(stage: Outing, asked: int) -> None:
    set_guardianship(stage, "english", may_consent=False)
    stage.move(asked, FRIDAY + DAY)
    assert stage.told("session_moved", asked) == ["friend_mother", "guardian"]
    assert stage.told("session_moved_family", asked) == ["english"]
    (news,) = stage.messages("session_moved_family", asked)
    assert "moved to Sat 12 Dec" in news.body


def test_a_guardian_restricted_after_the_question_cannot_answer_any_more(
    stage: Outing, asked: int
) -> None:
    stage.answer(asked, "english", "reader")
    set_guardianship(stage, "english", no_disclosure=True)
    with pytest.raises(Forbidden):
        stage.answer(asked, "english", "reader", "refused")
    assert len(answers(stage)) == 1


def test_after_the_deadline_it_is_too_late(stage: Outing, asked: int) -> None:
    clock.travel_to(FRIDAY - DAY)
    with pytest.raises(TooLate):
        stage.answer(asked, "friend_mother", "friend")
    assert answers(stage) == []


@pytest.mark.parametrize("response", ["", "yes", "maybe", "GIVEN", "x" * 300])
def test_an_answer_that_is_none_is_refused(stage: Outing, asked: int, response: str) -> None:
    with pytest.raises(Invalid) as refused:
        stage.answer(asked, "friend_mother", "friend", response)
    assert "response" in refused.value.fields


@pytest.mark.parametrize("signed", ["", "   ", "\u3000"])
def test_an_answer_without_a_name_is_refused(stage: Outing, asked: int, signed: str) -> None:
    with pytest.raises(Invalid) as refused:
        stage.answer(asked, "friend_mother", "friend", signed=signed)
    assert "signed_name" in refused.value.fields


def test_a_child_that_was_not_asked_about_is_not_found(stage: Outing, asked: int) -> None:
    with pytest.raises(NotFound):
        stage.answer(asked, "kid_0_mother", "kid_0")
    with pytest.raises(NotFound):
        stage.answer(asked, "guardian", "child", request_id=999_999)


def test_an_answer_to_the_old_plan_is_refused_after_a_move(stage: Outing, asked: int) -> None:
    old = stage.request_of(asked)
    stage.move(asked, FRIDAY + DAY)
    with pytest.raises(TooLate) as refused:
        stage.answer(asked, "friend_mother", "friend", request_id=old)
    assert refused.value.code == "consent_replaced"
    assert stage.answer(asked, "friend_mother", "friend") == "given"


def test_an_old_yes_does_not_count_for_the_new_plan(stage: Outing, asked: int) -> None:
    stage.answer(asked, "friend_mother", "friend")
    stage.move(asked, FRIDAY + DAY)
    assert stage.states(asked)["friend"] == "enrolled"
    with Session(stage.engine) as session:
        family = queries.request_for(session, stage.actor("friend_mother"), stage.request_of(asked))
    assert [c.own for c in family.children] == [None]


def test_time_to_answer_never_ends_after_the_start(stage: Outing) -> None:
    session = stage.plan(NOW + 2 * HOUR, signup_until=NOW + HOUR)
    clock.travel_to(NOW + 30 * timedelta(minutes=1))
    stage.enrol(session)
    ((due,),) = stage.sql(
        "select due_at from consent_request where subject_id = :s and subject_type = 'session'",
        s=session,
    )
    assert NOW + HOUR < due < NOW + 2 * HOUR  # type: ignore[operator]


def test_a_mother_sees_her_children_only(stage: Outing, asked: int) -> None:
    with Session(stage.engine) as session:
        family = queries.request_for(session, stage.actor("guardian"), stage.request_of(asked))
    assert [c.name for c in family.children] == ["王小雨", "王小宇"]
