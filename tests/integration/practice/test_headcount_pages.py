"""The pages of the day: forms without scripts, what a phone sends, who sees names and who numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from coordination.domain.people.models import AccountSession
from coordination.domain.practice.headcount.closing import Gone
from coordination.ground import clock, crypto
from tests.build.counted import Counted
from tests.build.outing import DAY, FRIDAY, HOUR, Outing

Visit = Callable[[str], FlaskClient]
MINUTE = timedelta(minutes=1)
NAMES = ("王小雨", "王小宇", "李想", "赵一诺")


@pytest.fixture
def day(stage: Outing) -> Counted:
    """Two classes at the gate, with a helper."""
    session = stage.plan(capacity=20, helpers=2)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.take(session, "friend_mother")
    clock.travel_to(FRIDAY)
    _sign_in_again(stage, "friend_mother", "teacher_c")
    return Counted(stage, session)


def _sign_in_again(stage: Outing, *others: str) -> None:
    """Everybody who was signed in weeks ago is today, and these parents too."""
    with Session(stage.engine) as session, session.begin():
        for role in others:
            token = stage.world.tokens[role] = f"token-of-{role}"
            session.add(
                AccountSession(
                    person_id=stage.world.people[role],
                    token_hash=crypto.token_hash(token),
                    route="code",
                    last_seen_at=FRIDAY,
                    expires_at=FRIDAY,
                )
            )
        session.flush()
        session.execute(update(AccountSession).values(expires_at=FRIDAY + 3 * DAY))


def path(day: Counted, class_key: str = "class_a") -> str:
    return f"/activities/sessions/{day.session_id}/day/{day.stage.world.things[class_key]}"


def overview(day: Counted) -> str:
    return f"/activities/sessions/{day.session_id}/day"


def text(answer: TestResponse) -> str:
    return answer.get_data(as_text=True)


def form(client: FlaskClient, day: Counted, *here: str, **more: str) -> dict[str, object]:
    """The form as the page shows it, with these children ticked."""
    page = client.get(path(day)).get_data(as_text=True)
    (batch,) = re.findall(r'name="batch" value="([^"]+)"', page)
    (stage,) = re.findall(r'name="stage" value="([^"]+)"', page)
    shown = re.findall(r'name="shown" value="(\d+)"', page)
    ticks = [str(day.enrolment(c)) for c in here]
    return {"batch": batch, "stage": stage, "shown": shown, "here": ticks, **more}


def test_a_plain_form_marks_and_takes_back(day: Counted, visit: Visit) -> None:
    teacher = visit("teacher")
    assert teacher.post(path(day), data=form(teacher, day, "child", "friend")).status_code == 303
    assert day.here("leave") == {"child", "friend"}
    teacher.post(path(day), data=form(teacher, day, "friend"))
    assert day.here("leave") == {"friend"}


def test_a_form_that_is_sent_twice_counts_once(day: Counted, visit: Visit) -> None:
    teacher = visit("teacher")
    data = form(teacher, day, "child", "friend")
    for _ in range(2):
        teacher.post(path(day), data=data)
    assert day.stage.sql("select count(*) from stage_mark") == [(2,)]


def test_an_old_form_takes_nothing_away_that_others_marked(day: Counted, visit: Visit) -> None:
    teacher, head = visit("teacher"), visit("school_admin")
    old = form(teacher, day, "child")
    head.post(path(day), data=form(head, day, "friend", "reader"))
    teacher.post(path(day), data=old)
    assert day.here("leave") == {"child", "friend", "reader"}


def test_a_refused_finish_keeps_the_ticks_and_asks_for_reasons(day: Counted, visit: Visit) -> None:
    teacher = visit("teacher")
    answer = teacher.post(
        path(day), data=form(teacher, day, "child", "friend", "reader", finish="1")
    )
    assert answer.status_code == 409
    page = text(answer)
    brother = day.enrolment("brother")
    assert "还差 1 人：王小宇" in page
    assert f'name="gone-{brother}"' in page
    assert day.here("leave") == {"child", "friend", "reader"}
    # a reason that needs words loses nothing either
    data = form(
        teacher,
        day,
        *("child", "friend", "reader"),
        finish="1",
        **{f"gone-{brother}": "bored", f"note-{brother}": "外婆家"},
    )
    answer = teacher.post(path(day), data=data)
    assert answer.status_code == 422
    assert "王小宇：请选择原因。" in text(answer)
    assert 'value="外婆家"' in text(answer)
    data = form(
        teacher,
        day,
        *("child", "friend", "reader"),
        finish="1",
        checked="1",
        **{f"gone-{brother}": "absent"},
    )
    assert teacher.post(path(day), data=data).status_code == 303
    assert day.state() == "departed"


@pytest.mark.parametrize(
    "bad",
    [
        {"batch": "no id"},
        {"batch": ""},
        {"here": ["x", "-1", "99999999999999999999999"]},
        {"stage": "supper"},
        {"gone-x": "absent", "finish": "1"},
        {"gone-99999999999999999999999": "absent", "finish": "1"},
        {"gone-1": "x" * 500, "note-1": "\x00", "finish": "1"},
    ],
)
def test_odd_forms_are_refused_in_words(day: Counted, visit: Visit, bad: dict[str, object]) -> None:
    teacher = visit("teacher")
    answer = teacher.post(path(day), data={**form(teacher, day, "child"), **bad})
    assert answer.status_code in (303, 404, 409, 422)
    assert 'name="here"' in text(answer) or answer.status_code in (303, 404)


# -- what a phone sends ---------------------------------------------------------------------------


def tap(day: Counted, child: str, **more: object) -> dict[str, object]:
    now = clock.now().timestamp() * 1000
    return {
        "id": str(uuid4()),
        "child": day.enrolment(child),
        "stage": "leave",
        "mark": "here",
        "at": now,
        **more,
    }


def send(client: FlaskClient, day: Counted, *taps: object, **more: object) -> TestResponse:
    body = {"now": clock.now().timestamp() * 1000, "taps": list(taps), **more}
    return client.post(f"{path(day)}/marks", json=body, headers={"Accept": "application/json"})


def test_a_phone_learns_what_became_of_each_tap(day: Counted, visit: Visit) -> None:
    teacher = visit("teacher")
    good, stranger = tap(day, "child"), tap(day, "kid_0")
    first = send(teacher, day, good, stranger).get_json()
    assert first["outcome"] == {good["id"]: "kept", stranger["id"]: "refused"}
    again = send(teacher, day, good).get_json()
    assert again["outcome"] == {good["id"]: "repeat"}
    leave = again["state"]["stages"][0]
    assert leave["code"] == "leave"
    assert len(leave["expected"]) == 4
    assert leave["marks"][str(day.enrolment("child"))]["here"] is True
    assert not any(name in str(again) for name in NAMES)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "taps",
        {},
        {"taps": []},
        {"taps": {}, "now": 1},
        {"taps": [None], "now": 1},
        {"taps": [{}], "now": 1},
        {"taps": [], "now": "yesterday"},
        {"taps": [], "now": 1e300},
        {"taps": [], "now": True},
        {"taps": [{"id": "x", "child": 1, "stage": "leave", "mark": "here", "at": 1}], "now": 1},
        {"taps": [{"id": str(uuid4()), "child": True, "at": 1}], "now": 1},
        {"taps": [{"id": str(uuid4()), "child": 10**30, "at": 1}], "now": 1},
        {"taps": [{"id": str(uuid4()), "child": 1, "at": None}], "now": 1},
    ],
)
def test_what_no_phone_of_ours_sends_is_refused_in_words(
    day: Counted, visit: Visit, body: object
) -> None:
    answer = visit("teacher").post(
        f"{path(day)}/marks", json=body, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 422
    assert "刷新页面" in answer.get_json()["detail"]


def test_too_many_marks_and_a_stage_of_any_length_do_no_harm(day: Counted, visit: Visit) -> None:
    teacher = visit("teacher")
    answer = send(teacher, day, *(tap(day, "child") for _ in range(501)))
    assert answer.status_code == 422
    odd = tap(day, "child", stage="x" * 10_000, mark={"a": 1})
    answer = send(teacher, day, odd)
    assert answer.get_json()["outcome"] == {odd["id"]: "refused"}


def test_a_phone_of_somebody_else_gets_nothing(day: Counted, visit: Visit) -> None:
    for role in ("teacher_c", "teacher_b", "coordinator", "partner", "guardian", "volunteer"):
        client = visit(role)
        assert client.get(path(day)).status_code == 404, role
        assert client.get(f"{path(day)}/state").status_code == 404, role
        assert send(client, day, tap(day, "child")).status_code == 404, role
    assert day.here("leave") == set()


# -- who sees what --------------------------------------------------------------------------------


def test_the_teacher_is_led_to_her_class_and_the_office_sees_numbers(
    day: Counted, visit: Visit
) -> None:
    assert visit("teacher").get(overview(day)).headers["Location"] == path(day)
    school = text(visit("school_admin").get(overview(day)))
    assert path(day) in school
    assert path(day, "class_c") in school
    office = text(visit("coordinator").get(overview(day)))
    assert "三（2）班" in office
    assert path(day) not in office
    assert not any(name in office for name in NAMES)
    for role in ("guardian", "partner", "teacher_b", "school_admin_b", "volunteer"):
        assert visit(role).get(overview(day)).status_code == 404, role


def test_a_helper_sees_names_and_marks_and_nothing_else(day: Counted, visit: Visit) -> None:
    day.whole_stage("leave")
    day.left("child", "guardian", "外婆")
    helper = visit("friend_mother")
    assert helper.get(overview(day)).headers["Location"] == path(day)
    page = text(helper.get(path(day)))
    assert "李想" in page
    for hidden in ("外婆", "家长提前接走", "138", "/left/", 'name="finish"', "家长未同意"):
        assert hidden not in page, hidden
    helper.post(path(day), data=form(helper, day, "friend"))
    assert day.here("arrive") == {"friend"}
    assert helper.post(path(day), data=form(helper, day, finish="1")).status_code == 403
    child = day.enrolment("friend")
    assert helper.get(f"{path(day)}/left/{child}").status_code == 403


def test_before_its_day_the_page_says_when(day: Counted, visit: Visit) -> None:
    clock.travel_to(FRIDAY - DAY)
    teacher = visit("teacher")
    page = text(teacher.get(path(day)))
    assert "12月11日当天起可以点名" in page
    assert 'name="here"' not in page
    answer = teacher.post(path(day), data={"batch": str(uuid4()), "here": "1"})
    assert answer.status_code == 409


def test_who_left_is_noted_and_taken_back_on_a_page(day: Counted, visit: Visit) -> None:
    day.whole_stage("leave")
    teacher = visit("teacher")
    page = f"{path(day)}/left/{day.enrolment('child')}"
    answer = teacher.post(page, data={"reason": "guardian", "note": ""})
    assert answer.status_code == 422
    assert "请写明由谁接走" in text(answer)
    assert teacher.post(page, data={"reason": "guardian", "note": "外婆"}).status_code == 303
    assert "外婆" in text(teacher.get(path(day)))
    assert teacher.post(page, data={"reason": "ill"}).status_code == 409
    assert teacher.post(page, data={"back": "1"}).status_code == 303
    assert "外婆" not in text(teacher.get(path(day)))
    assert teacher.get(f"{path(day)}/left/{day.enrolment('kid_0')}").status_code == 404
    assert visit("teacher_c").get(page).status_code == 404


# -- Today, and the family ------------------------------------------------------------------------


def test_teacher_and_helper_find_the_list_on_their_first_page(day: Counted, visit: Visit) -> None:
    assert path(day) in text(visit("teacher").get("/"))
    assert path(day) in text(visit("friend_mother").get("/family"))
    assert path(day) not in text(visit("teacher_c").get("/"))
    assert path(day) not in text(visit("guardian").get("/family"))
    clock.travel_to(FRIDAY - 9 * HOUR)  # the evening before
    assert path(day) not in text(visit("teacher").get("/"))
    assert path(day) not in text(visit("friend_mother").get("/family"))
    clock.travel_to(FRIDAY)
    for name in ("leave", "arrive", "lunch", "board", "back"):
        day.whole_stage(name)
    assert path(day) not in text(visit("teacher").get("/"))
    assert path(day) not in text(visit("friend_mother").get("/family"))


def test_a_count_that_stays_open_is_on_today(day: Counted, visit: Visit) -> None:
    day.mark("leave", "child", "friend")
    clock.travel_to(FRIDAY + 9 * MINUTE)
    assert "清点人数" not in text(visit("coordinator").get("/"))
    clock.travel_to(FRIDAY + 11 * MINUTE)
    for role in ("coordinator", "school_admin", "teacher"):
        page = text(visit(role).get("/"))
        assert "从 08:30 开始清点，还差 2 人" in page, role
        assert not any(name in page for name in NAMES)
    for role in ("teacher_b", "school_admin_b", "partner"):
        assert "清点人数" not in text(visit(role).get("/")), role
    day.mark("leave", "brother", "reader")
    day.close("leave")
    assert "三（2）班 种植体验：清点人数" not in text(visit("teacher").get("/"))


def test_a_class_that_should_have_left_or_be_back_is_on_today(day: Counted, visit: Visit) -> None:
    clock.travel_to(FRIDAY + 29 * MINUTE)
    assert "清点人数" not in text(visit("teacher").get("/"))
    clock.travel_to(FRIDAY + 31 * MINUTE)
    assert "“出校”应在 08:30，还没有清点完成" in text(visit("teacher").get("/"))
    for name in ("leave", "arrive", "lunch", "board"):
        day.whole_stage(name)
    assert "清点人数" not in text(visit("teacher").get("/"))
    clock.travel_to(FRIDAY + 8 * HOUR + 31 * MINUTE)
    assert "“回校”应在 16:30" in text(visit("teacher").get("/"))
    day.whole_stage("back")
    assert "清点人数" not in text(visit("teacher").get("/"))
    day.mark("back", "child", mark="away")
    assert "清点之后又有 1 名学生的标记与结果不一致" in text(visit("school_admin").get("/"))


def test_a_family_reads_where_its_own_child_is(day: Counted, visit: Visit) -> None:
    mother = visit("friend_mother")
    assert "今天外出" not in text(mother.get("/family"))
    day.whole_stage("leave")
    assert "已出校" in text(mother.get("/family"))
    day.left("friend", "guardian", "父亲")
    day.whole_stage("arrive", "child", "brother", "reader")
    assert "家长提前接走" in text(mother.get("/family"))
    assert "已到达" in text(visit("guardian").get("/family"))
    # custody: whoever may have nothing of the child reads nothing of the day
    assert "今天外出" not in text(visit("restricted").get("/family"))
    clock.travel_to(FRIDAY + 12 * HOUR)
    assert "今天外出" not in text(visit("guardian").get("/family"))


def test_a_child_that_did_not_come_is_not_out(day: Counted, visit: Visit) -> None:
    day.mark("leave", "child", "brother", "reader")
    day.close("leave", friend=Gone("excused"))
    assert "今天外出" not in text(visit("friend_mother").get("/family"))


def test_signing_out_tells_the_browser_to_forget(day: Counted, visit: Visit) -> None:
    for way in ("/account/sign-out-everywhere", "/sign-out"):
        answer = visit("teacher").post(way)
        assert answer.headers["Clear-Site-Data"] == '"storage"'


def test_the_worker_reaches_these_pages_only(day: Counted, visit: Visit) -> None:
    answer = visit("teacher").get("/activities/sessions/headcount-worker.js")
    assert answer.mimetype == "text/javascript"
    assert "Service-Worker-Allowed" not in answer.headers
