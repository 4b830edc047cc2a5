"""A backup of a filled district becomes the district again, and nobody gets a text twice for it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.cli import main
from coordination.domain.people import contacts
from coordination.ground import clock, crypto
from coordination.ground.uow import UnitOfWork
from coordination.keeping import age, backup, going_on, restore
from coordination.keeping.errors import BackupError
from coordination.keeping.programs import tools_for
from coordination.reactions.carriers import Carriers
from coordination.reactions.notices import tell
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.worker import Beat, Postman, send_reminders, send_scheduled_notices
from notifications import health, holding
from notifications.jobs import libpq_dsn, make_job_app
from notifications.values import Found
from tests.build.outing import DAY, HOUR, NOW, Outing, outing
from tests.build.serving import FIELD_KEY
from tests.unit.notifications.making import Provider

SECRET = "a passphrase for tests only"


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    # a second for each of a hundred openings; that guesses cost that much is the library's test
    monkeypatch.setattr(age, "WORK", 4)


@dataclass
class Site:
    """A filled district, its settings, and a backup of it."""

    stage: Outing
    settings: Settings
    file: Path
    manifest: backup.Manifest

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(libpq_dsn(self.settings.database_url)) as held:
            return held.execute(statement).fetchall()  # type: ignore[arg-type]

    def one(self, statement: str) -> object:
        return self.rows(statement)[0][0]

    def restored(self, **how: bool) -> restore.Restored:
        self.stage.engine.dispose()
        return restore.restore(self.settings, self.file, SECRET, replace=True, **how)

    def decide(self, due: going_on.Due) -> going_on.Decision:
        with Session(self.stage.engine) as session, begin(session, SYSTEM) as uow:
            return going_on.go_on(uow, due=due)

    def send(self, provider: Provider) -> None:
        named = {provider.name: provider}
        postman = Postman(
            self.stage.engine, self.settings, Carriers(named, {"sms": (provider.name,)}, named)
        )
        try:
            postman.deliver()
        finally:
            postman.close()


def write(stage: Outing, version: str, *, hours: float = 0) -> None:
    def use(uow: UnitOfWork) -> None:
        uow.authorize(Action.SYSTEM_RUN)
        tell(
            uow,
            "session_cancelled",
            [stage.world.people["guardian"]],
            {"activity": "陶艺", "when": "9:00", "reason": version},
            subject=("shift", 1),
            version=version,
            message_class="urgent",
        )

    stage.system(use)
    stage.sql(
        "update outbox_message set next_at = next_at + make_interval(secs => :s)"
        " where dedupe_key like :key",
        s=hours * 3600,
        key=f"%{version}%",
    )


@pytest.fixture
def site(fresh_url: str, tmp_path: Path) -> Iterator[Site]:
    """Backed up while one message is due, one is for tomorrow, and one is being sent."""
    with outing(fresh_url) as stage:
        session = stage.plan(helpers=2)
        stage.enrol(session)
        stage.sql("update outbox_message set state = 'cancelled' where state in ('queued', 'held')")
        settings = Settings(database_url=fresh_url, field_key=FIELD_KEY)
        for version, hours in (("sending-one", 0), ("due-one", 0), ("later-one", 30)):
            write(stage, version, hours=hours)
        _kill_while_sending(stage, "sending-one")
        file = tmp_path / "night.backup"
        yield Site(stage, settings, file, backup.make(settings, file, SECRET))


def _kill_while_sending(stage: Outing, version: str) -> None:
    stage.sql("insert into delivery_worker (name) values ('gone')")
    stage.sql(
        "insert into delivery_attempt (id, message_id, worker_id, channel, address_mask, intent_at,"
        " next_check_at) select gen_random_uuid(), m.id, (select max(id) from delivery_worker),"
        " 'provider', (select mask from contact_point where kind = 'phone' and person_id ="
        " m.recipient_id), :at, :at from outbox_message m where m.dedupe_key like :key",
        at=NOW,
        key=f"%{version}%",
    )
    stage.sql(
        "update outbox_message set state = 'sending', tries = 1 where dedupe_key like :key",
        key=f"%{version}%",
    )


# -- the way back ---------------------------------------------------------------------------------


def test_what_was_lost_is_there_again_and_the_app_serves_it(site: Site) -> None:
    phones = Session(site.stage.engine)
    before = contacts.phones_of(phones, list(site.stage.world.people.values()))
    phones.close()
    assert before
    site.stage.sql("delete from enrolment")
    site.stage.sql("update person set name = 'lost'")
    done = site.restored()
    assert done.phone_read is True
    assert done.people == len(site.stage.world.people) == site.one("select count(*) from person")
    assert site.one("select count(*) from enrolment") == site.manifest.rows["enrolment"] > 0
    assert not site.one("select count(*) from person where name = 'lost'")
    with Session(site.stage.engine) as session:
        assert contacts.phones_of(session, list(site.stage.world.people.values())) == before
    client = create_app(site.settings).test_client()
    ready = client.get("/readyz")
    assert ready.status_code == 200, ready.json
    assert ready.json is not None
    assert ready.json["held_after_restore"] is True
    assert client.get("/").status_code == 200


def test_an_empty_database_needs_no_leave(site: Site, pg_server: str) -> None:
    """Also one without any table, as a new server has it."""
    name = site.settings.database_url.rpartition("/")[2].partition("?")[0] + "_new"
    server = libpq_dsn(pg_server)
    with psycopg.connect(server, autocommit=True) as held:
        held.execute(f"create database {name}")  # type: ignore[arg-type]
        try:
            url = site.settings.database_url.replace(name.removesuffix("_new"), name, 1)
            fresh = replace(site.settings, database_url=url)
            assert restore.restore(fresh, site.file, SECRET).people > 5
        finally:
            held.execute(f"drop database {name} with (force)")  # type: ignore[arg-type]


def test_the_file_shows_nothing_and_opens_without_us(site: Site) -> None:
    raw = site.file.read_bytes()
    for secret in ("王小雨", "PGDMP", "session_cancelled", site.manifest.revision + '"'):
        assert secret.encode() not in raw
    assert site.file.stat().st_mode & 0o077 == 0
    plain = b"".join(age.read(BytesIO(raw), SECRET))
    line, _, dump = plain.partition(b"\n")
    assert json.loads(line)["revision"] == backup.newest_revision()
    listed = subprocess.run(
        [tools_for(18)["pg_restore"], "--list"], input=dump, capture_output=True, check=True
    )
    assert b"TABLE DATA public outbox_message" in listed.stdout


def test_no_key_is_in_the_file_unless_somebody_wanted_it(site: Site, tmp_path: Path) -> None:
    for with_keys in (False, True):
        file = tmp_path / f"keys-{with_keys}"
        backup.make(site.settings, file, SECRET, with_keys=with_keys)
        plain = b"".join(age.read(BytesIO(file.read_bytes()), SECRET))
        assert (FIELD_KEY.encode() in plain) is with_keys
    with pytest.raises(BackupError, match="holds no keys"):
        restore.write_keys(tmp_path / "keys-False", SECRET, tmp_path / "env")
    restore.write_keys(tmp_path / "keys-True", SECRET, tmp_path / "env")
    assert f"FIELD_KEY={FIELD_KEY}\n" in (tmp_path / "env").read_text()
    assert (tmp_path / "env").stat().st_mode & 0o077 == 0


def test_who_was_signed_in_is_not_any_more(site: Site, tmp_path: Path) -> None:
    site.stage.sql(
        "insert into account_session (person_id, token_hash, route, last_seen_at, expires_at)"
        " values (:p, 'x', 'password', now(), now() + interval '9 days')",
        p=site.stage.world.people["guardian"],
    )
    file = tmp_path / "signed-in.backup"
    backup.make(site.settings, file, SECRET)
    site.stage.engine.dispose()
    restore.restore(site.settings, file, SECRET, replace=True)
    assert site.one("select count(*) from account_session") == 0


def test_feeds_have_versions_that_no_phone_has_seen(site: Site) -> None:
    seen = site.one("select max(version) from feed_version")
    assert isinstance(seen, int)
    site.restored()
    assert site.one("select min(version) from feed_version") > seen + 1_000_000


# -- refusals -------------------------------------------------------------------------------------


def refused(site: Site, *how: str, **changes: object) -> str:
    """What the command says, and that it changed nothing."""
    site.stage.engine.dispose()
    before = site.rows("select id, name, created_at from person order by id")
    settings = replace(site.settings, **changes)
    environment = {
        "DATABASE_URL": settings.database_url,
        "FIELD_KEY": settings.field_key,
        "SECRET_KEY": "a secret key for tests only, long enough",
        "BACKUP_PASSPHRASE": SECRET,
    }
    done = CliRunner().invoke(main, ["restore", str(site.file), *how], env=environment)
    crypto.use_key(FIELD_KEY)
    assert done.exit_code == 1, done.output
    assert site.rows("select id, name, created_at from person order by id") == before
    assert site.one("select count(*) from outbox_hold") == 0
    return " ".join(done.output.split())


def test_a_database_with_people_in_it_is_not_replaced_unasked(site: Site) -> None:
    assert "not empty" in refused(site)


def test_a_database_in_use_is_not_replaced(site: Site) -> None:
    with psycopg.connect(libpq_dsn(site.settings.database_url)) as somebody:
        somebody.execute("select 1")
        with pytest.raises(BackupError, match="other connections"):
            site.restored()


def test_a_wrong_passphrase_is_refused(site: Site, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the passphrase\n")
    said = refused(site, "--replace", "--passphrase-file", str(wrong))
    assert "passphrase does not open" in said


@pytest.mark.parametrize("where", [0.02, 0.5, 0.98])
def test_a_bit_that_was_flipped_is_seen_before_anything_is_touched(
    site: Site, where: float
) -> None:
    raw = bytearray(site.file.read_bytes())
    raw[int(len(raw) * where)] ^= 4
    site.file.write_bytes(raw)
    assert "was changed, or a part of it is missing" in refused(site, "--replace")


@pytest.mark.parametrize("left", [0.3, 0.7])
def test_a_file_that_was_cut_off_is_refused(site: Site, left: float) -> None:
    raw = site.file.read_bytes()
    site.file.write_bytes(raw[: int(len(raw) * left)])
    assert "a part of it is missing" in refused(site, "--replace")


def test_a_file_of_whole_chunks_that_lacks_the_last_is_refused(site: Site) -> None:
    raw = site.file.read_bytes()
    chunks = list(age.read(BytesIO(raw), SECRET))
    assert len(chunks) > 1
    site.file.write_bytes(raw[: -(len(chunks[-1]) + 16)])
    assert "a part of it is missing" in refused(site, "--replace")


def _forged(site: Site, **changes: object) -> None:
    """A whole file of ours with another manifest."""
    plain = b"".join(age.read(BytesIO(site.file.read_bytes()), SECRET))
    line, _, dump = plain.partition(b"\n")
    out = BytesIO()
    writer = age.Writer(out, SECRET)
    writer.write(json.dumps({**json.loads(line), **changes}).encode() + b"\n" + dump)
    writer.finish()
    site.file.write_bytes(out.getvalue())


def test_a_backup_of_a_newer_version_is_refused(site: Site) -> None:
    _forged(site, revision="9999", version="7.0")
    assert "newer version (7.0, tables at 9999)" in refused(site, "--replace")


def test_another_field_key_is_refused(site: Site) -> None:
    said = refused(site, "--replace", field_key="another key, also long enough for it")
    assert "FIELD_KEY is not the one" in said


def test_a_dump_that_fails_half_way_leaves_the_old_database_as_it_was(site: Site) -> None:
    plain = b"".join(age.read(BytesIO(site.file.read_bytes()), SECRET))
    out = BytesIO()
    writer = age.Writer(out, SECRET)
    writer.write(plain[: len(plain) * 2 // 3])
    writer.finish()
    site.file.write_bytes(out.getvalue())
    assert "changed nothing" in refused(site, "--replace")


def test_a_backup_is_not_written_over_another(site: Site) -> None:
    with pytest.raises(BackupError, match="exists"):
        backup.make(site.settings, site.file, SECRET)


def test_a_poor_passphrase_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="fewer than 12"):
        backup.make(site.settings, tmp_path / "poor", "short")


def test_nothing_is_left_of_a_backup_that_failed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "LEFT_OUT", ("a" * 64, ".*bad.*pattern.*("))
    here = set(tmp_path.iterdir())
    with pytest.raises(BackupError, match="pg_dump failed"):
        backup.make(site.settings, tmp_path / "failed", SECRET)
    assert set(tmp_path.iterdir()) == here


def test_a_folder_keeps_its_newest_days(site: Site, tmp_path: Path) -> None:
    """By the command, as the timer calls it; what is not ours stays."""
    folder = tmp_path / "nights"
    folder.mkdir()
    clock.travel_to(None)
    for name, days in (
        ("coordination-2026-01-01T020000Z.backup", 40),
        ("coordination-2026-02-01T020000Z.backup", 5),
        ("holiday.jpg", 90),
    ):
        (folder / name).touch()
        at = (clock.now() - timedelta(days=days)).timestamp()
        os.utime(folder / name, (at, at))
    environment = {
        "DATABASE_URL": site.settings.database_url,
        "FIELD_KEY": FIELD_KEY,
        "SECRET_KEY": "a secret key for tests only, long enough",
        "BACKUP_PASSPHRASE": SECRET,
    }
    done = CliRunner().invoke(main, ["backup", str(folder), "--keep", "30"], env=environment)
    assert done.exit_code == 0, done.output
    assert "NOT in the file" in done.output
    left = {path.name for path in folder.iterdir()}
    assert {"coordination-2026-02-01T020000Z.backup", "holiday.jpg"} < left
    assert len(left) == 3
    checked = CliRunner().invoke(
        main, ["restore", "--check", str(max(folder.glob("coordination-*")))], env=environment
    )
    assert "Whole: made" in checked.output


# -- nobody gets a text twice ---------------------------------------------------------------------


def states(site: Site) -> dict[str, str]:
    found = site.rows("select dedupe_key, state from outbox_message where dedupe_key like '%-one%'")
    return {
        name: str(state)
        for key, state in found
        for name in ("sending", "due", "later", "new")
        if f"{name}-one" in str(key)
    }


def test_what_waited_is_not_sent_until_somebody_decides(site: Site) -> None:
    done = site.restored()
    assert (done.decision.messages.due, done.decision.messages.later) == (1, 1)
    provider = Provider()
    clock.travel_to(NOW + 2 * DAY)
    site.send(provider)
    assert provider.calls == []
    assert states(site)["due"] == states(site)["later"] == "queued"
    assert health.due_count(site.stage.engine, clock.now()) == 0


def test_without_the_hold_it_would_be_sent(site: Site) -> None:
    """The control: that nothing left above is owed to the hold alone."""
    site.restored()
    site.stage.sql("delete from outbox_hold")
    provider = Provider()
    clock.travel_to(NOW + HOUR)
    site.send(provider)
    assert len(provider.calls) == 1


def test_what_people_do_after_the_restore_leaves_at_once(site: Site) -> None:
    site.restored()
    write(site.stage, "new-one")
    provider = Provider()
    clock.travel_to(clock.now() + HOUR)
    site.send(provider)
    assert len(provider.calls) == 1
    assert states(site)["new"] == "accepted"


def test_what_was_being_sent_is_asked_about_and_never_sent_again(site: Site) -> None:
    site.restored()
    assert states(site)["sending"] == "unknown"
    provider = Provider()
    for minutes in (0, 3, 6, 16, 60, 120):
        clock.travel_to(NOW + timedelta(minutes=minutes))
        site.send(provider)
    assert states(site)["sending"] == "needs_human"
    site.decide("send")
    clock.travel_to(clock.now() + HOUR)
    site.send(provider)
    assert states(site)["sending"] == "needs_human"
    assert len(provider.calls) == 1  # the one that was due


def test_what_the_provider_knows_was_sent_counts_as_sent(site: Site) -> None:
    site.restored()
    provider = Provider(finding=Found("SM-of-the-lost-system", "sent", 1))
    clock.travel_to(NOW + 3 * HOUR)
    site.send(provider)
    assert states(site)["sending"] == "accepted"


@pytest.mark.parametrize(
    ("due", "sent", "state"), [("send", 1, "accepted"), ("drop", 0, "cancelled")]
)
def test_the_decision_is_about_what_came_due_between(
    site: Site, due: going_on.Due, sent: int, state: str
) -> None:
    site.restored()
    decided = site.decide(due)
    assert decided.messages.due == 1
    provider = Provider()
    clock.travel_to(NOW + HOUR)
    site.send(provider)
    assert len(provider.calls) == sent
    assert states(site)["due"] == state
    assert states(site)["later"] == "queued"
    clock.travel_to(NOW + 2 * DAY)
    site.send(provider)
    assert states(site)["later"] == "accepted"
    with pytest.raises(BackupError, match="Nothing is held"):
        site.decide(due)


@pytest.mark.parametrize("due", ["send", "drop"])
def test_notices_and_reminders_of_the_time_between_wait_too(
    fresh_url: str, tmp_path: Path, due: going_on.Due
) -> None:
    with outing(fresh_url) as stage:
        notice = stage.world.things["notice"]
        for table in ("notice_round", "notice_recipient"):
            stage.sql(f"delete from {table} where notice_id = {notice}")
        stage.sql(
            "update notice set state = 'scheduled', send_at = :at, sent_at = null, due_at = null"
            " where id = :id",
            at=NOW + HOUR,
            id=notice,
        )
        stage.plan()
        pending = stage.sql("select min(due_at) from reminder where state = 'pending'")[0][0]
        stage.sql(
            "update reminder set due_at = :at, useful_until = :late where state = 'pending'"
            " and due_at = :first",
            at=NOW + HOUR,
            late=NOW + 9 * DAY,
            first=pending,
        )
        settings = Settings(database_url=fresh_url, field_key=FIELD_KEY)
        file = tmp_path / "b"
        backup.make(settings, file, SECRET)
        stage.engine.dispose()
        clock.travel_to(NOW + DAY)
        site = Site(stage, settings, file, restore.examine(file, SECRET))
        held = site.restored().decision
        assert held.notices.scheduled == 1
        assert held.reminders.due >= 1
        beat = Beat(stage.engine, make_job_app(fresh_url), clock.now())
        _tick(beat)
        assert site.one(f"select state from notice where id = {notice}") == "scheduled"
        assert site.one("select count(*) from reminder where state = 'done'") == 0
        site.decide(due)
        _tick(beat)
        kept = ("sent", None) if due == "send" else ("cancelled", "restored")
        assert site.rows(f"select state, unsent_reason from notice where id = {notice}") == [kept]
        done = site.one("select count(*) from reminder where state = 'done'")
        assert (done == held.reminders.due) if due == "send" else (done == 0)


def _tick(beat: Beat) -> None:
    send_scheduled_notices(beat)
    send_reminders(beat)


def test_the_command_shows_the_numbers_and_takes_the_decision(site: Site) -> None:
    site.restored()
    environment = {
        "DATABASE_URL": site.settings.database_url,
        "FIELD_KEY": FIELD_KEY,
        "SECRET_KEY": "a secret key for tests only, long enough",
    }
    shown = CliRunner().invoke(main, ["go-on"], env=environment).output
    assert "messages: 1 due since the backup, 1 later" in shown
    decided = CliRunner().invoke(main, ["go-on", "--due", "drop"], env=environment)
    assert "1 messages" in decided.output
    assert holding.stands(create_engine(site.settings.database_url)) is None
    assert "Nothing is held" in CliRunner().invoke(main, ["go-on"], env=environment).output
