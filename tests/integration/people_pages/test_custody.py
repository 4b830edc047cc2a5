"""Setting and lifting a custody limit: who may, what follows, what stays in the trail."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.people import custody
from coordination.domain.people.models import AccessCode, Guardianship
from coordination.domain.people.recipients import guardians_of_children
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, Forbidden, Invalid
from tests.build import world as worlds
from tests.integration.people_pages.conftest import Stage

GROUND = "法院裁定（2026）12 号"


def kin_of(stage: Stage, role: str) -> int:
    with Session(stage.engine) as session:
        return session.scalars(
            select(Guardianship.id).where(Guardianship.guardian_id == stage.world.people[role])
        ).one()


def limit_page(stage: Stage, role: str = "guardian") -> str:
    return f"/people/guardianships/{kin_of(stage, role)}/limit"


def test_a_limited_guardian_is_told_and_shown_nothing_from_then_on(stage: Stage) -> None:
    mother, child = stage.world.people["guardian"], stage.world.people["child"]
    family, office = stage.visit("guardian"), stage.visit("school_admin")
    request = stage.world.things["request"]
    assert "王小雨" in family.get("/family").text
    assert family.get(f"/consents/{request}").status_code == 200
    answer = office.post(limit_page(stage), data={"reason": GROUND, "step": "limit"})
    assert answer.status_code == 303
    assert "王小雨" not in family.get("/family").text
    assert family.get(f"/consents/{request}").status_code in (403, 404)
    with Session(stage.engine) as session:
        told = guardians_of_children(session, [child], clock.now().date())
        assert mother not in {r.guardian_id for r in told}
    assert child not in stage.actor("guardian").child_ids


def test_a_consent_code_already_sent_stops_working(stage: Stage) -> None:
    anybody, code = stage.app.test_client(), worlds.CODE["consent"]
    assert "王*雨" in anybody.get(f"/consents/open/{code}").text
    stage.act(
        "school_admin", custody.limit, guardianship_id=kin_of(stage, "guardian"), reason=GROUND
    )
    after = stage.app.test_client().get(f"/consents/open/{code}")
    assert "王*雨" not in after.text
    with Session(stage.engine) as session:
        held = session.scalars(select(AccessCode).where(AccessCode.subject_type == "consent")).one()
        assert held.revoked_at is not None


def test_a_notice_code_shows_nothing_of_the_child_either(stage: Stage) -> None:
    stage.act(
        "school_admin", custody.limit, guardianship_id=kin_of(stage, "guardian"), reason=GROUND
    )
    page = stage.app.test_client().get(f"/notices/open/{worlds.CODE['notice']}")
    assert "王*雨" not in page.text and "周五晚七点" not in page.text


def test_lifting_opens_the_child_again(stage: Stage) -> None:
    office = stage.visit("school_admin")
    path = limit_page(stage, "restricted")
    assert stage.world.people["child"] not in stage.actor("restricted").child_ids
    answer = office.post(path, data={"reason": "裁定已撤销", "step": "lift"})
    assert answer.status_code == 303
    assert stage.world.people["child"] in stage.actor("restricted").child_ids


def test_a_lifted_limit_does_not_come_back_with_an_old_row_of_the_pair(stage: Stage) -> None:
    today = clock.now().date()
    kin = kin_of(stage, "restricted")
    with Session(stage.engine) as session:
        session.add(
            Guardianship(
                child_id=stage.world.people["child"],
                guardian_id=stage.world.people["restricted"],
                relation="father",
                no_disclosure=True,
                starts_on=today - timedelta(days=900),
                ends_on=today - timedelta(days=500),
            )
        )
        session.commit()
    stage.act("school_admin", custody.lift, guardianship_id=kin, reason="裁定已撤销")
    with Session(stage.engine) as session:
        limited = select(Guardianship.id).where(Guardianship.no_disclosure.is_(True))
        assert session.scalars(limited).all() == []


def test_both_steps_stand_in_the_trail_with_who_and_why(stage: Stage) -> None:
    kin = kin_of(stage, "guardian")
    stage.act("school_admin", custody.limit, guardianship_id=kin, reason=GROUND)
    stage.act("school_admin", custody.lift, guardianship_id=kin, reason="裁定已撤销")
    with Session(stage.engine) as session:
        lines = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.table_name == "guardianship", AuditEntry.row_id == kin)
            .order_by(AuditEntry.id)
        ).all()
    assert [line.actor for line in lines] == ["刘芳", "刘芳"]
    assert lines[0].after == {"no_disclosure": True, "limit_reason": GROUND}
    assert lines[1].after == {"no_disclosure": False, "limit_reason": "裁定已撤销"}
    shown = stage.visit("data_officer").get("/admin/audit?table=guardianship").text
    assert GROUND not in shown  # the trail's readers learn that, not why


def test_a_limit_needs_a_ground(stage: Stage) -> None:
    office, path = stage.visit("school_admin"), limit_page(stage)
    assert office.post(path, data={"reason": "  ", "step": "limit"}).status_code == 422
    with pytest.raises(Invalid):
        stage.act(
            "school_admin", custody.limit, guardianship_id=kin_of(stage, "guardian"), reason=""
        )
    assert stage.world.people["child"] in stage.actor("guardian").child_ids


def test_the_same_step_twice_is_refused_and_changes_nothing(stage: Stage) -> None:
    kin = kin_of(stage, "guardian")
    stage.act("school_admin", custody.limit, guardianship_id=kin, reason=GROUND)
    with pytest.raises(Conflict):
        stage.act("school_admin", custody.limit, guardianship_id=kin, reason="另一个")
    again = stage.visit("school_admin").post(
        limit_page(stage), data={"reason": "另一个", "step": "limit"}
    )
    assert again.status_code == 409
    with Session(stage.engine) as session:
        assert session.get_one(Guardianship, kin).limit_reason == GROUND


@pytest.mark.parametrize(
    "role", ["teacher", "school_admin_b", "district_admin", "guardian", "partner"]
)
def test_only_the_childs_own_school_office_may(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        stage.act(role, custody.limit, guardianship_id=kin_of(stage, "guardian"), reason=GROUND)
    assert stage.world.people["child"] in stage.actor("guardian").child_ids


def test_looking_at_the_page_changes_nothing(stage: Stage) -> None:
    office, path = stage.visit("school_admin"), limit_page(stage)
    assert "不得告知" in office.get(path).text
    assert stage.world.people["child"] in stage.actor("guardian").child_ids
