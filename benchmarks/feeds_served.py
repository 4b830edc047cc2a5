"""One feed of 1,000 entries over HTTP, one worker each: the product, nginx with the finished file,
the product's web server with the finished bytes and nothing behind it, which is the most that the
product can reach, nginx that hands the file out itself but asks first (the product, or an application
that asks nobody), and Radicale with the same entries in a collection. They take turns; wrk asks.

What is not installed is left out and said: nginx and wrk by the system's package manager, Radicale
by pip into an environment of its own. Rates depend on the machine's other work, CPU hardly does.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from benchmarks import feeds
from benchmarks._processes import cpu_of_family
from benchmarks._table import at_least, console, quick, show
from benchmarks.start_time import free_port
from coordination.app import create_app
from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.ground import crypto
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.supervisor import ROOT, web_command

SECONDS = 1 if quick() else 3
TURNS = 5
FEW, MANY = 3, 300
FAMILY = {"Authorization": "Basic ZmFtaWx5Og=="}  # anybody may say who they are there
PLACE = Path(tempfile.gettempdir()) / "coordination-bench-radicale"


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[int]:
    """A server that answers at `port`; its process id."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                HTTPConnection("127.0.0.1", port, timeout=2).connect()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def ask(url: str, header: str = "") -> float:
    """Requests a second over 16 kept connections."""
    command = ["wrk", "-t1", "-c16", f"-d{SECONDS}s", *(["-H", header] if header else []), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said or header, said
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


def nginx_conf(folder: Path, port: int, ours: int, nobody: int) -> Path:
    """One worker, sendfile, no log: the finished file as fast as nginx gives it; under /asked/ and /c/
    only after the application at `nobody`, or the product at `ours`, has said so."""
    conf = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is the caller's own
    conf.write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid;"
        f" error_log {folder}/error.log; events {{}} http {{ access_log off; sendfile on;"
        " tcp_nopush on; keepalive_requests 1000000; types { text/calendar ics; }"
        f" upstream nobody {{ server 127.0.0.1:{nobody}; keepalive 16; }}"
        f" upstream ours {{ server 127.0.0.1:{ours}; keepalive 16; }}"
        ' proxy_http_version 1.1; proxy_set_header Connection "";'
        f" server {{ listen 127.0.0.1:{port}; root {folder};"
        " location /asked/ { proxy_pass http://nobody; }"
        f" location /handed/ {{ internal; alias {folder}/; }}"
        " location /c/ { auth_request /ask; try_files /feed.ics =404; }"
        " location = /ask { internal; proxy_method HEAD; proxy_pass_request_body off;"
        " proxy_pass http://ours$request_uri; } } }"
    )
    return conf


def radicale() -> Path | None:
    """An interpreter that has Radicale; None if it cannot be installed."""
    python = PLACE / "bin" / "python"
    if python.exists():
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "radicale"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        console.print(f"left out: Radicale (not installed: {type(error).__name__})")
        return None
    return python


def put_collection(port: int, body: bytes) -> None:
    """All entries into one collection."""
    held = HTTPConnection("127.0.0.1", port, timeout=300)
    held.request("PROPFIND", "/", headers=FAMILY)  # makes the principal's own collection
    held.getresponse().read()
    held.request("PUT", "/family/calendar/", body, {**FAMILY, "Content-Type": "text/calendar"})
    answer = held.getresponse()
    answer.read()
    assert answer.status in (200, 201), answer.status


def get(port: int, path: str, times: int) -> float:
    """Requests a second of one client that waits for each answer."""
    held = HTTPConnection("127.0.0.1", port, timeout=300)
    begun = time.perf_counter()
    for _ in range(times):
        held.request("GET", path, headers=FAMILY)
        answer = held.getresponse()
        assert answer.status == 200
        assert answer.read().count(b"BEGIN:VEVENT") == feeds.ENTRIES
    return times / (time.perf_counter() - begun)


def furnished(url: str) -> tuple[str, bytes]:
    """The path of a family's feed with 1,000 entries, and its bytes."""
    engine = create_engine(url)
    with Session(engine) as session:
        children = feeds.furnish(session, 6)
        begin(session, SYSTEM).authorize(Action.SYSTEM_RUN)
        for number in range(feeds.ENTRIES):
            feeds.put(session, children[0], number)
        session.commit()
    path = f"/c/{feeds.secret_of(children[0])}.ics"
    app = create_app(Settings(database_url=url, field_key=feeds.FIELD_KEY))
    return path, app.test_client().get(path).get_data()


