"""Month, week and list on a real database: everybody sees their own, and nothing of others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar

from coordination.domain.people.models import CalendarDay
from coordination.ground import clock
from tests.build.calendars import START, Town

DECEMBER = "day=2026-12-04"


@pytest.fixture
def town(fresh_url: str) -> Town:
    clock.travel_to(datetime(2026, 11, 24, 1, 0, tzinfo=UTC))
    return Town(fresh_url)


@pytest.mark.parametrize("view", ["month", "week", "list"])
def test_a_family_sees_its_childs_entry_in_every_view(town: Town, view: str) -> None:
    town.write()
    page = town.browser("guardian").get(f"/calendars/family?view={view}&{DECEMBER}")
    assert page.status_code == 200
    assert "种植体验" in page.text and "19:00" in page.text


@pytest.mark.parametrize("stranger", ["guardian_b"])
def test_another_family_does_not(town: Town, stranger: str) -> None:
    town.write()
    page = town.browser(stranger).get(f"/calendars/family?{DECEMBER}")
    assert page.status_code == 200 and "种植体验" not in page.text


@pytest.mark.parametrize("barred", ["restricted", "former"])
def test_a_guardian_who_may_not_know_gets_no_page(town: Town, barred: str) -> None:
    town.write(audiences=[("class", town.thing("class_a"))])
    browser = town.browser(barred)
    assert browser.get("/calendars/family").status_code == 403
    assert browser.get(f"/calendars/class/{town.thing('class_a')}").status_code == 404


def test_a_cancelled_entry_stays_and_says_so(town: Town) -> None:
    town.write()
    town.cancel()
    page = town.browser("guardian").get(f"/calendars/family?view=list&{DECEMBER}")
    assert "<s>" in page.text and "已取消" in page.text


def test_an_entry_that_ends_at_midnight_stands_on_one_day(town: Town) -> None:
    # 22:00 to 24:00 in Shanghai
    town.write(starts_at=datetime(2026, 12, 4, 14, 0, tzinfo=UTC))
    page = town.browser("guardian").get(f"/calendars/family?view=list&{DECEMBER}").text
    assert page.count("种植体验") == 1


def test_what_stands_for_staff_only_is_not_shown_to_families(town: Town) -> None:
    class_a = town.thing("class_a")
    town.write(audiences=[("class_staff", class_a)])
    address = f"/calendars/class/{class_a}?{DECEMBER}"
    assert "种植体验" in town.browser("teacher").get(address).text
    assert "种植体验" not in town.browser("guardian").get(address).text


def test_a_venue_shows_a_stranger_that_it_is_taken_and_nothing_else(town: Town) -> None:
    resource = town.thing("resource")
    town.write(audiences=[("resource", resource)], place="陶艺坊后院")
    address = f"/calendars/venue/{resource}?view=list&{DECEMBER}"
    assert "种植体验" in town.browser("partner").get(address).text
    seen = town.browser("teacher_b").get(address).text
    assert "已占用" in seen
    assert "种植体验" not in seen and "陶艺坊后院" not in seen and "/entries/" not in seen


def test_a_cancelled_booking_does_not_look_taken(town: Town) -> None:
    resource = town.thing("resource")
    town.write(audiences=[("resource", resource)])
    town.cancel()
    seen = town.browser("teacher_b").get(f"/calendars/venue/{resource}?view=list&{DECEMBER}").text
    assert "已占用" not in seen.replace("只显示已占用", "")


def test_the_filters_are_in_the_address(town: Town) -> None:
    town.write(1)
    town.write(2, zh="陶艺课", category="booking", audiences=[("class", town.thing("class_a"))])
    browser, base = town.browser("guardian"), f"/calendars/family?view=list&{DECEMBER}"
    assert "陶艺课" in browser.get(base).text
    only = browser.get(f"{base}&kind=practice").text
    assert "种植体验" in only and "陶艺课" not in only
    assert "种植体验" in browser.get(f"{base}&child={town.person('child')}").text
    assert browser.get(f"{base}&child={town.person('child_b')}").status_code == 404


@pytest.mark.parametrize(
    "query", ["day=0001-01-01", "day=9999-12-31", "day=x", "view=x", "kind=%00", "child=x", "day="]
)
def test_odd_addresses_show_a_calendar(town: Town, query: str) -> None:
    for view in ("month", "week", "list"):
        assert (
            town.browser("guardian").get(f"/calendars/family?view={view}&{query}").status_code
            == 200
        )


def test_holidays_are_named_and_those_not_published_yet_are_marked(town: Town) -> None:
    browser = town.browser("guardian")
    known = browser.get("/calendars/district?day=2026-10-01").text
    assert "国庆节" in known and "暂定" not in known
    later = browser.get("/calendars/district?day=2040-10-01").text
    assert "国庆节（暂定）" in later and "以正式通知为准" in later


def test_the_districts_own_day_wins_over_the_published_one(town: Town) -> None:
    with town.acting() as uow:
        uow.session.add(
            CalendarDay(
                org_id=town.thing("district"),
                day=datetime(2026, 12, 4, tzinfo=UTC).date(),
                kind="holiday",
                name_zh="台风停课",
                name_en="Closed for the typhoon",
            )
        )
    page = town.browser("teacher").get(f"/calendars/district?{DECEMBER}&lang=en").text
    assert "Closed for the typhoon" in page


def test_one_entry_downloads_as_a_calendar_of_its_own(town: Town) -> None:
    entry = town.write()
    answer = town.browser("guardian").get(f"/calendars/entries/{entry}.ics")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    (event,) = Calendar.from_ical(answer.data).walk("VEVENT")
    assert event["dtstart"].dt == START
    for stranger in ("guardian_b", "restricted", "teacher_b", "partner"):
        assert town.browser(stranger).get(f"/calendars/entries/{entry}.ics").status_code == 404


def test_the_school_office_sees_what_all_its_classes_do(town: Town) -> None:
    town.write(audiences=[("class_staff", town.thing("class_a"))])
    address = f"/calendars/school/{town.thing('school_a')}?{DECEMBER}"
    assert "种植体验" in town.browser("school_admin").get(address).text
    assert "种植体验" not in town.browser("teacher").get(address).text
    assert town.browser("school_admin_b").get(address).status_code == 404


def test_the_day_starts_at_midnight_in_shanghai(town: Town) -> None:
    # 00:30 on the 5th there, still the 4th in UTC
    town.write(starts_at=START + timedelta(hours=5, minutes=30))
    page = town.browser("guardian").get(f"/calendars/family?view=list&{DECEMBER}").text
    assert page.index("12月5日") < page.index("种植体验")
