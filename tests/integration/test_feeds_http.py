"""Feeds as a calendar client meets them: conditional, private, and the same 404 for every stranger."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest

from coordination.domain.agenda import feeds
from coordination.ground.errors import NotFound
from tests.build.calendars import START, Town


@pytest.fixture
def town(fresh_url: str) -> Town:
    made = Town(fresh_url)
    made.write()
    return made


def test_a_feed_answers_304_until_something_changes(town: Town) -> None:
    _, secret = town.open("guardian")
    browser = town.browser()
    first = browser.get(f"/c/{secret}.ics")
    assert first.status_code == 200
    assert first.content_type == "text/calendar; charset=utf-8"
    assert first.headers["Cache-Control"].startswith("private")
    again = browser.get(f"/c/{secret}.ics", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    town.write(starts_at=START + timedelta(hours=1))
    moved = browser.get(f"/c/{secret}.ics", headers={"If-None-Match": first.headers["ETag"]})
    assert moved.status_code == 200
    assert b"SEQUENCE:1" in moved.data
    assert moved.headers["ETag"] != first.headers["ETag"]


def test_two_fetches_of_an_unchanged_feed_are_the_same_bytes(town: Town) -> None:
    _, secret = town.open("guardian")
    browser = town.browser()
    plain = browser.get(f"/c/{secret}.ics").data
    packed = browser.get(f"/c/{secret}.ics", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain


def test_wrong_revoked_and_forbidden_addresses_look_the_same(town: Town) -> None:
    token_id, secret = town.open("guardian")
    browser = town.browser()
    with town.acting("guardian") as uow:
        feeds.revoke(uow, token_id=token_id)
    answers = [browser.get(f"/c/{s}.ics") for s in (secret, "nothing", "x" * 43)]
    assert {a.status_code for a in answers} == {404}
    assert len({a.data for a in answers}) == 1


def test_an_address_that_was_replaced_stops_at_once(town: Town) -> None:
    token_id, old = town.open("guardian")
    with town.acting("guardian") as uow:
        _, new = feeds.rotate(uow, token_id=token_id)
    browser = town.browser()
    assert browser.get(f"/c/{old}.ics").status_code == 404
    assert browser.get(f"/c/{new}.ics").status_code == 200


def test_a_guardian_who_may_not_know_gets_an_empty_calendar_of_their_own(town: Town) -> None:
    _, secret = town.open("restricted")
    body = town.browser().get(f"/c/{secret}.ics").data
    assert b"BEGIN:VEVENT" not in body


def test_nobody_touches_another_persons_feed(town: Town) -> None:
    token_id, _ = town.open("guardian")

    with pytest.raises(NotFound), town.acting("teacher") as uow:
        feeds.revoke(uow, token_id=token_id)
