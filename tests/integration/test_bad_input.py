"""Whatever is typed into any form: a refusal that says what is wrong, never a broken page.

Every POST route of the application is tried by somebody who may use it, field by field, with values
that no honest person would type. A refusal keeps the form (4xx) or goes back with a message (303).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from html.parser import HTMLParser
from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.routing import Rule
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Response

from coordination.app import create_app
from coordination.ground import clock
from coordination.seed.demo import ZONE
from coordination.settings import load
from coordination.web.request import SESSION_KEY
from tests.build.busy import FIELD_KEY, Town, busy

HOSTILE = {
    "empty": "",
    "spaces": " \u3000\u200b ",
    "long": "长" * 10_000,
    "nul": "a\x00b",
    "control": "a\x07\x1b[31m\x85\u202e b",
    "emoji": "👩‍👩‍👧‍👦🎒",
    "rare": "𠮷田珺垚·喆",
    "markup": "<script>alert(1)</script>{{ 7*7 }}'\";--",
    "word": "abc",
    "negative": "-1",
    "zero": "0",
    "small": "40000",
    "huge": "99999999999999999999999999",
    "bigint": "9223372036854775808",
    "float": "1.5",
    "nan": "NaN",
    "full width": "３０",
    "other digits": "٣",
    "past": "1999-01-01",
    "year zero": "0000-00-00",
    "last year": "9999-12-31",
    "no day": "2026-02-30",
    "midnight": "24:00",
    "late": "23:59",
    "surrogate": "\ud800",
    "path": "../../etc/passwd",
    "lines": "a\r\nb\r\n\r\nX-Header: y",
}
# a choice refuses what it does not offer; these few try the ways in which it might not
FOR_CHOICES = {"empty", "nul", "huge", "negative", "emoji", "word"}
# who may use a route, by its beginning; the first that fits
WHO = (
    ("accounts.sign_in", "anonymous"),
    ("accounts.enter_code", "anonymous"),
    ("admin.", "admin"),
    ("bookings.book", "lijing"),
    ("bookings.withdraw", "lijing"),
    ("bookings.move", "lijing"),
    ("bookings.", "clayhouse"),
    ("care.open", "lijing"),
    ("care.print", "lijing"),
    ("care.", "parent"),
    ("communication.compose", "lijing"),
    ("communication.change", "lijing"),
    ("communication.not_reached", "lijing"),
    ("communication.nudge", "lijing"),
    ("communication.reached", "lijing"),
    ("communication.show_number", "lijing"),
    ("communication.stop", "lijing"),
    ("communication.confirm_mine", "parent"),
    ("communication.my_file", "parent"),
    ("consents.record", "liufang"),
    ("consents.show", "parent"),
    ("family.", "parent"),
    ("feeds.", "lijing"),
    ("hours.", "admin"),
    ("people.apply_import", "admin"),
    ("people.discard_import", "admin"),
    ("people.undo_import", "admin"),
    ("people.start_import", "admin"),
    ("people.", "liufang"),
    ("practice.enrol", "wanghao"),
    ("practice.attendance", "lijing"),
    ("practice.", "coordinator"),
    ("readiness.nudge", "lijing"),
    ("readiness.ratio", "admin"),
    ("reminders.district", "admin"),
    ("reminders.remove_of_district", "admin"),
    ("reminders.inherit_of_district", "admin"),
    ("reminders.school", "liufang"),
    ("reminders.remove_of_school", "liufang"),
    ("reminders.inherit_of_school", "liufang"),
    ("reminders.", "coordinator"),
    ("volunteering.answer", "coordinator"),
    ("volunteering.rule", "admin"),
    ("volunteering.times", "coordinator"),
    ("volunteering.", "parent"),
)
TABLES = {
    "key": "select 'none'",
    "language": "select 'zh'",
    "message": "select 'notice'",
    "notice_id": "select max(id) from notice",
    "child_id": "select min(id) from person where name = '王小雨'",
    "recipient_id": "select min(id) from notice_recipient"
    " where notice_id = (select max(id) from notice)",
    "resource_id": "select min(id) from resource",
    "booking_id": "select min(id) from booking",
    "activity_id": "select min(id) from activity",
    "session_id": "select min(id) from practice_session",
    "class_id": "select min(class_id) from class_enrolment",
    "enrolment_id": "select min(id) from enrolment",
    "need_id": "select max(id) from shift_need where id not in (select need_id from shift_time)",
    "objection_id": "select min(id) from shift_objection",
    "request_id": "select max(id) from consent_request",
    "asked_id": "select min(id) from data_request",
    "batch_id": "select max(id) from roster_batch",
    "source_id": "select min(id) from busy_source",
    "org_id": "select min(id) from organisation where kind = 'school'",
    "school_id": "select min(id) from organisation where code = 'GMSY'",
    "correction_id": "select min(id) from correction where state = 'waiting'",
    "turn_id": "select min(id) from school_turn",
    "line_id": "select min(id) from turn_class",
    "permit_id": "select min(id) from pickup_permit",
    "token_id": "select min(id) from feed_token",
    "membership_id": "select max(m.id) from membership m join organisation o on o.id = m.org_id"
    " where o.code = 'GMSY'",
    "guardianship_id": "select min(id) from guardianship",
    "channel": "select 'sms'",
    "job_id": "select max(id) from procrastinate_jobs",
    "term_id": "select min(id) from term",
    "day_id": "select max(id) from calendar_day",
}
# what some routes work with instead
_PAST = {"need_id": "select min(need_id) from shift_time"}
_DRAFT = {"notice_id": "select max(id) from notice where state = 'draft'"}
_TODAY = {"session_id": "select max(id) from practice_session where state = 'closed'"}
_UNPROVEN = {"correction_id": "select min(id) from correction where state = 'unproven'"}
OTHERWISE = {
    "family.prove_phone": _UNPROVEN,
    "family.send_phone_code": _UNPROVEN,
    "headcount.left": _TODAY,
    "headcount.marks": _TODAY,
    "headcount.roster": _TODAY,
    "communication.add_files": _DRAFT,
    "communication.check_files": _DRAFT,
    "communication.discard_files": _DRAFT,
    "communication.look_at_file": {"notice_id": "select max(notice_id) from child_file"},
    "communication.my_file": {"notice_id": "select max(notice_id) from child_file"},
    "communication.remove_file": _DRAFT,
    "simulator.press": {"key": "select 1"},
    "volunteering.object_to": _PAST,
    "volunteering.shift": _PAST,
    "volunteering.times": _PAST,
}
# what an honest person would type, where the page itself offers nothing
HONEST = {
    "title_zh": "编织",
    "title_en": "Weaving",
    "body_zh": "请带水壶。",
    "body_en": "Bring a bottle.",
    "day": "2026-12-16",
    "ends_on": "2026-12-16",
    "relation": "外婆",
    "allergies_state": "none",
    "agree": "y",
    "from_day": "2026-12-16",
    "first": "2026-12-16",
    "last": "2026-12-16",
    "name_zh": "停课",
    "name_en": "Closed",
    "starts": "10:00",
    "ends": "11:00",
    "returns": "12:00",
    "minutes": "60",
    "capacity": "20",
    "capacity_max": "20",
    "meeting_zh": "南门",
    "meeting_en": "South gate",
    "signup_until": "2026-12-10",
    "helpers": "1",
    "note": "",
    "purpose": "拉坯",
    "words": "名字应为王小宇",
    "children": "20",
    "adults": "2",
    "weeks": "1",
    "signed_name": "王敏",
    "phone": "13800138054",
    "code": "",
    "login": "lijing",
    "password": "wrong",
    "state": "submitted",
    "template_id": "SMS_1",
}
# for routes without a page of their own
BODIES: dict[str, dict[str, str]] = {
    "accounts.language": {"_lang": "en", "back": "/"},
    "care.confirm": {"version": "1"},
    "bookings.approve": {"despite": "2026-12-16T10:00:00+08:00~2026-12-16T11:00:00+08:00"},
    "bookings.outside": {"address": "https://192.0.2.1/x.ics", "file": "", "name": "日历"},
    "bookings.decline": {"code": "staff", "note": "下周可以", "confirmed": ""},
    "bookings.lift": {
        "starts": "2026-12-16T10:00:00+08:00",
        "ends": "2026-12-16T11:00:00+08:00",
    },
    "bookings.publish": {"state": "published"},
    "communication.check_files": {"step": "save"},
    "communication.confirm_mine": {"answer": "read"},
    "communication.confirm_by_code": {"answer": "confirm"},
    "reminders.remove_of_activity": {"rule": "start|3d@18:00"},
    "reminders.remove_of_district": {"rule": "start|3d@18:00"},
    "reminders.remove_of_school": {"rule": "start|3d@18:00"},
    "feeds.subscribe": {"scope": "class", "scope_id": "1", "name": "三班"},
    "practice.cancel": {"code": "weather"},
    "home.index": {"code": "7K3QX-9MD2F"},
    "webhooks.twilio_status": {"MessageSid": "SM1", "MessageStatus": "sent", "ErrorCode": "1"},
}
LAST = (  # after these there is less to try
    "admin.remove_day",
    "admin.remove_term",
    "care.end_pickup",
    "care.withdraw",
    "communication.discard_files",
    "practice.move",
    "practice.cancel",
    "bookings.remove_outside",
    "bookings.withdraw",
    "bookings.decline",
    "people.discard_import",
    "people.undo_import",
    "people.end",
    "people.limit",
    "feeds.revoke",
    "accounts.sign_out",
    "accounts.sign_out_everywhere",
)


class Fields(HTMLParser):
    """The fields of the forms on a page, as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.typed: set[str] = set()
        self._select = ""
        self._post = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attributes}
        name = at.get("name", "")
        if tag == "form":
            self._post = at.get("method", "").lower() == "post" and "/language" not in at.get(
                "action", ""
            )
        elif not self._post:
            return
        elif tag == "textarea" and name:
            self.values.setdefault(name, "")
            self.typed.add(name)
        elif tag == "select" and name:
            self._select = name
        elif tag == "option" and self._select:
            if self._select not in self.values or "selected" in at:
                self.values[self._select] = at.get("value", "")
        elif tag == "button" and name and name != "_lang":
            self.values.setdefault(name, at.get("value", ""))
        elif tag == "input" and name and name not in ("csrf_token", "_lang"):
            if at.get("type") in ("radio", "checkbox"):
                if "checked" in at or name not in self.values:
                    self.values[name] = at.get("value", "on")
            else:
                self.values.setdefault(name, at.get("value", ""))
                if at.get("type") not in ("hidden", "file"):
                    self.typed.add(name)

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        elif tag == "form":
            self._post = False


