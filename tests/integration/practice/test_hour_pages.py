"""Practice hours as people open them: the family, the class teacher, the school, the district."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from coordination.domain.practice import services as practice
from coordination.ground import clock
from tests.build.outing import DAY, FRIDAY, Outing

Visit = Callable[[str], FlaskClient]
FORM = {
    "starts_on": "2026-09-01",
    "minutes": "40",
    "most_a_day": "6",
    "source": "光教〔2026〕12号",
    **{f"periods_{g}": "8" for g in range(1, 10)},
    **{f"times_{g}": "0" for g in range(1, 10)},
}


@pytest.fixture
def after(stage: Outing, visit: Visit) -> Outing:
    """The day after an outing of class 3(2); its rule was set before."""
    session = stage.plan()
    stage.enrol(session)
    clock.travel_to(FRIDAY)
    rows = stage.sql("select id, child_id from enrolment where session_id = :s", s=session)
    away = stage.world.people["friend"]
    marks = {int(str(i)): "absent" if child == away else "present" for i, child in rows}
    stage.act(
        "teacher",
        lambda uow: practice.take_attendance(uow, session_id=session, marks=marks),
    )
    clock.travel_to(FRIDAY + DAY)
    stage.sql("update account_session set expires_at = '2027-01-01'")
    assert visit("district_admin").post("/hours/rule", data=FORM).status_code == 303
    return stage


@pytest.mark.usefixtures("after")
def test_the_family_sees_done_and_missing_for_its_own_children(visit: Visit) -> None:
    page = visit("guardian").get("/hours/mine").get_data(as_text=True)
    assert "王小雨" in page
    assert "王小宇" in page
    assert "李想" not in page
    assert "<b>6</b><span>课时已完成" in page
    assert "<b>2</b><span>课时还差" in page
    assert "光教〔2026〕12号" in page


@pytest.mark.usefixtures("after")
def test_the_teacher_sees_the_class_and_takes_it_along(after: Outing, visit: Visit) -> None:
    path = f"/hours/classes/{after.world.things['class_a']}"
    page = visit("teacher").get(path).get_data(as_text=True)
    assert page.index("李想") < page.index("王小雨")  # who lacks most comes first
    answer = visit("teacher").get(f"{path}/hours.csv")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.data.startswith(b"\xef\xbb\xbf")
    head, first, *_ = csv.reader(io.StringIO(answer.data.decode("utf-8-sig")))
    assert dict(zip(head, first, strict=True))["姓名"] == "李想"
    assert dict(zip(head, first, strict=True))["还差课时"] == "8"


def test_a_name_in_the_file_is_never_a_formula(after: Outing, visit: Visit) -> None:
    after.sql("update person set name = '=HYPERLINK(1)' where name = '李想'")
    answer = visit("teacher").get(f"/hours/classes/{after.world.things['class_a']}/hours.csv")
    assert ",'=HYPERLINK(1)," in answer.data.decode("utf-8-sig")


@pytest.mark.usefixtures("after")
def test_the_district_reads_no_name(after: Outing, visit: Visit) -> None:
    client = visit("coordinator")
    school = after.world.things["school_a"]
    for path in ("/hours/", f"/hours/schools/{school}"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "王小雨" not in answer.get_data(as_text=True)
    group = after.world.things["class_a"]
    for path in (f"/hours/classes/{group}", f"/hours/classes/{group}/hours.csv"):
        assert client.get(path).status_code == 403


def test_a_refused_rule_keeps_what_was_typed(stage: Outing, visit: Visit) -> None:
    answer = visit("district_admin").post("/hours/rule", data={**FORM, "periods_3": "999"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'value="999"' in page
    assert "0 到 200" in page
    assert stage.sql("select 1 from hour_rule") == []
