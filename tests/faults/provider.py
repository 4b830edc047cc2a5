"""A Twilio-shaped provider as a process of its own, which fails as its plan says.

What happens to a request depends on the seed, the number and how often that number was tried, not
on the order of arrival: a run repeats by its seed. What it accepted stands in memory and, before
the answer leaves, in the journal. `python -m tests.faults.provider PORT JOURNAL SEED PLAN`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TextIO

import aiohttp
from aiohttp import web

from tests.standin.twilio import ACCOUNT, TOKEN, sign

ORDERS = {
    "normal": ("sent", "delivered"),
    "reversed": ("delivered", "sent"),
    "tripled": ("sent", "sent", "delivered", "sent", "delivered", "delivered"),
    "early": ("sent", "delivered"),
}
CALLERS = 8


@dataclass(slots=True)
class Plan:
    """Shares of requests by fault, and how the provider behaves beside them."""

    faults: dict[str, float] = field(default_factory=dict)
    # of what it accepted, the share that is reported back at all
    callbacks: float = 0.5
    hang_seconds: float = 3.0
    retry_after: int = 1
    # a new message is not in the list before so many seconds
    list_lag: float = 0.0
    list_500: bool = False
    latency: float = 0.0
    paused: bool = False

    def merge(self, said: dict[str, object]) -> None:
        for name, value in said.items():
            if name not in Plan.__slots__:
                raise web.HTTPBadRequest(text=f"no such plan: {name}")
            setattr(self, name, value)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that the provider took."""

    sid: str
    to: str
    body: str
    created: datetime
    at: float
    callback: str


