"""Carries claimed messages to the channels, many at a time, and writes down what came of it.

One event loop sends; two threads beside it claim the next batch and record the last answers, so no
connection to the database is held while a provider is asked. No more is claimed than can be sent in
about a second: what is withdrawn stops within two. Must not know any provider.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar, TypeVarTuple

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from notifications import clock
from notifications.channels.base import AsyncChannel, Channel, ChoosyChannel
from notifications.claiming import Batch, take, take_late
from notifications.lanes import Lane
from notifications.recording import open_circuit, record_many
from notifications.resolving import Resolver
from notifications.values import HALTED, Answer, Attempt, Claimed, Doubt, Refused, Sent
from notifications.ways import Ways
from notifications.workers import living

log = logging.getLogger(__name__)

T = TypeVar("T")
Given = TypeVarTuple("Given")

CONCURRENCY = 64
LARGEST_CLAIM = 500
# answers wait this long for others, so that one statement writes many
RECORD_SECONDS = 0.05
RECORD_AT_ONCE = 200
# a process that was stopped, or a long queue of slow calls, must not send on an old decision: the
# re-check of the claim is worth this long, and the first question about doubt comes later still
STALE_SECONDS = 60.0
# how often the share of a common rate is looked at again
SHARE_SECONDS = 5.0
# how soon a worker that waits for its provider notices that it shall stop
LOOK_UP_SECONDS = 0.5
# a message that is due for so long, while the provider before has been busy for as long, may go by
# the next one
LATE_SECONDS = 300.0


@dataclass(slots=True)
class Delivered:
    """What a run came to. `seen` counts also what was set aside when it was looked at."""

    seen: int = 0
    claimed: int = 0
    accepted: int = 0
    refused: int = 0
    unknown: int = 0


class Pump:
    """Owns the event loop of one worker. `run` is for one thread at a time; others wait.

    `channels` are known by name; `ways` says which of them serve a route, the preferred one first.
    Without it each serves the route of its name.
    """

    def __init__(
        self,
        engine: Engine,
        channels: Mapping[str, Channel],
        resolver: Resolver,
        worker_id: Callable[[], int],
        *,
        concurrency: int = CONCURRENCY,
        rates: Mapping[str, float] | None = None,
        ways: Mapping[str, Sequence[str]] | None = None,
        late_seconds: float = LATE_SECONDS,
        stop: threading.Event | None = None,
    ) -> None:
        self._engine, self._channels, self._resolver = engine, channels, resolver
        self._worker_id, self._concurrency = worker_id, concurrency
        self._rates = dict(rates or {})
        self._ways = Ways(ways or {name: (name,) for name in channels}, self._can)
        self._late = timedelta(seconds=late_seconds)
        # route -> who serves it now: until a claim has looked, whoever is preferred
        self._using: Mapping[str, str] = self._ways.open_routes(())
        self._stop = stop or threading.Event()
        self._lanes = {name: Lane(name, concurrency, self._rates.get(name)) for name in channels}
        self._asend = {r: c.asend for r, c in channels.items() if isinstance(c, AsyncChannel)}
        self._threads = ThreadPoolExecutor(concurrency, "send")
        # claiming, recording and halting have threads of their own: in those of the loop, names are
        # looked up, and a name server that hangs must not keep an acceptance from being written
        self._desk = ThreadPoolExecutor(3, "desk")
        self._runner = asyncio.Runner()
        # the loop has a thread of its own: whoever calls may be in a loop already. One run at a time
        self._thread = ThreadPoolExecutor(1, "pump")
        self._share_until = 0.0
        # a guess until something has been sent; a low one, because a worker that is killed young
        # leaves what it claimed in doubt
        self._per_second = float(concurrency)

    def run(
        self,
        *,
        ids: Sequence[int] | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> Delivered:
        """Deliver what is due until nothing is left; with `limit`, one batch of so many at most."""
        return self._thread.submit(self._run, ids, limit, now).result()

    def _run(self, ids: Sequence[int] | None, limit: int | None, now: datetime | None) -> Delivered:
        return self._runner.run(_Run(self, ids, limit, now).deliver())

    def close(self) -> None:
        """Let go of the connections to the providers."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()
        self._threads.shutdown()
        self._desk.shutdown()

    def _close(self) -> None:
        for channel in self._channels.values():
            if isinstance(channel, AsyncChannel):
                self._runner.run(channel.aclose())
        self._runner.close()

    def _take(self, limit: int, ids: Sequence[int] | None, now: datetime | None) -> Batch:
        return take(
            self._engine,
            self._worker_id(),
            limit,
            resolver=self._resolver,
            ways=self._ways,
            ids=ids,
            now=now,
        )

    def _take_late(self, limit: int, route: str, by: str, now: datetime | None) -> Batch:
        return take_late(
            self._engine,
            self._worker_id(),
            limit,
            resolver=self._resolver,
            ways=self._ways,
            route=route,
            by=by,
            late=self._late,
            now=now,
        )

    def _can(self, name: str, attempt: Attempt) -> bool:
        channel = self._channels[name]
        if attempt.address.kind not in channel.kinds:
            return False
        return not isinstance(channel, ChoosyChannel) or channel.carries(attempt)

    def _share_rates(self, at: float) -> None:
        """A rate belongs to the sender, not to a process: every living worker has its part."""
        if self._rates and at >= self._share_until:
            workers = living(self._engine)
            for name, rate in self._rates.items():
                self._lanes[name].pace(rate / max(workers, 1))
            self._share_until = at + SHARE_SECONDS


