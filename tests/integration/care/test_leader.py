"""The leader on the day: in time, for the own class, and never without a line that the family reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from coordination.domain.care import leading, looks
from coordination.domain.care.content import NONE, QUESTIONS, Answer, Card
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, NotFound
from tests.build.cards import GRANDMA_PHONE, MARKER, OTHER_PHONE, let_collect, write
from tests.build.outing import DAY, FRIDAY, HOUR, ZONE, Outing

Visit = Callable[[str], FlaskClient]
EVENING = FRIDAY - 12 * HOUR
BACK = FRIDAY + 8 * HOUR


@pytest.fixture
def known(stage: Outing, trip: int) -> int:
    """王小雨 is allergic and may be collected by her grandmother; nobody else has a card."""
    write(stage)
    let_collect(stage)
    return trip


def at(moment: datetime) -> None:
    clock.travel_to(moment)


def path(stage: Outing, session_id: int, *rest: object) -> str:
    return "/".join(map(str, (f"/activities/sessions/{session_id}/cards", *rest)))


def open_card(
    stage: Outing, session_id: int, role: str = "teacher", child: str = "child"
) -> object:
    return stage.act(
        role,
        lambda uow: leading.open_card(
            uow,
            session_id=session_id,
            child_id=stage.world.people[child],
            today=clock.today(ZONE),
        ),
    )


def looked(stage: Outing) -> list[tuple[object, ...]]:
    return stage.sql("select kind, child_id, person_id, session_id from card_look order by id")


def test_the_list_shows_signs_and_names_and_not_a_word(
    stage: Outing, known: int, visit: Visit
) -> None:
    write(stage, "friend_mother", "friend", card=Card({n: Answer(NONE) for n in QUESTIONS}))
    at(FRIDAY)
    page = visit("teacher").get(path(stage, known)).get_data(as_text=True)
    assert MARKER not in page
    assert OTHER_PHONE not in page
    assert GRANDMA_PHONE not in page
    assert "138****8078" in page, "the collector's number is masked"
    first = page.index("王小雨")
    assert first < page.index("赵一诺") < page.index("李想"), "something, no card, nothing"
    assert looked(stage) == [], "looking at signs is no look at a card"


def test_opening_shows_the_card_and_leaves_a_line_each_time(
    stage: Outing, known: int, visit: Visit
) -> None:
    at(FRIDAY)
    child, teacher = stage.world.people["child"], stage.world.people["teacher"]
    for _ in range(2):
        answer = visit("teacher").post(path(stage, known, child))
        page = answer.get_data(as_text=True)
        assert MARKER in page
        assert "138 0013 8077" in page
        assert "138****8078" in page, "the card does not open the collectors' numbers"
        assert "no-store" in answer.headers["Cache-Control"]
    assert looked(stage) == [("card", child, teacher, known)] * 2
    trail = stage.sql("select after::text from audit_entry where table_name = 'card_look'")
    assert len(trail) == 2
    assert "MARKER" not in str(trail)


def test_the_family_sees_who_looked_when_and_for_what(
    stage: Outing, known: int, visit: Visit
) -> None:
    at(FRIDAY)
    child = stage.world.people["child"]
    visit("teacher").post(path(stage, known, child))
    visit("teacher").post(path(stage, known, child, "pickup"))
    page = visit("guardian").get(f"/family/children/{child}/card").get_data(as_text=True)
    for said in ("李静", "打开了健康提示卡", "查看了代接人电话", "种植体验", "08:30"):
        assert said in page
    actor = stage.actor("restricted")
    with Session(stage.engine) as session, pytest.raises(NotFound):
        looks.looks_at(session, actor, child)


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (EVENING - DAY, "cards_not_yet"),
        (EVENING - HOUR / 60, "cards_not_yet"),
        (BACK + 6 * HOUR, "cards_over"),
        (BACK + 30 * DAY, "cards_over"),
    ],
)
def test_outside_the_window_everything_is_shut_and_says_why(
    stage: Outing, known: int, visit: Visit, moment: datetime, code: str
) -> None:
    at(moment)
    with pytest.raises(CoordinationError) as caught:
        open_card(stage, known)
    assert caught.value.code == code
    child = stage.world.people["child"]
    browser = visit("teacher")
    listed = browser.get(path(stage, known)).get_data(as_text=True)
    assert caught.value.message.zh in listed
    assert "王小雨" not in listed
    for rest in ((child,), (child, "pickup")):
        after = browser.post(path(stage, known, *rest), follow_redirects=True)
        assert caught.value.message.zh in after.get_data(as_text=True)
        assert MARKER not in after.get_data(as_text=True)
    sheet = browser.post(f"/activities/sessions/{known}/roster", follow_redirects=True)
    assert MARKER not in sheet.get_data(as_text=True)
    assert looked(stage) == []


@pytest.mark.parametrize("moment", [EVENING, BACK + 6 * HOUR - HOUR / 60])
def test_at_both_ends_of_the_window_it_opens(stage: Outing, known: int, moment: datetime) -> None:
    at(moment)
    open_card(stage, known)
    assert len(looked(stage)) == 1


def test_a_cancelled_session_shuts_at_once(stage: Outing, known: int) -> None:
    at(FRIDAY - HOUR)
    stage.cancel(known)
    with pytest.raises(CoordinationError):
        open_card(stage, known)


@pytest.mark.parametrize(
    "role",
    [
        "school_admin",
        "district_admin",
        "coordinator",
        "partner",
        "teacher_b",
        "teacher_c",
        "guardian",
    ],
)
def test_nobody_but_the_leader_opens_a_card(stage: Outing, known: int, role: str) -> None:
    at(FRIDAY)
    with pytest.raises(NotFound):
        open_card(stage, known, role)
    assert looked(stage) == []


@pytest.mark.parametrize("role", ["school_admin", "coordinator", "district_admin", "partner"])
def test_those_who_plan_and_host_see_how_many_and_no_name(
    stage: Outing, known: int, visit: Visit, role: str
) -> None:
    at(FRIDAY)
    page = visit(role).get(path(stage, known)).get_data(as_text=True)
    assert "<b>1</b><span>个孩子有健康提示卡" in page
    assert "<b>4</b><span>个孩子参加" in page
    for word in (MARKER, "王小雨", "外婆", "138****", "138 0013"):
        assert word not in page
    assert ("去授予" in page) == (role == "school_admin"), (
        "who may name a second leader is told how"
    )


def test_a_child_who_does_not_go_is_nobody_to_open(stage: Outing, known: int) -> None:
    at(FRIDAY)
    stage.sql(
        "update enrolment set state = 'absent' where child_id = :c", c=stage.world.people["child"]
    )
    with pytest.raises(NotFound):
        open_card(stage, known)


def test_a_second_leader_is_whom_the_school_gives_the_class_until_a_day(
    stage: Outing, known: int
) -> None:
    stage.sql(
        "insert into membership (person_id, org_id, role, class_id, starts_on, ends_on)"
        " values (:p, :o, 'class_teacher', :c, '2026-12-01', '2026-12-11')",
        p=stage.world.people["teacher_c"],
        o=stage.world.things["school_a"],
        c=stage.world.things["class_a"],
    )
    at(FRIDAY)
    open_card(stage, known, "teacher_c")
    at(FRIDAY.replace(hour=0, minute=0) + DAY + HOUR / 2)  # past midnight the post is over
    assert clock.now() > BACK
    with pytest.raises(NotFound):
        open_card(stage, known, "teacher_c")


def test_whom_to_phone_is_in_the_familys_order_without_whom_custody_keeps_out(
    stage: Outing, trip: int
) -> None:
    mother, father = (stage.world.people[f"friend_{p}"] for p in ("mother", "father"))
    write(
        stage,
        "friend_mother",
        "friend",
        card=Card({n: Answer(NONE) for n in QUESTIONS}, (father, mother)),
    )
    at(FRIDAY)
    assert [c.name for c in open_card(stage, trip, child="friend").calls] == ["李刚", "赵兰"]  # type: ignore[attr-defined]
    stage.sql("update guardianship set no_disclosure = true where guardian_id = :p", p=father)
    assert [c.name for c in open_card(stage, trip, child="friend").calls] == ["赵兰"]  # type: ignore[attr-defined]


def test_a_card_withdrawn_on_the_day_is_gone_from_the_leaders_list(
    stage: Outing, known: int, visit: Visit
) -> None:
    at(FRIDAY)
    child = stage.world.people["child"]
    visit("guardian").post(f"/family/children/{child}/card/withdraw")
    page = visit("teacher").post(path(stage, known, child)).get_data(as_text=True)
    assert MARKER not in page
    assert "家长没有填健康提示卡" in page


def test_without_a_collector_today_nothing_is_shown_and_nothing_logged(
    stage: Outing, known: int, visit: Visit
) -> None:
    at(FRIDAY)
    friend = stage.world.people["friend"]
    page = visit("teacher").post(path(stage, known, friend, "pickup"), follow_redirects=True)
    assert "没有登记代接人" in page.get_data(as_text=True)
    assert looked(stage) == []


def test_the_roster_counts_as_opening_every_card_on_it(
    stage: Outing, known: int, visit: Visit
) -> None:
    at(FRIDAY - HOUR)
    browser = visit("teacher")
    cover = browser.get(f"/activities/sessions/{known}/roster").get_data(as_text=True)
    assert MARKER not in cover
    assert "4 个孩子" in cover
    assert looked(stage) == []
    sheet = browser.post(f"/activities/sessions/{known}/roster").get_data(as_text=True)
    for said in (MARKER, "138 0013 8077", "138 0013 8078", "外婆MARKER9", "返校后销毁", "交接签字"):
        assert said in sheet
    assert [row[0] for row in looked(stage)] == ["sheet"] * 4
    assert len({row[1] for row in looked(stage)}) == 4
    for role in ("school_admin", "coordinator"):
        assert visit(role).post(f"/activities/sessions/{known}/roster").status_code == 404


def test_a_look_that_cannot_be_kept_shows_nothing(
    stage: Outing, known: int, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(FRIDAY)
    stage.sql("alter table card_look add constraint shut check (kind <> 'card')")
    child = stage.world.people["child"]
    browser = visit("teacher")
    browser.application.testing = False
    monkeypatch.setitem(browser.application.config, "PROPAGATE_EXCEPTIONS", False)
    answer = browser.post(path(stage, known, child))
    assert answer.status_code >= 400
    assert MARKER not in answer.get_data(as_text=True)