class Provider:
    """The server, its plan and what it took."""

    def __init__(self, journal: Path, seed: str, plan: Plan) -> None:
        self.seed, self.plan = seed, plan
        self.accepted: dict[str, list[Accepted]] = {}
        self.tries: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.journal: TextIO = journal.open("a", encoding="utf-8")
        self.reports: asyncio.Queue[tuple[Accepted, str]] = asyncio.Queue()
        self.http: aiohttp.ClientSession | None = None
        self.tasks: list[asyncio.Task[None]] = []
        pair = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        self.authorization = f"Basic {pair}"

    def app(self) -> web.Application:
        app = web.Application()
        path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        app.router.add_post(path, self.create)
        app.router.add_get(path, self.list)
        app.router.add_get("/__accepted", self.show)
        app.router.add_post("/__plan", self.replan)
        app.on_startup.append(self.start)
        app.on_cleanup.append(self.stop)
        return app

    async def start(self, _app: web.Application) -> None:
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        self.tasks = [asyncio.create_task(self.call_back()) for _ in range(CALLERS)]

    async def stop(self, _app: web.Application) -> None:
        for task in self.tasks:
            task.cancel()
        if self.http is not None:
            await self.http.close()
        self.journal.close()

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def fault(self, to: str) -> str:
        """By seed, number and try."""
        nth = self.tries[to] = self.tries.get(to, 0) + 1
        roll = random.Random(f"{self.seed}:{to}:{nth}").random()
        for name, share in self.plan.faults.items():
            if roll < share:
                return name
            roll -= share
        return ""

    async def create(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.count("creates")
        if request.headers.get("Authorization") != self.authorization:
            return _refuse(401, 20003)
        if self.plan.latency:
            await asyncio.sleep(self.plan.latency)
        to, body = form.get("To", ""), form.get("Body", "")
        if not (to and body):
            return _refuse(400, 21604)
        fault = self.fault(to)
        self.count(fault or "taken")
        if fault == "429":
            return _refuse(429, 20429, {"Retry-After": str(self.plan.retry_after)})
        if fault == "401":
            return _refuse(401, 20003)
        if fault == "503_before":
            return _refuse(503, 20503)
        if fault == "timeout_before":
            await asyncio.sleep(self.plan.hang_seconds)
            _reset(request)
            return web.Response(status=500)
        taken = await self.take(to, body, form.get("StatusCallback", ""))
        if fault == "timeout_after":
            await asyncio.sleep(self.plan.hang_seconds)
        if fault in ("timeout_after", "rst_after"):
            _reset(request)
            return web.Response(status=500)
        if fault == "500_after":
            return _refuse(500, 20500)
        return web.json_response(_message(taken), status=201)

    async def take(self, to: str, body: str, callback: str) -> Accepted:
        before = self.accepted.setdefault(to, [])
        roll = random.Random(f"{self.seed}:sid:{to}:{len(before)}")
        taken = Accepted(
            f"SM{roll.getrandbits(128):032x}", to, body, datetime.now(UTC), time.time(), callback
        )
        before.append(taken)
        line = {"sid": taken.sid, "to": to, "body": body, "callback": callback, "at": taken.at}
        self.journal.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.journal.flush()
        if callback and roll.random() < self.plan.callbacks:
            order = roll.choice(list(ORDERS))
            self.count(f"order_{order}")
            if order == "early":
                # the report is there before the answer to the create
                for status in ORDERS[order]:
                    await self.report(taken, status)
            else:
                for status in ORDERS[order]:
                    self.reports.put_nowait((taken, status))
        return taken

    async def call_back(self) -> None:
        while True:
            taken, status = await self.reports.get()
            await self.report(taken, status)
            self.reports.task_done()

    async def report(self, taken: Accepted, status: str) -> None:
        fields = [
            ("AccountSid", ACCOUNT),
            ("MessageSid", taken.sid),
            ("MessageStatus", status),
            ("To", taken.to),
        ]
        if self.http is None:
            raise RuntimeError("not started")
        try:
            async with self.http.post(
                taken.callback,
                data=fields,
                headers={"X-Twilio-Signature": sign(TOKEN, taken.callback, fields)},
            ) as answer:
                self.count(f"callback_{answer.status}")
        except (aiohttp.ClientError, TimeoutError):
            self.count("callback_lost")

    async def list(self, request: web.Request) -> web.Response:
        self.count("lists")
        if request.headers.get("Authorization") != self.authorization:
            return _refuse(401, 20003)
        if self.plan.list_500:
            return _refuse(500, 20500)
        known = self.accepted.get(request.query.get("To", ""), [])
        seen = [m for m in reversed(known) if time.time() - m.at >= self.plan.list_lag]
        return web.json_response(
            {
                "messages": [_message(m) for m in seen],
                "page": 0,
                "page_size": 100,
                "start": 0,
                "end": max(len(seen) - 1, 0),
                "uri": str(request.rel_url),
                "first_page_uri": str(request.rel_url),
                "next_page_uri": None,
                "previous_page_uri": None,
            }
        )

    async def show(self, _request: web.Request) -> web.Response:
        total = sum(map(len, self.accepted.values()))
        return web.json_response(
            {"accepted": total, "waiting": self.reports.qsize(), "counts": self.counts}
        )

    async def replan(self, request: web.Request) -> web.Response:
        self.plan.merge(await request.json())
        return web.json_response({"ok": True})


def _message(taken: Accepted) -> dict[str, object]:
    return {
        "sid": taken.sid,
        "account_sid": ACCOUNT,
        "to": taken.to,
        "body": taken.body,
        "status": "queued",
        "num_segments": "1",
        "direction": "outbound-api",
        "date_created": format_datetime(taken.created),
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{taken.sid}.json",
    }


def _refuse(status: int, code: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"code": code, "message": "as planned", "status": status}, status=status, headers=headers
    )


def _reset(request: web.Request) -> None:
    """Close with RST, not FIN: what a crashed middlebox does."""
    if request.transport is None:
        return
    handle = request.transport.get_extra_info("socket")
    if handle is not None:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


def main(argv: list[str]) -> None:
    """Serve until told to stop."""
    port, journal, seed, said = int(argv[1]), Path(argv[2]), argv[3], json.loads(argv[4])
    plan = Plan()
    plan.merge(said)
    web.run_app(
        Provider(journal, seed, plan).app(),
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=lambda *_: None,
    )


if __name__ == "__main__":
    main(sys.argv)
