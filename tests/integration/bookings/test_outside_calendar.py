"""A partner's own calendar: brought, read again, failing, and heeded when time is given away.

The partner's server is a real one, over TLS; only the refusal to ask loopback is lifted for it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from calendars.fetch import Network
from calendars.values import Span
from coordination.app import create_app
from coordination.authz.actor import SYSTEM
from coordination.domain.agenda import busy
from coordination.domain.agenda.models import BusySource, BusySpan
from coordination.domain.bookings import queries, services
from coordination.domain.bookings.models import Resource
from coordination.domain.bookings.values import OutsideClash, Slot, SlotClash
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from coordination.settings import load
from coordination.web.request import SESSION_KEY
from coordination.worker import Beat, read_partner_calendars
from notifications.jobs import libpq_dsn, make_job_app
from tests.integration.bookings.conftest import FRIDAY, HOUR, ZONE, Stage
from tests.integration.web.talking import Browser
from tests.standin.partner_calendar import PartnerServer, partner_server, redirect

FIELD_KEY = "a field key for tests only"
Open = Callable[[str], Browser]


def a_file(*starts: datetime, hours: float = 2, title: str = "私人课程") -> bytes:
    events = [
        f"BEGIN:VEVENT\r\nUID:{n}\r\nSUMMARY:{title}\r\nDTSTART;TZID=Asia/Shanghai:"
        f"{start.astimezone(ZONE):%Y%m%dT%H%M%S}\r\nDURATION:PT{int(hours * 60)}M\r\nEND:VEVENT\r\n"
        for n, start in enumerate(starts)
    ]
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{''.join(events)}END:VCALENDAR\r\n".encode()


@pytest.fixture(autouse=True)
def no_calendar_yet(stage: Stage) -> None:
    with Session(stage.engine) as session:
        session.execute(delete(BusySource))
        session.commit()


@pytest.fixture
def partner() -> Iterator[PartnerServer]:
    with partner_server() as server:
        yield server


@pytest.fixture
def app(stage: Stage) -> Flask:
    url = stage.engine.url.render_as_string(hide_password=False)
    return create_app(
        load({"DATABASE_URL": url, "PUBLIC_URL": "http://localhost", "FIELD_KEY": FIELD_KEY})
    )


@pytest.fixture
def as_(app: Flask, stage: Stage) -> Open:
    def sign_in(role: str) -> Browser:
        client = app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = stage.world.tokens[role]
        return Browser(client)

    return sign_in


def uploaded(stage: Stage, content: bytes, *, use: bool = True, resource: int | None = None) -> int:
    def act(uow: UnitOfWork) -> int:
        return busy.upload(
            uow,
            resource_id=resource or stage.resource_id,
            content=content,
            name="课程表.ics",
            zone=ZONE,
        ).id

    source = stage.act("partner", act)
    if use:
        stage.act("partner", lambda uow: busy.take_into_use(uow, source_id=source))
    return source


@pytest.fixture
def followed(stage: Stage, partner: PartnerServer, monkeypatch: pytest.MonkeyPatch) -> int:
    """A calendar read by its address from the partner's server, in use."""
    plain = busy.fetch.clean_address
    with monkeypatch.context() as lifted:
        # the stand-in has no port 443
        lifted.setattr(busy.fetch, "clean_address", lambda typed: plain(typed, partner.port))
        source = stage.act(
            "partner",
            lambda uow: (
                busy.follow(
                    uow, resource_id=stage.resource_id, address=partner.url(), name="学员日历"
                ).id
            ),
        )
    partner.content = a_file(FRIDAY)
    tick(stage, partner.network())
    stage.act("partner", lambda uow: busy.take_into_use(uow, source_id=source))
    return source


def tick(stage: Stage, network: Network | None = None) -> None:
    """What the clock does every few seconds."""
    jobs = make_job_app(libpq_dsn(stage.engine.url.render_as_string(hide_password=False)))
    read_partner_calendars(Beat(stage.engine, jobs, clock.now(), network))


def later(**span: float) -> None:
    clock.travel_to(clock.now() + timedelta(**span))


def source(stage: Stage, source_id: int) -> BusySource:
    with Session(stage.engine, expire_on_commit=False) as session:
        return session.get_one(BusySource, source_id)


def known(stage: Stage, source_id: int) -> list[Span]:
    with Session(stage.engine) as session:
        return busy.busy_of(session, source_id, clock.now())


def free(stage: Stage, resource_id: int | None = None) -> list[Slot]:
    with Session(stage.engine) as session:
        resource = session.get_one(Resource, resource_id or stage.resource_id)
        return queries.free_slots(
            session, resource, FRIDAY.date(), minutes=120, now=clock.now(), zone=ZONE
        )


