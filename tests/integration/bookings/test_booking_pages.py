"""The pages of bookings as a teacher and a partner use them, in both languages."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, event, text

from coordination.app import create_app
from coordination.ground import clock
from coordination.settings import load
from coordination.web.request import SESSION_KEY
from tests.integration.bookings.conftest import FRIDAY, HOUR, NOW, Stage
from tests.integration.web.talking import Browser

FIELD_KEY = "a field key for tests only"  # the world is written with it
Open = Callable[[str], Browser]


@pytest.fixture
def app(stage: Stage) -> Flask:
    url = stage.engine.url.render_as_string(hide_password=False)
    return create_app(
        load({"DATABASE_URL": url, "PUBLIC_URL": "http://localhost", "FIELD_KEY": FIELD_KEY})
    )


@pytest.fixture
def as_(app: Flask, stage: Stage) -> Open:
    def sign_in(role: str) -> Browser:
        client = app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = stage.world.tokens[role]
        return Browser(client)

    return sign_in


def fields(stage: Stage, page: str, **changes: str) -> dict[str, str]:
    key = re.search(r'name="request_key"[^>]*value="([^"]+)"', page)
    assert key is not None
    return {
        "request_key": key[1],
        "day": "2026-12-04",
        "starts": "14:00",
        "minutes": "120",
        "class_id": str(stage.world.things["class_a"]),
        "children": "３０",  # full-width digits
        "adults": "2",
        "purpose": "拉坯 𠮷",
        "needs": "1 名轮椅使用者",
        "weeks": "1",
        **changes,
    }


def test_a_teacher_finds_checks_and_requests_and_a_partner_approves(
    as_: Open, stage: Stage
) -> None:
    teacher, partner = as_("teacher"), as_("partner")
    found = teacher.get("/venues/?people=32&day=2026-12-04").get_data(as_text=True)
    assert "陶艺坊" in found
    assert "需审批" in found
    path = f"/venues/{stage.resource_id}/book"
    page = teacher.get(f"{path}?at=2026-12-04T14:00:00%2B08:00&minutes=120").get_data(as_text=True)
    assert 'value="2026-12-04"' in page
    check = teacher.post(path, step="check", **fields(stage, page))
    assert check.status_code == 200
    checked = check.get_data(as_text=True)
    assert "提交申请" in checked
    with stage.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from booking")) == 0
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', checked))
    sent.pop("csrf_token")
    answer = teacher.post(path, step="send", **{k: html.unescape(v) for k, v in sent.items()})
    assert answer.status_code == 303
    shown = teacher.get(answer.location).get_data(as_text=True)
    assert "待审批" in shown
    again = teacher.post(path, step="send", **{k: html.unescape(v) for k, v in sent.items()})
    assert again.location == answer.location  # a double click is one booking
    inbox = partner.get("/venues/inbox").get_data(as_text=True)
    assert "拉坯 𠮷" in inbox
    assert "王小雨" not in inbox
    done = partner.post(f"{answer.location}/approve")
    assert done.status_code == 303
    assert "已确认" in partner.get(answer.location).get_data(as_text=True)
    assert "没有待审批的申请" in partner.get("/venues/inbox").get_data(as_text=True)
    assert "陶艺坊" in teacher.get("/venues/bookings").get_data(as_text=True)


def test_a_clash_keeps_the_form_and_offers_other_times_and_venues(as_: Open, stage: Stage) -> None:
    stage.request(FRIDAY + HOUR)
    with stage.engine.begin() as connection:
        other = connection.scalar(
            text(
                "insert into resource (owner_id, kind, title_zh, title_en, capacity_max)"
                " select owner_id, kind, '画室', 'Art room', 40 from resource returning id"
            )
        )
        connection.execute(
            text(
                "insert into opening_rule (resource_id, weekday, opens, closes)"
                " values (:r, 4, '09:00', '17:00')"
            ),
            {"r": other},
        )
    teacher = as_("teacher")
    path = f"/venues/{stage.resource_id}/book"
    page = teacher.get(path).get_data(as_text=True)
    for step in ("check", "send"):
        answer = teacher.post(path, step=step, **fields(stage, page))
        assert answer.status_code == 409
        said = answer.get_data(as_text=True)
        assert "12月4日（周五）15:00–17:00 已被占用" in said
        assert "拉坯 𠮷" in said  # what was typed is still there
        assert "画室" in said
    offered = re.search(r'name="use" value="([^"]+)"', said)
    assert offered is not None
    chosen = teacher.post(path, use=html.unescape(offered[1]), **fields(stage, page))
    assert chosen.status_code == 200
    checked = chosen.get_data(as_text=True)
    assert "核对预约" in checked
    assert 'name="starts" value="14:00"' not in checked
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', checked))
    sent.pop("csrf_token")
    sent = {k: html.unescape(v) for k, v in sent.items()}
    assert teacher.post(path, step="send", **sent).status_code == 303
    page = teacher.get(path).get_data(as_text=True)
    english = teacher.client.post(
        f"{path}?lang=en", data={"csrf_token": teacher.token, **fields(stage, page)}
    ).get_data(as_text=True)
    assert "Fri 4 Dec, 15:00–17:00" in english


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"day": "2026-11-20"}, "已经过去"),
        ({"day": "yesterday"}, "请填写日期"),
        ({"starts": "07:00"}, "当天开放时间为 09:00–17:00"),
        ({"starts": "14:17"}, "每 60 分钟一个时段"),
        ({"children": "900"}, "最多容纳 40 人"),
        ({"children": "abc"}, "请填写整数"),
        ({"purpose": ""}, "请填写此项"),
        ({"weeks": "99"}, "1 到 20"),
        ({"class_id": "999999"}, "class_id"),
        ({"minutes": "100000"}, "minutes"),
        ({"weeks": "5"}, "1月1日"),
    ],
)
def test_bad_input_is_answered_at_its_field_never_with_a_500(
    as_: Open, stage: Stage, change: dict[str, str], said: str
) -> None:
    teacher = as_("teacher")
    path = f"/venues/{stage.resource_id}/book"
    page = teacher.get(path).get_data(as_text=True)
    answer = teacher.post(path, step="send", **fields(stage, page, **change))
    assert answer.status_code == 422
    assert said in answer.get_data(as_text=True)


def test_strange_addresses_are_answered_calmly(as_: Open, stage: Stage) -> None:
    teacher, partner = as_("teacher"), as_("partner")
    for query in (
        "?day=9999-99-99&people=-3&km=x&grade=77&q=%25%27%22&kind=zzz",
        "?day=0001-01-01",
        "?people=99999999999999999999",
    ):
        assert teacher.get(f"/venues/{query}").status_code == 200
    for query in ("?day=2026-02-31&minutes=0", "?day=2100-12-31&minutes=99999", "?at=nonsense"):
        assert teacher.get(f"/venues/{stage.resource_id}{query}").status_code == 200
        assert teacher.get(f"/venues/{stage.resource_id}/book{query}").status_code == 200
    assert teacher.get("/venues/999999").status_code == 404
    assert teacher.get("/venues/bookings/999999").status_code == 404
    partner.get("/venues/manage/new")
    assert partner.post(f"/venues/manage/{stage.resource_id}/lift", starts="x").status_code == 303


def test_an_owner_adds_edits_publishes_and_closes(as_: Open, stage: Stage) -> None:
    partner, teacher = as_("partner"), as_("teacher")
    assert "还没有资源" in as_("partner_b").get("/venues/manage").get_data(as_text=True)
    partner.get("/venues/manage/new")
    typed = {
        "owner_id": str(stage.world.things["partner_p"]),
        "kind": "space",
        "title_zh": "木工坊",
        "title_en": "Wood workshop",
        "capacity_min": "5",
        "capacity_max": "20",
        "approval_mode": "direct",
        "fee_mode": "free",
        "notice_hours": "12",
        "horizon_days": "60",
        "slot_minutes": "30",
        "max_minutes": "120",
        "buffer_before": "0",
        "buffer_after": "15",
        "mon": "09:00-12:00，14：00-17:00",
        "fri": "13:00-17:00",
        "dates": "2026-12-06 10:00-12:00",
    }
    wrong = partner.post("/venues/manage/new", **{**typed, "mon": "morning", "dates": "soon"})
    assert wrong.status_code == 422
    assert "请写成 09:00-12:00" in wrong.get_data(as_text=True)
    assert "“soon”看不懂" in wrong.get_data(as_text=True)
    made = partner.post("/venues/manage/new", **typed)
    assert made.status_code == 303, made.get_data(as_text=True)
    resource_id = made.location.rsplit("/", 1)[1]
    assert teacher.get(f"/venues/{resource_id}").status_code == 404  # still a draft
    edit = partner.get(made.location).get_data(as_text=True)
    assert "09:00-12:00, 14:00-17:00" in edit
    assert "2026-12-06 10:00-12:00" in edit
    assert partner.post(f"{made.location}/publish", state="published").status_code == 303
    assert teacher.get(f"/venues/{resource_id}?day=2026-12-04").status_code == 200
    closed = partner.post(
        f"{made.location}/block",
        day="2026-12-04",
        starts="13:00",
        ends="17:00",
        reason="请匠人修窑",
    )
    assert closed.status_code == 303
    page = partner.get(f"{made.location}/block").get_data(as_text=True)
    assert "请匠人修窑" in page
    assert "请匠人修窑" not in teacher.get(f"/venues/{resource_id}?day=2026-12-04").get_data(
        as_text=True
    )
    lifted = dict(re.findall(r'name="(starts|ends)" value="(\d[^"]+)"', page))
    partner.post(f"{made.location}/lift", **lifted)
    assert "请匠人修窑" not in partner.get(f"{made.location}/block").get_data(as_text=True)
    assert as_("partner_b").get(made.location).status_code == 404
    assert as_("partner_b").post(f"{made.location}/publish").status_code in (403, 404)


def test_a_refused_move_says_why_and_a_possible_one_is_done(as_: Open, stage: Stage) -> None:
    booking, _ = stage.request(FRIDAY), stage.request(FRIDAY - 3 * HOUR)
    teacher, path = as_("teacher"), f"/venues/bookings/{booking}/move"
    teacher.get(path)
    refused = teacher.post(path, day="2026-12-04", starts="12:00", minutes="120")
    assert refused.status_code == 409
    assert "12月4日（周五）11:00–13:00 已被占用" in refused.get_data(as_text=True)
    assert stage.times(booking)[0].starts_at == FRIDAY
    assert teacher.post(path, day="2026-12-04", starts="15:00", minutes="120").status_code == 303
    assert stage.times(booking)[0].starts_at == FRIDAY + HOUR


def test_a_decline_without_reason_is_asked_for_one(as_: Open, stage: Stage) -> None:
    booking, partner = stage.request(), as_("partner")
    partner.get(f"/venues/bookings/{booking}")
    path = f"/venues/bookings/{booking}/decline"
    assert partner.post(path, code="", note="").status_code == 422
    assert partner.post(path, code="staff", note="下周可以").status_code == 303
    assert "人手不足" in as_("teacher").get(f"/venues/bookings/{booking}").get_data(as_text=True)


def test_looking_changes_nothing_and_asks_few_questions(as_: Open, stage: Stage) -> None:
    for day in range(6):
        stage.request(FRIDAY + timedelta(days=day), key=str(day))
    paths = {
        "teacher": ["/venues/", "/venues/bookings", f"/venues/{stage.resource_id}"],
        "partner": ["/venues/inbox", "/venues/manage", "/venues/bookings?show=all"],
    }

    counts: dict[str, list[int]] = {}
    for again in range(2):
        for role, wanted in paths.items():
            browser = as_(role)
            for path in wanted:
                for lang in ("zh", "en"):
                    seen: list[str] = []

                    def note(*args: object, seen: list[str] = seen) -> None:
                        seen.append(str(args[2]))

                    event.listen(Engine, "before_cursor_execute", note)
                    try:
                        joint = "&" if "?" in path else "?"
                        answer = browser.get(f"{path}{joint}lang={lang}")
                    finally:
                        event.remove(Engine, "before_cursor_execute", note)
                    assert answer.status_code == 200, path
                    assert not any(
                        s.lstrip()[:6].lower() in ("insert", "update", "delete") for s in seen
                    )
                    counts.setdefault(f"{path}{lang}", []).append(len(seen))
        if not again:
            for day in range(6, 12):
                stage.request(FRIDAY + timedelta(days=day), key=str(day))
    assert {p: (a, b) for p, (a, b) in counts.items() if a != b} == {}
    assert max(n for pair in counts.values() for n in pair) <= 10, counts
    assert clock.now() == NOW
