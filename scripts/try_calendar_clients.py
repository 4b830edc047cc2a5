"""Let real calendar programs and libraries read a family feed of the demo district, over HTTP.

The application serves the demo district on loopback. A mother's feed is read three times: with two
activities in it, after one was moved by an hour, and after the other was cancelled. Every program
that is found reads it each time and keeps what it knows between, as on a phone; what it shows then is
printed and, for programs with windows, kept as pictures. A program that is missing is named and left
out. See docs/calendars.md.

`--python` is an interpreter that has the libraries, `--node-modules` a folder that has those of npm.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session
from werkzeug.serving import WSGIRequestHandler, make_server

from coordination.app import create_app
from coordination.authz.actor import Actor
from coordination.domain.agenda import feeds
from coordination.domain.people.actors import actor_of
from coordination.domain.people.models import Account, Guardianship, Person
from coordination.domain.practice import services as practice
from coordination.domain.practice.models import PracticeSession
from coordination.embedded import EmbeddedPostgres
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from coordination.seed.demo import ZONE, load_demo
from coordination.settings import Settings
from coordination.supervisor import migrate
from coordination.worker import configure

STEPS = ("before", "moved", "cancelled")
DAYS = 60
PATIENCE = 120
# who owns the collection in Radicale; with no check of passwords any will do
FAMILY = {"Authorization": "Basic " + base64.b64encode(b"family:any").decode()}


# -- the district ---------------------------------------------------------------------------------


class District:
    """The demo district as it is served, and the two changes."""

    def __init__(self, url: str, *, enrolled: bool = True) -> None:
        self.engine: Engine = create_engine(url)
        with Session(self.engine) as session, session.begin():
            load_demo(session, clock.now())
        with Session(self.engine) as session:
            self.sessions = session.scalars(
                select(PracticeSession.id)
                .where(PracticeSession.starts_at > clock.now(), PracticeSession.state == "open")
                .order_by(PracticeSession.starts_at)
                .limit(2)
            ).all()
            self.teacher = self._actor(session, "lijing")
            self.coordinator = self._actor(session, "coordinator")
            mother = session.scalars(
                select(Guardianship.guardian_id)
                .join(Person, Person.id == Guardianship.child_id)
                .where(Person.name == "王小雨", Guardianship.relation == "mother")
            ).first()
            self.mother = actor_of(session, mother or 0, clock.today(ZONE))
        (class_id,) = self.teacher.class_ids
        for session_id in self.sessions if enrolled else ():
            with self.acting(self.teacher) as uow:
                practice.enrol_class(
                    uow, session_id=session_id, class_id=class_id, adults=2, needs=""
                )

    def subscribe(self) -> str:
        """A secret for the mother's feed."""
        with self.acting(self.mother) as uow:
            _, secret = feeds.open_feed(
                uow, scope="family", scope_id=None, name="family", language="zh"
            )
        return secret

    def change(self, step: str) -> None:
        """What happens before this step."""
        if step == "moved":
            hour = timedelta(hours=1)
            with Session(self.engine) as session:
                held = session.get_one(PracticeSession, self.sessions[0])
                times = held.starts_at + hour, held.ends_at + hour, held.return_at + hour
            with self.acting(self.coordinator) as uow:
                practice.move_session(
                    uow,
                    session_id=self.sessions[0],
                    starts_at=times[0],
                    ends_at=times[1],
                    return_at=times[2],
                )
        elif step == "cancelled":
            self.cancel(self.sessions[1])

    def cancel(self, session_id: int) -> None:
        """A storm keeps everybody at home."""
        with self.acting(self.coordinator) as uow:
            practice.cancel_session(
                uow,
                session_id=session_id,
                code="weather",
                note=Text("橙色大风预警", "storm warning"),
            )

    @contextmanager
    def acting(self, actor: Actor) -> Iterator[UnitOfWork]:
        """A use case of this actor."""
        with Session(self.engine) as session, begin(session, actor) as uow:
            yield uow

    @staticmethod
    def _actor(session: Session, login: str) -> Actor:
        person = session.scalars(select(Account.person_id).where(Account.login == login)).one()
        return actor_of(session, person, clock.today(ZONE))


class Quiet(WSGIRequestHandler):
    """No line per request: its path is a secret."""

    def log(self, *_: object) -> None:
        """Nothing."""


# -- the readers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """What a reader is given: the address, the file as it was fetched, a home that it keeps."""

    step: str
    address: str
    file: Path
    home: Path
    out: Path


