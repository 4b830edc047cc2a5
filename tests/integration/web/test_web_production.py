"""What production adds: host check, host-bound secure cookie, refusal of default keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, request

from coordination.app import create_app
from coordination.ground import crypto
from coordination.settings import BadSettings, load

ENV = {
    "COORDINATION_MODE": "production",
    "PUBLIC_URL": "https://jxs.example.cn",
    "SECRET_KEY": "s" * 40,
    "FIELD_KEY": "f" * 40,
}


@pytest.fixture
def production(app: Flask, server_url: str) -> Iterator[Flask]:
    """The application as a district runs it, behind one proxy."""
    yield create_app(load({**ENV, "DATABASE_URL": server_url}))
    crypto.use_key(FIELD_KEY)


FIELD_KEY = "a field key for tests only"


def test_a_foreign_host_is_refused_with_a_page(production: Flask) -> None:
    client = production.test_client()
    answer = client.get("/sign-in", headers={"Host": "evil.example"})
    assert answer.status_code == 400 and "evil" not in answer.text
    assert client.get("/sign-in", headers={"Host": "jxs.example.cn"}).status_code == 200


def test_the_cookie_is_bound_to_the_host_and_to_tls(production: Flask) -> None:
    headers = {"Host": "jxs.example.cn", "X-Forwarded-Proto": "https"}
    answer = production.test_client().get("/sign-in", headers=headers)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"]


def test_the_client_cannot_choose_its_address(production: Flask) -> None:
    seen = []

    @production.before_request
    def look() -> None:
        seen.append(request.remote_addr)

    headers = {"Host": "jxs.example.cn", "X-Forwarded-For": "6.6.6.6, 10.1.1.1"}
    production.test_client().get("/sign-in", headers=headers)
    assert seen == ["10.1.1.1"], "only what our own proxy appended counts"


@pytest.mark.parametrize("missing", ["SECRET_KEY", "FIELD_KEY", "PUBLIC_URL"])
def test_production_refuses_to_start_with_a_default(missing: str) -> None:
    with pytest.raises(BadSettings, match=missing):
        load({k: v for k, v in ENV.items() if k != missing})
