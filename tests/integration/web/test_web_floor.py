"""What holds for every page: guards, headers, error pages, addresses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from coordination.app import create_app
from coordination.ground import clock
from coordination.ground.ticks import ticked
from coordination.settings import Settings
from coordination.web.guards import access_of, local_path
from coordination.web.request import database
from tests.integration.web.talking import Browser


def test_an_unmarked_view_is_closed(app: Flask, browser: Browser) -> None:
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    answer = browser.get("/forgotten")
    assert answer.status_code == 403 and "secret" not in answer.text


def test_every_view_says_to_whom_it_is_open(app: Flask) -> None:
    assert [e for e in app.view_functions if access_of(app, e) is None] == []


@pytest.mark.parametrize("wanted", ["en", "zh"])
def test_a_page_that_leads_on_keeps_the_language_that_was_asked_for(
    browser: Browser, wanted: str
) -> None:
    answer = browser.get(f"/calendars?lang={wanted}")
    assert answer.status_code == 302 and answer.location == f"/sign-in?lang={wanted}"
    assert "lang=" not in browser.get("/calendars?lang=xx").location
    assert "lang=" not in browser.get("/calendars").location


def test_a_post_without_token_changes_nothing(browser: Browser) -> None:
    browser.get("/sign-in")
    answer = browser.client.post("/sign-in", data={"login": "li", "password": "x"})
    assert answer.status_code == 403 and "刷新" in answer.text


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil"}],
)
def test_a_post_from_another_site_is_refused(browser: Browser, headers: dict[str, str]) -> None:
    browser.get("/sign-in")
    data = {"csrf_token": browser.token, "login": "li", "password": "x"}
    assert browser.client.post("/sign-in", data=data, headers=headers).status_code == 403


def test_pages_carry_the_strict_headers(browser: Browser) -> None:
    answer = browser.get("/sign-in")
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "'nonce-" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"Cookie", "Accept-Language"} <= {v.strip() for v in answer.headers["Vary"].split(",")}
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "style=" not in answer.text and " onclick" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("DELETE", "/sign-in", 405),
        ("GET", "/sign-out", 405),
        ("GET", "/?page=%00&lang=xx", 200),
        ("GET", "/simulator?name=%00%F0%A0%AE%B7", 200),
        ("GET", "/a/%00", 404),
        ("GET", "/a/" + "9" * 300, 404),
    ],
)
def test_bad_addresses_are_answered_in_both_languages(
    browser: Browser, method: str, path: str, status: int
) -> None:
    joint = "&" if "?" in path else "?"
    zh = browser.client.open(path, method=method)
    en = browser.client.open(f"{path}{joint}lang=en", method=method)
    assert zh.status_code == en.status_code == status
    assert 'lang="zh-CN"' in zh.text and 'lang="en"' in en.text


def test_a_ten_megabyte_body_is_refused_by_its_length(browser: Browser) -> None:
    answer = browser.client.post("/sign-in", data=b"x" * (10 * 1024 * 1024))
    assert answer.status_code == 413 and "10 MB" in answer.text


def test_machines_get_problem_json(browser: Browser) -> None:
    answer = browser.client.get("/nothing", headers={"Accept": "application/json"})
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["code"] == "not_found"


@pytest.mark.parametrize(
    "target",
    [
        "//evil",
        "/\\evil",
        "https:evil",
        "https://evil",
        "\t//evil",
        "/\t/evil",
        "javascript:x",
        "",
        None,
        "/%09//evil",
        "/nowhere",
        "/sign-out",
        "evil",
        "/ /evil",
        "\\\\evil",
        "/a\\b",
    ],
)
def test_only_pages_of_ours_are_come_back_to(app: Flask, target: str | None) -> None:
    with app.test_request_context():
        assert local_path(target) is None
        assert local_path("/account?x=1") == "/account?x=1"


def test_a_foreign_host_does_not_enter_an_address(browser: Browser) -> None:
    page = browser.client.get("/styleguide", headers={"Host": "evil.example"})
    assert "evil.example" not in page.text and "http://localhost/" in page.text


def test_a_typed_code_that_nobody_has_is_refused_at_the_field(browser: Browser) -> None:
    browser.get("/")
    answer = browser.post("/", code="aaaaa-aaaaa")
    assert answer.status_code == 404 and 'value="aaaaa-aaaaa"' in answer.text
    assert 'id="code-error"' in answer.text


def test_the_simulator_shows_texts_escaped_with_working_codes(browser: Browser) -> None:
    page = browser.get("/simulator").text
    assert "王建国" in page and "138****0001" in page and "&lt;b&gt;" in page
    assert '<a href="/a/7K3QX-9MD2F">' in page and '<a href="/a/7K3QX9MD2F">' in page
    assert "王建国" not in browser.get("/simulator?name=李").text


def test_the_simulator_is_closed_where_texts_are_really_sent(app: Flask) -> None:
    app.config["DEVELOPMENT_PAGES"] = False
    browser = Browser(app.test_client())
    assert browser.get("/simulator").status_code == 404
    assert browser.get("/styleguide").status_code == 404


def test_health_and_readiness_are_told_in_figures(app: Flask, browser: Browser) -> None:
    assert browser.get("/healthz").get_json() == {"status": "ok"}
    said = browser.get("/readyz")
    assert said.status_code == 200
    assert said.get_json() == {
        "status": "ready",
        "database": True,
        "migrated": True,
        "clock_age_seconds": None,
        "clock_late": True,
        "oldest_due_message_seconds": 0,
        "held_after_restore": False,
    }
    with app.app_context():
        ticked(database(), "outbox", clock.now() - timedelta(seconds=20))
        database().commit()
    assert 20 <= browser.get("/readyz").get_json()["clock_age_seconds"] < 30


def test_readiness_says_when_the_database_is_gone() -> None:
    gone = "postgresql+psycopg://127.0.0.1:1/none"
    made = create_app(Settings(database_url=gone, field_key="a field key for tests only"))
    answer = made.test_client().get("/readyz")
    assert answer.status_code == 503 and answer.get_json()["database"] is False
    assert made.test_client().get("/healthz").status_code == 200
