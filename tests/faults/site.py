"""A whole installation to be harmed: PostgreSQL, provider, web, clock and workers as processes.

Everything is the product's own program; only its waiting times are scaled (see `scaled`).
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from coordination.domain.people.contacts import sealed
from coordination.domain.people.models import Organisation
from coordination.embedded import EmbeddedPostgres
from coordination.ground import crypto
from coordination.settings import Settings
from coordination.supervisor import ROOT, migrate, web_command
from notifications.jobs import libpq_dsn
from notifications.outbox import body_hash
from tests.build.approved import approve
from tests.faults.killer import Fleet
from tests.faults.oracle import Verdict, accepted_in, judge
from tests.standin import aliyun
from tests.standin.twilio import ACCOUNT, TOKEN

FIELD_KEY = "a field key for fault tests only"
BODY = "光明实验小学:明天放假一天。 No school tomorrow."
VALUES = {"sender": "光明实验小学", "children": "王*雨", "title": "明天放假", "code": "7K3QX-9MD2F"}
FIRST_PHONE = 13_800_000_000
_PR_SET_PDEATHSIG = 1


class CrashingPostgres(EmbeddedPostgres):
    """The embedded server, with a way to pull its plug."""

    def crash(self) -> None:
        """Stop without a checkpoint, as by a power cut of the process; start from the log."""
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")
        self._launch()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def phone_of(number: int) -> str:
    return f"+86{FIRST_PHONE + number}"


class Site:
    """One installation in a folder of its own."""

    def __init__(self, *, seed: int, scale: float, plan: dict[str, object]) -> None:
        self.seed, self.scale, self.plan = seed, scale, plan
        self.folder = Path(tempfile.mkdtemp(prefix="coordination-faults-"))
        self.journal = self.folder / "accepted.jsonl"
        self.server = CrashingPostgres(self.folder)
        self.web_port, self.provider_port = free_port(), free_port()
        self.pg_proxy_port, self.provider_proxy_port = free_port(), free_port()
        self.expected: list[tuple[str, str]] = []
        # what processes are told beside the rest, and what was taken by a provider of the test's own
        self.more: dict[str, str] = {}
        self.taken_elsewhere: Callable[[], list[tuple[str, str]]] = list
        self._closing = ExitStack()
        self.proxies: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        crypto.use_key(FIELD_KEY)
        if not os.environ.get("FAULTS_KEEP"):
            self._closing.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._closing.enter_context(self.server)
            migrate(self.server.url())
            self.provider = self.start_provider()
            self._closing.callback(lambda: _end(self.provider))
            self._proxy(
                "postgres", self.pg_proxy_port, f"{self.server.socket_folder}/.s.PGSQL.5432"
            )
            self._proxy("provider", self.provider_proxy_port, f"127.0.0.1:{self.provider_port}")
            self.wait_for(self.provider_port)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    # -- processes ----------------------------------------------------------------------------

    def spawn(self, command: Sequence[str], name: str, **more: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.server.url(),
            "INSTANCE_DIR": str(self.folder),
            "PUBLIC_URL": f"http://127.0.0.1:{self.web_port}",
            "PORT": str(self.web_port),
            "SECRET_KEY": "a secret key for fault tests only",
            "FIELD_KEY": FIELD_KEY,
            "SMS_CHANNEL": "twilio",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM": "+15005550006",
            "TWILIO_API_BASE": f"http://127.0.0.1:{self.provider_proxy_port}",
            "FAULTS_SCALE": str(self.scale),
            **self.more,
            **more,
        }
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            return subprocess.Popen(
                command,
                env=environment,
                cwd=ROOT,
                stdin=subprocess.PIPE if name.startswith("proxy") else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def start_provider(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.provider", str(self.provider_port)]
        command += [str(self.journal), str(self.seed), json.dumps(self.plan)]
        return self.spawn(command, "provider")

    def _proxy(self, name: str, port: int, target: str) -> None:
        command = [sys.executable, "-m", "tests.faults.tcp_fault", str(port), target]
        made = self.proxies[name] = self.spawn(command, f"proxy-{name}")
        self._closing.callback(_end, made)
        self.wait_for(port)

    def tell_proxy(self, name: str, line: str) -> None:
        pipe = self.proxies[name].stdin
        if pipe is None:
            raise RuntimeError("a proxy listens to its standard input")
        pipe.write(f"{line}\n".encode())
        pipe.flush()

    def workers(self, count: int, *, without: str = "") -> Fleet:
        """Every other worker reaches the database through the proxy; `without` one of its guards."""
        program = ["tests.faults.broken", without] if without else ["tests.faults.scaled"]

        def starter(number: int) -> Callable[[], subprocess.Popen[bytes]]:
            proxied = f"postgresql://postgres@127.0.0.1:{self.pg_proxy_port}/coordination"
            url = proxied if number % 2 else self.server.url()
            return lambda: self.spawn(
                [sys.executable, "-m", *program, "worker"], f"worker-{number}", DATABASE_URL=url
            )

        return self._fleet([starter(number) for number in range(count)])

    def clocks(self, count: int = 1) -> Fleet:
        command = [sys.executable, "-m", "tests.faults.scaled", "clock"]
        return self._fleet([lambda: self.spawn(command, "clock")] * count)

    def web(self) -> Fleet:
        settings = Settings(host="127.0.0.1", port=self.web_port)
        fleet = self._fleet([lambda: self.spawn(web_command(settings), "web")])
        self.wait_for(self.web_port)
        return fleet

    def _fleet(self, start: Sequence[Callable[[], subprocess.Popen[bytes]]]) -> Fleet:
        fleet = Fleet(start)
        self._closing.callback(fleet.stop)
        return fleet

    def wait_for(self, port: int, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"nothing listens on {port}")

    # -- the provider -------------------------------------------------------------------------

    def replan(self, **plan: object) -> None:
        self._ask("/__plan", json.dumps(plan).encode())

    def provider_says(self) -> dict[str, object]:
        return dict(json.loads(self._ask("/__accepted")))

    def taken_by_provider(self) -> int:
        return len(self._taken())

    def _taken(self) -> list[tuple[str, str]]:
        return accepted_in(self.journal) + self.taken_elsewhere()

    def give_second_provider(self, second: aliyun.Standin) -> None:
        """Processes that start from now on have Aliyun behind Twilio."""
        engine = create_engine(self.server.url())
        with Session(engine) as session, session.begin():
            session.add(
                Organisation(kind="district", code="GM", name_zh="光明区", name_en="Guangming")
            )
            session.flush()
            approve(session, {("notice", "zh"): "SMS_1"}, f"http://127.0.0.1:{self.web_port}")
        engine.dispose()
        self.more = {
            "SMS_FALLBACK": "aliyun",
            "ALIYUN_ACCESS_KEY_ID": aliyun.KEY,
            "ALIYUN_ACCESS_KEY_SECRET": aliyun.SECRET,
            "ALIYUN_SIGN_NAME": aliyun.SIGN_NAME,
            "ALIYUN_ENDPOINT": f"http://{second.endpoint}",
        }
        # it takes a template, not a text; there is one text only
        self.taken_elsewhere = lambda: [
            (f"+86{taken.fields['PhoneNumbers']}", BODY) for taken in second.taken
        ]

    def _ask(self, path: str, data: bytes | None = None) -> bytes:
        url = f"http://127.0.0.1:{self.provider_port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as answer:
            return bytes(answer.read())

    # -- messages -----------------------------------------------------------------------------

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(libpq_dsn(self.server.url()), autocommit=True)

    def seed_messages(self, count: int, *, message_class: str = "info") -> None:
        """One person, one number and one message each; the text is the same for all."""
        crypto.use_key(FIELD_KEY)
        with self.connect() as connection, connection.transaction():
            cursor = connection.cursor()
            with cursor.copy("copy person (id, name) from stdin") as copy:
                for number in range(1, count + 1):
                    copy.write_row((number, f"家长{number}"))
            with cursor.copy(
                "copy contact_point (person_id, kind, value_enc, value_index, mask) from stdin"
            ) as copy:
                for number in range(1, count + 1):
                    copy.write_row((number, "phone", *sealed("phone", phone_of(number))))
            cursor.execute(
                "insert into outbox_message (dedupe_key, recipient_id, template_key, language, body,"
                " body_hash, message_class, priority, channel, subject_type, subject_id, next_at,"
                " params) select 'fault:' || n, n, 'notice', 'zh', %s, %s, %s, 2, 'sms', 'fault', 1,"
                " now(), %s from generate_series(1, %s) n",
                [BODY, body_hash(BODY), message_class, json.dumps(VALUES), count],
            )
            cursor.execute("analyze")
        self.expected = [(phone_of(number), BODY) for number in range(1, count + 1)]

    def begin_anew(self, **plan: object) -> None:
        """Forget all messages; a provider with another plan and an empty memory."""
        self.more, self.taken_elsewhere = {}, list
        _end(self.provider)
        self.journal.unlink(missing_ok=True)
        self.plan = plan
        self.provider = self.start_provider()
        with self.connect() as connection:
            connection.execute(
                "truncate outbox_message, delivery_attempt, delivery_circuit, suppression,"
                " contact_point, person, organisation, wording_approval, procrastinate_jobs"
                " restart identity cascade"
            )
        self.wait_for(self.provider_port)

    def wait_until(self, holds: Callable[[dict[str, int]], bool], seconds: float = 40) -> None:
        """Wait for the counts by state to be as said; TimeoutError shows what they were."""
        deadline, tally = time.monotonic() + seconds, {}
        while time.monotonic() < deadline:
            tally = self.tally()
            if holds(tally):
                return
            time.sleep(0.1)
        with self.connect() as connection:
            jobs = connection.execute(
                "select task_name, status, queueing_lock, attempts from procrastinate_jobs"
            ).fetchall()
        raise TimeoutError(f"still {tally}; jobs: {jobs[:10]}")

    def tally(self) -> dict[str, int]:
        with self.connect() as connection:
            rows = connection.execute("select state, count(*) from outbox_message group by state")
            return {str(state): int(str(count)) for state, count in rows}

    def doubts(self) -> dict[int, int]:
        """How many messages were in doubt how often: what the limit of re-sends is made for."""
        with self.connect() as connection:
            rows = connection.execute(
                "select doubts, count(*) from outbox_message group by doubts order by doubts"
            )
            return {int(str(doubts)): int(str(count)) for doubts, count in rows}

    def why_left(self) -> dict[str, int]:
        """Why messages were left to a person."""
        with self.connect() as connection:
            rows = connection.execute(
                "select reason_code, count(*) from outbox_message"
                " where state = 'needs_human' group by reason_code"
            )
            return {str(reason): int(str(count)) for reason, count in rows}

    def verdict(self) -> Verdict:
        with self.connect() as connection:
            rows = connection.execute("select recipient_id, state from outbox_message").fetchall()
        recorded = {(phone_of(int(str(who))), BODY): str(state) for who, state in rows}
        return judge(self.expected, self._taken(), recorded)


def _die_with_parent() -> None:
    # nobody would stop them after a harness that was killed
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
