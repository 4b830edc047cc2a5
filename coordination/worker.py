"""Composition root of everything that runs by itself: the clock's ticks and the delivery worker.

TICKS is the whole list of what happens without anybody asking. A tick only moves due rows and
defers jobs; one process is the leader, by an advisory lock that dies with its connection.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from apscheduler.schedulers.background import BackgroundScheduler
from procrastinate import App
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from calendars.fetch import Network
from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.communication.texts import budgets
from coordination.domain.people.roster import batches
from coordination.ground import clock, crypto
from coordination.ground.ticks import LEADER, ticked
from coordination.ground.uow import UnitOfWork
from coordination.reactions import (
    by_mail,
    by_phone,
    carriers,
    notices,
    on_people,
    reminders,
    retention,
    together,
    unsent_texts,
)
from coordination.reactions.carriers import Carriers, carriers_of
from coordination.reactions.deliveries import Resolver
from coordination.reactions.work import begin
from coordination.settings import Settings
from notifications import clock as delivery_clock
from notifications import health, holding, inbound
from notifications.erasure import erase_bodies
from notifications.jobs import defer_drain, libpq_dsn, make_job_app
from notifications.pump import CONCURRENCY, Pump
from notifications.reconciling import reconcile
from notifications.reminders import any_due
from notifications.workers import Worker

log = logging.getLogger(__name__)

READING_SECONDS = 50
# one job starts so many calls; the next one goes on, and texts are not kept waiting
CALLS_AT_ONCE = 20
# how long one job may settle doubt; the next one goes on
SETTLING_SECONDS = 20


def configure(settings: Settings) -> None:
    """Hand the settings to the modules that need them, once per process."""
    crypto.use_key(settings.field_key)
    delivery_clock.read_from(clock.now)
    notices.use_route(
        settings.public_url,
        links_allowed=settings.sms_links == "allowed",
        values_kept=carriers.values_kept(settings),
    )
    reminders.use_zone(settings.zone)
    batches.use_zone(settings.zone)
    budgets.use_zone(settings.zone)
    by_mail.use_server(bool(settings.smtp_url))
    by_phone.use_line(bool(settings.voice_channel))


def _engine(settings: Settings, *, pool_size: int = 5) -> Engine:
    """Parameters of statements are hidden: an error that is logged would show phones and texts."""
    return create_engine(
        settings.database_url, pool_pre_ping=True, pool_size=pool_size, hide_parameters=True
    )


class Postman:
    """Delivers what is due: claims, calls, records, and settles what is in doubt."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        carried_by: Carriers,
        *,
        concurrency: int = CONCURRENCY,
        stop: threading.Event | None = None,
    ) -> None:
        self._engine, self._asked = engine, carried_by.asked
        self._resolver = Resolver(
            settings.zone, together_in=carriers.languages_of(settings, engine, together.KEY)
        )
        self._worker = Worker(engine)
        self._stop = stop or threading.Event()
        self._pumping = threading.Lock()
        self._pump = Pump(
            engine,
            carried_by.channels,
            self._resolver,
            lambda: self._worker.id,
            concurrency=concurrency,
            rates=carriers.rates_of(settings),
            ways={r: names for r, names in carried_by.ways.items() if r != carriers.VOICE},
            late_seconds=settings.sms_fallback_after * 60,
            stop=self._stop,
        )
        self._caller = self._pump_of_calls(settings, carried_by)
        self._calling = threading.Lock()

    def _pump_of_calls(self, settings: Settings, carried_by: Carriers) -> Pump | None:
        """A pump of their own for calls: so few start in a second that texts would wait for them."""
        by = carried_by.ways.get(carriers.VOICE)
        if by is None:
            return None
        return Pump(
            self._engine,
            {name: carried_by.channels[name] for name in by},
            self._resolver,
            lambda: self._worker.id,
            concurrency=CALLS_AT_ONCE,
            rates={name: settings.voice_rate for name in by if settings.voice_rate},
            ways={carriers.VOICE: by},
            stop=self._stop,
        )

    def deliver(self, ids: Sequence[int] | None = None) -> int:
        """Send some messages, or everything that is due; how many were claimed.

        Whoever comes for everything while that is being sent already settles doubt meanwhile: a
        long queue must not leave the messages of a dead worker in doubt until it is empty.
        """
        if ids is not None:
            return self._pump.run(ids=ids).claimed
        claimed = 0
        if self._pumping.acquire(blocking=False):
            try:
                claimed = self._pump.run().claimed
            finally:
                self._pumping.release()
        if self._caller is not None and self._calling.acquire(blocking=False):
            try:
                claimed += self._caller.run(limit=CALLS_AT_ONCE).claimed
            finally:
                self._calling.release()
        self._settle()
        return claimed

    def _settle(self) -> None:
        until = monotonic() + SETTLING_SECONDS
        while not self._stop.is_set() and monotonic() < until:
            if not reconcile(self._engine, self._asked, self._resolver).seen:
                return

    def close(self) -> None:
        """Give up the proof of life: whatever is in doubt may now be settled by others."""
        self._pump.close()
        if self._caller is not None:
            self._caller.close()
        self._worker.close(clock.now())


