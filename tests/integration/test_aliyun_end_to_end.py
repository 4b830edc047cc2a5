"""A notice through Aliyun's own SDK over real HTTP, and its status reports back to the page."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from coordination.app import create_app
from coordination.cli import main
from coordination.domain.communication import queries
from coordination.domain.communication.models import Notice
from coordination.ground import clock, crypto
from coordination.reactions.carriers import report_path
from coordination.settings import Settings
from coordination.web.request import SESSION_KEY
from coordination.worker import configure, drain
from notifications.models import DeliveryAttempt, Suppression
from tests.build import world as worlds
from tests.standin.aliyun import KEY, SECRET, SIGN_NAME, Standin, Taken

FIELD_KEY = "a field key for tests only"


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

    def push(self, *lines: dict[str, object], path: str = "", raw: bytes = b"") -> tuple[int, str]:
        """What the gateway posts; status and body of the answer."""
        request = urllib.request.Request(
            self.settings.public_url + (path or report_path()),
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


@pytest.fixture
def site(fresh_url: str, tmp_path: Path) -> Iterator[Site]:
    table = tmp_path / "templates.toml"
    table.write_text(
        '[notice]\nvalues = ["sender", "children", "title", "code"]\n'
        'zh = { id = "SMS_1", state = "approved" }\nen = { id = "SMS_2", state = "approved" }\n',
        encoding="utf-8",
    )
    with Standin() as gateway:
        server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
        settings = Settings(
            database_url=fresh_url,
            public_url=f"http://127.0.0.1:{server.server_port}",
            field_key=FIELD_KEY,
            sms_channel="aliyun",
            aliyun_access_key_id=KEY,
            aliyun_access_key_secret=SECRET,
            aliyun_sign_name=SIGN_NAME,
            aliyun_templates=str(table),
            aliyun_endpoint=f"http://{gateway.endpoint}",
        )
        server.app = create_app(settings)
        configure(settings)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        engine = create_engine(fresh_url)
        with Session(engine) as session:
            world = worlds.build(session, clock.now())
            session.commit()
        yield Site(settings, engine, world, gateway)
        server.shutdown()
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
def test_what_is_no_report_is_refused_with_its_reason(site: Site, raw: bytes) -> None:
    status, answer = site.push(raw=raw)
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


def test_the_address_to_enter_at_the_gateway_is_printed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELD_KEY", FIELD_KEY)
    monkeypatch.setenv("SECRET_KEY", "a secret key for tests only")
    monkeypatch.setenv("PUBLIC_URL", "https://school.example.cn")
    printed = CliRunner().invoke(main, ["report-address"]).output.strip()
    crypto.use_key(FIELD_KEY)
    assert printed == f"https://school.example.cn{report_path()}"
