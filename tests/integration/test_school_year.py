"""The district office keeps terms and school days; week numbers, hours and calendars follow."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar, Event
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from calendars.workdays import DayKind, published_until
from coordination.domain.agenda import schoolyear
from coordination.domain.bookings import queries as bookings
from coordination.domain.bookings import services as booking_services
from coordination.domain.bookings.values import Slot
from coordination.domain.people import schooldays
from coordination.domain.people.models import CalendarDay, Term
from coordination.ground import clock
from coordination.ground.errors import Forbidden, Invalid, NotFound
from coordination.ground.text import Text
from tests.build.calendars import Town

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
AUTUMN = {
    "name_zh": "第一学期",
    "name_en": "Autumn term",
    "starts_on": "2026-09-01",
    "ends_on": "2027-01-22",
}
FREE = Text("台风停课", "Closed for the typhoon")


@pytest.fixture
def town(fresh_url: str) -> Town:
    clock.travel_to(NOW)
    return Town(fresh_url)


def entries(town: Town, scope: str = "district", scope_id: int | None = None) -> dict[date, Event]:
    """The whole days of a feed as a calendar gets them."""
    _, secret = town.open("teacher", scope, scope_id)
    answer = town.browser().get(f"/c/{secret}.ics")
    assert answer.status_code == 200
    found = Calendar.from_ical(answer.data).walk("VEVENT")
    return {e.decoded("dtstart"): e for e in found if isinstance(e, Event)}


def make(town: Town, first: date, last: date, kind: DayKind, name: Text = FREE) -> int:
    with town.acting("district_admin") as uow:
        return schooldays.set_days(
            uow, org_id=town.thing("district"), first=first, last=last, kind=kind, name=name
        )


def test_a_term_is_entered_on_a_page_and_counts_the_weeks(town: Town) -> None:
    office = town.browser("district_admin")
    assert office.post("/admin/schooldays/terms/new", data=AUTUMN).status_code == 303
    assert "第一学期" in office.get("/admin/schooldays").text
    assert "第14周" in town.browser("teacher").get("/calendars/district?day=2026-12-01").text
    found = entries(town)
    assert str(found[date(2026, 9, 1)]["summary"]) == "第一学期开学"
    assert str(found[date(2027, 1, 22)]["summary"]) == "第一学期结束"


def test_a_term_that_moves_is_the_same_entry_with_a_higher_sequence(town: Town) -> None:
    office = town.browser("district_admin")
    office.post("/admin/schooldays/terms/new", data=AUTUMN)
    before = entries(town)[date(2027, 1, 22)]
    with town.acting() as uow:
        term_id = uow.session.scalars(select(Term.id)).one()
    later = {**AUTUMN, "ends_on": "2027-01-29"}
    assert office.post(f"/admin/schooldays/terms/{term_id}", data=later).status_code == 303
    found = entries(town)
    after = found[date(2027, 1, 29)]
    assert (after["uid"], after["sequence"]) == (before["uid"], before["sequence"] + 1)
    assert date(2027, 1, 22) not in found
    assert office.post(f"/admin/schooldays/terms/{term_id}/remove").status_code == 303
    assert str(entries(town)[date(2027, 1, 29)]["status"]) == "CANCELLED"


def test_the_feed_has_holidays_and_make_up_days_as_whole_days(town: Town) -> None:
    with town.acting() as uow:
        assert schoolyear.write(uow) > 20
    found = entries(town)
    national = found[date(2026, 10, 1)]
    assert "国庆节" in str(national["summary"])
    assert national["dtstart"].params["VALUE"] == "DATE"
    assert national.decoded("dtend") == date(2026, 10, 2)
    assert str(national["transp"]) == "TRANSPARENT"
    assert str(found[date(2026, 10, 10)]["summary"]) == "调休上班"
    assert entries(town, "school", town.thing("school_a")).keys() >= found.keys()


def test_what_has_not_changed_is_not_written_again(town: Town) -> None:
    with town.acting() as uow:
        schoolyear.write(uow)
    with town.acting() as uow:
        assert schoolyear.write(uow) == 0


def test_only_published_days_are_sent(town: Town) -> None:
    with town.acting() as uow:
        schoolyear.write(uow)
    assert max(entries(town)) <= date(published_until(), 12, 31)


def test_a_day_off_closes_venues_and_its_undoing_opens_them(town: Town) -> None:
    day = date(2026, 12, 4)
    assert make(town, day, day, DayKind.HOLIDAY) == 1
    with town.acting() as uow:
        start = datetime(2026, 12, 4, 2, 0, tzinfo=UTC)
        slot = Slot(start, start.replace(hour=4))
        assert bookings.overrides_between(uow.session, slot, slot, ZONE) == {day: DayKind.HOLIDAY}
        row = uow.session.scalars(select(CalendarDay.id)).one()
    assert str(entries(town)[day]["summary"]) == "台风停课"
    assert (
        town.browser("district_admin").post(f"/admin/schooldays/days/{row}/remove").status_code
        == 303
    )
    assert str(entries(town)[day]["summary"]) == "已取消：台风停课"


def test_exams_take_school_days_only(town: Town) -> None:
    count = make(
        town, date(2027, 1, 11), date(2027, 1, 20), DayKind.EXAM, Text("期末考试", "Exams")
    )
    assert count == 8
    with town.acting() as uow:
        days = schooldays.overrides_between(uow.session, date(2027, 1, 1), date(2027, 1, 31))
    assert date(2027, 1, 16) not in days
    assert days[date(2027, 1, 18)] is DayKind.EXAM


def test_a_make_up_day_takes_the_place_of_a_free_day(town: Town) -> None:
    with pytest.raises(Invalid):
        make(town, date(2026, 12, 4), date(2026, 12, 4), DayKind.MAKE_UP_WORKDAY)
    assert make(town, date(2026, 12, 5), date(2026, 12, 5), DayKind.MAKE_UP_WORKDAY) == 1


@pytest.mark.parametrize(
    ("address", "data", "says"),
    [
        ("terms/new", {**AUTUMN, "ends_on": "2026-08-01"}, "不能早于开始日期"),
        ("terms/new", {**AUTUMN, "ends_on": "2028-01-22"}, "最长 250 天"),
        ("terms/new", {**AUTUMN, "starts_on": "1026-09-01", "ends_on": "1026-10-01"}, "检查年份"),
        ("terms/new", {**AUTUMN, "name_zh": ""}, "名称"),
        ("terms/new", {**AUTUMN, "name_zh": "长" * 99}, "名称最长 40 个字"),
        ("terms/new", {**AUTUMN, "starts_on": "明天"}, "请填写日期"),
        ("days/new", {"kind": "weekend", "first": "2026-12-04", "last": "2026-12-04"}, "错误"),
        (
            "days/new",
            {"kind": "exam", "first": "2026-12-05", "last": "2026-12-06"},
            "没有上课的日子",
        ),
        ("days/new", {"kind": "holiday", "first": "2026-12-05", "last": "2026-12-01"}, "不能早于"),
        (
            "days/new",
            {"kind": "make_up_workday", "first": "2026-12-04", "last": "2026-12-05"},
            "本来就上课",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    town: Town, address: str, data: dict[str, str], says: str
) -> None:
    answer = town.browser("district_admin").post(f"/admin/schooldays/{address}", data=data)
    assert answer.status_code == 422
    assert says in answer.text


def test_terms_never_overlap_and_the_database_holds_it(town: Town) -> None:
    office = town.browser("district_admin")
    office.post("/admin/schooldays/terms/new", data=AUTUMN)
    spring = {**AUTUMN, "name_zh": "第二学期", "starts_on": "2027-01-22", "ends_on": "2027-07-01"}
    answer = office.post("/admin/schooldays/terms/new", data=spring)
    assert "重叠" in answer.text
    values = {
        "org_id": town.thing("district"),
        "name_zh": "x",
        "name_en": "x",
        "starts_on": date(2027, 1, 22),
        "ends_on": date(2027, 7, 1),
    }
    with (
        pytest.raises(IntegrityError, match="ex_term_no_overlap"),
        town.engine.begin() as connection,
    ):
        connection.execute(insert(Term).values(values))
    with town.engine.begin() as connection:  # without the guard it would have been written
        connection.execute(text("alter table term drop constraint ex_term_no_overlap"))
        connection.execute(insert(Term).values(values))


@pytest.mark.parametrize("role", ["coordinator", "school_admin", "teacher", "data_officer"])
def test_only_the_office_changes_the_school_year(town: Town, role: str) -> None:
    with pytest.raises(Forbidden), town.acting(role) as uow:
        schooldays.set_days(
            uow,
            org_id=town.thing("district"),
            first=date(2026, 12, 4),
            last=date(2026, 12, 4),
            kind=DayKind.HOLIDAY,
            name=FREE,
        )


def test_every_change_is_in_the_audit_trail(town: Town) -> None:
    office = town.browser("district_admin")
    office.post("/admin/schooldays/terms/new", data=AUTUMN)
    make(town, date(2026, 12, 4), date(2026, 12, 4), DayKind.HOLIDAY)
    page = office.get("/admin/audit").text
    assert "学期" in page
    assert "校历日" in page


# -- what stands in the school's and the district's calendar -------------------------------------


def booked(town: Town, role: str, key: str, **whose: int) -> int:
    """A confirmed booking of the studio; the owner approves it."""
    hour = 14 if "class_id" in whose else 10
    start = datetime(2026, 12, 11, hour, 0, tzinfo=ZONE)
    with town.acting(role) as uow:
        return booking_services.request_booking(
            uow,
            resource_id=town.thing("resource"),
            starts_at=start,
            ends_at=start.replace(hour=hour + 1),
            children=30,
            adults=2,
            purpose="陶艺节",
            needs="1 名轮椅使用者",
            request_key=key,
            zone=ZONE,
            **whose,
        ).id


def approved(town: Town, booking: int) -> None:
    with town.acting("partner") as uow:
        booking_services.approve(uow, booking_id=booking)


def fed(
    town: Town, role: str, scope: str, scope_id: int | None = None
) -> tuple[bytes, list[Event]]:
    """A feed of `role` as it comes over HTTP: its bytes, and its entries that are no whole days."""
    _, secret = town.open(role, scope, scope_id)
    answer = town.browser().get(f"/c/{secret}.ics")
    assert answer.status_code == 200
    found = [e for e in Calendar.from_ical(answer.data).walk("VEVENT") if isinstance(e, Event)]
    unfolded = answer.data.replace(b"\r\n ", b"")
    return unfolded, [e for e in found if isinstance(e.decoded("dtstart"), datetime)]


def test_a_schools_feed_has_what_concerns_the_whole_school_and_no_class_or_child(
    town: Town,
) -> None:
    with town.acting() as uow:
        schoolyear.write(uow)
    school, class_a = town.thing("school_a"), town.thing("class_a")
    town.write(zh="三（2）班 王小雨的活动")  # a session the child goes to
    town.write(8, zh="三（2）班家长会", audiences=[("class", class_a), ("class_staff", class_a)])
    approved(town, booked(town, "teacher", "class", class_id=class_a))
    whole = booked(town, "school_admin", "school", school_id=school)
    for role in ("guardian", "teacher"):
        assert fed(town, role, "school", school)[1] == []  # not before it is sure
    approved(town, whole)
    for role in ("guardian", "teacher"):
        body, entries_ = fed(town, role, "school", school)
        (entry,) = entries_
        assert entry.decoded("dtstart") == datetime(2026, 12, 11, 10, 0, tzinfo=ZONE)
        assert str(entry["summary"]).startswith("school_a ")
        assert "国庆节".encode() in body  # the district's school year stands in it
        for word in ("三（2）班", "王小雨", "轮椅", "Class 3(2)"):
            assert word.encode() not in body, word
    # the office sees what its classes do, too
    assert len(fed(town, "school_admin", "school", school)[1]) == 3
    with town.acting("partner") as uow:
        booking_services.cancel_by_partner(uow, booking_id=whole, code="weather")
    (entry,) = fed(town, "guardian", "school", school)[1]
    assert (str(entry["status"]), entry["sequence"]) == ("CANCELLED", 2)


@pytest.mark.parametrize("stranger", ["guardian_b", "restricted", "former", "partner", "teacher_b"])
def test_a_schools_feed_is_its_own_peoples(town: Town, stranger: str) -> None:
    with pytest.raises(Forbidden):
        town.open(stranger, "school", town.thing("school_a"))


def test_a_guardian_who_leaves_the_school_is_left_an_empty_calendar(town: Town) -> None:
    with town.acting() as uow:
        schoolyear.write(uow)
    _, secret = town.open("guardian", "school", town.thing("school_a"))
    assert b"BEGIN:VEVENT" in town.browser().get(f"/c/{secret}.ics").data
    with town.engine.begin() as held:
        held.execute(
            text("update guardianship set no_disclosure = true where guardian_id = :g"),
            {"g": town.person("guardian")},
        )
    assert b"BEGIN:VEVENT" not in town.browser().get(f"/c/{secret}.ics").data


def test_the_districts_feed_has_the_school_year_and_nothing_else(town: Town) -> None:
    town.browser("district_admin").post("/admin/schooldays/terms/new", data=AUTUMN)
    town.write()
    approved(town, booked(town, "school_admin", "s", school_id=town.thing("school_a")))
    for role in ("guardian", "partner", "district_admin"):
        body, timed = fed(town, role, "district")
        assert timed == []
        for word in ("第一学期开学", "国庆节", "调休上班"):
            assert word.encode() in body, word
        for word in ("school_a", "种植体验", "王小雨"):
            assert word.encode() not in body, word


def test_only_the_office_books_for_the_whole_school(town: Town) -> None:
    for role in ("teacher", "school_admin_b"):
        with pytest.raises(Forbidden):
            booked(town, role, role, school_id=town.thing("school_a"))
    with pytest.raises(NotFound):
        booked(town, "school_admin", "none", school_id=town.thing("partner_p"))
    address = f"/venues/{town.thing('resource')}/book"
    assert "全校" in town.browser("school_admin").get(address).text
    assert "全校" not in town.browser("teacher").get(address).text.split("<select", 1)[1]
