"""A notice through Aliyun's own SDK over real HTTP, and what the gateway pushes back: how it fared,
and what parents answer.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine, select, text, update
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.cli import main
from coordination.domain.communication.models import Notice, WordingApproval
from coordination.domain.communication.notices import queries
from coordination.domain.people.models import ContactPoint
from coordination.ground import clock, crypto
from coordination.reactions.carriers import aliyun_paths
from coordination.settings import Settings
from coordination.web import delivery
from coordination.web.request import SESSION_KEY
from coordination.worker import drain
from notifications import suppressions
from notifications.models import DeliveryAttempt, InboundText, OutboxMessage, Suppression
from tests.build import world as worlds
from tests.build.approved import approve
from tests.build.serving import FIELD_KEY, serving_site
from tests.standin.aliyun import CHINA, KEY, SECRET, SIGN_NAME, Standin, Taken

# the phone of the guardian in the built world
MOTHER = "13800138001"
APPROVED = {("notice", "zh"): "SMS_1", ("notice", "en"): "SMS_2"}


@dataclass
class Site:
    """A served application whose texts go to the stand-in."""

    settings: Settings
    engine: Engine
    world: worlds.World
    gateway: Standin

    def send_from_the_page(self) -> int:
        """As a teacher does: compose, check, send; returns the notice."""
        app = create_app(self.settings)
        app.config["WTF_CSRF_ENABLED"] = False
        client = app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = self.world.tokens["teacher"]
        form = {
            "class_ids": str(self.world.things["class_a"]),
            "title_zh": "停课通知",
            "title_en": "School closes at noon",
            "body_zh": "请十二点接孩子。",
            "body_en": "Please collect your child at twelve.",
            "level": "confirm",
            "urgent_reason": "台风红色预警",
        }
        check = client.post("/notices/new", data=form | {"step": "check"})
        page = check.get_data(as_text=True)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        sent = client.post("/notices/new", data=form | hidden | {"step": "send"})
        assert sent.status_code == 303, page
        with Session(self.engine) as session:
            return session.scalars(select(Notice.id).order_by(Notice.id.desc())).first() or 0

    def states(self, notice_id: int) -> list[tuple[str, str | None]]:
        with Session(self.engine) as session:
            notice = session.get_one(Notice, notice_id)
            rows = session.execute(queries.progress_query(notice)).all()
            return [(x.state, x.reason) for x in queries.progress_lines(session, rows)]

    @property
    def reports(self) -> str:
        return aliyun_paths(self.settings)[0]

    @property
    def replies(self) -> str:
        return aliyun_paths(self.settings)[1]

    def opted_out(self, role: str) -> bool:
        with Session(self.engine) as session:
            person = self.world.people[role]
            found = suppressions.suppressed(session, [person]).get((person, "sms"))
            reasons = session.scalars(
                select(ContactPoint.suppressed_reason).where(ContactPoint.person_id == person)
            )
            assert (found == "opted_out") == ("opted_out" in set(reasons))
            return found is not None

    def push(self, *lines: dict[str, object], path: str = "", raw: bytes = b"") -> tuple[int, str]:
        """What the gateway posts; status and body of the answer."""
        request = urllib.request.Request(
            self.settings.public_url + (path or self.reports),
            data=raw or json.dumps(lines).encode(),
            headers={"Content-Type": "application/json;charset=UTF-8"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def report(taken: Taken, **changes: object) -> dict[str, object]:
    """A line as the gateway documents it."""
    return {
        "phone_number": taken.fields["PhoneNumbers"],
        "send_time": "2026-11-24 09:00:00",
        "report_time": "2026-11-24 09:00:03",
        "success": True,
        "err_code": "DELIVERED",
        "err_msg": "用户接收成功",
        "sms_size": "1",
        "biz_id": taken.biz_id,
        "out_id": taken.fields["OutId"],
        **changes,
    }


def ago(minutes: int) -> str:
    """A time as the gateway writes it: its own day and hour, and no zone."""
    return f"{(clock.now() - timedelta(minutes=minutes)).astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def reply(said: str, *, phone: str = MOTHER, at: str = "", **more: object) -> dict[str, object]:
    """A line as the gateway documents it."""
    return {
        "phone_number": phone,
        "content": said,
        "send_time": at or ago(5),
        "dest_code": "1234",
        "sequence_id": "1234567890",
        **more,
    }


@pytest.fixture
def site(fresh_url: str) -> Iterator[Site]:
    with (
        Standin() as gateway,
        serving_site(
            fresh_url,
            sms_channel="aliyun",
            aliyun_access_key_id=KEY,
            aliyun_access_key_secret=SECRET,
            aliyun_sign_name=SIGN_NAME,
            aliyun_endpoint=f"http://{gateway.endpoint}",
        ) as (settings, _),
    ):
        engine = create_engine(fresh_url)
        with Session(engine) as session:
            world = worlds.build(session, clock.now())
            approve(session, APPROVED, settings.public_url)
            session.commit()
        yield Site(settings, engine, world, gateway)
        engine.dispose()


def test_from_the_page_to_the_gateway_and_its_report_back_to_the_page(site: Site) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    drain(site.engine, site.settings)
    (taken,) = site.gateway.taken
    values = json.loads(taken.fields["TemplateParam"])
    assert values["title"] == "停课通知" and taken.fields["TemplateCode"] == "SMS_1"
    assert site.states(notice) == [("accepted", None)]
    status, answer = site.push(report(taken))
    assert (status, json.loads(answer)) == (200, {"code": 0, "msg": "接收成功"})
    assert site.states(notice) == [("delivered", None)]
    # repeated, late and contradicting reports move nothing back
    site.push(report(taken), report(taken, success=False, err_code="UNDELIV"))
    assert site.states(notice) == [("delivered", None)]


def test_a_wording_that_is_not_approved_does_not_leave_and_says_why(site: Site) -> None:
    with Session(site.engine) as session, session.begin():
        session.execute(update(WordingApproval).values(state="submitted"))
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    assert site.gateway.calls == []
    with Session(site.engine) as session, session.begin():
        (tried,) = session.scalars(select(DeliveryAttempt)).all()
        assert (tried.state, tried.code) == ("refused", "no_template")
        session.execute(update(WordingApproval).values(state="approved"))
        session.execute(update(OutboxMessage).values(next_at=clock.now()))
    assert str(delivery.reason_word("no_template").en) == "its template is not approved yet"
    drain(site.engine, site.settings)
    assert site.states(notice) == [("accepted", None)]


def test_a_report_settles_what_the_gateway_took_without_saying_so(site: Site) -> None:
    site.gateway.plan = ["500_after"]
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    assert site.states(notice)[0][0] == "unknown"
    site.push(report(site.gateway.taken[0]))
    assert site.states(notice) == [("delivered", None)]
    assert len(site.gateway.taken) == 1


def test_a_report_is_known_by_the_gateways_number_too(site: Site) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    site.push(report(site.gateway.taken[0], out_id=""))
    assert site.states(notice) == [("delivered", None)]


@pytest.mark.parametrize(
    ("code", "strikes"), [("MOBILE_NOT_ON_SERVICE", 1), ("INVALID_NUMBER", 1), ("UNDELIV", 0)]
)
def test_a_failure_is_shown_and_counts_against_a_number_that_is_bad(
    site: Site, code: str, strikes: int
) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    site.push(report(site.gateway.taken[0], success=False, err_code=code))
    assert site.states(notice) == [("undelivered", code)]
    with Session(site.engine) as session:
        assert sum(session.scalars(select(Suppression.strikes))) == strikes


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/aliyun/report/" + "0" * 32,
        "/webhooks/aliyun/report/x",
        "/webhooks/aliyun/report/%E9%95%BF",
        "/webhooks/aliyun/inbound/" + "0" * 32,
    ],
)
def test_who_does_not_know_the_address_is_refused(site: Site, path: str) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    assert site.push(report(site.gateway.taken[0]), path=path)[0] == 403
    assert site.states(notice) == [("accepted", None)]


@pytest.mark.parametrize(
    "raw",
    [b"{}", b"null", b"7", b'["a"]', b"[[]]", b"\xff\xfe", b"<xml/>", b"[" * 100_000, b'[{"a":'],
)
def test_what_is_no_push_is_refused_with_its_reason(site: Site, raw: bytes) -> None:
    for path in aliyun_paths(site.settings):
        status, answer = site.push(raw=raw, path=path)
        assert status == 422 and "JSON" in answer


def test_a_line_of_no_use_does_not_harm_the_others(site: Site) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    (taken,) = site.gateway.taken
    status, _ = site.push(
        {},
        {"success": "yes", "out_id": taken.fields["OutId"]},
        report(taken, out_id=str(uuid4()), biz_id=None),
        report(taken, out_id=5, biz_id=["x"]),
        report(taken, out_id="x\x00", biz_id="y" * 5000),
        report(taken, out_id="", biz_id="of nobody"),
        report(taken),
    )
    assert status == 200
    assert site.states(notice) == [("delivered", None)]


def test_a_code_that_is_no_code_is_not_kept(site: Site) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    site.push(report(site.gateway.taken[0], success=False, err_code="<b>13800138000 王敏\x00"))
    assert site.states(notice) == [("undelivered", "no_code")]


def test_a_report_of_this_gateway_says_nothing_of_another_providers_text(site: Site) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    with Session(site.engine) as session, session.begin():
        session.scalars(select(DeliveryAttempt)).one().channel = "twilio_sms"
    site.push(report(site.gateway.taken[0]))
    assert site.states(notice) == [("accepted", None)]


def test_a_hundred_reports_at_once_all_count_though_some_wait_for_nothing(site: Site) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    (taken,) = site.gateway.taken
    strangers = [report(taken, out_id=str(uuid4()), biz_id=f"b{i}") for i in range(99)]
    assert site.push(*strangers, report(taken))[0] == 200
    assert site.states(notice) == [("delivered", None)]


def test_who_told_the_carrier_to_stop_gets_no_more_routine_texts(site: Site) -> None:
    notice = site.send_from_the_page()
    drain(site.engine, site.settings)
    site.push(report(site.gateway.taken[0], success=False, err_code="USER_REJECT"))
    assert site.states(notice) == [("undelivered", "USER_REJECT")]
    with Session(site.engine) as session:
        (kept,) = session.scalars(select(Suppression)).all()
        assert (kept.active, kept.reason_code, kept.strikes) == (True, "opted_out", 0)


def test_a_parents_td_stops_routine_texts_and_a_repeated_push_of_it_changes_nothing(
    site: Site,
) -> None:
    td = reply("TD", at=ago(9))
    for line in (td, reply("恢复", at=ago(4))):
        status, answer = site.push(line, path=site.replies)
        assert (status, json.loads(answer)) == (200, {"code": 0, "msg": "接收成功"})
        assert site.opted_out("guardian") is (line is td)
    site.push(td, path=site.replies)
    assert not site.opted_out("guardian")
    with Session(site.engine) as session:
        kinds = session.scalars(select(InboundText.kind).order_by(InboundText.id)).all()
    # one number for all three: it names no text
    assert kinds == ["stop", "start"]


def test_what_comes_late_does_not_undo_what_was_said_later(site: Site) -> None:
    start = reply("恢复", at=ago(8))
    site.push(reply("退订", at=ago(7)), path=site.replies)
    site.push(start, path=site.replies)
    assert site.opted_out("guardian")
    # within one push the order of the lines says nothing
    site.push(
        reply("恢复", at=ago(1)),
        reply("R", at=ago(2)),
        path=site.replies,
    )
    assert not site.opted_out("guardian")
    # of an order whose time cannot be read the moment it comes counts
    site.push(reply("ＴＤ", at="yesterday", sequence_id=7), path=site.replies)
    assert site.opted_out("guardian")


def test_a_reply_that_is_no_order_is_counted_and_neither_it_nor_its_number_is_kept(
    site: Site,
) -> None:
    status, _ = site.push(
        {},
        {"phone_number": 13800138000, "content": "TD"},
        reply("好的，谢谢老师"),
        reply("\ud800\x00" + "长" * 2000),
        reply("TD", phone="13900000000"),
        reply("TD", phone="10657525"),
        path=site.replies,
    )
    assert status == 200 and not site.opted_out("guardian")
    with site.engine.connect() as connection:
        rows = repr(connection.execute(text("select * from inbound_text")).all())
    assert rows.count("aliyun_sms") == 4
    assert not any(word in rows for word in ("谢谢", "138001380", "1390000", "1234567890"))


def test_nobody_is_heard_while_there_is_no_account(site: Site) -> None:
    app = create_app(replace(site.settings, sms_channel="console", aliyun_access_key_secret=""))
    for path in aliyun_paths(replace(site.settings, aliyun_access_key_secret="")):
        assert app.test_client().post(path, data=b"[]").status_code == 403


def test_the_addresses_to_enter_at_the_gateway_are_printed_and_end_with_the_accounts_secret(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELD_KEY", FIELD_KEY)
    monkeypatch.setenv("SECRET_KEY", "a secret key for tests only")
    monkeypatch.setenv("PUBLIC_URL", "https://school.example.cn")
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_SECRET", SECRET)
    printed = CliRunner().invoke(main, ["aliyun-addresses"]).output
    crypto.use_key(FIELD_KEY)
    assert re.findall(r"https://school\.example\.cn(\S+)", printed) == [
        site.reports,
        site.replies,
    ]
    other = replace(site.settings, aliyun_access_key_secret="another")
    assert not set(aliyun_paths(other)) & set(aliyun_paths(site.settings))
