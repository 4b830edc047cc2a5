"""Who may collect: for a time, by whom the law lets, and never whom custody keeps away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from coordination.domain.care import pickups
from coordination.domain.people import contacts, custody
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, Forbidden, Invalid, NotFound
from tests.build.cards import GRANDMA_PHONE, let_collect
from tests.build.outing import DAY, ZONE, Outing

Visit = Callable[[str], FlaskClient]


def today() -> date:
    return clock.today(ZONE)


def collect_today(stage: Outing, child: str = "child") -> list[str]:
    ids = [stage.world.people[child]]
    with Session(stage.engine) as session:
        return [c.name for c in pickups.collectors_of(session, ids, today()).get(ids[0], [])]


def refused(stage: Outing, role: str = "guardian", child: str = "child", **said: object) -> str:
    with pytest.raises(CoordinationError) as caught:
        let_collect(stage, role, child, **said)  # type: ignore[arg-type]
    return caught.value.code


def limit(stage: Outing, guardian: str, child: str = "child") -> None:
    ((kin,),) = stage.sql(
        "select id from guardianship where guardian_id = :g and child_id = :c",
        g=stage.world.people[guardian],
        c=stage.world.people[child],
    )
    stage.act("school_admin", lambda uow: custody.limit(uow, guardianship_id=kin, reason="裁定"))


def test_a_grandmother_collects_from_the_first_to_the_last_day_and_no_longer(
    stage: Outing,
) -> None:
    let_collect(stage, days=2)
    assert collect_today(stage) == ["外婆MARKER9"]
    clock.travel_to(clock.now() + 2 * DAY)
    assert collect_today(stage) == ["外婆MARKER9"]
    clock.travel_to(clock.now() + DAY)
    assert collect_today(stage) == []


def test_whom_custody_limits_cannot_be_added_under_the_number_or_the_name(stage: Outing) -> None:
    # 王强 (13800138003) is the limited father
    for said in (
        {"name": "某人", "phone": "13800138003"},
        {"name": "王强", "phone": GRANDMA_PHONE},
        {"name": " 王 强", "phone": GRANDMA_PHONE},
    ):
        assert refused(stage, **said) == "never_to_collect"
    # of another family he is a stranger like any other
    let_collect(stage, "guardian_b", "child_b", name="王强", phone="13800138003")


def test_the_refusal_does_not_say_that_there_is_a_limit(stage: Outing, visit: Visit) -> None:
    page = visit("guardian").post(
        f"/family/children/{stage.world.people['child']}/pickup",
        data={
            "name": "王强",
            "relation": "父亲",
            "phone": GRANDMA_PHONE,
            "ends_on": (today() + DAY).isoformat(),
        },
    )
    said = page.get_data(as_text=True)
    assert page.status_code == 409
    assert "请联系学校办公室" in said
    assert "限制" not in said
    assert 'value="王强"' in said, "nothing typed is lost"


def test_a_guardian_who_may_not_pick_up_cannot_be_added_either(stage: Outing) -> None:
    stage.sql(
        "update guardianship set may_pick_up = false where guardian_id = :p",
        p=stage.world.people["friend_father"],
    )
    assert refused(stage, "friend_mother", "friend", name="李刚") == "never_to_collect"


def test_a_limit_set_later_takes_away_a_permit_that_is_running(stage: Outing) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["friend_father"], GRANDMA_PHONE)
    let_collect(stage, "friend_mother", "friend", name="老李")
    assert collect_today(stage, "friend") == ["老李"]
    limit(stage, "friend_father", "friend")
    assert collect_today(stage, "friend") == []


def test_a_permit_falls_with_the_guardian_who_gave_it(stage: Outing) -> None:
    let_collect(stage, "friend_father", "friend", name="奶奶")
    assert collect_today(stage, "friend") == ["奶奶"]
    limit(stage, "friend_father", "friend")
    assert collect_today(stage, "friend") == []
    # the other guardian sees that it is there and does not hold
    actor = stage.actor("friend_mother")
    with Session(stage.engine) as session:
        page = pickups.pickup_of(session, actor, stage.world.people["friend"], today())
    assert [(c.name, c.holds) for c in page.collectors] == [("奶奶", False)]


@pytest.mark.parametrize("role", ["restricted", "former", "guardian_b", "teacher", "school_admin"])
def test_nobody_else_adds_or_reads_a_collector(stage: Outing, role: str) -> None:
    with pytest.raises(Forbidden):
        let_collect(stage, role)
    actor = stage.actor(role)
    with Session(stage.engine) as session, pytest.raises(NotFound):
        pickups.pickup_of(session, actor, stage.world.people["child"], today())


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "外" * 41}, "name"),
        ({"relation": ""}, "relation"),
        ({"phone": "12345"}, "phone"),
        ({"phone": ""}, "phone"),
        ({"days": -1}, "ends_on"),
        ({"days": 367}, "ends_on"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(
    stage: Outing, said: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        let_collect(stage, **said)  # type: ignore[arg-type]
    assert set(caught.value.fields) == {field}


def test_the_end_is_asked_for_and_a_whole_year_is_allowed(stage: Outing, visit: Visit) -> None:
    page = visit("guardian").post(
        f"/family/children/{stage.world.people['child']}/pickup",
        data={"name": "外公", "relation": "外公", "phone": GRANDMA_PHONE},
    )
    assert page.status_code == 422
    assert "请填写截止日期" in page.get_data(as_text=True)
    let_collect(stage, days=366)


def test_the_same_number_twice_and_a_sixth_person_are_refused(stage: Outing) -> None:
    let_collect(stage)
    assert refused(stage) == "collector_known"
    for n in range(4):
        let_collect(stage, phone=f"1380013810{n}", name=f"亲友{n}")
    assert refused(stage, phone="13800138109", name="第六位") == "too_many_collectors"


def test_after_its_last_day_the_same_person_may_be_added_again(stage: Outing) -> None:
    let_collect(stage, days=1)
    clock.travel_to(clock.now() + timedelta(days=2))
    let_collect(stage, days=1)
    assert stage.sql("select count(*) from pickup_permit") == [(1,)]


def test_ending_is_one_press_and_leaves_no_row(stage: Outing, visit: Visit) -> None:
    let_collect(stage)
    ((permit,),) = stage.sql("select id from pickup_permit")
    child, other = stage.world.people["child"], stage.world.people["child_b"]
    # not by the address of another family's child
    visit("guardian_b").post(f"/family/children/{other}/pickup/{permit}/end")
    assert stage.sql("select count(*) from pickup_permit") == [(1,)]
    visit("guardian").post(f"/family/children/{child}/pickup/{permit}/end")
    assert stage.sql("select count(*) from pickup_permit") == [(0,)]
    again = visit("guardian").post(f"/family/children/{child}/pickup/{permit}/end")
    assert again.status_code == 303