# -- bringing one ---------------------------------------------------------------------------------


def test_a_calendar_takes_time_away_only_after_its_owner_has_looked(stage: Stage) -> None:
    before = free(stage)
    number = uploaded(stage, a_file(FRIDAY), use=False)
    assert free(stage) == before
    stage.request(FRIDAY)
    stage.act("partner", lambda uow: busy.take_into_use(uow, source_id=number))
    assert free(stage) != before


def test_busy_times_are_not_offered_and_not_given(stage: Stage) -> None:
    uploaded(stage, a_file(FRIDAY))
    taken = Slot(FRIDAY, FRIDAY + 2 * HOUR)
    assert free(stage)
    assert not any(slot.overlaps(taken) for slot in free(stage))
    with pytest.raises(SlotClash) as refusal:
        stage.request(FRIDAY + HOUR)
    assert refusal.value.clashes == (taken,)
    assert refusal.value.free
    assert "私人课程" not in refusal.value.message.zh


def test_a_venue_booked_directly_refuses_them_too(stage: Stage) -> None:
    with Session(stage.engine) as session:
        session.execute(update(Resource).values(approval_mode="direct"))
        session.commit()
    uploaded(stage, a_file(FRIDAY))
    with pytest.raises(SlotClash):
        stage.request(FRIDAY)
    assert stage.booking(stage.request(FRIDAY + timedelta(days=1))).state == "confirmed"


def test_a_booking_is_not_moved_into_them(stage: Stage) -> None:
    booking = stage.request(FRIDAY + timedelta(days=1))
    uploaded(stage, a_file(FRIDAY))
    with pytest.raises(SlotClash):
        stage.act(
            "teacher",
            lambda uow: services.move_booking(
                uow, booking_id=booking, starts_at=FRIDAY, ends_at=FRIDAY + 2 * HOUR, zone=ZONE
            ),
        )


def test_what_is_busy_as_a_whole_is_busy_in_its_parts_and_the_other_way_round(stage: Stage) -> None:
    with Session(stage.engine) as session:
        values = {
            column.name: getattr(session.get_one(Resource, stage.resource_id), column.name)
            for column in Resource.__table__.columns
            if column.name not in ("id", "parent_id", "created_at")
        }
        part = Resource(**values, parent_id=stage.resource_id)
        session.add(part)
        session.commit()
        number = part.id
        session.execute(
            text(
                "insert into opening_rule (resource_id, weekday, opens, closes) select :part,"
                " weekday, opens, closes from opening_rule where resource_id = :whole"
            ),
            {"part": number, "whole": stage.resource_id},
        )
        session.commit()
    both = free(stage), free(stage, number)
    of_the_whole = uploaded(stage, a_file(FRIDAY))
    assert free(stage, number) != both[1]
    stage.act("partner", lambda uow: busy.remove(uow, source_id=of_the_whole))
    assert (free(stage), free(stage, number)) == both
    uploaded(stage, a_file(FRIDAY), resource=number)
    assert free(stage) != both[0]