Reader = Callable[[Feed], str]


def run(*command: str, home: Path | None = None, timeout: float = PATIENCE) -> str:
    """What a program prints; a failure is part of it."""
    env = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "Asia/Shanghai"}
    if home is not None:
        env |= {"HOME": str(home), "XDG_CONFIG_HOME": f"{home}/.config"}
        env |= {"XDG_DATA_HOME": f"{home}/.local/share", "XDG_CACHE_HOME": f"{home}/.cache"}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )
    tail = f"\n[exit {done.returncode}] {done.stderr.strip()}" if done.returncode else ""
    return done.stdout.strip() + tail


def khal(feed: Feed) -> str:
    """Subscribed by vdirsyncer over HTTP, shown by khal."""
    config = feed.home / ".config"
    (config / "vdirsyncer").mkdir(parents=True, exist_ok=True)
    (config / "khal").mkdir(parents=True, exist_ok=True)
    (config / "vdirsyncer/config").write_text(
        f"""[general]
status_path = "{feed.home}/status/"
[pair family]
a = "here"
b = "feed"
collections = null
conflict_resolution = "b wins"
[storage here]
type = "filesystem"
path = "{feed.home}/family/"
fileext = ".ics"
[storage feed]
type = "http"
url = "{feed.address}"
"""
    )
    (config / "khal/config").write_text(
        f"""[calendars]
[[family]]
path = {feed.home}/family/
type = calendar
[locale]
local_timezone = Asia/Shanghai
default_timezone = Asia/Shanghai
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
[sqlite]
path = {feed.home}/khal.db
"""
    )
    (feed.home / "family").mkdir(exist_ok=True)
    said = run("sh", "-c", "yes | vdirsyncer discover; vdirsyncer sync 2>&1", home=feed.home)
    shown = run(
        "khal",
        "list",
        "--format",
        "{start-end-time-style} [{status}] {title} @ {location}",
        "today",
        f"{DAYS}d",
        home=feed.home,
    )
    return f"{said.splitlines()[-1] if said else ''}\n{shown}"


def calcurse(feed: Feed) -> str:
    """The downloaded file imported into an empty calendar: calcurse cannot subscribe."""
    folder = feed.home / feed.step
    folder.mkdir(parents=True, exist_ok=True)
    said = run("calcurse", "-D", str(folder), "-q", "-i", str(feed.file))
    return f"{said}\n{run('calcurse', '-D', str(folder), '-d', str(DAYS))}"