@pytest.fixture(scope="module")
def town(pg_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    clock.travel_to(datetime(2026, 11, 24, 9, tzinfo=ZONE))
    made = busy(pg_url)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def app(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    made = create_app(
        load(
            {
                "DATABASE_URL": town.url,
                "FIELD_KEY": FIELD_KEY,
                "INSTANCE_DIR": str(tmp_path_factory.mktemp("instance")),
            }
        )
    )
    made.config["WTF_CSRF_ENABLED"] = False  # tokens are tried elsewhere
    return made


@pytest.fixture(autouse=True)
def _same_day() -> None:
    clock.travel_to(datetime(2026, 11, 24, 9, tzinfo=ZONE))


def post_rules(app: Flask) -> list[Rule]:
    rules = [r for r in app.url_map.iter_rules() if "POST" in (r.methods or ())]
    return sorted(
        rules,
        key=lambda r: (
            r.endpoint in LAST,
            LAST.index(r.endpoint) if r.endpoint in LAST else 0,
            r.endpoint,
        ),
    )


def role_for(endpoint: str) -> str:
    return next((role for start, role in WHO if endpoint.startswith(start)), "lijing")


def browser_of(app: Flask, town: Town, role: str) -> FlaskClient:
    with town.engine.begin() as connection:
        # an earlier route may have signed this very person out, or counted too many tries
        connection.execute(
            text("update account_session set revoked_at = null where revoked_at is not null")
        )
        connection.execute(text("delete from throttle"))
    client = app.test_client()
    if role in town.tokens:
        with client.session_transaction() as held:
            held[SESSION_KEY] = town.tokens[role]
    return client


def path_of(app: Flask, rule: Rule, town: Town) -> str:
    values: dict[str, object] = {}
    tables = {**TABLES, **OTHERWISE.get(rule.endpoint, {})}
    for name in rule.arguments:
        if name in tables:
            with town.engine.connect() as connection:
                values[name] = connection.scalar(text(tables[name])) or 1
        elif name == "code":
            kind = "notice" if rule.endpoint.startswith("communication") else "consent"
            kind = "together" if rule.endpoint.endswith("_together") else kind
            values[name] = town.codes[kind][0]
        elif name in ("attempt", "attempt_id"):
            values[name] = UUID(int=1)
        else:
            pytest.fail(f"{rule.rule}: say in TABLES what {name} is")
    with app.test_request_context():
        built = rule.build(values, append_unknown=False)
    assert built is not None
    return built[1]


def encoded(fields: dict[str, str]) -> bytes:
    """A body as a broken client would send it too: half a character is passed on as it is."""
    return "&".join(
        f"{quote(k)}={quote(v.encode('utf-8', 'surrogatepass'))}" for k, v in fields.items()
    ).encode()


@dataclass
class Found:
    """What one route did with what it was given."""

    endpoint: str
    fields: dict[str, str]
    typed: set[str]
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def try_route(app: Flask, town: Town, rule: Rule) -> Found:
    role, path = role_for(rule.endpoint), path_of(app, rule, town)
    client = browser_of(app, town, role)
    page = Fields()
    if "GET" in (rule.methods or ()):
        page.feed(client.get(path).get_data(as_text=True))
    fields = {**page.values, **BODIES.get(rule.endpoint, {})}
    fields = {name: value or HONEST.get(name, "") for name, value in fields.items()}
    found = Found(rule.endpoint, fields, page.typed)
    cases = [("", "", fields)]
    for name in fields:
        for kind, value in HOSTILE.items():
            if name in page.typed or rule.endpoint in BODIES or kind in FOR_CHOICES:
                cases.append((name, kind, {**fields, name: value}))
    cases += [("every field", kind, dict.fromkeys(fields, v)) for kind, v in HOSTILE.items()]
    cases += [("no field", "", {})]
    for name, kind, body in cases:
        answer = browser_of(app, town, role).post(
            path, data=encoded(body), content_type="application/x-www-form-urlencoded"
        )
        found.statuses[answer.status_code] += 1
        if trouble := wrong(answer, name in page.typed):
            found.wrong.append(f"{name}={kind}: {trouble}")
    return found


def wrong(answer: TestResponse, typed: bool) -> str:
    """What is wrong with an answer, if anything."""
    page = answer.get_data(as_text=True)
    if answer.status_code >= 500:
        return str(answer.status_code)
    if typed and answer.status_code in (403, 404):
        return f"{answer.status_code}: what was typed is taken for an address"
    if answer.status_code == 422 and "<form" not in page:
        return "422 without the form"
    if "<script>alert(1)" in page:
        return "markup went through"
    return ""


def test_no_form_breaks_whatever_is_typed(app: Flask, town: Town) -> None:
    broken: dict[str, list[str]] = defaultdict(list)
    tried = 0
    for rule in post_rules(app):
        found = try_route(app, town, rule)
        tried += sum(found.statuses.values())
        broken[rule.endpoint] += found.wrong
        print(f"{rule.endpoint} {dict(found.statuses)} {sorted(found.fields)}")
    assert tried > 2000
    assert {endpoint: found[:12] for endpoint, found in broken.items() if found} == {}


def test_what_is_wrong_is_found() -> None:
    # negative control: each way in which an answer can be wrong
    def answer(status: int, page: str) -> TestResponse:
        return Client(Response(page, status)).get("/")

    assert wrong(answer(500, ""), False) == "500"
    assert "address" in wrong(answer(404, ""), True)
    assert wrong(answer(422, "<p>no"), True) == "422 without the form"
    assert wrong(answer(200, "<p><script>alert(1)</script>"), True) == "markup went through"
    assert wrong(answer(422, "<form></form>"), True) == ""