def test_a_file_that_is_not_understood_leaves_nothing_behind(stage: Stage) -> None:
    bad = a_file(FRIDAY, title="合唱").replace(b"END:VCALENDAR", b"") + (
        b"BEGIN:VEVENT\r\nUID:9\r\nSUMMARY:\xe6\xaf\x8f\xe7\xa7\x92\r\nDTSTART:20261204T060000Z\r\n"
        b"DURATION:PT1S\r\nRRULE:FREQ=SECONDLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    with pytest.raises(Invalid) as refusal:
        uploaded(stage, bad)
    said = refusal.value.fields["file"]
    assert "每秒" in said.zh
    assert "重复规则" in said.zh
    assert "改成单次日程" in said.zh
    assert "monthly" in said.en
    with Session(stage.engine) as session:
        assert session.scalar(select(func.count()).select_from(BusySource)) == 0


def test_others_may_not_bring_or_remove_one(stage: Stage) -> None:
    number = uploaded(stage, a_file(FRIDAY))
    for role in ("partner_b", "teacher", "school_admin"):
        with pytest.raises(Forbidden):
            stage.act(role, lambda uow: busy.remove(uow, source_id=number))
        with pytest.raises(Forbidden):
            stage.act(
                role,
                lambda uow: busy.upload(
                    uow,
                    resource_id=stage.resource_id,
                    content=a_file(FRIDAY),
                    name="",
                    zone=ZONE,
                ),
            )


def test_a_venue_follows_no_more_than_a_few(stage: Stage) -> None:
    for _ in range(busy.MOST_SOURCES):
        uploaded(stage, a_file(FRIDAY), use=False)
    with pytest.raises(Conflict, match=str(busy.MOST_SOURCES)):
        uploaded(stage, a_file(FRIDAY))


# -- reading it again -----------------------------------------------------------------------------


def test_an_address_is_read_every_hour_and_not_more_often(
    stage: Stage, partner: PartnerServer, followed: int
) -> None:
    assert known(stage, followed) == [Span(FRIDAY, FRIDAY + 2 * HOUR)]
    assert len(partner.asked) == 1
    tick(stage, partner.network())
    later(minutes=59)
    tick(stage, partner.network())
    assert len(partner.asked) == 1
    partner.content = a_file(FRIDAY + timedelta(days=1))
    later(minutes=12)  # an hour and the longest jitter
    tick(stage, partner.network())
    assert len(partner.asked) == 2
    assert [s.starts_at for s in known(stage, followed)] == [FRIDAY + timedelta(days=1)]


def test_calendars_of_one_provider_are_not_read_at_one_moment(stage: Stage) -> None:
    with Session(stage.engine) as session, begin(session, SYSTEM):
        times = {busy._next_time(clock.now(), busy.EVERY) for _ in range(50)}
        session.rollback()
    assert len(times) > 20
    assert min(times) >= clock.now() + busy.EVERY
    assert max(times) < clock.now() + busy.EVERY + busy.JITTER


def test_what_has_not_changed_is_not_sent_again(
    stage: Stage, partner: PartnerServer, followed: int
) -> None:
    partner.etag = '"7"'
    later(hours=2)
    tick(stage, partner.network())  # learns the tag
    read_at = source(stage, followed).read_at
    later(hours=2)
    tick(stage, partner.network())
    assert partner.asked[-1][1]["If-None-Match"] == '"7"'
    now = source(stage, followed)
    assert now.read_at == read_at
    assert now.checked_at == clock.now()  # known to be right as of now
    assert known(stage, followed)


def test_a_failure_keeps_what_was_known_and_says_as_of_when(
    stage: Stage, partner: PartnerServer, followed: int, as_: Open
) -> None:
    before, read_at = known(stage, followed), source(stage, followed).checked_at
    for broken in (b"not a calendar", a_file(FRIDAY)[:-40], b"x" * 3_000_000):
        partner.content = broken
        later(hours=7)
        tick(stage, partner.network())
        now = source(stage, followed)
        assert now.failed_reason, broken[:20]
        assert now.checked_at == read_at
        assert known(stage, followed) == before
        with pytest.raises(SlotClash):
            stage.request(FRIDAY)
    page = as_("partner").get(f"/venues/calendars/{followed}").get_data(as_text=True)
    assert "文件超过 2 MB" in page
    assert "忙碌时段仍按" in page
    assert "外部日历“学员日历”读取失败" in as_("partner").get("/").get_data(as_text=True)
    partner.content = a_file(FRIDAY)
    later(hours=7)
    tick(stage, partner.network())
    assert source(stage, followed).failing_since is None


def told(stage: Stage) -> list[str]:
    with stage.engine.connect() as connection:
        return list(
            connection.scalars(
                text("select body from outbox_message where template_key = 'calendar_failing'")
            )
        )


def test_an_owner_is_told_once_after_a_day(
    stage: Stage, partner: PartnerServer, followed: int
) -> None:
    partner.content = b"not a calendar"
    for hour in range(0, 72, 7):
        later(hours=7)
        tick(stage, partner.network())
        assert len(told(stage)) == (1 if hour >= 24 else 0), hour
    assert source(stage, followed).failures > 5
    partner.content = a_file(FRIDAY)
    later(hours=7)
    tick(stage, partner.network())
    partner.content = b"not a calendar"
    for _ in range(6):
        later(hours=7)
        tick(stage, partner.network())
    assert len(told(stage)) == 2  # another failure, another text


def test_two_clocks_read_one_calendar_once(
    stage: Stage, partner: PartnerServer, followed: int
) -> None:
    later(hours=2)
    asked = len(partner.asked)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: tick(stage, partner.network()), range(4)))
    assert len(partner.asked) == asked + 1
    assert followed


