"""Let real mail programs read the invitation, the move and the cancellation of a session.

A teacher of the demo district has an address. A class is enrolled, the session moved by an hour, then
cancelled; the worker sends each mail over SMTP to a server on loopback. Every mail is written to `--out`
and laid into the inbox of a program that keeps its profile between the steps; pictures of its windows
are kept. See docs/calendars.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.people import contacts
from coordination.domain.people.models import Account
from coordination.domain.practice import services as practice
from coordination.embedded import EmbeddedPostgres
from coordination.ground import clock
from coordination.settings import Settings
from coordination.supervisor import migrate
from coordination.worker import configure, drain
from scripts.try_calendar_clients import STEPS, District, Feed, thunderbird_with, windowed
from tests.standin.mailbox import Mailbox, serving

TEACHER = "li.jing@school.example"


def mails(out: Path) -> list[Path]:
    """The three mails as they arrived."""
    folder = Path(tempfile.mkdtemp(prefix="coordination-mail-"))
    mailbox, found = Mailbox(), []
    try:
        with EmbeddedPostgres(folder, durable=False) as postgres, serving(mailbox) as port:
            migrate(postgres.url())
            settings = replace(
                Settings(instance_dir=folder / "instance").with_database(postgres.url()),
                public_url="https://jxs.example.cn",
                smtp_url=f"smtp://127.0.0.1:{port}",
            )
            configure(settings)
            district = District(settings.database_url, enrolled=False)
            with Session(district.engine) as session, session.begin():
                person = session.scalars(
                    select(Account.person_id).where(Account.login == "lijing")
                ).one()
                contacts.set_email(session, person, TEACHER)
            (class_id,) = district.teacher.class_ids
            held = district.sessions[0]
            for step in STEPS:
                if step == "before":
                    with district.acting(district.teacher) as uow:
                        practice.enrol_class(
                            uow, session_id=held, class_id=class_id, adults=2, needs=""
                        )
                elif step == "moved":
                    district.change(step)
                else:
                    district.cancel(held)
                time.sleep(1.1)  # the next one is a later second
                drain(district.engine, settings)
                path = out / f"{step}.eml"
                path.write_bytes(newest(mailbox).as_bytes())
                found.append(path)
            district.engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def newest(mailbox: Mailbox) -> EmailMessage:
    """The mail that came last to the teacher."""
    return [m for m in mailbox.mails if m["To"] == TEACHER][-1]


def thunderbird(feed: Feed) -> str:
    """An inbox with the newest mail on top, opened; a calendar of its own to put it into."""
    profile = feed.home / "profile"
    inbox = profile / "Mail/Local Folders/Inbox"
    inbox.parent.mkdir(parents=True, exist_ok=True)
    with inbox.open("ab") as file:
        file.write(b"From - Fri Nov 27 00:00:00 2026\n")
        file.write(feed.file.read_bytes().replace(b"\r\n", b"\n") + b"\n")
    Path(f"{inbox}.msf").unlink(missing_ok=True)
    home = "calendar.registry.22222222-2222-4222-8222-222222222222"
    prefs = {
        "mail.accountmanager.accounts": '"account1,account2"',
        "mail.accountmanager.defaultaccount": '"account1"',
        "mail.accountmanager.localfoldersserver": '"server2"',
        "mail.account.account1.identities": '"id1"',
        "mail.account.account1.server": '"server1"',
        "mail.account.account2.server": '"server2"',
        "mail.identity.id1.fullName": '"李静"',
        "mail.identity.id1.useremail": f'"{TEACHER}"',
        "mail.identity.id1.valid": "true",
        "mail.server.server1.type": '"none"',
        "mail.server.server1.hostname": '"Local Folders"',
        "mail.server.server1.userName": '"nobody"',
        "mail.server.server1.name": '"Local Folders"',
        "mail.server.server1.directory-rel": '"[ProfD]Mail/Local Folders"',
        "mail.server.server2.type": '"none"',
        "mail.server.server2.hostname": '"smart mailboxes"',
        "mail.server.server2.userName": '"nobody"',
        f"{home}.type": '"storage"',
        f"{home}.uri": '"moz-storage-calendar://"',
        f"{home}.name": '"Mine"',
        f"{home}.calendar-main-in-composite": "true",
        f"{home}.imip.identity.key": '"id1"',
        "calendar.list.sortOrder": '"22222222-2222-4222-8222-222222222222"',
        "calendar.itip.newInvitationDisplay": "true",
        "mail.biff.show_alert": "false",
    }
    command = (*thunderbird_with(profile, prefs), "-file", str(feed.file))
    said = windowed(command, feed, "thunderbird", 60, 94, clicks=CLICKS.get(feed.step, ()))
    return f"{said}\n{thunderbird_holds(profile)}"


# where the buttons of the invitation stand in its window
CLICKS: dict[str, tuple[tuple[int, int], ...]] = {
    "before": ((463, 577),),
    "moved": ((559, 572),),
    "cancelled": ((814, 184),),
}


def thunderbird_holds(profile: Path) -> str:
    """What stands in the calendar the invitation was put into."""
    import sqlite3
    from datetime import datetime

    from coordination.seed.demo import ZONE

    path = profile / "calendar-data/local.sqlite"
    if not path.exists():
        return "no calendar"
    found = []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as held:
        for start, title, status in held.execute(
            "select event_start, title, ical_status from cal_events order by event_start"
        ):
            at = datetime.fromtimestamp(start / 1_000_000, ZONE)
            found.append(f"{at:%m-%d %H:%M} {status} {title}")
    return "; ".join(found) or "nothing in its calendar"


READERS: dict[str, tuple[tuple[str, ...], Callable[[Feed], str]]] = {
    "thunderbird": (("thunderbird", "Xvfb", "import", "xdotool"), thunderbird),
}


def main() -> int:
    """Write the mails, let every program read them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "mails")
    parser.add_argument("--only", nargs="*", help="these programs")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    print(f"{clock.now():%Y-%m-%d}", file=sys.stderr)
    homes = Path(tempfile.mkdtemp(prefix="coordination-mail-homes-"))
    try:
        found = mails(asked.out)
        for step, path in zip(STEPS, found, strict=True):
            print(f"\n==== {step}: {path.stat().st_size:,} bytes")
            for name, (needs, reader) in READERS.items():
                if asked.only and name not in asked.only:
                    continue
                if not all(map(shutil.which, needs)):
                    print(f"-- {name}: not installed, left out")
                    continue
                home = homes / name
                home.mkdir(exist_ok=True)
                home.chmod(0o700)
                print(f"-- {name}\n{reader(Feed(step, '', path, home, asked.out))}", flush=True)
    finally:
        shutil.rmtree(homes, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
