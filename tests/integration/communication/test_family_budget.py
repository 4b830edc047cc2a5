"""How many texts a family should get in a week: set by the bureau, said before sending, never a refusal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from coordination.domain.communication.models import NoticeRound
from coordination.domain.communication.notices import rounds, services
from coordination.domain.communication.texts import family_budget
from coordination.domain.people.recipients import children_in
from coordination.ground import clock
from coordination.ground.actor import SYSTEM
from coordination.ground.errors import Forbidden, Invalid
from coordination.ground.text import Text
from coordination.reactions import catalogue
from coordination.reactions.notices import tell
from coordination.reactions.work import begin
from tests.integration.communication.conftest import BODY, TITLE, Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
# a Wednesday without a holiday
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
FORM = {
    "title_zh": "秋游通知",
    "title_en": "Autumn outing",
    "body_zh": "周五八点。",
    "body_en": "Friday at eight.",
    "level": "confirm",
}
# of class A: two siblings' mother, two parents with one phone, and an English reader
FAMILIES = 3


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.travel_to(NOON)


def allow(stage: Stage, per_week: int | None, role: str = "district_admin") -> None:
    stage.act(
        role,
        lambda uow: family_budget.set_per_week(
            uow, org_id=stage.world.things["district"], per_week=per_week
        ),
    )


def send(stage: Stage, count: int = 1, *, deliver: bool = True, urgent_reason: str = "") -> None:
    """Notices to class A, each of which has left before the next is written."""
    for _ in range(count):
        key = f"n-{clock.now().isoformat()}"
        stage.send(key=key, title=Text(key, key), urgent_reason=urgent_reason)
        if deliver:
            stage.deliver()
        clock.travel_to(clock.now() + timedelta(minutes=1))


def outlook(
    stage: Stage, at: datetime | None = None, *, wide: bool = False
) -> family_budget.Outlook | None:
    with Session(stage.engine) as session:
        children = children_in([stage.world.things["class_a"]], clock.now().date())
        return family_budget.outlook(
            session,
            family_budget.families_of(children, clock.now().date()),
            at=at or clock.now(),
            now=clock.now(),
            wide=wide,
        )


def over(stage: Stage, at: datetime | None = None) -> int:
    """For how many families one more is too many; by whichever way one counts."""
    narrow, wide = outlook(stage, at), outlook(stage, at, wide=True)
    assert narrow is not None
    assert narrow == wide
    return narrow.over


def kept(stage: Stage, notice: int) -> int | None:
    with Session(stage.engine) as session:
        return session.scalar(
            select(NoticeRound.families_over).where(
                NoticeRound.notice_id == notice, NoticeRound.number == 0
            )
        )


def test_without_a_number_nothing_is_counted(stage: Stage) -> None:
    send(stage, 3)
    assert outlook(stage) is None
    assert kept(stage, stage.send(key="last")) is None


def test_one_more_than_the_number_is_too_many_for_every_family_that_had_as_many(
    stage: Stage,
) -> None:
    allow(stage, 2)
    send(stage)
    assert over(stage) == 0
    send(stage)
    assert outlook(stage) == family_budget.Outlook(2, FAMILIES, FAMILIES, 3)
    assert over(stage) == FAMILIES


def test_another_week_begins_anew(stage: Stage) -> None:
    allow(stage, 1)
    send(stage)
    sunday = datetime(2026, 11, 29, 23, 59, tzinfo=ZONE)
    assert over(stage, sunday) == FAMILIES
    assert over(stage, sunday + timedelta(minutes=1)) == 0
    clock.travel_to(sunday + timedelta(minutes=1))
    assert over(stage) == 0


def test_what_is_urgent_does_not_count(stage: Stage) -> None:
    allow(stage, 1)
    send(stage, 2, urgent_reason="暴雨停课，马上通知")
    assert over(stage) == 0


def test_neither_codes_nor_what_staff_are_told_is_a_familys_load(stage: Stage) -> None:
    allow(stage, 1)
    mother = stage.world.people["guardian"]

    def write(key: str, **more: str) -> None:
        with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
            uow.authorize("system.run")
            tell(uow, key, [mother], more, subject=("shift", 1), version=key)
        stage.deliver()

    where = {"role": "带队", "activity": "陶艺", "when": "12月4日"}
    write("shift_taken", **where)
    write("shift_released", **where)
    assert len({m.recipient_id for m in _texts(stage, mother)}) == 1
    assert over(stage) == 0


def _texts(stage: Stage, person: int) -> list[object]:
    with stage.engine.connect() as connection:
        return list(
            connection.execute(
                text("select recipient_id from outbox_message where recipient_id = :p"),
                {"p": person},
            )
        )


@pytest.mark.parametrize(
    ("state", "counts"), [("delivered", True), ("unknown", True), ("undelivered", False)]
)
def test_what_certainly_did_not_arrive_does_not_count(
    stage: Stage, state: str, *, counts: bool
) -> None:
    allow(stage, 1)
    send(stage)
    with stage.engine.begin() as connection:
        connection.execute(text("update delivery_attempt set state = :s"), {"s": state})
    assert over(stage) == (FAMILIES if counts else 0)


def test_what_waits_for_the_morning_counts_and_what_joins_it_adds_none(stage: Stage) -> None:
    stage.keep_nights_quiet()
    allow(stage, 1)
    clock.travel_to(NOON.replace(hour=22))
    send(stage, 2)
    # all of it will be one text, and this one too
    assert over(stage) == 0
    # at noon of the next day it is another
    assert over(stage, NOON + timedelta(days=1)) == FAMILIES
    stage.deliver(NOON.replace(hour=7, minute=31) + timedelta(days=1))
    assert over(stage) == FAMILIES
    found = outlook(stage)
    assert found is not None
    assert found.most == 2


def test_what_leaves_on_monday_is_of_that_week(stage: Stage) -> None:
    stage.keep_nights_quiet(rest_days=True)
    allow(stage, 1)
    send(stage)
    clock.travel_to(datetime(2026, 11, 28, 10, 0, tzinfo=ZONE))
    assert over(stage) == 0


def test_a_text_to_the_other_reader_of_a_phone_counts_for_the_phone(stage: Stage) -> None:
    allow(stage, 1)
    send(stage)
    with stage.engine.begin() as connection:
        told = connection.scalar(
            text("select recipient_id from outbox_message where recipient_id in (:a, :b)"),
            {"a": stage.world.people["friend_mother"], "b": stage.world.people["friend_father"]},
        )
        connection.execute(
            text("update guardianship set ends_on = :d where guardian_id = :g"),
            {"d": date(2026, 11, 24), "g": told},
        )
    assert over(stage) == FAMILIES


def test_the_number_is_kept_with_the_notice_as_it_leaves(stage: Stage) -> None:
    allow(stage, 1)
    assert kept(stage, stage.send(key="first")) == 0
    stage.deliver()
    assert kept(stage, stage.send(key="second")) == FAMILIES


def test_of_what_is_urgent_or_on_the_platform_first_none_is_kept(stage: Stage) -> None:
    allow(stage, 1)
    send(stage)
    assert kept(stage, stage.send(key="urgent", urgent_reason="暴雨停课，马上通知")) is None
    said = {"title": TITLE, "body": BODY, "level": "confirm"}
    first = stage.act(
        "teacher",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="page",
                class_ids=[stage.world.things["class_a"]],
                ladder_hours=24,
                page_first=True,
                **said,
            ).id
        ),
    )
    assert kept(stage, first) is None


@pytest.mark.parametrize("org", ["school_a", "district"])
def test_of_a_wide_notice_the_clock_keeps_it(stage: Stage, org: str) -> None:
    allow(stage, 1)
    send(stage)
    sender = "district_admin" if org == "district" else "school_admin"
    notice = stage.act(
        sender,
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="wide",
                org_id=stage.world.things[org],
                title=TITLE,
                body=BODY,
                level="info",
            ).id
        ),
    )
    assert kept(stage, notice) is None
    with Session(stage.engine) as session:
        (number,) = rounds.open_rounds(session)
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        rounds.write_stretch(uow, round_id=number)
    assert kept(stage, notice) == FAMILIES


def _check(stage: Stage, visit: Visit, lang: str = "zh", **more: str) -> str:
    form = {
        **FORM,
        "class_ids": str(stage.world.things["class_a"]),
        "draft_key": "page",
        "step": "check",
        **more,
    }
    return visit("teacher").post(f"/notices/new?lang={lang}", data=form).get_data(as_text=True)


def test_the_sender_is_told_before_the_last_button_and_may_send(stage: Stage, visit: Visit) -> None:
    allow(stage, 2)
    send(stage)
    assert "已经不少" not in _check(stage, visit)
    send(stage)
    page = _check(stage, visit)
    assert (
        f"发给的 {FAMILIES} 户（一部手机算一户）中，加上这条，有 {FAMILIES} 户在这一周收到的普通短信会超过 2 条"
        in page
    )
    assert "最多的一户是第 3 条" in page
    assert "先在平台发布" in page
    assert "傍晚" not in page  # no evening is kept here
    english = _check(stage, visit, "en")
    assert f"For {FAMILIES} of them it would be more than 2 routine texts this week" in english
    form = {**FORM, "class_ids": str(stage.world.things["class_a"]), "draft_key": "page"}
    answer = visit("teacher").post("/notices/new", data={**form, "step": "send"})
    assert answer.status_code == 303
    shown = visit("teacher").get(answer.location).get_data(as_text=True)
    assert f"有 {FAMILIES} 户那一周的普通短信因此超过" in shown


def test_where_evenings_are_kept_the_sender_reads_when(stage: Stage, visit: Visit) -> None:
    stage.keep_nights_quiet(evening=(time(16, 30), time(19)))
    allow(stage, 1)
    send(stage)
    assert "傍晚 16:30 到 19:00 之间写" in _check(stage, visit)
    # and what is written then is no text more
    clock.travel_to(NOON.replace(hour=17))
    send(stage, deliver=False)
    clock.travel_to(NOON + timedelta(days=5, hours=5))
    assert "已经不少" not in _check(stage, visit)


@pytest.mark.parametrize(
    "more", [{"urgent_reason": "暴雨停课，马上通知"}, {"begins": "page", "ladder": "24"}]
)
def test_of_what_does_not_count_nothing_is_said(
    stage: Stage, visit: Visit, more: dict[str, str]
) -> None:
    allow(stage, 1)
    send(stage)
    assert "已经不少" in _check(stage, visit)
    assert "已经不少" not in _check(stage, visit, **more)


@pytest.mark.parametrize("role", ["school_admin", "teacher", "coordinator", "data_officer"])
def test_only_the_bureau_sets_the_number(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        allow(stage, 3, role)


@pytest.mark.parametrize("many", [-1, 51])
def test_a_number_out_of_reach_is_refused_at_its_field(stage: Stage, many: int) -> None:
    with pytest.raises(Invalid) as refusal:
        allow(stage, many)
    assert set(refusal.value.fields) == {"per_week"}


@pytest.mark.parametrize("none", ["", "0"])
def test_the_bureau_sets_the_number_on_a_page_and_lifts_it(
    stage: Stage, visit: Visit, none: str
) -> None:
    bureau = visit("district_admin")
    assert "现在没有定" in bureau.get("/notices/load/budget").get_data(as_text=True)
    assert bureau.post("/notices/load/budget", data={"per_week": "3"}).status_code == 303
    assert 'value="3"' in bureau.get("/notices/load/budget").get_data(as_text=True)
    assert "家庭每周短信" in bureau.get("/admin/audit").get_data(as_text=True)
    assert bureau.post("/notices/load/budget", data={"per_week": none}).status_code == 303
    with Session(stage.engine) as session:
        assert family_budget.chosen(session) is None


@pytest.mark.parametrize("typed", ["many", "-1", "51", "1.5", "9" * 30])
def test_a_number_that_is_none_is_refused_and_nothing_is_changed(
    stage: Stage, visit: Visit, typed: str
) -> None:
    bureau = visit("district_admin")
    before = stage.fingerprint()
    page = bureau.post("/notices/load/budget", data={"per_week": typed})
    assert page.status_code == 422
    assert "per_week-error" in page.get_data(as_text=True)
    assert f'value="{typed}"' in page.get_data(as_text=True)
    assert stage.fingerprint() == before


# to staff, partners and volunteers about their work, and to whoever signs in
NOT_TO_FAMILIES = {
    "booking_cancelled",
    "booking_confirmed",
    "booking_declined",
    "booking_expired",
    "booking_moved",
    "booking_requested",
    "booking_withdrawn",
    "calendar_failing",
    "enrolment_base",
    "notice_returned",
    "notice_to_look_at",
    "session_moved_staff",
    "session_reminder_staff",
    "session_roll",
    "shift_released",
    "shift_taken",
    "sign_in_code",
}


def test_of_every_wording_it_is_said_whether_families_get_it() -> None:
    assert family_budget.TO_FAMILIES.isdisjoint(NOT_TO_FAMILIES)
    assert set(catalogue.messages()) == family_budget.TO_FAMILIES | NOT_TO_FAMILIES
