"""The day of a shift on people's phones: the code, signing, the list of those in charge."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from coordination.domain.volunteering import site_codes
from coordination.ground import clock
from tests.build.outing import FRIDAY, HOUR, Outing

Visit = Callable[[str], FlaskClient]


@pytest.fixture
def shift(stage: Outing) -> int:
    """Two helpers of Friday; class 3(2) goes along."""
    session = stage.plan(helpers=4)
    stage.enrol(session)
    stage.take(session, "guardian")
    stage.take(session, "volunteer")
    clock.travel_to(FRIDAY)
    return stage.world.things[f"need-{session}"]


def ids(page: str) -> list[str]:
    return re.findall(r'name="in-(\d+)"', page)


def test_the_code_of_the_place_signs_a_volunteer_in_and_out(visit: Visit, shift: int) -> None:
    shown = visit("partner").get(f"/shifts/{shift}/code")
    assert int(shown.headers["Refresh"]) <= 301
    assert shown.headers["Cache-Control"] == "private, no-store"
    code = site_codes.code_at(shift, clock.now())
    assert f">{code}<" in shown.get_data(as_text=True)
    mother = visit("guardian")
    assert "现在可以签到" in mother.get("/shifts/").get_data(as_text=True)
    answer = mother.post(f"/shifts/{shift}", data={"way": "in", "code": code})
    assert answer.status_code == 303
    clock.travel_to(FRIDAY + 8 * HOUR)
    page = mother.get(f"/shifts/{shift}").get_data(as_text=True)
    assert 'name="way" value="out"' in page
    code = site_codes.code_at(shift, clock.now())
    assert mother.post(f"/shifts/{shift}", data={"way": "out", "code": code}).status_code == 303
    assert "8小时" in mother.get(f"/shifts/{shift}").get_data(as_text=True)


@pytest.mark.parametrize("role", ["teacher", "school_admin", "coordinator", "partner"])
def test_who_is_at_the_place_shows_the_code(visit: Visit, shift: int, role: str) -> None:
    assert visit(role).get(f"/shifts/{shift}/code").status_code == 200


@pytest.mark.parametrize("role", ["teacher_b", "school_admin_b", "partner_b"])
def test_others_do_not_see_it(visit: Visit, shift: int, role: str) -> None:
    assert visit(role).get(f"/shifts/{shift}/code").status_code == 404


def test_before_the_day_there_is_no_code_to_be_seen(visit: Visit, shift: int) -> None:
    clock.travel_to(FRIDAY - 3 * HOUR)
    page = visit("coordinator").get(f"/shifts/{shift}/code").get_data(as_text=True)
    assert "site-code" not in page
    assert "06:30" in page


def test_a_wrong_code_is_said_at_the_field(visit: Visit, shift: int) -> None:
    answer = visit("guardian").post(f"/shifts/{shift}", data={"way": "in", "code": "x"})
    assert answer.status_code == 422
    assert "签到码不对" in answer.get_data(as_text=True)


def test_wrong_codes_are_counted_although_nothing_else_is_written(visit: Visit, shift: int) -> None:
    mother = visit("guardian")
    for _ in range(5):
        assert mother.post(f"/shifts/{shift}", data={"code": "x"}).status_code == 422
    code = site_codes.code_at(shift, clock.now())
    assert mother.post(f"/shifts/{shift}", data={"code": code}).status_code == 429


def test_one_press_fills_and_one_press_confirms(stage: Outing, visit: Visit, shift: int) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    teacher, coordinator = visit("teacher"), visit("coordinator")
    path = f"/shifts/{shift}/times"
    page = teacher.get(path).get_data(as_text=True)
    assert "核定 " not in page
    first, second = ids(page)
    typed = {
        f"in-{first}": "08:30",
        f"out-{first}": "15:00",
        f"in-{second}": "",
        f"out-{second}": "",
    }
    assert teacher.post(path, data={**typed, "do": "plan"}).status_code == 303
    page = coordinator.get(path).get_data(as_text=True)
    assert page.count("</svg>和计划相差 30 分钟以上") == 1
    fields = dict(re.findall(r'name="([\w-]+)"[^>]*value="([^"]*)"', page))
    fields = {k: v for k, v in fields.items() if not k.startswith("absent-")}  # no box is ticked
    done = coordinator.post(path, data={**fields, "do": "confirm"})
    assert done.status_code == 303
    rows = stage.sql("select minutes from shift_time order by id")
    assert rows == [(390,), (480,)]


def test_a_change_made_beside_confirming_is_saved_and_looked_at_first(
    stage: Outing, visit: Visit, shift: int
) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    coordinator, path = visit("coordinator"), f"/shifts/{shift}/times"
    first, second = ids(coordinator.get(path).get_data(as_text=True))
    typed = {f"in-{k}": "08:30" for k in (first, second)} | {
        f"out-{k}": "16:30" for k in (first, second)
    }
    coordinator.post(path, data={**typed, "do": "confirm"})
    assert stage.sql("select count(*) from shift_time where confirmed_at is null") == [(2,)]
    assert "请再看一遍" in coordinator.get(path).get_data(as_text=True)


def test_a_refused_list_keeps_what_was_typed(stage: Outing, visit: Visit, shift: int) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    teacher, path = visit("teacher"), f"/shifts/{shift}/times"
    first, second = ids(teacher.get(path).get_data(as_text=True))
    for wrong, said in (("25:99", "例如 08:30"), ("07:00", "离开时间要晚于")):
        answer = teacher.post(
            path,
            data={
                f"in-{first}": "08:30",
                f"out-{first}": wrong,
                f"in-{second}": "08:31",
                f"out-{second}": "16:29",
                "do": "save",
            },
        )
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert said in page
        assert 'value="08:31"' in page
    assert stage.sql("select 1 from shift_time") == []


def test_a_time_of_the_volunteers_own_hand_stays_to_the_second(
    stage: Outing, visit: Visit, shift: int
) -> None:
    code = site_codes.code_at(shift, clock.now())
    visit("guardian").post(f"/shifts/{shift}", data={"way": "in", "code": code})
    stage.sql("update shift_time set in_at = in_at + interval '27 seconds'")
    clock.travel_to(FRIDAY + 9 * HOUR)
    teacher, path = visit("teacher"), f"/shifts/{shift}/times"
    first, second = ids(teacher.get(path).get_data(as_text=True))
    typed = {f"in-{first}": "08:30", f"in-{second}": "", f"out-{second}": ""}
    teacher.post(path, data={**typed, f"out-{first}": "", "do": "save"})
    ((seconds, by),) = stage.sql("select extract(second from in_at), marked_by_id from shift_time")
    assert (int(str(seconds).partition(".")[0]), by) == (27, None)


def test_what_waits_stands_on_today(visit: Visit, shift: int) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    assert f"/shifts/{shift}/times" in visit("coordinator").get("/").get_data(as_text=True)
    assert f"/shifts/{shift}/times" not in visit("teacher").get("/").get_data(as_text=True)


def test_the_record_says_what_the_measures_ask_for(visit: Visit, shift: int) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    page = visit("guardian").get("/shifts/record").get_data(as_text=True)
    for said in ("姓名", "日期", "地点", "内容", "组织单位", "培训、表彰和评价", "不收费"):
        assert said in page
    assert visit("guardian_b").get(f"/shifts/{shift}").status_code == 404