class _Run:
    """One run of a pump: lives in its event loop, dies when everything in hand is recorded."""

    def __init__(
        self, pump: Pump, ids: Sequence[int] | None, limit: int | None, now: datetime | None
    ) -> None:
        self.pump, self.ids, self.limit, self.now = pump, ids, limit, now
        self.loop = pump._runner.get_loop()
        self.done = Delivered()
        # the lanes of those who serve now
        self.serving = self._in_use()
        self.answers: list[tuple[Claimed, Answer]] = []
        self.open = 0
        self.changed = asyncio.Event()
        self.full = asyncio.Event()
        self.claiming, self.low = True, 0
        # since when there has always been more than could be claimed
        self.full_since: float | None = None
        self.senders: set[asyncio.Task[None]] = set()

    async def deliver(self) -> Delivered:
        recorder = asyncio.create_task(self._record())
        try:
            await self._claim()
        finally:
            self.claiming = False
            if self.pump._stop.is_set():
                self._give_back()
            self.full.set()
            await recorder
        return self.done

    def _at_desk(self, job: Callable[[*Given], T], *given: *Given) -> asyncio.Future[T]:
        return self.loop.run_in_executor(self.pump._desk, job, *given)

    # -- claiming -------------------------------------------------------------------------------

    async def _claim(self) -> None:
        pump = self.pump
        while not pump._stop.is_set():
            size = self.limit or self._size()
            await self._at_desk(pump._share_rates, self.loop.time())
            batch = await self._at_desk(pump._take, size, self.ids, self.now)
            if batch.using:
                pump._using = batch.using
                self.serving = self._in_use()
            self._accept(batch)
            if batch.seen == 0 or self.limit is not None:
                return
            if batch.seen < size:
                self.full_since = None
            elif self.full_since is None:
                self.full_since = self.loop.time()
            self.low = size // 2
            while self._waiting() > self.low and not pump._stop.is_set():
                await self._relieve()
                self.changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), LOOK_UP_SECONDS)

    def _accept(self, batch: Batch) -> None:
        """Put what was claimed before its lanes, and start what they have room for."""
        deadline = self.loop.time() + STALE_SECONDS
        self.done.seen += batch.seen
        self.done.claimed += len(batch.claimed)
        self.open += len(batch.claimed)
        for claimed in batch.claimed:
            lane = self.pump._lanes[claimed.channel]
            # its circuit was closed when this was claimed
            lane.halted = False
            lane.waiting.append((claimed, deadline))
        for lane in self.pump._lanes.values():
            self._fill(lane)

    async def _relieve(self) -> None:
        """Let the next provider carry what is late, while the one before has had its hands full."""
        pump, at = self.pump, self.loop.time()
        if self.full_since is None or at - self.full_since < pump._late.total_seconds():
            return
        for route, busy in pump._using.items():
            order = list(pump._ways.order[route])
            for by in order[order.index(busy) + 1 :]:
                lane = pump._lanes[by]
                if lane.waiting or not pump._lanes[busy].waiting:
                    continue
                size = int(max(1.0, min(lane.per_second, lane.width)))
                self._accept(await self._at_desk(pump._take_late, size, route, by, self.now))

    def _give_back(self) -> None:
        """Nothing of what still waits was sent: a definite no, at once."""
        for lane in self.pump._lanes.values():
            while lane.waiting:
                claimed, _ = lane.waiting.popleft()
                no = Refused("worker_stopped", "worker_stopped", permanent=False)
                self.answers.append((claimed, no))

    def _size(self) -> int:
        """As many as a second takes."""
        slowest = min((lane.per_second for lane in self.serving), default=0.0)
        return int(max(1.0, min(self.pump._per_second, slowest, LARGEST_CLAIM)))

    def _waiting(self) -> int:
        """What waits for those who serve now; a helper's own queue does not hold up theirs."""
        return sum(len(lane.waiting) for lane in self.serving)

    def _in_use(self) -> list[Lane]:
        return [self.pump._lanes[name] for name in set(self.pump._using.values())]

    # -- sending --------------------------------------------------------------------------------

    def _fill(self, lane: Lane) -> None:
        """Start as many senders as the lane has room for."""
        while (first := self._next(lane)) is not None:
            sender = asyncio.create_task(self._send(lane, *first))
            # the loop itself holds a task by a weak reference only
            self.senders.add(sender)
            sender.add_done_callback(self.senders.discard)

    def _next(self, lane: Lane) -> tuple[Claimed, float] | None:
        """What the lane has room for now, counted as under way; the lane is looked at again when its
        rate allows the next.
        """
        if not lane.waiting:
            return None
        at = self.loop.time()
        wait = lane.wait(at)
        if wait == 0:
            lane.start(at)
            return lane.waiting.popleft()
        if wait is not None and lane.alarm is None:
            lane.alarm = self.loop.call_later(wait, self._ring, lane)
        return None

    def _ring(self, lane: Lane) -> None:
        lane.alarm = None
        self._fill(lane)

    async def _send(self, lane: Lane, claimed: Claimed, deadline: float) -> None:
        """One call after the other: a task for each message would cost as much as its claim."""
        while True:
            if lane.halted or self.loop.time() > deadline:
                # nothing was sent, so this is a definite no and not doubt
                reason = HALTED if lane.halted else "stale_claim"
                answer: Answer = Refused(reason, reason, permanent=False)
            else:
                answer = await self._call(claimed)
                if lane.heard(answer, self.loop.time()):
                    await self._at_desk(self._halt, lane)
            lane.end()
            self.answers.append((claimed, answer))
            following = self._next(lane)
            # a good answer makes room for one more
            self._fill(lane)
            if len(self.answers) >= RECORD_AT_ONCE or not self.claiming:
                self.full.set()
            if not self.changed.is_set() and self._waiting() <= self.low:
                self.changed.set()
            if following is None:
                return
            claimed, deadline = following

    async def _call(self, claimed: Claimed) -> Answer:
        channel = self.pump._channels[claimed.channel]
        asend = self.pump._asend.get(claimed.channel)
        try:
            if asend is not None:
                return await asend(claimed.attempt)
            return await self.loop.run_in_executor(
                self.pump._threads, channel.send, claimed.attempt
            )
        except Exception as error:  # noqa: BLE001 - the provider boundary: anything is doubt
            # the text of an error may hold the address or the body
            log.error("channel %s raised %s", channel.name, type(error).__name__)
            return Doubt(type(error).__name__)

    def _halt(self, lane: Lane) -> None:
        try:
            with self.pump._engine.begin() as connection:
                open_circuit(connection, lane.name, "provider_failing", self.now or clock.now())
        except DBAPIError as error:
            # what was claimed stands still all the same, and the answer must not be lost over it
            log.warning("halting channel %s failed: %s", lane.name, type(error).__name__)

    # -- recording ------------------------------------------------------------------------------

    def _write_down(self, answered: Sequence[tuple[Claimed, Answer]]) -> None:
        record_many(self.pump._engine, answered, now=self.now)

    async def _record(self) -> None:
        last = self.loop.time()
        while self.claiming or self.open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.full.wait(), RECORD_SECONDS)
            self.full.clear()
            taken, self.answers = self.answers, []
            if not taken:
                continue
            await self._at_desk(self._write_down, taken)
            self.open -= len(taken)
            at = self.loop.time()
            speed = len(taken) / max(at - last, 1e-3)
            self.pump._per_second += 0.3 * (speed - self.pump._per_second)
            last = at
            for _, answer in taken:
                self.done.accepted += isinstance(answer, Sent)
                self.done.refused += isinstance(answer, Refused)
                self.done.unknown += isinstance(answer, Doubt)
            self.changed.set()


def deliver_batch(
    engine: Engine,
    channels: Mapping[str, Channel],
    resolver: Resolver,
    worker_id: int,
    *,
    ids: Sequence[int] | None = None,
    limit: int = 100,
    ways: Mapping[str, Sequence[str]] | None = None,
    now: datetime | None = None,
) -> Delivered:
    """One batch with a pump of its own."""
    pump = Pump(engine, channels, resolver, lambda: worker_id, concurrency=16, ways=ways)
    try:
        return pump.run(ids=ids, limit=limit, now=now)
    finally:
        pump.close()
