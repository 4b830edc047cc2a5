"""Notices to very many families: they wait for a second person, and leave once, as that person saw them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.authz.actor import Role
from coordination.domain.communication.models import Notice, NoticeRound
from coordination.domain.communication.notices import second_look, services
from coordination.domain.people.models import AccountSession, Membership, Person
from coordination.ground import clock, crypto
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound
from coordination.ground.text import Text
from coordination.worker import Beat, send_scheduled_notices, write_notices
from notifications.models import OutboxMessage
from tests.build.outing import all_at_once
from tests.integration.communication.conftest import BODY, TITLE, Stage, meeting_at_the_notice

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
EVENING = datetime(2026, 11, 25, 18, 0, tzinfo=ZONE)


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.travel_to(NOON)


@pytest.fixture
def second(stage: Stage) -> str:
    """Another leader of the school, and a rule: more than three guardians need both."""
    _leader(stage, "deputy", "周副校长")
    _rule(stage, 3)
    return "deputy"


def _leader(stage: Stage, key: str, name: str) -> None:
    with Session(stage.engine) as session, session.begin():
        person = Person(name=name, language="zh", pinyin=key, is_student=False, status="active")
        session.add(person)
        session.flush()
        session.add(
            Membership(
                person_id=person.id,
                org_id=stage.world.things["school_a"],
                role=Role.SCHOOL_ADMIN.value,
                starts_on=date(2020, 1, 1),
            )
        )
        session.add(
            AccountSession(
                person_id=person.id,
                token_hash=crypto.token_hash(f"token-of-{key}"),
                route="code",
                last_seen_at=NOON,
                expires_at=NOON + timedelta(days=1),
            )
        )
        stage.world.people[key], stage.world.tokens[key] = person.id, f"token-of-{key}"


def _rule(
    stage: Stage, above: int | None, *, urgent_too: bool = False, role: str = "district_admin"
) -> None:
    stage.act(
        role,
        lambda uow: second_look.set_policy(
            uow, org_id=stage.world.things["district"], above=above, urgent_too=urgent_too
        ),
    )


def _write(stage: Stage, role: str = "school_admin", key: str = "wide", **more: Any) -> int:
    given: dict[str, Any] = {
        "draft_key": key,
        "org_id": stage.world.things["school_a"],
        "title": TITLE,
        "body": BODY,
        "level": "confirm",
        **more,
    }
    if "class_ids" in more:
        given["org_id"] = None
    return stage.act(role, lambda uow: services.send_notice(uow, **given).id)


def _change(stage: Stage, notice: int, role: str = "school_admin", title: Text = TITLE) -> None:
    stage.act(
        role,
        lambda uow: services.change_notice(
            uow,
            notice_id=notice,
            org_id=stage.world.things["school_a"],
            title=title,
            body=BODY,
            level="confirm",
        ),
    )


def _notice(stage: Stage, notice: int) -> Notice:
    with Session(stage.engine, expire_on_commit=False) as session:
        return session.get_one(Notice, notice)


def _approve(stage: Stage, notice: int, role: str = "deputy", seal: str | None = None) -> None:
    seen = seal or second_look.seal_of(_notice(stage, notice))
    stage.act(role, lambda uow: second_look.approve(uow, notice_id=notice, seal=seen))


def _back(stage: Stage, notice: int, reason: str = "请写明集合地点") -> None:
    seen = second_look.seal_of(_notice(stage, notice))
    stage.act(
        "deputy",
        lambda uow: second_look.send_back(uow, notice_id=notice, seal=seen, reason=reason),
    )


def _clock(stage: Stage) -> None:
    beat = Beat(stage.engine, cast(Any, None), clock.now())
    send_scheduled_notices(beat)
    write_notices(beat)


def _told(stage: Stage, key: str) -> list[str]:
    names = {person: role for role, person in stage.world.people.items()}
    with Session(stage.engine) as session:
        return [
            names[person]
            for person in session.scalars(
                select(OutboxMessage.recipient_id)
                .where(OutboxMessage.template_key == key)
                .order_by(OutboxMessage.id)
            )
        ]


def _rounds(stage: Stage, notice: int) -> int:
    with Session(stage.engine) as session:
        return (
            session.scalar(
                select(func.count()).select_from(NoticeRound).where(NoticeRound.notice_id == notice)
            )
            or 0
        )


def test_without_a_rule_one_person_is_enough(stage: Stage) -> None:
    assert _notice(stage, _write(stage)).state == "sent"


def test_it_waits_for_the_second_person_and_leaves_when_approved(stage: Stage, second: str) -> None:
    notice = _write(stage)
    _clock(stage)
    assert _notice(stage, notice).state == "awaiting"
    assert not stage.messages(notice)
    assert _rounds(stage, notice) == 0
    _approve(stage, notice)
    _clock(stage)
    held = _notice(stage, notice)
    assert (held.state, held.sent_at, held.approved_at) == ("sent", NOON, NOON)
    assert held.approved_by_id == stage.world.people[second]
    assert len(stage.messages(notice)) == 3


def test_few_guardians_need_nobody(stage: Stage, second: str) -> None:
    _rule(stage, 5)
    assert _notice(stage, _write(stage)).state == "sent"
    _rule(stage, 4)
    assert _notice(stage, _write(stage, key="again")).state == "awaiting"


@pytest.mark.usefixtures("second")
def test_ticking_every_class_is_no_way_round(stage: Stage) -> None:
    notice = _write(stage, class_ids=[stage.world.things["class_a"]])
    assert _notice(stage, notice).state == "awaiting"


@pytest.mark.usefixtures("second")
def test_nobody_approves_their_own_notice(stage: Stage) -> None:
    notice = _write(stage)
    with pytest.raises(Conflict) as refused:
        _approve(stage, notice, "school_admin")
    assert refused.value.code == "own_notice"
    with (
        pytest.raises(IntegrityError, match="second_person"),
        stage.engine.begin() as connection,
    ):
        connection.execute(
            text("update notice set approved_by_id = sender_id, approved_at = now() where id = :n"),
            {"n": notice},
        )


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(
    "role", ["teacher", "school_admin_b", "coordinator", "partner", "guardian"]
)
def test_who_leads_neither_school_nor_district_does_not_approve(stage: Stage, role: str) -> None:
    notice = _write(stage)
    with pytest.raises((Forbidden, NotFound)):
        _approve(stage, notice, role)
    assert _notice(stage, notice).state == "awaiting"


def test_of_a_school_with_one_leader_the_district_is_the_second(stage: Stage, visit: Visit) -> None:
    _rule(stage, 3)
    notice = _write(stage)
    assert _told(stage, "notice_to_look_at") == ["district_admin"]
    page = visit("district_admin").get("/").get_data(as_text=True)
    assert f"/notices/{notice}/look" in page
    _approve(stage, notice, "district_admin")
    assert _notice(stage, notice).state == "sent"


@pytest.mark.usefixtures("second")
def test_where_the_school_has_another_the_district_is_not_bothered(
    stage: Stage, visit: Visit
) -> None:
    notice = _write(stage)
    assert _told(stage, "notice_to_look_at") == ["deputy"]
    assert f"/notices/{notice}/look" not in visit("district_admin").get("/").get_data(as_text=True)


@pytest.mark.usefixtures("second")
def test_what_was_changed_meanwhile_is_read_again(stage: Stage) -> None:
    notice = _write(stage)
    seen = second_look.seal_of(_notice(stage, notice))
    _change(stage, notice, title=Text("明天停课", "No school tomorrow"))
    with pytest.raises(Conflict) as refused:
        _approve(stage, notice, seal=seen)
    assert refused.value.code == "changed_meanwhile"
    assert _notice(stage, notice).state == "awaiting"
    # and the second person is told of the new text
    assert _told(stage, "notice_to_look_at") == ["deputy", "deputy"]


@pytest.mark.usefixtures("second")
def test_given_back_it_is_changed_and_looked_at_again(stage: Stage, visit: Visit) -> None:
    notice = _write(stage)
    _back(stage, notice)
    assert _notice(stage, notice).state == "returned"
    assert _told(stage, "notice_returned") == ["school_admin"]
    page = visit("school_admin").get(f"/notices/{notice}").get_data(as_text=True)
    assert "请写明集合地点" in page
    assert f"/notices/{notice}" in visit("school_admin").get("/").get_data(as_text=True)
    with pytest.raises(Conflict):
        _approve(stage, notice)
    _change(stage, notice, title=Text("秋游通知（校门口集合）", "Outing: meet at the gate"))
    held = _notice(stage, notice)
    assert (held.state, held.returned_reason) == ("awaiting", None)
    _approve(stage, notice)
    assert _notice(stage, notice).state == "sent"


@pytest.mark.usefixtures("second")
def test_giving_back_needs_words(stage: Stage) -> None:
    notice = _write(stage)
    with pytest.raises(Invalid) as refused:
        _back(stage, notice, "改")
    assert set(refused.value.fields) == {"reason"}
    assert _notice(stage, notice).state == "awaiting"


@pytest.mark.usefixtures("second")
def test_whoever_changes_it_is_its_writer_and_needs_the_other(stage: Stage) -> None:
    notice = _write(stage)
    _change(stage, notice, "deputy", Text("停课通知", "No school"))
    with pytest.raises(Conflict) as refused:
        _approve(stage, notice, "deputy")
    assert refused.value.code == "own_notice"
    _approve(stage, notice, "school_admin")
    assert _notice(stage, notice).state == "sent"


@pytest.mark.usefixtures("second")
def test_a_scheduled_one_leaves_at_its_time_only_if_approved_before(stage: Stage) -> None:
    notice = _write(stage, send_at=EVENING)
    clock.travel_to(EVENING + timedelta(minutes=1))
    _clock(stage)
    assert _notice(stage, notice).state == "awaiting"
    clock.travel_to(NOON)
    _approve(stage, notice)
    assert _notice(stage, notice).state == "scheduled"
    clock.travel_to(EVENING)
    _clock(stage)
    assert _notice(stage, notice).state == "sent"


@pytest.mark.usefixtures("second")
def test_approved_after_its_time_it_leaves_at_once(stage: Stage) -> None:
    notice = _write(stage, send_at=EVENING)
    clock.travel_to(EVENING + timedelta(hours=1))
    _approve(stage, notice)
    _clock(stage)
    held = _notice(stage, notice)
    assert (held.state, held.sent_at) == ("sent", EVENING + timedelta(hours=1))
    assert len(stage.messages(notice)) == 3


@pytest.mark.usefixtures("second")
def test_what_nobody_could_answer_any_more_is_not_approved(stage: Stage) -> None:
    notice = _write(stage, due_at=EVENING)
    clock.travel_to(EVENING)
    with pytest.raises(Conflict) as refused:
        _approve(stage, notice)
    assert refused.value.code == "too_late"


@pytest.mark.usefixtures("second")
def test_changing_what_was_approved_needs_a_new_look(stage: Stage) -> None:
    notice = _write(stage, send_at=EVENING)
    _approve(stage, notice)
    _change(stage, notice, title=Text("停课通知", "No school"))
    held = _notice(stage, notice)
    assert (held.state, held.approved_by_id) == ("awaiting", None)


@pytest.mark.usefixtures("second")
def test_withdrawn_it_never_leaves(stage: Stage, visit: Visit) -> None:
    notice = _write(stage)
    assert visit("school_admin").get(f"/notices/{notice}/stop").status_code == 200
    visit("school_admin").post(f"/notices/{notice}/stop")
    assert _notice(stage, notice).state == "cancelled"
    with pytest.raises(Conflict) as refused:
        _approve(stage, notice)
    assert refused.value.code == "not_awaiting"
    _clock(stage)
    assert not stage.messages(notice)


def test_urgent_leaves_at_once_unless_the_district_says_otherwise(
    stage: Stage, second: str
) -> None:
    assert _notice(stage, _write(stage, urgent_reason="台风马上登陆")).state == "sent"
    _rule(stage, 3, urgent_too=True)
    assert _notice(stage, _write(stage, key="b", urgent_reason="台风马上登陆")).state == "awaiting"


@pytest.mark.usefixtures("second")
def test_a_rule_given_up_frees_what_is_written_anew(stage: Stage) -> None:
    notice = _write(stage)
    _rule(stage, None)
    assert _notice(stage, notice).state == "awaiting"
    _change(stage, notice)
    assert _notice(stage, notice).state == "sent"


def test_only_the_district_sets_the_rule(stage: Stage) -> None:
    with pytest.raises(Forbidden):
        _rule(stage, 3, role="school_admin")
    with pytest.raises(Invalid) as refused:
        _rule(stage, 0)
    assert set(refused.value.fields) == {"above"}


def _two_who_approve(stage: Stage) -> list[str]:
    _leader(stage, "third", "吴主任")
    notice = _write(stage)
    seal = second_look.seal_of(_notice(stage, notice))
    done = all_at_once(
        lambda: _approve(stage, notice, "deputy", seal),
        lambda: _approve(stage, notice, "third", seal),
    )
    assert _rounds(stage, notice) == 1
    return done


@pytest.mark.usefixtures("second")
def test_two_who_approve_at_one_moment_send_it_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_notice(monkeypatch)
    assert sorted(_two_who_approve(stage)) == ["not_awaiting", "ok"]


@pytest.mark.usefixtures("second")
def test_without_the_lock_both_would_begin(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting_at_the_notice(monkeypatch, locked=False)
    with pytest.raises(IntegrityError, match="uq_notice_round"):
        _two_who_approve(stage)


@pytest.mark.usefixtures("second")
def test_both_names_stand_in_the_audit_trail(stage: Stage) -> None:
    notice = _write(stage)
    _approve(stage, notice)
    with Session(stage.engine) as session:
        actors = session.scalars(
            select(AuditEntry.actor_id)
            .where(AuditEntry.table_name == "notice", AuditEntry.row_id == notice)
            .order_by(AuditEntry.id)
        ).all()
    assert actors == [stage.world.people["school_admin"], stage.world.people["deputy"]]


# -- on pages ------------------------------------------------------------------------------------


def _form(stage: Stage, **more: str) -> dict[str, str]:
    return {
        "draft_key": "page-look",
        "org_id": str(stage.world.things["school_a"]),
        "title_zh": "停课通知",
        "title_en": "School closes at noon",
        "body_zh": "请十二点接孩子。",
        "body_en": "Please collect your child at twelve.",
        "level": "confirm",
        "begins": "text",
        **more,
    }


@pytest.mark.usefixtures("second")
def test_the_writer_is_told_before_and_after(stage: Stage, visit: Visit) -> None:
    client = visit("school_admin")
    check = client.post("/notices/new", data=_form(stage, step="check")).get_data(as_text=True)
    assert "周副校长" in check
    assert "送交复核" in check
    done = client.post("/notices/new", data=_form(stage, step="send"), follow_redirects=True)
    page = done.get_data(as_text=True)
    assert "已送交复核" in page
    assert "等待：周副校长" in page
    assert "待复核" in client.get("/notices/").get_data(as_text=True)


@pytest.mark.usefixtures("second")
def test_the_second_person_sees_text_and_numbers_and_no_family(stage: Stage, visit: Visit) -> None:
    notice = _write(stage)
    client = visit("deputy")
    page = client.get(f"/notices/{notice}/look").get_data(as_text=True)
    assert BODY.zh in page
    assert BODY.en in page
    for name in ("李刚", "赵兰", "Anna Smith", "王小雨"):
        assert name not in page
    seal = second_look.seal_of(_notice(stage, notice))
    refused = client.post(f"/notices/{notice}/look", data={"seal": seal, "step": "back"})
    assert refused.status_code == 422
    assert "写明要改什么" in refused.get_data(as_text=True)
    done = client.post(f"/notices/{notice}/look", data={"seal": seal, "step": "approve"})
    assert done.status_code == 303
    assert "复核通过" in client.get(f"/notices/{notice}/look").get_data(as_text=True)
    assert "周副校长" in visit("school_admin").get(f"/notices/{notice}").get_data(as_text=True)
    again = client.post(f"/notices/{notice}/look", data={"seal": seal, "step": "approve"})
    assert again.status_code == 409


@pytest.mark.usefixtures("second")
def test_the_page_is_for_nobody_else(stage: Stage, visit: Visit) -> None:
    notice = _write(stage)
    for role in ("teacher", "coordinator", "guardian"):
        assert visit(role).get(f"/notices/{notice}/look").status_code in (403, 404)
    # and of a notice that needed no second person there is no such page
    _rule(stage, None)
    plain = _write(stage, key="plain")
    assert visit("district_admin").get(f"/notices/{plain}/look").status_code == 404


def test_the_district_sets_the_rule_on_a_page(stage: Stage, visit: Visit) -> None:
    client = visit("district_admin")
    assert "500" in client.get("/admin/second-look").get_data(as_text=True)
    refused = client.post("/admin/second-look", data={"above": "0"})
    assert refused.status_code == 422
    assert client.post("/admin/second-look", data={"above": "200"}).status_code == 303
    with Session(stage.engine) as session:
        policy = second_look.policy_of(session)
        assert policy is not None
        assert (policy.above, policy.urgent_too) == (200, False)
    assert visit("school_admin").get("/admin/second-look").status_code in (403, 404)
