"""A phone gets so many routine texts a day, by the district's setting; the rest leave in the morning."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from coordination.domain.communication.texts import limits
from coordination.ground import clock
from coordination.ground.errors import Forbidden, Invalid
from coordination.ground.text import Text
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
# a Wednesday without a holiday
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
MORNING = datetime(2026, 11, 26, 7, 30, tzinfo=ZONE)


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.travel_to(NOON)


def _set(stage: Stage, per_day: int, role: str = "district_admin") -> None:
    stage.act(
        role,
        lambda uow: limits.set_per_day(uow, org_id=stage.world.things["district"], per_day=per_day),
    )


def _send(stage: Stage, count: int) -> list[int]:
    notices = []
    for n in range(count):
        notices.append(stage.send(key=f"limit-{n}", title=Text(f"通知{n}", f"No {n}")))
        # one after the other: what is due at one time would be one text
        stage.deliver()
    return notices


def _of(stage: Stage, notice: int, role: str = "guardian") -> tuple[str, str | None, datetime]:
    return next(
        (m.state, m.reason_code, m.next_at)
        for m in stage.messages(notice)
        if m.recipient_id == stage.world.people[role]
    )


def test_eight_leave_and_the_ninth_waits(stage: Stage) -> None:
    _set(stage, 8)
    notices = _send(stage, 9)
    assert [_of(stage, n)[0] for n in notices[:8]] == ["delivered"] * 8
    assert _of(stage, notices[8]) == ("held", "daily_cap", MORNING)
    clock.travel_to(MORNING + timedelta(minutes=1))
    stage.deliver()
    assert _of(stage, notices[8])[0] == "delivered"


def test_what_waits_passes_the_quiet_hours_of_the_morning_too(stage: Stage) -> None:
    stage.keep_nights_quiet(until=time(8, 15))
    _set(stage, 1)
    _, second = _send(stage, 2)
    assert _of(stage, second) == ("held", "daily_cap", MORNING.replace(hour=8, minute=15))


@pytest.mark.parametrize("chosen", [True, False], ids=["none is chosen", "nothing is"])
def test_none_is_no_limit(stage: Stage, *, chosen: bool) -> None:
    if chosen:
        _set(stage, 0)
    assert {_of(stage, n)[0] for n in _send(stage, 10)} == {"delivered"}


def test_the_notice_and_the_story_of_a_person_say_why_it_waits(stage: Stage, visit: Visit) -> None:
    _set(stage, 1)
    _, second = _send(stage, 2)
    person = stage.world.people["guardian"]
    for role, path in (
        ("teacher", f"/notices/{second}"),
        ("district_admin", f"/admin/messages/of/{person}"),
    ):
        for lang, words in (
            ("zh", "今天的短信已达上限，明早发出"),
            ("en", "has had its texts of the day; leaves in the morning"),
        ):
            assert words in visit(role).get(f"{path}?lang={lang}").get_data(as_text=True)


@pytest.mark.parametrize("role", ["school_admin", "teacher", "coordinator", "data_officer"])
def test_only_the_bureau_sets_the_limit(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        _set(stage, 3, role)


@pytest.mark.parametrize("many", [-1, 101])
def test_a_limit_out_of_reach_is_refused_at_its_field(stage: Stage, many: int) -> None:
    with pytest.raises(Invalid) as refusal:
        _set(stage, many)
    assert set(refusal.value.fields) == {"per_day"}


def test_the_bureau_sets_the_limit_on_a_page(stage: Stage, visit: Visit) -> None:
    bureau = visit("district_admin")
    first = bureau.get("/admin/limits").get_data(as_text=True)
    assert 'value="8"' in first  # proposed
    assert "现在不限" in first
    assert bureau.post("/admin/limits", data={"per_day": "3"}).status_code == 303
    assert 'value="3"' in bureau.get("/admin/limits").get_data(as_text=True)


@pytest.mark.parametrize("typed", ["", "many", "-1", "101", "1.5", "9" * 30])
def test_a_limit_that_is_none_is_refused_and_nothing_is_changed(
    stage: Stage, visit: Visit, typed: str
) -> None:
    bureau = visit("district_admin")
    before = stage.fingerprint()
    assert bureau.post("/admin/limits", data={"per_day": typed}).status_code == 422
    assert stage.fingerprint() == before