# -- the clock ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beat:
    """What a tick is given."""

    engine: Engine
    jobs: App
    now: datetime
    # what of the internet may be asked; None is what is safe
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """One thing that runs by itself."""

    name: str
    seconds: int
    run: Callable[[Beat], None]


def send_reminders(beat: Beat) -> None:
    """Turn due reminders into messages."""
    if holding.stands(beat.engine):
        return
    while any_due(beat.engine, clock.now()):
        with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
            taken = reminders.send_due(uow)
        if taken == 0:
            return


def _each_by_itself(
    engine: Engine, numbers: Iterable[int], do: Callable[[UnitOfWork, int], None]
) -> None:
    """A transaction for each; one that fails does not keep the others, and the tick fails in the end."""
    failed: Exception | None = None
    for number in numbers:
        try:
            with Session(engine) as session, begin(session, SYSTEM) as uow:
                do(uow, number)
        except Exception as error:
            log.exception("%s could not be done", number)
            failed = error
    if failed is not None:
        raise failed


def send_scheduled_notices(beat: Beat) -> None:
    """Send the notices whose time has come."""
    from coordination.domain.communication.notices.dispatch import due_notices, send_scheduled

    hold = holding.stands(beat.engine)
    with Session(beat.engine) as session:
        due = due_notices(session, clock.now(), written_after=hold.since if hold else None)

    def send(uow: UnitOfWork, number: int) -> None:
        send_scheduled(uow, notice_id=number, today=clock.today(reminders.zone()))

    _each_by_itself(beat.engine, due, send)


def follow_silence(beat: Beat) -> None:
    """Text or remind who has not answered a notice, and later put them on the call list."""
    from coordination.domain.communication.models import Notice
    from coordination.domain.communication.notices.queries import is_going_out
    from coordination.domain.communication.unanswered.silence import climb, due_ladders
    from coordination.reactions.quiet_hours import waits_of

    hold = holding.stands(beat.engine)
    with Session(beat.engine) as session:
        due = due_ladders(session, clock.now(), written_after=hold.since if hold else None)
        waits = waits_of(session, clock.now(), reminders.zone()).notice if due else None

    def follow(uow: UnitOfWork, number: int) -> None:
        going = is_going_out(uow.session, uow.session.get_one(Notice, number))
        climb(uow, notice_id=number, going=going, waits=waits)

    _each_by_itself(beat.engine, due, follow)


def write_notices(beat: Beat) -> None:
    """Write the texts of notices to whole schools and districts, a stretch at a time."""
    from coordination.domain.communication.notices.rounds import open_rounds, write_stretch

    hold = holding.stands(beat.engine)
    with Session(beat.engine) as session:
        waiting = open_rounds(session, begun_after=hold.since if hold else None)
    for number in waiting:
        more = True
        while more:
            with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
                more = write_stretch(uow, round_id=number, today=clock.today(reminders.zone()))


def dispatch_due(beat: Beat) -> None:
    """Let a worker deliver what is due, if anything is."""
    waiting = health.due_count(beat.engine, beat.now) or health.doubt_count(beat.engine)
    if waiting:
        with Session(beat.engine) as session, session.begin():
            defer_drain(beat.jobs, session)


def expire_holds(beat: Beat) -> None:
    """Release bookings that nobody confirmed in time."""
    if holding.stands(beat.engine):
        return  # it tells people; what was confirmed since the backup is not known here
    from coordination.domain.bookings.services import expire_holds as expire

    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        expire(uow)


def erase_old_texts(beat: Beat) -> None:
    """Erase the bodies of old messages; hashes and states stay."""
    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        uow.authorize(Action.SYSTEM_RUN)
        before = beat.now - timedelta(days=retention.BODIES_DAYS)
        erased = erase_bodies(session, older_than_days=retention.BODIES_DAYS, now=beat.now)
        retention.note(session, "texts", before, erased, beat.now)
        retention.note(session, "inbound", before, inbound.forget(session, before), beat.now)


def erase_child_files(beat: Beat) -> None:
    """Erase children's files after their time, and drafts that nobody sent."""
    from coordination.domain.communication.files.child_files import KEPT as FILES_KEPT
    from coordination.domain.communication.files.child_files import erase_due

    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        retention.note(session, "child_files", uow.now - FILES_KEPT, erase_due(uow), uow.now)


