"""Signing in and out by password and by code, with every limit."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from coordination.domain.people.models import (
    Account,
    AccountSession,
    OneTimeCode,
    Person,
)
from coordination.ground import clock
from notifications.models import OutboxMessage
from tests.integration.web.talking import PHONE, Browser


def texts(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return [
            str(b) for b in session.scalars(select(OutboxMessage.body).order_by(OutboxMessage.id))
        ]


def sent_code(engine: Engine) -> str:
    found = re.search(r"\d{6}", texts(engine)[-1])
    assert found
    return found.group()


def ask_code(browser: Browser, phone: str = PHONE) -> None:
    browser.get("/sign-in/phone")
    assert browser.post("/sign-in/phone", phone=phone).location == "/sign-in/code"
    browser.get("/sign-in/code")


def test_a_teacher_signs_in_and_lands_on_today(browser: Browser) -> None:
    answer = browser.sign_in()
    assert answer.status_code == 302 and answer.location == "/"
    assert "今日待办" in browser.get("/").text


def test_a_wrong_password_is_refused_and_the_login_stays_typed(browser: Browser) -> None:
    answer = browser.sign_in(password="wrong")
    assert answer.status_code == 422
    assert 'value="li"' in answer.text and "wrong" not in answer.text
    assert "登录名或密码不正确" in answer.text


def test_an_unknown_login_reads_the_same_as_a_wrong_password(browser: Browser) -> None:
    known = browser.sign_in(password="wrong").text
    unknown = browser.sign_in(login="xx", password="wrong").text
    said = re.compile(r'role="alert".*?</div>', re.DOTALL)
    assert said.search(known).group() == said.search(unknown).group()  # type: ignore[union-attr]


def test_the_eleventh_try_is_throttled_and_a_quarter_later_it_is_not(
    app: Flask, browser: Browser
) -> None:
    for _ in range(10):
        assert browser.sign_in(password="wrong").status_code == 422
    assert browser.sign_in(password="wrong").status_code == 429
    other = Browser(app.test_client())
    other.client.environ_base["REMOTE_ADDR"] = "10.9.8.7"
    assert other.sign_in().status_code == 302, "a stranger's guesses do not lock the owner out"
    clock.travel_to(clock.now() + timedelta(minutes=16))
    assert browser.sign_in().status_code == 302


def test_the_session_is_new_at_sign_in_and_dead_after_sign_out(browser: Browser) -> None:
    browser.get("/sign-in")
    before = browser.client.get_cookie("session")
    browser.sign_in()
    held = browser.client.get_cookie("session")
    assert before and held and before.value != held.value
    browser.get("/account")
    assert browser.post("/sign-out").status_code == 302
    browser.client.set_cookie("session", held.value)
    assert browser.get("/account").location == "/sign-in", "a replayed cookie opens nothing"


def test_a_disabled_account_is_out_at_once(engine: Engine, browser: Browser) -> None:
    browser.sign_in()
    with Session(engine) as session:
        session.execute(update(Account).values(disabled_at=func.now()))
        session.commit()
    assert browser.get("/account").location == "/sign-in"


def test_changing_the_password_ends_the_other_sessions(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client())
    other.sign_in()
    browser.sign_in()
    browser.get("/account")
    assert browser.post("/account", old="no", password="another long sentence").status_code == 422
    done = browser.post("/account", old="a long enough sentence", password="another long sentence")
    assert done.status_code == 302
    assert browser.get("/account").status_code == 200
    assert other.get("/account").location == "/sign-in"


def test_a_parent_signs_in_with_the_code_from_the_message(engine: Engine, browser: Browser) -> None:
    ask_code(browser)
    answer = browser.post("/sign-in/code", code=sent_code(engine))
    assert answer.status_code == 302
    page = browser.get("/family").text
    assert "王珺雨" in page and "三（2）班" in page
    with Session(engine) as session:
        assert session.scalar(select(OutboxMessage.priority)) == 0, "codes go before everything"


def test_an_unknown_number_gets_the_same_answer_and_no_message(
    engine: Engine, browser: Browser
) -> None:
    ask_code(browser, "13900000009")
    page = browser.get("/sign-in/code").text
    ask_code(browser)
    known = browser.get("/sign-in/code").text
    assert page.replace("139****0009", "138****0001").count("如果") == known.count("如果") == 1
    assert len(texts(engine)) == 1


@pytest.mark.parametrize("phone", ["", "123", "+1 900 555 0100", "010-88888888"])
def test_what_is_no_mobile_number_is_refused_at_the_field(browser: Browser, phone: str) -> None:
    browser.get("/sign-in/phone")
    answer = browser.post("/sign-in/phone", phone=phone)
    assert answer.status_code == 422 and 'id="phone-error"' in answer.text


def test_full_width_digits_are_a_number_too(engine: Engine, browser: Browser) -> None:
    ask_code(browser, "１３８ ００００ ０００１")
    assert len(texts(engine)) == 1


def test_five_wrong_tries_end_a_code(engine: Engine, browser: Browser) -> None:
    ask_code(browser)
    right = sent_code(engine)
    wrong = "000000" if right != "000000" else "111111"
    for _ in range(5):
        assert browser.post("/sign-in/code", code=wrong).status_code == 422
    assert browser.post("/sign-in/code", code=right).status_code == 422


def test_a_code_is_dead_after_five_minutes_and_after_use(
    app: Flask, engine: Engine, browser: Browser
) -> None:
    ask_code(browser)
    code = sent_code(engine)
    clock.travel_to(clock.now() + timedelta(minutes=5, seconds=1))
    assert browser.post("/sign-in/code", code=code).status_code == 422
    clock.travel_to(None)
    with Session(engine) as session:
        session.execute(update(OneTimeCode).values(used_at=func.now()))
        session.commit()
    assert browser.post("/sign-in/code", code=code).status_code == 422
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(AccountSession)) == 0


def test_a_number_gets_at_most_five_codes_an_hour(engine: Engine, browser: Browser) -> None:
    for _ in range(5):
        ask_code(browser)
    browser.get("/sign-in/phone")
    assert browser.post("/sign-in/phone", phone=PHONE).status_code == 429
    assert len(texts(engine)) == 5


def test_the_guard_brings_back_to_where_one_was_going(browser: Browser) -> None:
    assert browser.get("/account").location == "/sign-in"
    assert browser.sign_in().location == "/account"


def test_the_language_switch_keeps_what_was_typed_and_validates_nothing(browser: Browser) -> None:
    browser.get("/sign-in")
    answer = browser.post("/sign-in", login="typed-name", password="", _lang="en")
    assert answer.status_code == 200
    assert 'value="typed-name"' in answer.text and "Sign in" in answer.text
    assert "error-summary" not in answer.text
    assert 'lang="en"' in browser.get("/sign-in").text, "the cookie remembers"


def test_the_language_of_a_signed_in_person_is_kept_with_the_person(
    engine: Engine, browser: Browser
) -> None:
    browser.sign_in()
    browser.get("/")
    answer = browser.post("/language", _lang="en", back="/account")
    assert answer.location == "/account"
    with Session(engine) as session:
        assert session.scalar(select(Person.language).where(Person.name == "李老师")) == "en"
    assert "My account" in browser.get("/account").text
