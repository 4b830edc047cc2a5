"""A school's budget for texts: counted, warned of, and held against routine notices only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRound
from coordination.domain.communication.notices import dispatch, rounds, services
from coordination.domain.communication.texts import budgets
from coordination.ground import clock
from coordination.ground.actor import SYSTEM
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound
from coordination.ground.text import Text
from coordination.reactions.notices import tell
from coordination.reactions.work import begin
from notifications.segments import segments
from tests.build.outing import all_at_once, meet
from tests.integration.communication.conftest import BODY, Stage

Visit = Callable[[str], FlaskClient]
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
FORM = {
    "title_zh": "秋游通知",
    "title_en": "Autumn outing",
    "body_zh": "周五八点。",
    "body_en": "Friday at eight.",
    "level": "confirm",
}


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.travel_to(NOON)


def budget(
    stage: Stage, yuan: int | None, org: str = "school_a", role: str = "district_admin"
) -> None:
    stage.act(
        role,
        lambda uow: budgets.set_budget(
            uow,
            office_id=stage.world.things["district"],
            org_id=stage.world.things[org],
            yuan=yuan,
        ),
    )


def account(stage: Stage, org: str = "school_a", at: datetime | None = None) -> budgets.Account:
    number = stage.world.things[org]
    with Session(stage.engine) as session:
        return budgets.accounts(session, [number], budgets.month_of(at or clock.now()))[number]


def spend(stage: Stage, yuan: str, org: str = "school_a") -> None:
    """Texts that something else has cost this month."""
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "insert into text_spend (org_id, month, subject_type, subject_id, texts, segments)"
                " values (:payer, :month, 'shift', 1, 1, :segments)"
            ),
            {
                "segments": int(Decimal(yuan) / budgets.YUAN_PER_SEGMENT),
                "payer": stage.world.things[org],
                "month": budgets.month_of(clock.now()),
            },
        )


def size(stage: Stage, notice: int, key: str = "notice") -> Decimal:
    """What the texts of a notice cost as they stand in the outbox."""
    return budgets.cost(sum(segments(m.body or "").count for m in stage.messages(notice, key)))


def round_of(stage: Stage, notice: int) -> int:
    with Session(stage.engine) as session:
        return session.scalars(select(NoticeRound.id).where(NoticeRound.notice_id == notice)).one()


def write(stage: Stage, round_id: int) -> None:
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        rounds.write_stretch(uow, round_id=round_id)


def send_wide(stage: Stage, key: str, reason: str = "") -> int:
    return stage.act(
        "school_admin",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key=key,
                org_id=stage.world.things["school_a"],
                title=Text("停水", "No water"),
                body=BODY,
                level="info",
                urgent_reason=reason,
            ).id
        ),
    )


def test_a_notice_is_counted_on_its_school_by_its_segments(stage: Stage) -> None:
    budget(stage, 10)
    notice = stage.send()
    assert account(stage).used == size(stage, notice) > 0
    assert account(stage, "school_b").used == 0
    stage.send()  # the same draft again
    assert account(stage).used == size(stage, notice)


def test_what_a_stop_keeps_from_leaving_is_given_back(stage: Stage) -> None:
    notice = stage.send()
    (left,) = (
        m for m in stage.messages(notice) if m.recipient_id == stage.world.people["guardian"]
    )
    one = budgets.cost(segments(left.body or "").count)
    stage.settle("guardian", "sending")
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    assert account(stage).used == one
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    assert account(stage).used == one


def test_a_stop_after_the_turn_of_the_month_gives_back_to_the_old_one(stage: Stage) -> None:
    notice = stage.send()
    clock.travel_to(NOON + timedelta(days=10))
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    assert account(stage, at=NOON).used == 0
    assert account(stage).used == 0


def test_a_month_ends_at_the_districts_midnight(stage: Stage) -> None:
    last = datetime(2026, 11, 30, 23, 59, tzinfo=ZoneInfo("Asia/Shanghai"))
    clock.travel_to(last)
    spend(stage, "3")
    assert account(stage, at=last).used == 3
    assert account(stage, at=last + timedelta(minutes=1)).used == 0


def test_the_estimate_is_what_is_written(stage: Stage) -> None:
    notice = stage.send()
    with Session(stage.engine) as session:
        each = budgets._estimates[0](session, session.get_one(Notice, notice), "notice")
    for message in stage.messages(notice):
        if message.recipient_id != stage.world.people["guardian"]:  # two names
            assert segments(message.body or "").count == each[message.language]


def test_a_routine_notice_beyond_the_budget_is_refused_and_leaves_nothing(stage: Stage) -> None:
    budget(stage, 1)
    spend(stage, "0.95")
    before = stage.fingerprint()
    with pytest.raises(Conflict) as refusal:
        stage.send()
    assert refusal.value.code == "budget_used_up"
    assert "教育局" in refusal.value.message.zh
    assert stage.fingerprint() == before


def test_what_just_fits_is_sent(stage: Stage) -> None:
    budget(stage, 1)
    notice = stage.send()
    needed = account(stage).used
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    spend(stage, str(1 - needed))
    stage.send(key="again")
    assert account(stage).percent() == 100


def test_urgent_leaves_beyond_the_budget_and_is_reported(stage: Stage, visit: Visit) -> None:
    budget(stage, 0)
    notice = send_wide(stage, "urgent", "水管爆裂，下午停课")
    with Session(stage.engine) as session:
        assert session.get_one(Notice, notice).over_budget
    page = visit("district_admin").get("/admin/quiet").get_data(as_text=True)
    assert "水管爆裂，下午停课" in page
    assert "超出预算" in page


def schedule(stage: Stage, reason: str = "") -> int:
    return stage.act(
        "teacher",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="later",
                class_ids=[stage.world.things["class_a"]],
                title=Text("停水", "No water"),
                body=BODY,
                level="info",
                urgent_reason=reason,
                send_at=NOON + timedelta(hours=2),
            ).id
        ),
    )


def leave(stage: Stage, notice: int) -> bool:
    clock.travel_to(NOON + timedelta(hours=2))
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        return dispatch.send_scheduled(uow, notice_id=notice, today=NOON.date())


def test_a_scheduled_notice_is_held_to_the_budget_when_it_is_written(stage: Stage) -> None:
    budget(stage, 0)
    with pytest.raises(Conflict):
        schedule(stage)


def test_a_scheduled_notice_is_held_to_the_budget_when_it_leaves(stage: Stage) -> None:
    notice = schedule(stage)
    budget(stage, 0)
    assert not leave(stage, notice)
    with Session(stage.engine) as session:
        assert session.get_one(Notice, notice).unsent_reason == "budget_used_up"
    assert stage.messages(notice) == []
    assert account(stage).used == 0


def test_an_urgent_one_leaves_at_its_time_and_is_reported(stage: Stage) -> None:
    notice = schedule(stage, "水管爆裂，下午停课")
    budget(stage, 0)
    assert leave(stage, notice)
    with Session(stage.engine) as session:
        assert session.get_one(Notice, notice).over_budget
    assert account(stage).used == size(stage, notice) > 0


def test_a_reminder_of_the_silent_by_hand_is_refused_too(stage: Stage) -> None:
    notice = stage.send()
    budget(stage, 0)
    before = stage.fingerprint()
    with pytest.raises(Conflict) as refusal:
        stage.nudge(notice)
    assert refusal.value.code == "budget_used_up"
    assert "打电话" in refusal.value.message.zh
    assert stage.fingerprint() == before


def tell_guardian(stage: Stage, subject: str, payer: int | dict[int, int]) -> None:
    """A text that nobody wrote, about something that is no notice."""
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        uow.authorize("system.run")
        tell(
            uow,
            "session_cancelled",
            [stage.world.people["guardian"]],
            {"activity": "x", "when": "14:00", "reason": "z"},
            subject=(subject, 1),
            version="1",
            payer=payer,
        )


def test_automatic_messages_leave_and_are_counted(stage: Stage) -> None:
    budget(stage, 0)
    school = stage.world.things["school_a"]
    tell_guardian(stage, "shift", {stage.world.people["guardian"]: school})
    assert account(stage).used > 0


def test_a_school_without_a_budget_is_counted_and_never_refused(stage: Stage) -> None:
    spend(stage, "1000")
    stage.send()
    assert account(stage).percent() is None


def test_a_wide_notice_reserves_what_the_clock_has_yet_to_write(stage: Stage) -> None:
    budget(stage, 100)
    notice = send_wide(stage, "wide")
    reserved = account(stage).used
    assert reserved > 0
    write(stage, round_of(stage, notice))
    assert account(stage).used == size(stage, notice)
    # a text that names two children may be longer than the sample
    assert abs(size(stage, notice) - reserved) <= budgets.cost(len(stage.messages(notice)))


def test_a_wide_notice_stopped_half_way_costs_what_had_left(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "STRETCH", 1)
    budget(stage, 100)
    notice = send_wide(stage, "wide")
    reserved = account(stage).used
    number = round_of(stage, notice)
    write(stage, number)
    # one is written, the rest is reserved still
    assert account(stage).used == reserved
    first = size(stage, notice)
    assert 0 < first < reserved
    with stage.engine.begin() as connection:
        connection.execute(text("update outbox_message set state = 'accepted'"))
    write(stage, number)
    stage.act("school_admin", lambda uow: services.stop_notice(uow, notice_id=notice))
    # of two texts one has left, one is given back; nothing is reserved any more
    assert account(stage).used == first
    write(stage, number)
    assert account(stage).used == first


# -- two teachers at once -------------------------------------------------------------------------


def _race(stage: Stage, monkeypatch: pytest.MonkeyPatch, *, wide: bool = False) -> list[str]:
    """Two notices at once, of which the budget bears one."""
    budget(stage, 1)
    first = stage.send(key="measure") if not wide else send_wide(stage, "measure")
    needed = account(stage).used
    stage.act("school_admin", lambda uow: services.stop_notice(uow, notice_id=first))
    assert account(stage).used == 0
    spend(stage, str(1 - needed - needed / 2))
    look = budgets.accounts

    def looked(*given: object) -> object:
        found = look(*given)  # type: ignore[arg-type]
        meet()  # both have looked and neither has committed
        return found

    monkeypatch.setattr(budgets, "accounts", looked)
    send = send_wide if wide else lambda stage, key: stage.send(key=key)
    return sorted(all_at_once(partial(send, stage, "one"), partial(send, stage, "two")))


@pytest.mark.parametrize("wide", [False, True])
def test_of_two_notices_at_once_the_budget_bears_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, wide: bool
) -> None:
    assert _race(stage, monkeypatch, wide=wide) == ["budget_used_up", "ok"]


def test_without_the_lock_both_pass(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "lock", lambda _uow, _org_id: True)
    assert _race(stage, monkeypatch) == ["ok", "ok"]


# -- pages ----------------------------------------------------------------------------------------


def _check(stage: Stage, visit: Visit, step: str = "check", **more: str) -> tuple[int, str]:
    form = {**FORM, "class_ids": str(stage.world.things["class_a"]), "step": step, **more}
    answer = visit("teacher").post("/notices/new", data={"draft_key": "page", **form})
    return answer.status_code, answer.get_data(as_text=True)


def test_the_check_page_warns_from_eighty_percent_on(stage: Stage, visit: Visit) -> None:
    budget(stage, 10)
    status, page = _check(stage, visit)
    assert status == 200
    assert "快用完" not in page
    assert "本月短信预算 10 元" in page
    spend(stage, "8")
    status, page = _check(stage, visit)
    assert status == 200
    assert "快用完" in page
    assert "已用 8.00 元" in page


@pytest.mark.parametrize("step", ["check", "send"])
def test_beyond_the_budget_the_teacher_reads_whom_to_ask(
    stage: Stage, visit: Visit, step: str
) -> None:
    budget(stage, 0)
    status, page = _check(stage, visit, step)
    assert status == 409
    assert "请联系教育局增加预算" in page
    assert 'name="urgent_reason"' in page
    assert all(FORM[typed] in page for typed in ("title_zh", "title_en", "body_zh", "body_en"))
    status, page = _check(stage, visit, step, urgent_reason="水管爆裂，下午停课")
    assert status in (200, 303)


def test_the_bureau_sets_a_budget_and_sees_what_is_used(stage: Stage, visit: Visit) -> None:
    bureau = visit("district_admin")
    place = f"/admin/limits/budgets/{stage.world.things['school_a']}"
    assert bureau.post(place, data={"yuan": "10"}).status_code == 303
    for spent, word in (("1", "已用 10%"), ("7.5", "快用完：85%"), ("2", "已用完")):
        spend(stage, spent)
        assert word in bureau.get("/admin/limits").get_data(as_text=True)
    assert bureau.post(place, data={"yuan": ""}).status_code == 303
    assert account(stage).budget is None


@pytest.mark.parametrize("typed", ["-1", "10000001", "ten", "1.5", "9" * 30])
def test_a_budget_that_is_none_is_refused_at_its_field(
    stage: Stage, visit: Visit, typed: str
) -> None:
    place = f"/admin/limits/budgets/{stage.world.things['school_a']}"
    before = stage.fingerprint()
    assert visit("district_admin").post(place, data={"yuan": typed}).status_code == 422
    assert stage.fingerprint() == before


def test_only_the_bureau_sets_budgets_and_only_of_its_own(stage: Stage) -> None:
    for role in ("school_admin", "teacher", "coordinator", "data_officer"):
        with pytest.raises(Forbidden):
            budget(stage, 5, role=role)
    with pytest.raises(NotFound):
        stage.act(
            "district_admin",
            lambda uow: budgets.set_budget(
                uow, office_id=stage.world.things["district"], org_id=999_999, yuan=5
            ),
        )
    with pytest.raises(Invalid):
        budget(stage, -1)