def erase_headcounts(beat: Beat) -> None:
    """Erase single taps of old head-counts, and with whom a child left."""
    from coordination.domain.practice.headcount.notes import KEPT, erase_due

    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        retention.note(session, "headcounts", uow.now - KEPT, erase_due(uow), uow.now)


def erase_cards(beat: Beat) -> None:
    """Erase health cards nobody confirms or whose child left, and collectors whose time is over."""
    from coordination.domain.care.erasing import erase_due
    from coordination.domain.care.keeping import UNCONFIRMED

    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        erased = erase_due(uow, clock.today(reminders.zone()))
        for key, tables in retention.CARE.items():
            gone = sum(erased.get(table, 0) for table in tables)
            retention.note(session, key, uow.now - UNCONFIRMED, gone, uow.now)


def forget_expired(beat: Beat) -> None:
    """Delete expired sign-in codes, sessions and counters."""
    from coordination.domain.people.accounts import forget_expired as forget

    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        for key, (erased, before) in forget(uow).items():
            retention.note(session, key, before, erased, uow.now)


def keep_to_the_terms(beat: Beat) -> None:
    """Every night: erase what is older than its term, and write down what is left of each class."""
    with Session(beat.engine) as session:
        if not retention.due(session, clock.now()):
            return
    erased: dict[str, int] = {}
    for one in retention.CLASSES:
        count = -1
        while count:
            with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
                count = retention.erase_batch(uow, one)
            erased[one.key] = erased.get(one.key, 0) + count
    with Session(beat.engine) as session:
        gone = retention.gone_long_enough(session, clock.now())
    _each_by_itself(beat.engine, gone, retention.erase_who_left)
    erased[retention.LEFT.key] = len(gone)
    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        retention.close_night(uow, erased)


def mark_stopped_numbers(beat: Beat) -> None:
    """Let the roster know whose number fails, or who opted out at the provider."""
    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        on_people.carry_over(uow)


def mail_missing_receipts(beat: Beat) -> None:
    """Send by mail what nobody knows to have arrived as a text."""
    if holding.stands(beat.engine):
        return
    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        by_mail.write_due(uow)


def ring_the_silent(beat: Beat) -> None:
    """Call families that have not confirmed an alert, and who cannot read texts; again where nobody took
    the call."""
    from coordination.domain.communication.notices.ringing import ringing_notices

    with Session(beat.engine) as session:
        notices_due = ringing_notices(session, clock.now())

    def ring(uow: UnitOfWork, number: int) -> None:
        by_phone.ring_due(uow, notice_id=number, today=clock.today(reminders.zone()))

    _each_by_itself(beat.engine, notices_due, ring)


def give_back_unsent_texts(beat: Beat) -> None:
    """Give back to their accounts what texts of notices would have cost that ended unsent."""
    more = True
    while more:
        with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
            more = bool(unsent_texts.give_back(uow))


def tidy_calendars(beat: Beat) -> None:
    """Drop old tombstones, close addresses that nobody reads any more, write the year's holidays."""
    from coordination.domain.agenda import schoolyear
    from coordination.domain.agenda.feeds import close_idle
    from coordination.domain.agenda.services import forget_tombstones

    with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
        forget_tombstones(uow)
        close_idle(uow)
        schoolyear.write(uow)


def read_partner_calendars(beat: Beat) -> None:
    """Read the partners' own calendars that are due, a few at a time."""
    from coordination.domain.agenda import busy

    until = monotonic() + READING_SECONDS
    while monotonic() < until:
        with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
            due = busy.claim_due(uow)
        if due is None:
            return
        reading = busy.read(due, clock.now(), reminders.zone(), beat.network)
        with Session(beat.engine) as session, begin(session, SYSTEM) as uow:
            busy.keep(uow, source_id=due.source_id, reading=reading)


def heartbeat(_beat: Beat) -> None:
    """Nothing but the note that every tick leaves: `/readyz` sees that the clock goes."""


TICKS = (
    Tick("heartbeat", 10, heartbeat),
    Tick("send scheduled notices", 1, send_scheduled_notices),
    Tick("write notices", 1, write_notices),
    Tick("follow silence", 30, follow_silence),
    Tick("ring the silent", 10, ring_the_silent),
    Tick("dispatch due messages", 1, dispatch_due),
    Tick("send due reminders", 10, send_reminders),
    Tick("expire holds", 60, expire_holds),
    Tick("mark stopped numbers", 60, mark_stopped_numbers),
    Tick("mail missing receipts", 60, mail_missing_receipts),
    Tick("give back unsent texts", 300, give_back_unsent_texts),
    Tick("erase old texts", 3600, erase_old_texts),
    Tick("erase children's files", 600, erase_child_files),
    Tick("erase health cards", 3600, erase_cards),
    Tick("erase head-counts", 3600, erase_headcounts),
    Tick("forget expired sign-ins", 3600, forget_expired),
    Tick("keep to the terms", 3600, keep_to_the_terms),
    Tick("tidy calendars", 3600, tidy_calendars),
    Tick("read partners' calendars", 5, read_partner_calendars),
)


