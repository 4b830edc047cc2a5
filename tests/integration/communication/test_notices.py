"""Sending, reading and nudging on a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import queries, services
from coordination.domain.communication.notices.audience import audience_of
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from coordination.ground.text import Text
from notifications.models import OutboxMessage
from tests.integration.communication.conftest import BODY, Stage


def test_a_guardian_of_siblings_is_told_once_and_both_children_are_named(stage: Stage) -> None:
    notice = stage.send()
    mother = [m for m in stage.messages(notice) if m.recipient_id == stage.world.people["guardian"]]
    assert len(mother) == 1
    assert "王*雨" in (mother[0].body or "")
    assert "王*宇" in (mother[0].body or "")


def test_a_shared_phone_gets_one_text_but_both_parents_have_a_copy(stage: Stage) -> None:
    notice = stage.send()
    people = stage.world.people
    told = {m.recipient_id for m in stage.messages(notice)}
    assert len(told & {people["friend_mother"], people["friend_father"]}) == 1
    with Session(stage.engine) as session:
        father = services.recipient_of(session, notice, people["friend_father"])
        mother = services.recipient_of(session, notice, people["friend_mother"])
    assert father.told_via_id == mother.told_via_id
    assert father.skip_reason is None


def test_a_restricted_or_former_guardian_gets_nothing(stage: Stage) -> None:
    notice = stage.send()
    assert stage.told(notice) & {"restricted", "former", "guardian_b"} == set()
    for role in ("restricted", "former", "guardian_b"):
        with pytest.raises(NotFound):
            stage.acknowledge(role, notice)


def test_each_reader_gets_their_own_language(stage: Stage) -> None:
    notice = stage.send()
    bodies = {m.recipient_id: m.body or "" for m in stage.messages(notice)}
    assert "Autumn outing" in bodies[stage.world.people["english"]]
    assert "秋游通知" not in bodies[stage.world.people["english"]]
    assert "秋游通知" in bodies[stage.world.people["guardian"]]


def test_the_text_says_who_sends_and_how_to_open_it(stage: Stage) -> None:
    notice = stage.send()
    body = stage.messages(notice)[0].body or ""
    assert "三（2）班" in body
    assert "127.0.0.1:8000" in body
    assert "http" not in body


def test_a_guardian_without_a_phone_is_kept_with_the_reason(stage: Stage) -> None:
    notice = stage.send()
    with Session(stage.engine) as session:
        row = services.recipient_of(session, notice, stage.world.people["no_phone"])
        audience = audience_of(session, [stage.world.things["class_a"]], clock.now().date())
    assert row.skip_reason == "no_phone"
    assert [r.name for r in audience.without_phone] == ["李爷爷"]
    assert (len(audience.recipients), audience.households, len(audience.told)) == (5, 2, 3)
    assert audience.counts().languages == {"zh": 2, "en": 1}


def test_a_second_press_sends_nothing_more(stage: Stage) -> None:
    first, second = stage.send(), stage.send()
    assert first == second
    assert len(stage.messages(first)) == 3


def test_two_presses_at_the_same_moment_are_one_notice(stage: Stage) -> None:
    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(lambda _: stage.send(), range(6)))
    assert len(ids) == 1
    with Session(stage.engine) as session:
        assert session.scalar(select(func.count()).where(Notice.draft_key == "draft-1")) == 1
    assert len(stage.messages(ids.pop())) == 3


def test_nudge_goes_to_the_silent_only(stage: Stage) -> None:
    notice = stage.send()
    stage.acknowledge("guardian", notice)
    assert stage.nudge(notice) == 2
    assert "guardian" not in stage.told(notice, "notice_nudge")
    assert "english" in stage.told(notice, "notice_nudge")


def test_the_answer_of_one_parent_counts_for_a_shared_phone(stage: Stage) -> None:
    notice = stage.send()
    stage.acknowledge("friend_father", notice)
    stage.nudge(notice)
    assert stage.told(notice, "notice_nudge") == {"guardian", "english"}


def test_nudge_refuses_twice_within_an_hour_and_writes_anew_after_it(stage: Stage) -> None:
    notice = stage.send()
    stage.nudge(notice)
    with pytest.raises(TooMany):
        stage.nudge(notice)
    clock.travel_to(clock.now() + timedelta(minutes=61))
    assert stage.nudge(notice) == 3
    assert len(stage.messages(notice, "notice_nudge")) == 6


def test_nudge_refuses_when_everybody_has_answered(stage: Stage) -> None:
    notice = stage.send()
    for role in ("guardian", "friend_mother", "english"):
        stage.acknowledge(role, notice)
    with pytest.raises(Conflict):
        stage.nudge(notice)


def test_the_first_answer_counts(stage: Stage) -> None:
    notice = stage.send()
    stage.acknowledge("guardian", notice, confirm=False)
    with Session(stage.engine) as session:
        before = services.recipient_of(session, notice, stage.world.people["guardian"])
        assert before.read_at is not None
        assert before.confirmed_at is None
    clock.travel_to(clock.now() + timedelta(hours=3))
    stage.acknowledge("guardian", notice)
    with Session(stage.engine) as session:
        after = services.recipient_of(session, notice, stage.world.people["guardian"])
        assert after.read_at == before.read_at
        assert after.confirmed_at is not None


def test_progress_names_the_state_of_every_recipient(stage: Stage) -> None:
    notice = stage.send()
    stage.settle("guardian", "delivered")
    stage.settle("english", "failed", "21211")
    stage.acknowledge("guardian", notice)
    with Session(stage.engine) as session:
        row = queries.notice_of(session, stage.actor("teacher"), notice)
        rows = session.execute(queries.progress_query(row)).all()
        lines = {line.name: line for line in queries.progress_lines(session, rows)}
        counts = queries.funnel(session, row, clock.now())
    assert lines["王敏"].state == "delivered"
    assert lines["Anna Smith"].state == "failed"
    assert lines["Anna Smith"].reason == "21211"
    assert lines["李爷爷"].state == "skipped"
    assert lines["李爷爷"].reason == "no_phone"
    # both parents of a shared phone show where its one text stands
    assert lines["李刚"].state == lines["赵兰"].state == "queued"
    assert counts == queries.Funnel(
        total=5, queued=2, delivered=1, read=1, confirmed=1, failed=2, silent=2, to_call=2, lately=2
    )


@pytest.mark.parametrize("role", ["teacher_b", "school_admin_b", "partner", "coordinator"])
def test_strangers_may_not_send(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        stage.send(role=role)


@pytest.mark.parametrize("role", ["teacher_b", "school_admin_b", "partner", "volunteer"])
def test_strangers_do_not_see_a_notice(stage: Stage, role: str) -> None:
    notice = stage.send()
    with Session(stage.engine) as session, pytest.raises(NotFound):
        queries.notice_of(session, stage.actor(role), notice)
    with pytest.raises(Forbidden):
        stage.nudge(notice, role)


def test_one_notice_goes_to_one_school(stage: Stage) -> None:
    with pytest.raises(Invalid) as refusal:
        stage.send(classes=("class_a", "class_b"))
    assert "class_ids" in refusal.value.fields


def test_a_refused_notice_leaves_nothing_behind(stage: Stage) -> None:
    before = stage.fingerprint()
    with pytest.raises(Invalid) as refusal:
        stage.send(title=Text("请缴费", ""))
    assert set(refusal.value.fields) == {"title_zh", "title_en"}
    assert stage.fingerprint() == before


def test_an_inbox_shows_no_notice_about_a_child_that_is_closed_now(stage: Stage) -> None:
    stage.send()
    with Session(stage.engine) as session:
        assert len(queries.inbox_of(session, stage.actor("guardian"))) == 2
        assert queries.inbox_of(session, stage.actor("restricted")) == []
        copies = select(func.count()).where(
            NoticeRecipient.guardian_id == stage.world.people["restricted"]
        )
        assert session.scalar(copies) == 0


def test_the_body_is_kept_in_both_languages(stage: Stage) -> None:
    notice = stage.send()
    with Session(stage.engine) as session:
        row = session.get_one(Notice, notice)
        assert (row.body_zh, row.body_en) == (BODY.zh, BODY.en)


def _limit(stage: Stage, child: str) -> None:
    """The mother of two may know nothing of one of them from now on."""
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "update guardianship set no_disclosure = true"
                " where guardian_id = :who and child_id = :child"
            ),
            {"who": stage.world.people["guardian"], "child": stage.world.people[child]},
        )


def _mothers(stage: Stage, notice: int) -> OutboxMessage:
    mother = stage.world.people["guardian"]
    (found,) = (m for m in stage.messages(notice) if m.recipient_id == mother)
    return found


def test_a_text_that_names_a_child_whom_custody_hides_since_does_not_leave(stage: Stage) -> None:
    notice = stage.send()
    assert "王*雨" in (_mothers(stage, notice).body or "")
    assert "王*宇" in (_mothers(stage, notice).body or "")
    _limit(stage, "brother")
    stage.deliver()
    held = _mothers(stage, notice)
    assert (held.state, held.reason_code) == ("suppressed", "no_longer_concerned")
    # the others have theirs, and the school is told to phone about the other child
    assert {m.state for m in stage.messages(notice) if m.id != held.id} == {"delivered"}
    with Session(stage.engine) as session:
        counts = queries.funnel(session, session.get_one(Notice, notice), clock.now())
    assert counts.to_call


def test_whom_custody_hid_before_is_not_named_and_the_text_about_the_other_leaves(
    stage: Stage,
) -> None:
    _limit(stage, "brother")
    notice = stage.send()
    stage.deliver()
    held = _mothers(stage, notice)
    assert held.state == "delivered"
    assert "王*雨" in (held.body or "")
    assert "王*宇" not in (held.body or "")
