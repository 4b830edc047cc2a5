"""Who cannot read texts is called about what must be confirmed: by their own wish or the school's note, at a
landline too, in the daytime, and pressing 1 confirms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import audience, ringing, services
from coordination.domain.communication.unanswered import silence
from coordination.domain.people import calling, contacts
from coordination.domain.people.models import ContactPoint, Guardianship, Person
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound
from coordination.ground.text import Text
from coordination.reactions import by_phone
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.worker import Beat, drain, ring_the_silent
from notifications.models import DeliveryAttempt, OutboxMessage
from tests.integration.communication.conftest import BODY, TITLE, Stage
from tests.integration.communication.test_ringing import _alert

Visit = Callable[[str], FlaskClient]
DAY = datetime(2026, 11, 25, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
TODAY = DAY.date()


@pytest.fixture(autouse=True)
def _line() -> Iterator[None]:
    clock.travel_to(DAY)
    by_phone.use_line(True)
    yield
    by_phone.use_line(False)


def _wants(stage: Stage, role: str, *, wanted: bool = True) -> None:
    stage.act(role, lambda uow: calling.choose_calls(uow, wanted=wanted, day=TODAY))


def _kin(stage: Stage, guardian: str, child: str) -> int:
    with Session(stage.engine) as session:
        found = session.scalar(
            select(Guardianship.id).where(
                Guardianship.guardian_id == stage.world.people[guardian],
                Guardianship.child_id == stage.world.people[child],
            )
        )
    assert found is not None
    return found


def _note(
    stage: Stage, guardian: str, child: str, *, by: str = "teacher", landline: str = ""
) -> None:
    kin = _kin(stage, guardian, child)
    stage.act(
        by,
        lambda uow: calling.note_calls(
            uow, guardianship_id=kin, wanted=True, landline=landline, day=TODAY
        ),
    )


def _beat(stage: Stage, at: datetime | None = None) -> list[str]:
    """The clock writes the calls that are due, the worker makes them; who has been called so far."""
    if at is not None:
        clock.travel_to(at)
    ring_the_silent(Beat(stage.engine, None, clock.now()))  # type: ignore[arg-type]
    drain(
        stage.engine,
        replace(Settings(), database_url=stage.url, voice_channel="console", voice_rate=0.0),
    )
    names = {person: role for role, person in stage.world.people.items()}
    return [names[m.recipient_id] for m in _calls(stage)]


def _calls(stage: Stage) -> list[OutboxMessage]:
    with Session(stage.engine, expire_on_commit=False) as session:
        return list(
            session.scalars(
                select(OutboxMessage)
                .where(OutboxMessage.channel == "voice")
                .order_by(OutboxMessage.id)
            )
        )


def test_a_notice_that_must_be_confirmed_is_read_out_beside_the_text(stage: Stage) -> None:
    _wants(stage, "english")
    notice = stage.send()
    assert _beat(stage) == ["english"]
    (call,) = _calls(stage)
    assert (call.state, call.message_class, call.template_key) == (
        "delivered",
        "confirm",
        "notice_read_out",
    )
    assert TITLE.en in (call.body or "") and BODY.en.rstrip(".") in (call.body or "")
    assert "english" in stage.told(notice)
    assert _beat(stage) == ["english"]


def test_pressing_1_confirms_it(stage: Stage) -> None:
    _wants(stage, "english")
    notice = stage.send()
    _beat(stage)
    with Session(stage.engine) as session:
        attempt = session.scalars(
            select(DeliveryAttempt.id).where(DeliveryAttempt.message_id == _calls(stage)[0].id)
        ).one()
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        reply = by_phone.pressed(uow, attempt_id=attempt, provider_id=None, key="1", today=TODAY)
    assert reply is not None and reply.says == by_phone.THANKS.en
    with Session(stage.engine) as session:
        row = services.recipient_of(session, notice, stage.world.people["english"])
        assert row.confirmed_at is not None and row.by_call


def test_what_only_has_to_be_read_is_not_read_out_and_nobody_is_looked_for(stage: Stage) -> None:
    _wants(stage, "english")
    stage.send(level="info")
    assert _beat(stage) == []
    with Session(stage.engine) as session:
        assert ringing.ringing_notices(session, clock.now()) == []


def test_without_anybody_who_wants_it_no_notice_rings(stage: Stage) -> None:
    stage.send()
    with Session(stage.engine) as session:
        assert ringing.ringing_notices(session, clock.now()) == []


def test_what_can_wait_is_not_said_at_night(stage: Stage) -> None:
    stage.keep_nights_quiet()
    _wants(stage, "english")
    clock.travel_to(DAY.replace(hour=22))
    stage.send()
    _beat(stage)
    (call,) = _calls(stage)
    assert (call.state, call.reason_code) == ("held", "quiet_hours")
    _beat(stage, (DAY + timedelta(days=1)).replace(hour=8))
    assert [m.state for m in _calls(stage)] == ["delivered"]


def test_an_alert_rings_at_once_where_texts_cannot_be_read_though_the_sender_chose_no_calls(
    stage: Stage,
) -> None:
    _wants(stage, "english")
    _alert(stage, call_after=None)
    assert _beat(stage) == ["english"]
    assert _calls(stage)[0].message_class == "urgent"


def test_with_calls_chosen_they_are_called_at_once_and_the_others_later(stage: Stage) -> None:
    _wants(stage, "english")
    _alert(stage, call_after=10)
    stage.deliver()
    assert _beat(stage) == ["english"]
    later = _beat(stage, clock.now() + timedelta(minutes=10))
    assert sorted(later) == ["english", "friend_mother", "guardian"]


def test_who_shares_a_phone_is_called_as_whoever_cannot_read(stage: Stage) -> None:
    _note(stage, "friend_father", "friend")
    stage.send()
    # the text goes by the mother, the voice speaks to the father
    assert _beat(stage) == ["friend_father"]


def test_a_family_that_has_confirmed_before_its_turn_is_left_in_peace(stage: Stage) -> None:
    _wants(stage, "english")
    notice = stage.send()
    stage.acknowledge("friend_mother", notice)
    assert _beat(stage) == []


def test_who_no_longer_wants_it_is_not_called(stage: Stage) -> None:
    _wants(stage, "english")
    _wants(stage, "english", wanted=False)
    stage.send()
    assert _beat(stage) == []


def test_a_notice_that_begins_on_the_platform_is_read_out_when_its_texts_leave(
    stage: Stage,
) -> None:
    _wants(stage, "english")
    notice = stage.act(
        "teacher",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="page",
                class_ids=[stage.world.things["class_a"]],
                title=TITLE,
                body=BODY,
                level="confirm",
                page_first=True,
                ladder_hours=4,
            ).id
        ),
    )
    assert _beat(stage) == []
    clock.travel_to(DAY + timedelta(hours=5))
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        silence.climb(uow, notice_id=notice, going=False, waits=None)
    assert _beat(stage) == ["english"]


def test_an_opt_out_of_texts_does_not_take_the_calls_away_that_were_asked_for(
    stage: Stage,
) -> None:
    _wants(stage, "english")
    with Session(stage.engine) as session, session.begin():
        contacts.suppress(session, stage.world.people["english"], contacts.OPTED_OUT, clock.now())
    stage.send()
    _beat(stage)
    assert [m.state for m in _calls(stage)] == ["delivered"]


# -- a landline -----------------------------------------------------------------------------------


def test_a_grandparent_with_a_landline_gets_no_text_and_a_call(stage: Stage) -> None:
    _note(stage, "no_phone", "friend", landline="010-6234 5678")
    notice = stage.send()
    stage.deliver()
    with Session(stage.engine) as session:
        row = services.recipient_of(session, notice, stage.world.people["no_phone"])
        assert (row.skip_reason, row.told_via_id) == ("landline", None)
        found = audience.audience_of(session, [stage.world.things["class_a"]], TODAY)
    assert [r.name for r in found.bad_number] == ["李爷爷"]
    assert "no_phone" not in stage.told(notice)
    assert _beat(stage) == ["no_phone"]
    call = _calls(stage)[0]
    assert (call.state, call.address_mask) == ("delivered", "010****5678")


def test_no_sign_in_code_and_no_urgent_text_goes_to_a_landline(stage: Stage) -> None:
    _note(stage, "no_phone", "friend", landline="010-62345678")
    stage.send(urgent_reason="台风马上登陆")
    stage.deliver()
    with Session(stage.engine) as session:
        assert contacts.phones_in_need_of(session, [stage.world.people["no_phone"]]) == {}
    assert {m.channel for m in stage.texts_to("no_phone")} <= {"voice"}


@pytest.mark.parametrize("typed", ["62345678", "010-123", "13800138077", "座机", "+1 650 253 00"])
def test_what_is_no_landline_is_refused_at_its_field(stage: Stage, typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        _note(stage, "no_phone", "friend", landline=typed)
    assert "landline" in refused.value.fields
    with Session(stage.engine) as session:
        assert session.get_one(Person, stage.world.people["no_phone"]).call_since is None


def test_who_has_a_mobile_is_called_there_and_needs_no_landline(stage: Stage, visit: Visit) -> None:
    with pytest.raises(Invalid) as refused:
        _note(stage, "english", "friend", landline="010-62345678")
    assert "landline" in refused.value.fields
    address = f"/people/guardianships/{_kin(stage, 'english', 'friend')}/calls"
    assert 'name="landline"' not in _page(visit("teacher"), address)


def test_a_mobile_that_comes_later_is_texted_and_called_instead(stage: Stage) -> None:
    _note(stage, "no_phone", "friend", landline="010-62345678")
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["no_phone"], "13800138099")
    notice = stage.send()
    stage.deliver()
    assert "no_phone" in stage.told(notice)
    _beat(stage)
    assert _calls(stage)[0].address_mask == "138****8099"


# -- who may say so -------------------------------------------------------------------------------


def test_without_a_number_nobody_can_be_called(stage: Stage) -> None:
    with pytest.raises(Conflict) as refused:
        _note(stage, "no_phone", "friend")
    assert refused.value.code == "no_phone"


@pytest.mark.parametrize("role", ["teacher_b", "school_admin_b", "coordinator", "district_admin"])
def test_only_the_childs_own_school_notes_it(stage: Stage, role: str) -> None:
    with pytest.raises((NotFound, Forbidden)):
        _note(stage, "english", "friend", by=role)
    _note(stage, "english", "friend", by="school_admin")


def test_it_is_noted_for_nobody_who_may_not_be_told(stage: Stage) -> None:
    with pytest.raises(NotFound):
        _note(stage, "restricted", "child")


def test_who_noted_it_and_when_stands_in_the_audit_trail(stage: Stage) -> None:
    _note(stage, "english", "friend")
    with Session(stage.engine) as session:
        line = session.scalars(
            select(AuditEntry).where(
                AuditEntry.table_name == "person",
                AuditEntry.row_id == stage.world.people["english"],
            )
        ).one()
    assert line.actor_id == stage.world.people["teacher"]
    assert (line.before, line.after) == ({"call_since": None}, {"call_since": "2026-11-25"})


# -- on pages -------------------------------------------------------------------------------------


def _page(client: FlaskClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.get_data(as_text=True)


def test_a_guardian_says_so_and_the_teacher_sees_since_when(stage: Stage, visit: Visit) -> None:
    family = visit("guardian")
    assert "看不了短信？请打电话" in _page(family, "/family?lang=zh")
    assert family.post("/family/calls", data={"how": "call"}).status_code == 303
    assert "11月25日" in _page(family, "/family/calls?lang=zh")
    group = f"/people/classes/{stage.world.things['class_a']}"
    assert "11月25日（周三）起请打电话" in _page(visit("teacher"), f"{group}?lang=zh")
    assert family.post("/family/calls", data={"how": "text"}).status_code == 303
    assert "11月25日（周三）起请打电话" not in _page(visit("teacher"), f"{group}?lang=zh")
    assert family.post("/family/calls", data={"how": "pigeon"}).status_code == 422


def test_a_teacher_notes_it_with_the_landline(stage: Stage, visit: Visit) -> None:
    client, kin = visit("teacher"), _kin(stage, "no_phone", "friend")
    address = f"/people/guardianships/{kin}/calls"
    group = f"/people/classes/{stage.world.things['class_a']}"
    assert address in _page(client, group)
    none = client.post(f"{address}?lang=zh", data={"landline": ""})
    assert none.status_code in (409, 422) and "没有登记电话号码" in none.get_data(as_text=True)
    bad = client.post(f"{address}?lang=zh", data={"landline": "123"})
    assert bad.status_code == 422
    assert "座机号码无效" in bad.get_data(as_text=True) and 'value="123"' in bad.get_data(
        as_text=True
    )
    assert client.post(address, data={"landline": "010-62345678"}).status_code == 303
    listed = _page(client, f"{group}?lang=zh")
    assert (
        "座机" in listed
        and "010****5678" in listed
        and "62345678" not in listed
        and "11月25日（周三）起请打电话" in listed
    )
    assert client.post(address, data={"step": "stop"}).status_code == 303
    assert "11月25日（周三）起请打电话" not in _page(client, f"{group}?lang=zh")
    assert visit("teacher_b").get(address).status_code == 404


def test_where_nobody_carries_calls_families_are_not_asked(
    app: Flask, visit: Visit, stage: Stage
) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], voice_channel="")
    assert "看不了短信" not in _page(visit("guardian"), "/family?lang=zh")
    assert visit("guardian").get("/family/calls").status_code == 404
    kin = _kin(stage, "english", "friend")
    noted = _page(visit("teacher"), f"/people/guardianships/{kin}/calls?lang=zh")
    assert "还没有开通自动电话" in noted


def test_the_page_of_the_notice_shows_the_call(stage: Stage, visit: Visit) -> None:
    _wants(stage, "english")
    notice = stage.send()
    client = visit("teacher")
    before = _page(client, f"/notices/{notice}/confirmed?lang=zh")
    assert "登记了“请打电话”的家长" in before
    _beat(stage)
    assert "已接听" in _page(client, f"/notices/{notice}/confirmed?lang=zh")
    with Session(stage.engine) as session:
        held = session.get_one(Notice, notice)
        assert by_phone.calls_of(session, held).taken == 1


def test_two_notices_to_one_phone_are_two_calls_and_never_one(stage: Stage) -> None:
    _wants(stage, "english")
    stage.send(key="one")
    stage.send(key="two", title=Text("家长会", "Parents' meeting"))
    assert _beat(stage) == ["english", "english"]
    assert {m.state for m in _calls(stage)} == {"delivered"}
    with Session(stage.engine) as session, session.begin():
        session.execute(update(ContactPoint).values(suppressed_at=None))
        assert session.scalars(select(NoticeRecipient.id)).all()
