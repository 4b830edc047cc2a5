"""Claim, send and record against a provider that needs 50 ms, beside Twilio's own SDK.

`ours` is the whole pipeline on PostgreSQL with commits on the disk: claim with its re-check, the
request, the record. The others only call the provider: the SDK in a loop, in 64 threads, and its
asynchronous client with 64 at a time; and aiohttp alone, with the very request of ours and no message
behind it, below which no pipeline on that client can come. CPU is that of this process, per message.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, text
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from benchmarks._provider import provider
from benchmarks._server import server
from benchmarks._table import at_least, at_most, console, quick, rounds, show
from notifications.channels.twilio_sms import TwilioSettings, TwilioSms
from notifications.channels.twilio_wire import Response, Wire
from notifications.pump import Pump
from notifications.values import Address, DayLimit, Pending, Skip
from notifications.workers import Worker

LATENCY, AT_ONCE = 0.05, 64
ACCOUNT, TOKEN, SERVICE = "AC" + "0" * 32, "token", "MG" + "1" * 32
BODY = "【光明实验小学】明天（周五）研学活动 7:40 在南门集合，请带水壶。打开 gm.example.cn 输入 7K3P-9QXA"
MANY = 300_000 if "--full" in sys.argv else 30_000


class Numbers:
    """A number for everybody, and a day's limit as a district has one."""

    def resolve(
        self, _connection: Connection, messages: Sequence[Pending]
    ) -> Mapping[int, Address | Skip]:
        return {
            m.id: Address("sms", f"+861{m.recipient_id:010}", f"key-{m.recipient_id}")
            for m in messages
        }

    def day_limit(self, _connection: Connection, at: datetime) -> DayLimit | None:
        return DayLimit(8, at - timedelta(hours=12), at + timedelta(hours=12))


def fill(engine: Engine, count: int) -> None:
    """Fresh messages that are due now."""
    with engine.begin() as connection:
        connection.execute(text("truncate outbox_message, delivery_attempt cascade"))
        connection.execute(
            text(
                "insert into outbox_message (dedupe_key, recipient_id, template_key, language, body,"
                " body_hash, message_class, priority, channel, subject_type, subject_id, next_at)"
                " select 'k' || n, n, 'notice', 'zh', :body, 'h', 'info', 5, 'sms', 'notice', 1,"
                " now() from generate_series(1, :count) n"
            ),
            {"body": BODY, "count": count},
        )
        connection.execute(text("analyze outbox_message"))


@dataclass
class Way:
    """One candidate: how many messages a turn, and what each turn took."""

    count: int
    run: Callable[[int], None]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def turn(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.run(self.count)
        self.cpu.append((time.process_time() - cpu) / self.count)
        self.wall.append((time.perf_counter() - wall) / self.count)


def main() -> None:
    """Print the table."""
    logging.getLogger("twilio").setLevel(logging.WARNING)
    with provider(LATENCY) as base, server(durable=True) as database:
        engine = create_engine(database.database("pipeline"), pool_size=10)
        channel = TwilioSms(
            TwilioSettings(
                account_sid=ACCOUNT,
                auth_token=TOKEN,
                messaging_service_sid=SERVICE,
                callback_url="https://gm.example.cn/webhooks/twilio/status",
                api_base=base,
            )
        )
        with Worker(engine) as worker:
            pump = Pump(engine, {"sms": channel}, Numbers(), lambda: worker.id, concurrency=AT_ONCE)
            race(engine, pump, base)
            drain(engine, pump)
            pump.close()


def race(engine: Engine, pump: Pump, base: str) -> None:
    """All candidates in turns."""

    def ours(count: int) -> None:
        done = pump.run()
        assert done.accepted == count, done

    def create(client: Client, number: int) -> None:
        client.messages.create(
            to=f"+861{number:010}", body=BODY, messaging_service_sid=SERVICE, validity_period=3600
        )

    one = Client(ACCOUNT, TOKEN)
    one.api.base_url = base

    def loop(count: int) -> None:
        for number in range(count):
            create(one, number)

    def threads(count: int) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda n: create(one, n), range(count)))

    def asynchronous(count: int) -> None:
        async def go() -> None:
            http = AsyncTwilioHttpClient()
            client = Client(ACCOUNT, TOKEN, http_client=http)
            client.api.base_url = base
            gate = asyncio.Semaphore(AT_ONCE)

            async def send(number: int) -> None:
                async with gate:
                    await client.messages.create_async(
                        to=f"+861{number:010}",
                        body=BODY,
                        messaging_service_sid=SERVICE,
                        validity_period=3600,
                    )

            async with http:
                await asyncio.gather(*(send(n) for n in range(count)))

        asyncio.run(go())

    def alone(count: int) -> None:
        form = {
            "To": "+8613800138000",
            "Body": BODY,
            "MessagingServiceSid": SERVICE,
            "StatusCallback": f"https://gm.example.cn/webhooks/twilio/status/{uuid4()}",
        }

        async def go() -> None:
            wire = Wire(
                f"{base}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
                (ACCOUNT, TOKEN),
                connect_seconds=3.0,
                read_seconds=10.0,
            )
            left = iter(range(count))

            async def sender() -> None:
                for number in left:
                    answer = await wire.create({**form, "To": f"+861{number:010}"})
                    assert isinstance(answer, Response), answer
                    assert answer.status == 201, answer

            await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
            await wire.close()

        asyncio.run(go())

    much = 3_000 if quick() else 6_000
    ways = {
        "ours: claim, send, record": Way(much, ours),
        "SDK in a loop": Way(40, loop),
        "SDK in 64 threads": Way(1_000, threads),
        "SDK, asynchronous": Way(2_000, asynchronous),
        "aiohttp alone": Way(much, alone),
    }
    fill(engine, 500)
    ours(500)
    for turn in range(rounds(5)):
        for way in ways.values() if turn % 2 == 0 else reversed(ways.values()):
            if way.run is ours:
                fill(engine, way.count)
            way.turn()
    limit = AT_ONCE / LATENCY
    shares = {name: 1 / statistics.median(way.wall) / limit for name, way in ways.items()}
    cpu = {name: statistics.median(way.cpu) * 1e6 for name, way in ways.items()}
    show(
        f"One message to a provider with {LATENCY * 1e3:.0f} ms, {AT_ONCE} at a time",
        ("", "messages/s", "of the limit", "CPU µs each"),
        [
            (name, f"{shares[name] * limit:,.0f}", f"{shares[name]:.0%}", f"{cpu[name]:,.0f}")
            for name in ways
        ],
    )
    mine, sdk, _, apart, least = cpu.values()
    console.print(f"aiohttp alone, in parts of the asynchronous client: {least / apart:.2f}")
    at_least("share of concurrency / latency", next(iter(shares.values())) * 100, 90, " %")
    at_most("CPU in parts of the SDK's loop", mine / sdk, 0.2)
    at_most("CPU in parts of its asynchronous client", mine / apart, 0.5)


def drain(engine: Engine, pump: Pump) -> None:
    """Memory while very many leave."""
    fill(engine, MANY)
    pump.run(limit=500)
    first = _resident()
    pump.run()
    console.print(f"{MANY:,} drained: resident {first:.0f} MiB at first, {_resident():.0f} at last")
    at_most("growth, MiB", _resident() - first, 50)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"this process at most {peak:.0f} MiB")


def _resident() -> float:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
