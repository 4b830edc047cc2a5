"""The calendar projection on a real database: what moves raises SEQUENCE, what does not, does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.agenda import services
from coordination.domain.agenda.models import CalendarEntry, FeedToken
from coordination.ground import clock, crypto, portal
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from tests.build import world as worlds
from tests.build.calendars import entries_of

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
START = datetime(2026, 12, 4, 11, 0, tzinfo=UTC)


def write(uow: UnitOfWork, start: datetime, child: int, note: str = "") -> CalendarEntry:
    return services.put(
        uow,
        subject_type="session",
        subject_id=7,
        category="practice",
        starts_at=start,
        ends_at=start + timedelta(hours=2),
        summary=Text("种植体验", "Planting"),
        location=Text("绿谷", "Green Valley"),
        description=Text(note, note),
        audiences=[("child", child)],
    )


def feed_of(session: Session, owner: int) -> tuple[str, bytes]:
    secret = crypto.new_token()
    session.add(
        FeedToken(
            owner_id=owner,
            scope="family",
            name="f",
            language="zh",
            token_hash=crypto.token_hash(secret),
        )
    )
    session.flush()
    return secret, b""


def test_a_move_keeps_the_uid_raises_sequence_and_changes_the_version(session: Session) -> None:
    clock.travel_to(NOW)
    world = worlds.build(session, NOW)
    secret, _ = feed_of(session, world.people["guardian"])
    child = world.people["child"]
    uow = begin(session, SYSTEM)
    write(uow, START, child)
    session.flush()
    version, before = entries_of(session, secret)
    clock.travel_to(NOW + timedelta(minutes=5))
    uow = begin(session, SYSTEM)
    write(uow, START + timedelta(hours=1), child)
    session.flush()
    moved, after = entries_of(session, secret)
    (old,), (new,) = before, after
    assert old["uid"] == new["uid"]
    assert (old["sequence"], new["sequence"]) == (0, 1)
    assert moved != version


def test_writing_the_same_again_changes_neither_bytes_nor_version(session: Session) -> None:
    clock.travel_to(NOW)
    world = worlds.build(session, NOW)
    secret, _ = feed_of(session, world.people["guardian"])
    write(begin(session, SYSTEM), START, world.people["child"])
    session.flush()
    first = entries_of(session, secret)
    clock.travel_to(NOW + timedelta(hours=3))
    write(begin(session, SYSTEM), START, world.people["child"])
    session.flush()
    assert entries_of(session, secret) == first


def test_a_cancelled_entry_stays_as_a_tombstone_for_ninety_days(session: Session) -> None:
    clock.travel_to(NOW)
    world = worlds.build(session, NOW)
    secret, _ = feed_of(session, world.people["guardian"])
    write(begin(session, SYSTEM), START, world.people["child"])
    services.cancel(begin(session, SYSTEM), subject_type="session", subject_id=7)
    session.flush()
    (tombstone,) = entries_of(session, secret)[1]
    assert tombstone["status"] == "CANCELLED"
    clock.travel_to(NOW + timedelta(days=89))
    assert services.forget_tombstones(begin(session, SYSTEM)) == 0
    version, _ = entries_of(session, secret)
    clock.travel_to(NOW + timedelta(days=91))
    assert services.forget_tombstones(begin(session, SYSTEM)) == 1
    assert entries_of(session, secret)[0] != version
    assert entries_of(session, secret)[1] == []


def test_a_restricted_guardian_sees_nothing_of_the_child(session: Session) -> None:
    clock.travel_to(NOW)
    world = worlds.build(session, NOW)
    write(begin(session, SYSTEM), START, world.people["child"])
    session.flush()
    for stranger in ("restricted", "former", "guardian_b"):
        secret, _ = feed_of(session, world.people[stranger])
        assert entries_of(session, secret)[1] == [], stranger
    secret, _ = feed_of(session, world.people["guardian"])
    assert len(entries_of(session, secret)[1]) == 1


def test_a_cancelled_entry_says_so_in_its_title_and_forgets_it_when_it_is_on_again(
    session: Session,
) -> None:
    # calcurse and some phones do not look at STATUS
    clock.travel_to(NOW)
    world = worlds.build(session, NOW)
    secret, _ = feed_of(session, world.people["guardian"])
    child = world.people["child"]
    uow = begin(session, SYSTEM)
    write(uow, START, child)
    services.cancel(uow, subject_type="session", subject_id=7)
    session.flush()
    _, [off] = entries_of(session, secret)
    assert (str(off["summary"]), str(off["status"])) == ("已取消：种植体验", "CANCELLED")
    write(uow, START, child)
    session.flush()
    _, [on] = entries_of(session, secret)
    assert (str(on["summary"]), on["sequence"]) == ("种植体验", 2)


def test_an_entry_names_the_portal_its_number_and_its_page_and_follows_a_new_address(
    session: Session,
) -> None:
    clock.travel_to(NOW)
    world = worlds.build(session, NOW)
    child, mother = world.people["child"], world.people["guardian"]
    secret, _ = feed_of(session, mother)
    portal.use_address("https://jxs.example.cn/")
    with begin(session, SYSTEM) as uow:
        uow.authorize(Action.SYSTEM_RUN)
        row = write(uow, START, child, "集合：南门")
    before, (entry,) = entries_of(session, secret)
    assert str(entry["url"]) == f"https://jxs.example.cn/calendars/entries/{row.id}"
    assert str(entry["description"]) == f"集合：南门\n家校社协同 · 日程编号 {row.id}"
    portal.use_address("https://new.example.cn")
    done, after = [], 0
    while after is not None:
        with begin(session, SYSTEM) as uow:
            after = services.render_again(uow, after=after, limit=2)
        done.append(after)
    version, (again,) = entries_of(session, secret)
    assert str(again["url"]).startswith("https://new.example.cn/")
    assert version != before
    for name in ("uid", "sequence", "dtstamp", "last-modified"):
        assert again[name] == entry[name]
    assert len(done) > 1
    with begin(session, SYSTEM) as uow:  # what is right already stays as it is
        services.render_again(uow, after=0)
    assert entries_of(session, secret)[0] == version
