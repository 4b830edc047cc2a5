"""Nobody is told twice and nobody is left out, whatever fails; and without a guard somebody is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults.oracle import SETTLED
from tests.faults.run import Order, run
from tests.faults.site import Site
from tests.standin import aliyun

# a wait of fifteen minutes takes seven and a half seconds
SCALE = 120.0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(seed=7, scale=SCALE, plan={}) as made:
        yield made


def _settled(tally: dict[str, int]) -> bool:
    return not set(tally) - SETTLED


def test_four_hundred_families_are_told_once_through_kills_stops_cuts_and_crashes() -> None:
    outcome = run(Order(n=400, seed=1, scale=SCALE, mean_seconds=1.0, settle_seconds=60))
    assert outcome.harms["crash_postgres"] == 2
    assert outcome.harms.get("kill", 0) + outcome.harms.get("pause", 0) > 0
    assert outcome.verdict.holds, (str(outcome.verdict), outcome.tally)


@pytest.mark.parametrize("without", ["", "send_again_at_once"])
def test_what_the_provider_took_without_saying_so_is_not_sent_again(
    site: Site, without: str
) -> None:
    site.begin_anew(faults={"timeout_after": 0.1, "500_after": 0.2, "rst_after": 0.2})
    site.seed_messages(60)
    workers, clocks = site.workers(1, without=without), site.clocks()
    # a second text for anybody ends it: what follows cannot take it back
    site.wait_until(lambda tally: _settled(tally) or site.taken_by_provider() > 60)
    clocks.stop()
    workers.stop()
    verdict = site.verdict()
    assert without or verdict.lost == 0
    assert (verdict.duplicated == 0) is (without == ""), str(verdict)


@pytest.mark.parametrize("without", ["", "trust_a_lease"])
def test_a_worker_that_was_stopped_for_long_does_not_send_what_others_took_over(
    site: Site, without: str
) -> None:
    site.begin_anew(latency=0.4, callbacks=0)
    site.seed_messages(400)
    workers, clocks = site.workers(1, without=without), site.clocks()
    site.wait_until(lambda tally: tally.get("accepted", 0) > 0)
    others = site.workers(1, without=without)
    with workers.stopped(0):
        if without:
            # the others believe it dead, and send what it holds
            site.wait_until(_settled, seconds=120)
        else:
            # longer than all three questions to the provider together
            time.sleep(1.3 * 15 * 60 / SCALE)
    if without:
        # it wakes with the old claims in its hands
        site.wait_until(lambda _: site.taken_by_provider() > 400)
    site.wait_until(_settled, seconds=120)
    for fleet in (clocks, workers, others):
        fleet.stop()
    verdict = site.verdict()
    assert verdict.lost == 0
    assert (verdict.duplicated == 0) is (without == ""), str(verdict)


@pytest.mark.parametrize("without", ["", "record_before_sending"])
def test_a_worker_killed_while_it_sends_loses_nothing(site: Site, without: str) -> None:
    site.begin_anew(latency=0.3, callbacks=0)
    site.seed_messages(200)
    workers, clocks = site.workers(1, without=without), site.clocks()
    site.wait_until(lambda tally: tally.get("accepted", 0) > 0)
    workers.kill(0)
    workers.revive()
    site.wait_until(_settled)
    clocks.stop()
    workers.stop()
    verdict = site.verdict()
    assert verdict.duplicated == 0
    assert (verdict.lost == 0) is (without == ""), str(verdict)


@pytest.mark.parametrize("without", ["", "ask_the_preferred_provider"])
def test_a_worker_killed_while_the_second_provider_carries_tells_nobody_twice(
    site: Site, without: str
) -> None:
    """The first refuses our account; the second takes, sometimes without saying so."""
    with aliyun.Standin(latency=0.3) as second:
        second.plan = ["", "500_after", "eof_after", ""] * 10
        site.begin_anew(faults={"401": 1.0}, callbacks=0)
        site.give_second_provider(second)
        site.seed_messages(60)
        workers, clocks = site.workers(1, without=without), site.clocks()
        site.wait_until(lambda tally: tally.get("accepted", 0) > 0)
        workers.kill(0)
        workers.revive()
        # a second text for anybody ends it: what follows cannot take it back
        site.wait_until(lambda tally: _settled(tally) or site.taken_by_provider() > 60, 90)
        clocks.stop()
        workers.stop()
        verdict = site.verdict()
        assert without or verdict.lost == 0, str(verdict)
        assert (verdict.duplicated == 0) is (without == ""), str(verdict)
