"""Sends N messages through everything that can go wrong, and says what became of them.

`python -m tests.faults.run --n 10000 --seed 1`: four workers under kill -9, SIGSTOP and cut
connections, a provider that hangs, fails and resets before and after it accepts, and PostgreSQL
crashing in the middle. The last line is the result; the exit code is not 0 unless it is all zeros.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from dataclasses import dataclass

import psycopg

from tests.faults.killer import Fleet, Killer
from tests.faults.oracle import SETTLED, Verdict
from tests.faults.site import Site

FAULTS = {
    "429": 0.05,
    "503_before": 0.005,
    "timeout_before": 0.01,
    "timeout_after": 0.02,
    "500_after": 0.01,
    "rst_after": 0.01,
}


@dataclass(frozen=True, slots=True)
class Order:
    """What to run."""

    n: int
    seed: int
    scale: float = 60.0
    workers: int = 4
    mean_seconds: float = 2.0
    crashes: int = 2
    callbacks: float = 0.5
    settle_seconds: float = 180.0
    loud: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    verdict: Verdict
    harms: dict[str, int]
    sending_seconds: float
    seconds: float
    tally: dict[str, int]
    provider: dict[str, object]
    doubts: dict[int, int]
    why_left: dict[str, int]


def run(order: Order) -> Outcome:
    """Build, harm until everything has left once, let settle, judge."""
    plan: dict[str, object] = {
        "faults": FAULTS,
        "callbacks": order.callbacks,
        "hang_seconds": 2.0,
        # less than the time to the first question, as the protocol supposes
        "list_lag": 90 / order.scale,
    }
    with Site(seed=order.seed, scale=order.scale, plan=plan) as site:
        site.seed_messages(order.n)
        site.web()
        workers, begun = site.workers(order.workers), time.monotonic()
        site.clocks()
        killer = Killer(order.seed, order.mean_seconds, _harms(site, workers))
        killer.start()
        crashes = _until_sent(site, order, workers)
        killer.stop()
        workers.revive()
        sent = time.monotonic() - begun
        _until_settled(site, order, workers)
        return Outcome(
            verdict=site.verdict(),
            harms={**killer.done, "crash_postgres": crashes},
            sending_seconds=sent,
            seconds=time.monotonic() - begun,
            tally=site.tally(),
            provider=site.provider_says(),
            doubts=site.doubts(),
            why_left=site.why_left(),
        )


def _harms(site: Site, workers: Fleet) -> dict[str, tuple[float, object]]:
    def some(dice: random.Random) -> int:
        return dice.randrange(len(workers.running))

    return {
        "kill": (4, lambda dice: workers.kill(some(dice))),
        "pause": (3, lambda dice: workers.pause(some(dice), dice.uniform(1, 4))),
        "cut_postgres": (1, lambda dice: site.tell_proxy("postgres", "cut")),
        "cut_provider": (1, lambda dice: site.tell_proxy("provider", "cut")),
        "refuse_provider": (
            1,
            lambda dice: site.tell_proxy("provider", f"refuse {dice.uniform(0.2, 2):.2f}"),
        ),
    }


def _tally(site: Site) -> dict[str, int] | None:
    try:
        return site.tally()
    except psycopg.OperationalError:
        return None


def _until_sent(site: Site, order: Order, workers: Fleet) -> int:
    """Wait until nothing waits for its first try; crash PostgreSQL at even stages on the way."""
    crashes = 0
    while True:
        time.sleep(0.5)
        workers.revive()
        tally = _tally(site)
        if tally is None:
            continue
        if order.loud:
            print(tally, file=sys.stderr, flush=True)
        left = sum(tally.get(state, 0) for state in ("queued", "held"))
        if crashes < order.crashes and left < order.n * (1 - (crashes + 1) / (order.crashes + 1)):
            site.server.crash()
            crashes += 1
        elif left <= order.n // 100:
            return crashes


def _until_settled(site: Site, order: Order, workers: Fleet) -> None:
    deadline = time.monotonic() + order.settle_seconds
    while time.monotonic() < deadline:
        workers.revive()
        tally = _tally(site)
        if order.loud:
            print(tally, file=sys.stderr, flush=True)
        if tally is not None and not set(tally) - SETTLED:
            return
        time.sleep(0.5)


def main() -> int:
    """Run by command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=60.0)
    parser.add_argument("--callbacks", type=float, default=0.5)
    parser.add_argument("--mean", type=float, default=2.0, help="seconds between two harms")
    parser.add_argument("--settle", type=float, default=600.0)
    given = parser.parse_args()
    # so that what was started is stopped, whoever ends this
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    outcome = run(
        Order(
            given.n,
            given.seed,
            scale=given.scale,
            callbacks=given.callbacks,
            mean_seconds=given.mean,
            settle_seconds=given.settle,
            loud=True,
        )
    )
    print(f"harms: {outcome.harms}")
    print(f"provider: {outcome.provider}")
    print(f"states: {outcome.tally}; left to a person because: {outcome.why_left or 'none was'}")
    print(f"messages by how often they were in doubt: {outcome.doubts}")
    print(f"sent in {outcome.sending_seconds:.0f} s, settled after {outcome.seconds:.0f} s")
    print(f"n={given.n} seed={given.seed} {outcome.verdict}")
    return 0 if outcome.verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