def radicale(feed: Feed) -> str:
    """Put as a collection into a CalDAV server, each entry read back from it."""
    port = 5232 + STEPS.index(feed.step)
    server = subprocess.Popen(
        [
            *("radicale", "--hosts", f"127.0.0.1:{port}", "--auth-type", "none"),
            *("--storage-filesystem-folder", str(feed.home / "collections")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/family/calendar/"
    try:
        for _ in range(100):
            time.sleep(0.2)
            try:
                request = urllib.request.Request(
                    address,
                    data=feed.file.read_bytes(),
                    method="PUT",
                    headers={"Content-Type": "text/calendar; charset=utf-8", **FAMILY},
                )
                with urllib.request.urlopen(request, timeout=10) as answer:
                    status = answer.status
                break
            except ConnectionError:
                continue
            except urllib.error.HTTPError as error:
                return f"refused: {error.code} {error.read().decode(errors='replace')}"
            except urllib.error.URLError:
                continue
        else:
            return "did not start"
        request = urllib.request.Request(address, headers=FAMILY)
        with urllib.request.urlopen(request, timeout=10) as answer:
            back = answer.read().decode()
    finally:
        server.terminate()
        server.wait(10)
    lines = [
        line
        for line in back.splitlines()
        if line.startswith(("SUMMARY", "DTSTART;", "STATUS", "SEQUENCE"))
    ]
    return f"PUT {status}; " + "; ".join(lines)


PYTHON = """
import sys, importlib
from importlib.metadata import version
path = sys.argv[1]
data = open(path, 'rb').read()
words = data.decode()
def show(name, call):
    try:
        module = importlib.import_module(name.split('.')[0].replace('-', '_'))
    except ImportError:
        print(f'{name}: not installed'); return
    try:
        rows = sorted(call())
        print(f'{name} {version(name)}: ' + '; '.join(rows))
    except Exception as error:
        print(f'{name} {version(name)}: FAILED {type(error).__name__}: {error}')
def icalendar():
    from icalendar import Calendar
    for e in Calendar.from_ical(data).walk('VEVENT'):
        if e.errors: raise ValueError(e.errors)
        yield f"{e['dtstart'].dt:%m-%d %H:%M} {e.get('status')} {e.get('sequence')} {e['summary']}"
def ics():
    from ics import Calendar
    for e in Calendar(words).events:
        yield f"{e.begin.datetime:%m-%d %H:%M} {e.status} {e.name}"
def vobject():
    import vobject
    for c in vobject.readComponents(words):
        c.validate()
        for e in c.vevent_list:
            yield f"{e.dtstart.value:%m-%d %H:%M} {e.status.value} {e.summary.value}"
def icalevents():
    from icalevents.icalevents import events
    from datetime import date, timedelta
    today = date.today()
    for e in events(file=path, start=today, end=today + timedelta(days=60)):
        yield f"{e.start:%m-%d %H:%M} {e.status} {e.summary}"
def ical():
    from ical.calendar_stream import IcsCalendarStream
    for e in IcsCalendarStream.calendar_from_ics(words).events:
        yield f"{e.dtstart:%m-%d %H:%M} {e.status} {e.summary}"
def recurring():
    import recurring_ical_events
    from icalendar import Calendar
    from datetime import date, timedelta
    today, found = date.today(), recurring_ical_events.of(Calendar.from_ical(data))
    for e in found.between(today, today + timedelta(days=60)):
        yield f"{e['dtstart'].dt:%m-%d %H:%M} {e.get('status')} {e['summary']}"
for call in (icalendar, ics, vobject, icalevents, ical, recurring):
    show('recurring-ical-events' if call is recurring else call.__name__, call)
"""

NODE = """
const fs = require('fs'), path = require('path');
const from = process.argv[1], words = fs.readFileSync(process.argv[2], 'utf8');
const need = name => require(path.join(from, name));
const version = name => JSON.parse(fs.readFileSync(path.join(from, name, 'package.json'))).version;
const at = d => new Date(d).toLocaleString('sv-SE', {timeZone: 'Asia/Shanghai'}).slice(5, 16);
const readers = {
  'ical.js': async () => {
    const found = await import(path.join(from, 'ical.js/dist/ical.js')), ICAL = found.default;
    const root = new ICAL.Component(ICAL.parse(words));
    for (const z of root.getAllSubcomponents('vtimezone')) ICAL.TimezoneService.register(z);
    const status = e => e.component.getFirstPropertyValue('status');
    return root.getAllSubcomponents('vevent').map(c => new ICAL.Event(c)).map(e =>
      `${at(e.startDate.toJSDate())} ${status(e)} ${e.sequence} ${e.summary}`);
  },
  'node-ical': async () => Object.values(need('node-ical').sync.parseICS(words))
    .filter(e => e.type === 'VEVENT').map(e => `${at(e.start)} ${e.status} ${e.sequence} ${e.summary}`),
  'ts-ics': async () => {
    const found = await import(path.join(from, 'ts-ics/dist/index.mjs')).catch(() => need('ts-ics'));
    return found.convertIcsCalendar(undefined, words).events
      .map(e => `${at(e.start.date)} ${e.status} ${e.sequence} ${e.summary}`);
  },
  'cal-parser': async () => need('cal-parser').parseString(words).events
    .map(e => `${at(e.dtstart.value)} ${e.status && e.status.value || e.status} ${e.summary.value}`),
};
(async () => {
  for (const [name, read] of Object.entries(readers)) {
    if (!fs.existsSync(path.join(from, name))) { console.log(`${name}: not installed`); continue; }
    try { console.log(`${name} ${version(name)}: ` + (await read()).sort().join('; ')); }
    catch (error) { console.log(`${name} ${version(name)}: FAILED ${error.message}`); }
  }
})();
"""


def python_libraries(python: str) -> Reader:
    """Those of the interpreter that was named."""
    return lambda feed: run(python, "-W", "ignore", "-c", PYTHON, str(feed.file))


def node_libraries(folder: str) -> Reader:
    """Those of the folder that was named."""
    return lambda feed: run("node", "-e", NODE, folder, str(feed.file))


# -- programs with windows ------------------------------------------------------------------------


@contextmanager
def screen(number: int) -> Iterator[str]:
    """A screen that nobody sees."""
    server = subprocess.Popen(
        ["Xvfb", f":{number}", "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(2)
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


def windowed(
    command: Sequence[str],
    feed: Feed,
    name: str,
    seconds: float,
    number: int,
    clicks: Sequence[tuple[int, int]] = (),
    size: tuple[int, int] | None = None,
) -> str:
    """Start it, wait until it has read the feed, click to the month, keep a picture, end it."""
    picture = feed.out / f"{name}-{feed.step}.png"
    env = {**os.environ, "HOME": str(feed.home), "TZ": "Asia/Shanghai", "LANG": "C.UTF-8"}
    env |= {"XDG_CONFIG_HOME": f"{feed.home}/.config", "XDG_DATA_HOME": f"{feed.home}/.local/share"}
    env |= {"XDG_CACHE_HOME": f"{feed.home}/.cache", "GSETTINGS_BACKEND": "memory"}
    env |= {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "LIBGL_ALWAYS_SOFTWARE": "1"}
    with screen(number) as display:
        env["DISPLAY"] = display
        program = subprocess.Popen(
            command,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            time.sleep(seconds)
            asked = [["import", "-window", "root", str(picture)]]
            moves = [["xdotool", "mousemove", str(x), str(y), "click", "1"] for x, y in clicks]
            if size:
                found = ["search", "--onlyvisible", "--name", ".", "windowsize", "%@"]
                moves.insert(0, ["xdotool", *found, *map(str, size)])
            for action in moves + asked:
                subprocess.run(action, env=env, timeout=60, check=False)
                time.sleep(4)
        finally:
            os.killpg(program.pid, signal.SIGTERM)
            try:
                program.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait(15)
    return f"picture {picture.name}" if picture.exists() else "no picture"


def thunderbird_with(profile: Path, prefs: Mapping[str, str]) -> tuple[str, ...]:
    """The command of a Thunderbird that is in Shanghai, asks nobody anything and has these settings."""
    always = {
        "calendar.timezone.local": '"Asia/Shanghai"',
        "calendar.timezone.useSystemTimezone": "false",
        "mail.provider.suppress_dialog_on_startup": "true",
        "mail.spotlight.firstRunDone": "true",
        "app.donation.eoy.version.viewed": "999",
        "datareporting.policy.dataSubmissionEnabled": "false",
        "mail.shell.checkDefaultClient": "false",
        "app.update.enabled": "false",
        "mailnews.start_page.enabled": "false",
    }
    (profile / "user.js").write_text(
        "".join(f'user_pref("{key}", {value});\n' for key, value in (always | dict(prefs)).items())
    )
    return ("thunderbird", "--profile", str(profile), "--no-remote")


def thunderbird(feed: Feed) -> str:
    """A network calendar in a profile that is kept between the steps."""
    profile = feed.home / "profile"
    profile.mkdir(parents=True, exist_ok=True)
    name = "calendar.registry.11111111-1111-4111-8111-111111111111"
    prefs = {
        f"{name}.type": '"ics"',
        f"{name}.uri": f'"{feed.address}"',
        f"{name}.name": '"Family"',
        f"{name}.readOnly": "true",
        f"{name}.cache.enabled": "true",
        f"{name}.calendar-main-in-composite": "true",
        f"{name}.color": '"#008080"',
        f"{name}.refreshInterval": '"1"',
        "calendar.list.sortOrder": '"11111111-1111-4111-8111-111111111111"',
        "calendar.agenda.days": "60",
    }
    command = (*thunderbird_with(profile, prefs), "-calendar")
    # "Month", then the month after
    said = windowed(command, feed, "thunderbird", 75, 91, ((895, 211), (463, 207)))
    return f"{said}\n{thunderbird_knows(profile)}"


def thunderbird_knows(profile: Path) -> str:
    """What stands in the cache that its window is drawn from."""
    import sqlite3

    found = []
    for path in (profile / "calendar-data").glob("cache.sqlite"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as held:
            for start, title, status in held.execute(
                "select event_start, title, ical_status from cal_events order by event_start"
            ):
                at = datetime.fromtimestamp(start / 1_000_000, ZONE)
                found.append(f"{at:%m-%d %H:%M} {status} {title}")
    return "; ".join(found) or "nothing in its cache"


def gnome_source(feed: Feed) -> None:
    """The subscription as Evolution's data server keeps it; its programs share it."""
    parts = urlsplit(feed.address)
    sources = feed.home / ".config/evolution/sources"
    sources.mkdir(parents=True, exist_ok=True)
    (sources / "family.source").write_text(
        f"""[Data Source]
DisplayName=Family
Enabled=true
Parent=webcal-stub
[Calendar]
BackendName=webcal
Color=#008080
Selected=true
[Security]
Method=none
[Authentication]
Host={parts.hostname}
Port={parts.port}
Method=none
[WebDAV Backend]
ResourcePath={parts.path}
[Offline]
StaySynchronized=true
[Refresh]
Enabled=true
IntervalMinutes=1
"""
    )


def gnome_knows(feed: Feed) -> str:
    """What stands in the cache of Evolution's data server."""
    import sqlite3

    found = []
    for path in (feed.home / ".cache/evolution/calendar").glob("*/cache.db"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as held:
            for (body,) in held.execute("select ECacheOBJ from ECacheObjects"):
                lines = str(body).splitlines()
                found.append(
                    " ".join(
                        line
                        for line in lines
                        if line.startswith(("DTSTART;", "STATUS:", "SEQUENCE:", "SUMMARY:"))
                    )
                )
    return "; ".join(sorted(found)) or "nothing in its cache"


def soon() -> datetime:
    """A day near the activities."""
    return clock.now().astimezone(ZONE) + timedelta(days=14)


def evolution(feed: Feed) -> str:
    """Subscribed as a calendar on the web; the data server's cache is kept between the steps."""
    gnome_source(feed)
    month = f"{soon():calendar:///?startdate=%Y%m%d}"
    command = ("dbus-run-session", "--", "evolution", month)
    said = windowed(command, feed, "evolution", 60, 92, ((517, 92),), (1280, 900))
    return f"{said}\n{gnome_knows(feed)}"


def gnome_calendar(feed: Feed) -> str:
    """The same subscription in GNOME Calendar."""
    gnome_source(feed)
    command = ("dbus-run-session", "--", "gnome-calendar", "--date", f"{soon():%Y-%m-%d}")
    said = windowed(command, feed, "gnome-calendar", 45, 93, ((276, 75),), (1280, 900))
    return f"{said}\n{gnome_knows(feed)}"


READERS: dict[str, tuple[tuple[str, ...], Reader]] = {
    "khal": (("khal", "vdirsyncer"), khal),
    "calcurse": (("calcurse",), calcurse),
    "radicale": (("radicale",), radicale),
    "thunderbird": (("thunderbird", "Xvfb", "import", "xdotool"), thunderbird),
    "evolution": (("evolution", "dbus-run-session", "Xvfb", "import"), evolution),
    "gnome-calendar": (("gnome-calendar", "dbus-run-session", "Xvfb", "import"), gnome_calendar),
}


def main() -> int:
    """Serve, change, let everybody read; 1 if the feed itself was not served."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "clients")
    parser.add_argument("--only", nargs="*", help="these readers")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--node-modules", default="node_modules")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    readers = {n: r for n, (needs, r) in READERS.items() if all(map(shutil.which, needs))}
    for name in READERS.keys() - readers.keys():
        print(f"{name}: not installed, left out")
    readers["Python"] = python_libraries(asked.python)
    if shutil.which("node"):
        readers["Node"] = node_libraries(str(Path(asked.node_modules).resolve()))
    if asked.only:
        readers = {n: r for n, r in readers.items() if n in asked.only}
    folder = Path(tempfile.mkdtemp(prefix="coordination-clients-"))
    try:
        with EmbeddedPostgres(folder, durable=False) as postgres:
            migrate(postgres.url())
            settings = Settings(instance_dir=folder / "instance").with_database(postgres.url())
            configure(settings)
            district = District(settings.database_url)
            app = create_app(settings)
            server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/c/{district.subscribe()}.ics"
            try:
                return read_all(district, readers, address, folder, asked.out)
            finally:
                server.shutdown()
                district.engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_all(
    district: District, readers: dict[str, Reader], address: str, folder: Path, out: Path
) -> int:
    """The three steps."""
    for step in STEPS:
        district.change(step)
        with urllib.request.urlopen(address, timeout=10) as answer:
            if answer.status != 200:
                return 1
            body = answer.read()
        file = out / f"{step}.ics"
        file.write_bytes(body)
        print(f"\n==== {step}: {len(body):,} bytes, {body.count(b'BEGIN:VEVENT')} entries")
        for name, reader in readers.items():
            home = folder / name
            home.mkdir(exist_ok=True)
            try:
                said = reader(Feed(step, address, file, home, out))
            except (OSError, subprocess.TimeoutExpired) as error:
                said = f"FAILED {type(error).__name__}: {error}"
            print(f"-- {name}\n{said}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
