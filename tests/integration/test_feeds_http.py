"""Feeds as a calendar client meets them: conditional, private, and the same 404 for every stranger."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM, Actor
from coordination.domain.agenda import feeds
from coordination.domain.people.actors import actor_of
from coordination.ground import clock
from coordination.ground.errors import NotFound
from coordination.reactions.work import begin
from coordination.settings import Settings
from tests.build import world as worlds
from tests.integration.test_agenda import START, write


class Client:
    """The application, a family's feed on it, and a way to act."""

    def __init__(self, url: str) -> None:
        self.app: Flask = create_app(
            Settings(database_url=url, field_key="a field key for tests only")
        )
        self.engine: Engine = create_engine(url)
        with Session(self.engine) as session:
            self.world = worlds.build(session, clock.now())
            session.commit()
        self.write()

    def write(self, hours: int = 0) -> None:
        """Put, or move, one entry of the child."""
        with Session(self.engine) as session, begin(session, SYSTEM) as uow:
            uow.authorize(Action.SYSTEM_RUN)
            write(uow, START + timedelta(hours=hours), self.world.people["child"])

    def actor(self, role: str) -> Actor:
        with Session(self.engine) as session:
            return actor_of(session, self.world.people[role], clock.now().date())

    def open(self, role: str, scope: str = "family") -> tuple[int, str]:
        with Session(self.engine) as session, begin(session, self.actor(role)) as uow:
            token, secret = feeds.open_feed(
                uow, scope=scope, scope_id=None, name="f", language="zh"
            )
            return token.id, secret


@pytest.fixture
def client(fresh_url: str) -> Client:
    return Client(fresh_url)


def test_a_feed_answers_304_until_something_changes(client: Client) -> None:
    _, secret = client.open("guardian")
    browser = client.app.test_client()
    first = browser.get(f"/c/{secret}.ics")
    assert first.status_code == 200
    assert first.content_type == "text/calendar; charset=utf-8"
    assert first.headers["Cache-Control"].startswith("private")
    again = browser.get(f"/c/{secret}.ics", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    client.write(hours=1)
    moved = browser.get(f"/c/{secret}.ics", headers={"If-None-Match": first.headers["ETag"]})
    assert moved.status_code == 200
    assert b"SEQUENCE:1" in moved.data
    assert moved.headers["ETag"] != first.headers["ETag"]


def test_two_fetches_of_an_unchanged_feed_are_the_same_bytes(client: Client) -> None:
    _, secret = client.open("guardian")
    browser = client.app.test_client()
    plain = browser.get(f"/c/{secret}.ics").data
    packed = browser.get(f"/c/{secret}.ics", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain


def test_wrong_revoked_and_forbidden_addresses_look_the_same(client: Client) -> None:
    token_id, secret = client.open("guardian")
    browser = client.app.test_client()
    with Session(client.engine) as session, begin(session, client.actor("guardian")) as uow:
        feeds.revoke(uow, token_id=token_id)
    answers = [browser.get(f"/c/{s}.ics") for s in (secret, "nothing", "x" * 43)]
    assert {a.status_code for a in answers} == {404}
    assert len({a.data for a in answers}) == 1


def test_an_address_that_was_replaced_stops_at_once(client: Client) -> None:
    token_id, old = client.open("guardian")
    with Session(client.engine) as session, begin(session, client.actor("guardian")) as uow:
        _, new = feeds.rotate(uow, token_id=token_id)
    browser = client.app.test_client()
    assert browser.get(f"/c/{old}.ics").status_code == 404
    assert browser.get(f"/c/{new}.ics").status_code == 200


def test_a_guardian_who_may_not_know_gets_an_empty_calendar_of_their_own(client: Client) -> None:
    _, secret = client.open("restricted")
    body = client.app.test_client().get(f"/c/{secret}.ics").data
    assert b"BEGIN:VEVENT" not in body


def test_nobody_touches_another_persons_feed(client: Client) -> None:
    token_id, _ = client.open("guardian")

    with (
        pytest.raises(NotFound),
        Session(client.engine) as session,
        begin(session, client.actor("teacher")) as uow,
    ):
        feeds.revoke(uow, token_id=token_id)