def run_tick(tick: Tick, engine: Engine, jobs: App) -> None:
    """One beat; a failing tick is logged, noted for the board and tried again at its next time."""
    began, at = monotonic(), clock.now()
    error = None
    try:
        tick.run(Beat(engine, jobs, at))
    except Exception as failure:
        # a database error hides its parameters (see `_engine`), so nothing personal is logged
        log.exception("tick %s failed", tick.name)
        error = type(failure).__name__
    try:
        with Session(engine) as session, session.begin():
            ticked(
                session,
                tick.name,
                at,
                every_seconds=tick.seconds,
                took_ms=round((monotonic() - began) * 1000),
                error=error,
            )
    except DBAPIError as failure:
        log.warning("the run of %s was not noted: %s", tick.name, type(failure).__name__)


def run_clock(settings: Settings) -> None:
    """Tick until a signal stops it; waits as long as another clock leads."""
    configure(settings)
    tick_until(_stop_on_signals(), settings)


def tick_until(stop: threading.Event, settings: Settings) -> None:
    """The clock without its process: for whoever has threads of their own."""
    engine = _engine(settings)
    jobs = make_job_app(libpq_dsn(settings.database_url))
    while not stop.is_set():
        try:
            _lead_if_none_does(engine, jobs, stop)
        except DBAPIError as error:
            # a database that restarts must not take the clock down with it
            log.warning("the clock waits for its database: %s", type(error).__name__)
        stop.wait(2)
    engine.dispose()


def _lead_if_none_does(engine: Engine, jobs: App, stop: threading.Event) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as leader:
        if not leader.scalar(text("select pg_try_advisory_lock(:k)"), {"k": LEADER}):
            return
        log.info("this clock leads")
        try:
            _lead(leader, engine, jobs, stop)
        finally:
            # the pool must not keep this session alive with the lock still held
            leader.invalidate()


def _lead(leader: Connection, engine: Engine, jobs: App, stop: threading.Event) -> None:
    scheduler = BackgroundScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for tick in TICKS:
        scheduler.add_job(
            run_tick,
            "interval",
            seconds=tick.seconds,
            args=(tick, engine, jobs),
            id=tick.name,
            next_run_time=clock.now(),
        )
    scheduler.start()
    try:
        while not stop.wait(2):
            # the lock lives and dies with this very session
            leader.execute(text("select 1"))
    except Exception:
        log.exception("the clock lost its lock")
    finally:
        scheduler.shutdown(wait=True)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    return stop


# -- the worker -----------------------------------------------------------------------------------


def run_worker(settings: Settings, concurrency: int = CONCURRENCY) -> None:
    """Carry out delivery jobs until told to stop; what a provider is being asked is finished first."""
    configure(settings)
    # what is loaded by now stays: the collector need not look through it after every batch
    gc.freeze()
    engine = _engine(settings, pool_size=20)
    stop = threading.Event()
    postman = Postman(
        engine, settings, carriers_of(settings, engine), concurrency=concurrency, stop=stop
    )

    def deliver(ids: Sequence[int] | None) -> None:
        postman.deliver(ids)

    jobs = make_job_app(libpq_dsn(settings.database_url), deliver)
    try:
        asyncio.run(_work(jobs, stop))
    finally:
        postman.close()
        engine.dispose()


async def _work(jobs: App, stop: threading.Event) -> None:
    async with jobs.open_async():
        # two jobs at once: one delivers with all the concurrency there is, the other takes over
        # what dead workers left
        work = asyncio.create_task(
            jobs.run_worker_async(
                concurrency=2,
                install_signal_handlers=False,
                fetch_job_polling_interval=2,
                shutdown_graceful_timeout=30,
            )
        )

        def finish() -> None:
            stop.set()
            work.cancel()

        for sign in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(sign, finish)
        with suppress(asyncio.CancelledError):
            await work


def drain(engine: Engine, settings: Settings) -> int:
    """Deliver everything that is due in this process, without jobs: for the tour and for tests."""
    postman = Postman(engine, settings, carriers_of(settings, engine))
    try:
        return postman.deliver()
    finally:
        postman.close()
