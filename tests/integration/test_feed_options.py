"""What the owner of a feed may choose, and what is shown of who reads it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar, Event
from sqlalchemy.orm import Session

from coordination.domain.agenda.models import FeedToken
from coordination.domain.agenda.options import Options, of_words
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden
from tests.build.calendars import START, Town

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


@pytest.fixture
def town(fresh_url: str) -> Town:
    clock.travel_to(NOW)
    made = Town(fresh_url)
    made.write(1)
    made.write(
        2,
        zh="陶艺课",
        en="Pottery",
        category="booking",
        audiences=[("class", made.thing("class_a"))],
    )
    made.write(
        3, zh="志愿服务", category="volunteering", audiences=[("person", made.person("guardian"))]
    )
    return made


def fetch(town: Town, secret: str, **headers: str) -> list[Event]:
    answer = town.browser().get(f"/c/{secret}.ics", headers=headers)
    assert answer.status_code == 200
    return [e for e in Calendar.from_ical(answer.data).walk("VEVENT") if isinstance(e, Event)]


def choose(town: Town, token_id: int, options: Options, language: str = "zh") -> None:
    from coordination.domain.agenda import feeds

    with town.acting("guardian") as uow:
        feeds.change(uow, token_id=token_id, name="手机", language=language, options=options)


def test_without_a_choice_there_is_no_name_and_no_alarm(town: Town) -> None:
    _, secret = town.open("guardian")
    events = fetch(town, secret)
    assert sorted(str(e["summary"]) for e in events) == sorted(["种植体验", "陶艺课", "志愿服务"])
    assert not any(e.walk("VALARM") for e in events)
    body = town.browser().get(f"/c/{secret}.ics").text
    assert "王小雨" not in body


def test_a_childs_short_name_stands_before_what_concerns_the_child(town: Town) -> None:
    token_id, secret = town.open("guardian")
    choose(town, token_id, Options(names=((town.person("child"), "小雨"),)))
    titles = {str(e["summary"]) for e in fetch(town, secret)}
    # by the child itself and by the class; the guardian's own shift has no child
    assert titles == {"小雨：种植体验", "小雨：陶艺课", "志愿服务"}


def test_alarms_ring_as_chosen(town: Town) -> None:
    token_id, secret = town.open("guardian")
    choose(town, token_id, Options(alarm_minutes=60))
    triggers = {a["trigger"].dt for e in fetch(town, secret) for a in e.walk("VALARM")}
    assert triggers == {timedelta(minutes=-60)}


def test_kinds_cancelled_child_and_language_are_kept_to(town: Town) -> None:
    token_id, secret = town.open("guardian")
    town.cancel(1)
    choose(town, token_id, Options(kinds=("practice", "booking")), language="en")
    shown = {str(e["summary"]): str(e["status"]) for e in fetch(town, secret)}
    assert shown == {"Cancelled: Planting": "CANCELLED", "Pottery": "CONFIRMED"}
    choose(town, token_id, Options(cancelled=False))
    assert "CANCELLED" not in {str(e["status"]) for e in fetch(town, secret)}
    choose(town, token_id, Options(child=town.person("child")))
    assert "志愿服务" not in {str(e["summary"]) for e in fetch(town, secret)}


def test_a_choice_changes_the_etag_and_not_the_address(town: Town) -> None:
    token_id, secret = town.open("guardian")
    first = town.browser().get(f"/c/{secret}.ics").headers["ETag"]
    choose(town, token_id, Options(alarm_minutes=10))
    answer = town.browser().get(f"/c/{secret}.ics", headers={"If-None-Match": first})
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["name", "child"])
def test_nobody_names_or_picks_another_familys_child(town: Town, kind: str) -> None:
    token_id, _ = town.open("guardian")
    other = town.person("child_b")
    wanted = Options(names=((other, "x"),)) if kind == "name" else Options(child=other)
    with pytest.raises(Forbidden):
        choose(town, token_id, wanted)


def test_several_feeds_have_names_and_each_its_own_reader(town: Town) -> None:
    phone, one = town.open("guardian")
    laptop, two = town.open("guardian")
    fetch(town, one, **{"User-Agent": "iOS/18.1 (22B83) dataaccessd/1.0"})
    fetch(town, two, **{"User-Agent": "Google-Calendar-Importer"})
    town.door.notes.write()
    clock.travel_to(NOW + timedelta(hours=9))
    page = town.browser("guardian").get("/calendars").text
    assert "Apple，9小时前读取" in page
    assert "Google，9小时前读取" in page and "每 12 到 24 小时" in page
    with Session(town.engine) as session, session.begin():
        session.query(FeedToken).update({"last_fetched_at": clock.now() - timedelta(days=4)})
    page = town.browser("guardian").get("/calendars").text
    assert "4天前" in page and "获取新数据" in page
    assert {phone, laptop} == {int(n) for n in re.findall(r'href="/calendars/(\d+)"', page)}


def test_a_feed_nobody_reads_comes_with_advice(town: Town) -> None:
    town.open("guardian")
    browser = town.browser("guardian")
    assert "请重置地址" not in browser.get("/calendars").text
    with Session(town.engine) as session, session.begin():
        session.query(FeedToken).update({"created_at": clock.now() - timedelta(days=3)})
    assert "请重置地址" in browser.get("/calendars").text


def test_the_options_page_keeps_what_was_chosen(town: Town) -> None:
    token_id, secret = town.open("guardian")
    browser = town.browser("guardian")
    answer = browser.post(
        f"/calendars/{token_id}",
        data={
            "name": "妈妈的手机",
            "language": "zh",
            "alarm": "60",
            "kinds": ["practice"],
            "hide_cancelled": "y",
            f"name-{town.person('child')}": "小雨",
        },
    )
    assert answer.status_code == 303
    page = browser.get(f"/calendars/{token_id}").text
    assert 'value="妈妈的手机"' in page and 'value="小雨"' in page
    (event,) = fetch(town, secret)
    assert str(event["summary"]) == "小雨：种植体验"
    assert len(event.walk("VALARM")) == 1
    assert browser.post(f"/calendars/{token_id}", data={"name": ""}).status_code == 422
    assert town.browser("guardian_b").post(f"/calendars/{token_id}", data={}).status_code == 404


def test_a_new_address_keeps_the_options(town: Town) -> None:
    from coordination.domain.agenda import feeds

    token_id, _ = town.open("guardian")
    choose(town, token_id, Options(alarm_minutes=10))
    with town.acting("guardian") as uow:
        token, _ = feeds.rotate(uow, token_id=token_id)
        assert of_words(token.options) == Options(alarm_minutes=10)


def test_there_is_an_end_to_the_number_of_feeds(town: Town) -> None:
    from coordination.domain.agenda import feeds

    for _ in range(feeds.MOST):
        town.open("guardian")
    with pytest.raises(Conflict):
        town.open("guardian")


def test_a_stranger_may_follow_when_a_venue_is_taken_and_no_more(town: Town) -> None:
    resource = town.thing("resource")
    town.write(4, zh="五年级春游", audiences=[("resource", resource)], place="后院")
    _, owner = town.open("partner", "resource", resource)
    _, stranger = town.open("teacher_b", "resource", resource)
    assert "五年级春游" in {str(e["summary"]) for e in fetch(town, owner)}
    (event,) = fetch(town, stranger)
    assert str(event["summary"]) == "已占用"
    assert "location" not in event and "description" not in event
    with pytest.raises(Forbidden):
        town.open("guardian", "resource", resource)


def test_words_that_are_not_understood_count_as_not_chosen() -> None:
    assert of_words({"alarm": "7", "child": "x", "kinds": "a,b", "name:x": "y"}) == Options()
    every = Options(10, False, ("practice", "meeting"), 3, ((3, "小雨"),))
    assert of_words(every.as_words()) == every


def test_a_feed_of_the_class_is_open_to_its_families_without_the_staffs_part(town: Town) -> None:
    class_a = town.thing("class_a")
    town.write(5, zh="教研", audiences=[("class_staff", class_a)], starts_at=START)
    _, mother = town.open("guardian", "class", class_a)
    _, teacher = town.open("teacher", "class", class_a)
    assert {str(e["summary"]) for e in fetch(town, mother)} == {"陶艺课"}
    assert {str(e["summary"]) for e in fetch(town, teacher)} == {"陶艺课", "教研"}
    for barred in ("restricted", "guardian_b"):
        with pytest.raises(Forbidden):
            town.open(barred, "class", class_a)