def test_a_calendar_removed_while_it_is_read_stays_removed(
    stage: Stage, partner: PartnerServer, followed: int
) -> None:
    later(hours=2)
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        due = busy.claim_due(uow)
    assert due is not None
    reading = busy.read(due, clock.now(), ZONE, partner.network())
    stage.act("partner", lambda uow: busy.remove(uow, source_id=followed))
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        busy.keep(uow, source_id=followed, reading=reading)
    with Session(stage.engine) as session:
        assert session.scalar(select(func.count()).select_from(BusySpan)) == 0


# -- what may not be asked ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/a.ics",
        "https://user:pass@example.org/a.ics",
        "https://example.org:8443/a.ics",
        "file:///etc/passwd",
        "ftp://example.org/a.ics",
        "https://",
    ],
)
def test_an_address_that_may_not_be_asked_is_refused_at_once(
    as_: Open, stage: Stage, address: str
) -> None:
    partner, path = as_("partner"), f"/venues/manage/{stage.resource_id}/calendars"
    partner.get(path)
    answer = partner.post(path, address=address, name="")
    assert answer.status_code == 422
    assert "请在您的日历程序里重新复制" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "0x7f000001",
        "localhost",
    ],
)
def test_an_address_inside_is_refused_by_the_worker(as_: Open, stage: Stage, host: str) -> None:
    partner, path = as_("partner"), f"/venues/manage/{stage.resource_id}/calendars"
    partner.get(path)
    answer = partner.post(path, address=f"https://{host}/a.ics", name="")
    assert answer.status_code == 303
    tick(stage)  # the network as it is in earnest
    page = as_("partner").get(answer.headers["Location"]).get_data(as_text=True)
    assert "这个网址不在公共互联网上" in page or "找不到这个网站" in page


def test_a_redirect_inside_is_refused_and_the_server_inside_never_asked(
    stage: Stage, partner: PartnerServer, followed: int
) -> None:
    partner.behaviour["/free.ics"] = redirect(f"https://inside.example:{partner.port}/secret")

    def resolve(host: str, _port: int) -> list[str]:
        return ["127.0.0.1"] if host != "inside.example" else ["10.0.0.7"]

    later(hours=2)
    before = known(stage, followed)
    tick(stage, partner.network(resolve=resolve))
    assert source(stage, followed).failed_reason == "not a public address"
    assert [path for path, _ in partner.asked if path == "/secret"] == []
    assert known(stage, followed) == before


# -- approval -------------------------------------------------------------------------------------


def test_approval_looks_again_and_may_be_given_all_the_same(stage: Stage) -> None:
    booking = stage.request(FRIDAY)
    uploaded(stage, a_file(FRIDAY - HOUR))
    with pytest.raises(OutsideClash, match="outside calendar"):
        stage.act("partner", lambda uow: services.approve(uow, booking_id=booking, zone=ZONE))
    assert stage.booking(booking).state == "tentative"
    seen = [Slot(FRIDAY - HOUR, FRIDAY + HOUR)]
    stage.act(
        "partner",
        lambda uow: services.approve(uow, booking_id=booking, despite=seen, zone=ZONE),
    )
    assert stage.booking(booking).state == "confirmed"


def test_what_the_owner_has_not_been_shown_is_not_overridden(stage: Stage) -> None:
    booking = stage.request(FRIDAY)
    uploaded(stage, a_file(FRIDAY - HOUR))
    seen = [Slot(FRIDAY - HOUR, FRIDAY + HOUR)]
    uploaded(stage, a_file(FRIDAY + HOUR, hours=3))
    with pytest.raises(OutsideClash) as refusal:
        stage.act(
            "partner",
            lambda uow: services.approve(uow, booking_id=booking, despite=seen, zone=ZONE),
        )
    assert refusal.value.clashes == (Slot(FRIDAY + HOUR, FRIDAY + 4 * HOUR),)


@pytest.mark.parametrize("guarded", [True, False], ids=["with the lock", "without it"])
@pytest.mark.parametrize("way", ["approve", "book directly"])
def test_busy_times_that_arrive_meanwhile_are_seen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, way: str, guarded: bool
) -> None:
    """Without the lock (negative control) the time is given away under the owner's nose."""
    number = uploaded(stage, a_file(FRIDAY + timedelta(days=3)))
    booking = stage.request(FRIDAY) if way == "approve" else 0
    if way == "book directly":
        with Session(stage.engine) as session:
            session.execute(update(Resource).values(approval_mode="direct"))
            session.commit()
    if not guarded:
        monkeypatch.setattr(busy, "lock_venues", lambda *_: None)

    def give() -> int:
        if way == "book directly":
            return stage.request(FRIDAY)
        stage.act("partner", lambda uow: services.approve(uow, booking_id=booking, zone=ZONE))
        return booking

    with ThreadPoolExecutor(1) as pool:
        with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
            reading = busy.Reading((Span(FRIDAY, FRIDAY + 2 * HOUR),))
            busy.keep(uow, source_id=number, reading=reading)
            session.flush()  # read and written, not yet committed
            giving = pool.submit(give)
            if guarded:
                with pytest.raises(StillWaiting):
                    giving.result(timeout=1.5)
            else:
                given = giving.result(timeout=10)
        if guarded:
            with pytest.raises(OutsideClash if way == "approve" else SlotClash):
                giving.result(timeout=10)
            return
    with Session(stage.engine) as session:
        resource = session.get_one(Resource, stage.resource_id)
        wanted = [Slot(FRIDAY, FRIDAY + 2 * HOUR)]
        assert queries.outside_clashes(session, resource, wanted)
    assert stage.booking(given).state == "confirmed"  # the harm


