"""Alerts: chosen from lists, sent at once by every way, phoned from the start, counted as they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import alerts, queries, second_look, services
from coordination.domain.communication.unanswered import calls
from coordination.domain.people import contacts
from coordination.ground import clock
from coordination.ground.errors import Forbidden, Invalid
from coordination.ground.text import Text
from coordination.reactions import by_mail
from notifications.models import OutboxMessage
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
NIGHT = datetime(2026, 11, 25, 22, 30, tzinfo=ZONE)
RAIN = alerts.Alert("cancelled", "tomorrow", "rain", "home")
TITLE = Text(
    "明天停课（暴雨），请让孩子留在家里",
    "School is closed tomorrow (heavy rain): keep your child at home",
)


@pytest.fixture(autouse=True)
def _night() -> None:
    clock.travel_to(NIGHT)


@pytest.fixture
def server() -> Iterator[None]:
    by_mail.use_server(True)
    yield
    by_mail.use_server(False)


def _alert(stage: Stage, role: str = "teacher", key: str = "alert", **more: object) -> int:
    given: dict[str, object] = {
        "draft_key": key,
        "alert": RAIN,
        "class_ids": [stage.world.things["class_a"]],
        **more,
    }
    return stage.act(role, lambda uow: alerts.send_alert(uow, **given).id)  # type: ignore[arg-type]


def _mailbox(stage: Stage, role: str) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.set_email(session, stage.world.people[role], f"{role}@home.example")


def _mails(stage: Stage) -> list[OutboxMessage]:
    with Session(stage.engine, expire_on_commit=False) as session:
        return list(
            session.scalars(
                select(OutboxMessage)
                .where(OutboxMessage.channel == "email")
                .order_by(OutboxMessage.id)
            )
        )


def test_it_leaves_at_night_although_nights_are_quiet(stage: Stage) -> None:
    stage.keep_nights_quiet()
    notice = _alert(stage)
    stage.deliver()
    sent = stage.messages(notice)
    assert {m.state for m in sent} == {"delivered"}
    assert {m.message_class for m in sent} == {"urgent"}
    by_language = {m.language: m.body or "" for m in sent}
    assert TITLE.zh in by_language["zh"]
    assert TITLE.en in by_language["en"]


def test_twice_pressed_it_is_sent_once(stage: Stage) -> None:
    assert _alert(stage) == _alert(stage)
    assert len(stage.messages(_alert(stage))) == 3


def test_whoever_is_silent_is_to_be_phoned_from_the_start(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    stage.acknowledge("english", notice)
    with Session(stage.engine) as session:
        found = calls.calls_of(session, stage.actor("teacher"), notice, clock.now().date())
        held = session.get_one(Notice, notice)
        counts = queries.funnel(session, held, clock.now())
        due = calls.to_call(session, stage.actor("teacher"), clock.now(), clock.now().date())
    # the friend's family has confirmed; the two of the other family have not
    assert {line.child for line in found.pressing} == {"王小雨", "王小宇"}
    # a phone that two share is two guardians, and one has no phone
    assert counts.to_call == 4
    assert [one.notice.id for one in due] == [notice]


def test_a_plain_urgent_notice_is_not_on_the_call_list_at_once(stage: Stage) -> None:
    notice = stage.send(urgent_reason="台风马上登陆")
    stage.deliver()
    with Session(stage.engine) as session:
        found = calls.calls_of(session, stage.actor("teacher"), notice, clock.now().date())
    # only the grandfather's number is missing, and others of his family have their text
    assert not found.pressing


@pytest.mark.usefixtures("server")
def test_who_has_a_mailbox_gets_a_mail_beside_the_text_and_no_second_one(stage: Stage) -> None:
    _mailbox(stage, "guardian")
    notice = _alert(stage)
    (mail,) = _mails(stage)
    assert mail.recipient_id == stage.world.people["guardian"]
    assert mail.message_class == "urgent"
    text_of_it = next(m for m in stage.messages(notice) if m.recipient_id == mail.recipient_id)
    assert (mail.subject_type, mail.subject_id) == ("text", text_of_it.id)
    assert (text_of_it.body or "?") in (mail.body or "")
    stage.settle("guardian", "unknown")
    clock.travel_to(NIGHT + timedelta(minutes=20))
    with Session(stage.engine) as session:
        held = session.get_one(OutboxMessage, text_of_it.id)
        session.expunge(held)
    assert held.state == "unknown"
    assert len(_mails(stage)) == 1


@pytest.mark.usefixtures("server")
def test_who_has_no_phone_gets_the_mail_as_their_message(stage: Stage) -> None:
    _mailbox(stage, "no_phone")
    notice = _alert(stage)
    (mail,) = _mails(stage)
    assert (mail.recipient_id, mail.subject_type) == (stage.world.people["no_phone"], "notice")
    # a code of their own opens it
    code = re.search(r"[0-9A-Z]{5}-[0-9A-Z]{5}", mail.body or "")
    assert code
    with Session(stage.engine) as session:
        held = session.get_one(Notice, notice)
        rows = session.execute(queries.progress_query(held)).all()
        lines = {line.name: line for line in queries.progress_lines(session, rows)}
    assert (lines["李爷爷"].state, lines["李爷爷"].reason) == ("queued", None)
    # and of a plain notice the page says why nothing went
    plain = stage.send(key="plain", urgent_reason="台风马上登陆")
    assert len(_mails(stage)) == 1
    with Session(stage.engine) as session:
        rows = session.execute(queries.progress_query(session.get_one(Notice, plain))).all()
        lines = {line.name: line for line in queries.progress_lines(session, rows)}
    assert (lines["李爷爷"].state, lines["李爷爷"].reason) == ("skipped", "no_phone")


@pytest.mark.usefixtures("server")
def test_a_restricted_guardian_gets_neither(stage: Stage) -> None:
    _mailbox(stage, "restricted")
    _mailbox(stage, "former")
    notice = _alert(stage)
    assert not _mails(stage)
    assert not {"restricted", "former"} & stage.told(notice)


@pytest.mark.usefixtures("server")
def test_stopped_it_keeps_the_mails_too_and_gives_back_texts_alone(stage: Stage) -> None:
    _mailbox(stage, "no_phone")
    notice = _alert(stage)
    with stage.engine.connect() as connection:
        spent = connection.scalar(text("select sum(texts) from text_spend"))
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    with stage.engine.connect() as connection:
        left = connection.scalar(text("select sum(texts) from text_spend"))
    assert (spent, left) == (3, 0)
    assert {m.state for m in _mails(stage)} == {"cancelled"}


def test_without_a_mail_server_no_mail_is_written(stage: Stage) -> None:
    _mailbox(stage, "guardian")
    _alert(stage)
    assert not _mails(stage)


def test_the_counter_counts_children_by_class(stage: Stage) -> None:
    notice = _alert(stage)
    assert _count(stage, notice) == [(0, 3)]
    stage.acknowledge("english", notice)
    assert _count(stage, notice) == [(1, 3)]
    # one guardian is enough, and one guardian may have two children
    stage.acknowledge("friend_mother", notice)
    stage.acknowledge("guardian", notice)
    assert _count(stage, notice) == [(3, 3)]


def _count(stage: Stage, notice: int) -> list[tuple[int, int]]:
    with Session(stage.engine) as session:
        found = alerts.confirmed_by_place(
            session, session.get_one(Notice, notice), clock.now().date()
        )
    return [(place.known, place.children) for place in found]


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({"urgent_reason": "暴雨红色预警", "level": "confirm"}, "cancelled"),
        ({"urgent_reason": "暴雨红色预警", "level": "info"}, None),
        ({"urgent_reason": "", "level": "confirm"}, None),
    ],
)
def test_changed_while_it_waits_for_a_second_person_it_stays_an_alert_if_it_still_can_be(
    stage: Stage, how: dict[str, str], kept: str | None
) -> None:
    stage.act(
        "district_admin",
        lambda uow: second_look.set_policy(
            uow, org_id=stage.world.things["district"], above=1, urgent_too=True
        ),
    )
    notice = _alert(stage)
    stage.act(
        "teacher",
        lambda uow: services.change_notice(
            uow,
            notice_id=notice,
            class_ids=[stage.world.things["class_a"]],
            title=TITLE,
            body=TITLE,
            **how,  # type: ignore[arg-type]
        ),
    )
    with Session(stage.engine) as session:
        held = session.get_one(Notice, notice)
        assert (held.state, held.alert) == ("awaiting", kept)


def test_only_who_may_write_to_the_class_sends_one(stage: Stage) -> None:
    for role in ("teacher_b", "coordinator", "partner", "guardian"):
        with pytest.raises((Forbidden, Invalid)):
            _alert(stage, role)


def test_an_alert_without_a_reason_cannot_be_kept(stage: Stage) -> None:
    notice = _alert(stage)
    with pytest.raises(IntegrityError, match="alert_urgent"), stage.engine.begin() as connection:
        connection.execute(
            text("update notice set urgent_reason = null where id = :n"), {"n": notice}
        )


# -- on pages ------------------------------------------------------------------------------------


def _form(stage: Stage, **more: str) -> dict[str, str]:
    """As a browser sends it: what is not ticked is left out."""
    given = {
        "draft_key": "page-alert",
        "class_ids": str(stage.world.things["class_a"]),
        "org_id": "",
        "fact": "cancelled:tomorrow",
        "why": "rain",
        "act": "home",
        **more,
    }
    return {name: value for name, value in given.items() if value or name != "class_ids"}


def test_two_presses_from_the_form_to_the_families(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    assert "紧急通知" in client.get("/notices/").get_data(as_text=True)
    assert "明天停课" in client.get("/notices/alert").get_data(as_text=True)
    check = client.post("/notices/alert", data=_form(stage, step="check")).get_data(as_text=True)
    assert TITLE.zh in check
    assert TITLE.en in check
    assert not _notices(stage)
    sent = client.post("/notices/alert", data=_form(stage, step="send"))
    again = client.post("/notices/alert", data=_form(stage, step="send"))
    assert sent.status_code == again.status_code == 303
    assert sent.location == again.location
    assert _notices(stage) == [("cancelled", "sent", "停课、取消：暴雨")]
    page = client.get(sent.location).get_data(as_text=True)
    assert "家里已确认的孩子" in page
    assert "0 / 3" in page
    assert "data-live" in page
    stage.acknowledge("english", int(sent.location.split("/")[-2]))
    assert "1 / 3" in client.get(sent.location).get_data(as_text=True)


def _notices(stage: Stage) -> list[tuple[str | None, str, str | None]]:
    with Session(stage.engine) as session:
        return [
            (n.alert, n.state, n.urgent_reason)
            for n in session.scalars(select(Notice).where(Notice.alert.is_not(None)))
        ]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"class_ids": ""}, "请选择要通知的班级"),
        ({"fact": "delayed:return"}, "请填写新的时间"),
        ({"fact": "delayed:return", "at": "21:00"}, "这个时间今天已经过了"),
        ({"fact": "delayed:return", "at": "夜里"}, "时间"),
        ({"extra_zh": "请带雨具"}, "两种语言都要有"),
        ({"extra_zh": "请转账", "extra_en": "Pay"}, "不能出现“转账”"),
        ({"fact": "cancelled:party"}, "选"),
        ({"fact": ""}, "请选择列出的一项"),
        ({"why": "", "act": ""}, "请选择列出的一项"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(
    stage: Stage, visit: Visit, wrong: dict[str, str], says: str
) -> None:
    for step in ("check", "send"):
        answer = visit("teacher").post("/notices/alert", data=_form(stage, step=step, **wrong))
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert says in page
        for typed in (wrong.get("extra_zh"), wrong.get("extra_en")):
            assert typed is None or typed in page
    assert not _notices(stage)


def test_a_childs_name_in_the_added_words_is_looked_at_first(stage: Stage, visit: Visit) -> None:
    added = {"extra_zh": "请王小雨的家长马上来校。", "extra_en": "Please come at once."}
    client = visit("teacher")
    check = client.post("/notices/alert", data=_form(stage, step="check", **added))
    assert "王小雨" in check.get_data(as_text=True)
    unseen = client.post("/notices/alert", data=_form(stage, step="send", **added))
    assert unseen.status_code == 422
    assert not _notices(stage)
    kinds = re.search(r'name="looked_at" value="([^"]+)"', unseen.get_data(as_text=True))
    assert kinds
    done = client.post(
        "/notices/alert", data=_form(stage, step="send", looked_at=kinds[1], **added)
    )
    assert done.status_code == 303
    assert len(_notices(stage)) == 1


def test_the_district_sees_its_schools(stage: Stage, visit: Visit) -> None:
    from tests.integration.communication.test_wide_notices import _write

    notice = _alert(stage, "district_admin", class_ids=(), org_id=stage.world.things["district"])
    client = visit("district_admin")
    listing = client.get(f"/notices/{notice}/confirmed").get_data(as_text=True)
    assert "正在列出" in listing
    # nobody is listed yet, and the page goes on looking
    assert "data-live" in listing
    _write(stage)
    page = client.get(f"/notices/{notice}/confirmed").get_data(as_text=True)
    assert "0 / 3" in page
    assert "0 / 1" in page
    # others do not see the count of what is not theirs
    assert visit("partner").get(f"/notices/{notice}/confirmed").status_code in (403, 404)


def test_a_notice_to_be_read_only_has_no_counter(stage: Stage, visit: Visit) -> None:
    notice = stage.send(level="info")
    assert visit("teacher").get(f"/notices/{notice}/confirmed").status_code == 303