def main() -> int:
    """The table."""
    if not (shutil.which("wrk") and shutil.which("nginx", path="/usr/sbin:/usr/bin")):
        console.print("left out: wrk and nginx are missing (apt-get install wrk nginx-light)")
        return 0
    crypto.use_key(feeds.FIELD_KEY)
    with ExitStack() as open_, feeds.database() as url:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        path, body = furnished(url)
        (folder / "feed.ics").write_bytes(body)
        ours, other, third, bare, short = (free_port() for _ in range(5))
        settings = Settings(
            database_url=url, field_key=feeds.FIELD_KEY, port=ours, secret_key="only for figures"
        )
        web = open_.enter_context(
            running(
                web_command(settings),
                ours,
                DATABASE_URL=url,
                FIELD_KEY=feeds.FIELD_KEY,
                SECRET_KEY="only for figures",
                PUBLIC_URL=f"http://127.0.0.1:{ours}",
                INSTANCE_DIR=str(folder),
                PYTHONPATH=str(ROOT),
            )
        )
        conf = nginx_conf(folder, other, ours, short)
        nginx = open_.enter_context(running(["/usr/sbin/nginx", "-c", str(conf)], other))
        alone = open_.enter_context(
            running(
                [*web_command(replace(settings, port=bare))[:-1], "benchmarks._finished:app"],
                bare,
                FINISHED=str(folder / "feed.ics"),
                PYTHONPATH=str(ROOT),
            )
        )
        open_.enter_context(
            running(
                [*web_command(replace(settings, port=short))[:-1], "benchmarks._finished:app"],
                short,
                HANDED="/handed/feed.ics",
                PYTHONPATH=str(ROOT),
            )
        )
        address = f"http://127.0.0.1:{ours}{path}"
        tag = _tag(ours, path)
        candidates: dict[str, tuple[int, Callable[[], float]]] = {
            "ours": (web, lambda: ask(address)),
            "nginx, the finished file": (nginx, lambda: ask(f"http://127.0.0.1:{other}/feed.ics")),
            "the web server alone": (alone, lambda: ask(f"http://127.0.0.1:{bare}/")),
            "nginx, asking ours": (nginx, lambda: ask(f"http://127.0.0.1:{other}{path}")),
            "nginx, asking nobody": (nginx, lambda: ask(f"http://127.0.0.1:{other}/asked/")),
            "ours, a poll (304)": (web, lambda: ask(address, f"If-None-Match: {tag}")),
        }
        if (python := radicale()) is not None:
            peer = open_.enter_context(running(_radicale_command(python, folder, third), third))
            put_collection(third, body)
            candidates["Radicale, one client"] = (
                peer,
                lambda: get(third, "/family/calendar/", FEW),
            )
            candidates["ours, one client"] = (web, lambda: get(ours, path, MANY))
        _race(candidates, len(body))
    return 0


def _tag(port: int, path: str) -> str:
    held = HTTPConnection("127.0.0.1", port, timeout=30)
    held.request("GET", path)
    answer = held.getresponse()
    answer.read()
    return answer.headers["ETag"]


def _radicale_command(python: Path, folder: Path, port: int) -> list[str]:
    return [
        str(python),
        "-m",
        "radicale",
        f"--server-hosts=127.0.0.1:{port}",
        f"--storage-filesystem-folder={folder / 'radicale'}",
        "--auth-type=none",
        "--rights-type=owner_only",
        "--web-type=none",
    ]


def _race(candidates: dict[str, tuple[int, Callable[[], float]]], size: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    used: dict[str, list[float]] = {name: [] for name in candidates}
    for _, once in candidates.values():
        once()
    for _ in range(TURNS):
        for name, (pid, once) in candidates.items():
            before, begun = cpu_of_family(pid), time.perf_counter()
            rate = once()
            count = rate * (time.perf_counter() - begun)
            rates[name].append(rate)
            used[name].append((cpu_of_family(pid) - before) / count)
    rate = {name: statistics.median(each) for name, each in rates.items()}
    cpu = {name: statistics.median(each) for name, each in used.items()}
    show(
        f"A feed of {feeds.ENTRIES:,} entries ({size:,} bytes) over HTTP, one worker",
        ("", "requests/s (median)", "least-most", "CPU of a request"),
        [
            (
                name,
                f"{rate[name]:,.0f}",
                f"{min(rates[name]):,.0f}-{max(rates[name]):,.0f}",
                f"{cpu[name] * 1e6:,.0f} µs",
            )
            for name in candidates
        ],
    )
    for name in ("the web server alone", "nginx, asking ours", "nginx, asking nobody"):
        limit = 100 * rate[name] / rate["nginx, the finished file"]
        console.print(f"{name}, beside nginx: {limit:.0f} %")
    at_least("rate beside nginx", 100 * rate["ours"] / rate["nginx, the finished file"], 85, " %")
    if "Radicale, one client" in cpu:
        ratio = cpu["Radicale, one client"] / cpu["ours, one client"]
        at_least("CPU beside Radicale, one client each", ratio, 200)


if __name__ == "__main__":
    sys.exit(main())