# -- the pages ------------------------------------------------------------------------------------


def upload_by_page(browser: Browser, stage: Stage, content: bytes) -> str:
    path = f"/venues/manage/{stage.resource_id}/calendars"
    browser.get(path)
    answer = browser.post(path, address="", name="", file=(io.BytesIO(content), "课程表.ics"))
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return str(answer.headers["Location"])


def test_a_partner_uploads_looks_uses_and_removes(as_: Open, stage: Stage) -> None:
    partner, teacher = as_("partner"), as_("teacher")
    there = upload_by_page(partner, stage, a_file(FRIDAY, FRIDAY + timedelta(days=7)))
    page = partner.get(there).get_data(as_text=True)
    assert "读懂了 2 个忙碌时段" in page
    assert "12月4日" in page
    assert "私人课程" not in page
    english = partner.get(f"{there}?lang=en").get_data(as_text=True)
    assert "2 busy times understood in the next 13 months" in english
    partner.get(f"{there}?lang=zh")
    assert partner.post(f"{there}/use").status_code == 303
    venue = teacher.get(f"/venues/{stage.resource_id}?day=2026-12-04").get_data(as_text=True)
    assert "已占用" in venue
    assert "私人课程" not in venue
    assert "课程表" not in venue
    lines = partner.get(f"/venues/manage/{stage.resource_id}/calendars").get_data(as_text=True)
    assert "使用中" in lines
    assert partner.post(f"{there}/remove").status_code == 303
    assert partner.get(there).status_code == 404


def test_a_preview_names_the_bookings_it_would_meet(as_: Open, stage: Stage) -> None:
    booking = stage.request(FRIDAY)
    partner = as_("partner")
    page = partner.get(upload_by_page(partner, stage, a_file(FRIDAY))).get_data(as_text=True)
    assert f"/venues/bookings/{booking}" in page


def test_a_refused_file_says_where_why_and_what_to_do(as_: Open, stage: Stage) -> None:
    path = f"/venues/manage/{stage.resource_id}/calendars"
    bad = a_file(FRIDAY, title="晚课").replace(b"TZID=Asia/Shanghai", b"TZID=Mars/Base")
    partner = as_("partner")
    partner.get(path)
    answer = partner.post(path, address="", name="", file=(io.BytesIO(bad), "a.ics"))
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "晚课" in page
    assert "Mars/Base" in page
    assert "北京时间" in page


def test_the_inbox_says_so_and_the_button_means_it(as_: Open, stage: Stage) -> None:
    booking = stage.request(FRIDAY)
    uploaded(stage, a_file(FRIDAY))
    partner = as_("partner")
    partner.get("/venues/inbox")
    assert partner.post(f"/venues/bookings/{booking}/approve").status_code == 303
    assert stage.booking(booking).state == "tentative"
    page = partner.get(f"/venues/bookings/{booking}").get_data(as_text=True)
    assert "尚未同意" in page  # what the refusal said
    for path in ("/venues/inbox", f"/venues/bookings/{booking}"):
        page = partner.get(path).get_data(as_text=True)
        assert "您的外部日历在" in page
        assert "仍然同意" in page
    despite = re.search(r'name="despite" value="([^"]+)"', page)
    assert despite is not None
    partner.post(f"/venues/bookings/{booking}/approve", despite=despite[1])
    assert stage.booking(booking).state == "confirmed"


def test_a_school_does_not_see_why_a_time_is_taken(as_: Open, stage: Stage) -> None:
    booking = stage.request(FRIDAY)
    uploaded(stage, a_file(FRIDAY))
    page = as_("teacher").get(f"/venues/bookings/{booking}").get_data(as_text=True)
    assert "外部日历" not in page
