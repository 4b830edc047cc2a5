"""Approvals of wordings: entered on a page, in force without a restart, and only for the text they name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import WordingApproval
from coordination.domain.communication.texts import approvals
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Forbidden, Invalid
from coordination.ground.uow import UnitOfWork
from coordination.reactions import catalogue
from coordination.reactions.approvals import FRESH, Approvals
from tests.integration.communication.conftest import Stage

SITE = "jxs.example.cn"


def enter(stage: Stage, role: str = "district_admin", **changes: str) -> None:
    entry = {
        "key": "notice",
        "language": "zh",
        "version": "aaaaaaaa",
        "template_id": "SMS_1",
        "state": "approved",
    } | changes

    def use(uow: UnitOfWork) -> None:
        approvals.enter(uow, org_id=stage.world.things["district"], **entry)  # type: ignore[arg-type]

    stage.act(role, use)


def row(stage: Stage, key: str = "notice", language: str = "zh") -> WordingApproval | None:
    with Session(stage.engine, expire_on_commit=False) as session:
        return approvals.entered(session).get((key, language))


def test_what_is_entered_is_kept_and_stands_in_the_audit_trail(stage: Stage) -> None:
    enter(stage, state="submitted")
    enter(stage)
    with Session(stage.engine) as session:
        lines = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.table_name == "wording_approval")
            .order_by(AuditEntry.id)
        ).all()
    assert [line.after["state"] for line in lines if line.after] == ["submitted", "approved"]


@pytest.mark.parametrize("role", ["teacher", "school_admin", "coordinator", "data_officer"])
def test_nobody_but_the_district_may_enter_it(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        enter(stage, role)
    assert row(stage) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"template_id": ""}, "template_id"),
        ({"template_id": "SMS 1"}, "template_id"),
        ({"template_id": "模板1"}, "template_id"),
        ({"template_id": "S" * 41}, "template_id"),
        ({"state": "perhaps"}, "state"),
        # an id is one wording's, in one language
        ({"language": "en"}, "template_id"),
    ],
)
def test_a_poor_entry_is_refused_with_its_reason(
    stage: Stage, changes: dict[str, str], field: str
) -> None:
    enter(stage)
    with pytest.raises(Invalid) as refused:
        enter(stage, **changes)
    assert list(refused.value.fields) == [field]


def test_an_approval_holds_for_the_text_that_was_handed_in_under_its_id(stage: Stage) -> None:
    enter(stage, state="submitted", version="aaaaaaaa")
    # the product was brought up to date while the provider looked at the old text
    enter(stage, state="approved", version="bbbbbbbb")
    found = row(stage)
    assert found is not None and found.version == "aaaaaaaa"
    assert approvals.standing(found, "bbbbbbbb") == approvals.CHANGED
    assert approvals.standing(found, "aaaaaaaa") == "approved"
    enter(stage, state="approved", version="bbbbbbbb", template_id="SMS_2")
    assert approvals.standing(row(stage), "bbbbbbbb") == "approved"
    assert approvals.standing(None, "bbbbbbbb") == "draft"


def test_an_approval_is_in_force_without_a_restart_and_ends_the_same_way(stage: Stage) -> None:
    known, start = Approvals(stage.engine, SITE), clock.now()
    version = catalogue.version_of("notice", "zh", SITE)
    clock.travel_to(start)
    assert known.get(("notice", "zh")) is None
    enter(stage, version=version)
    clock.travel_to(start + FRESH)
    approved = known.get(("notice", "zh"))
    assert approved is not None and approved.id == "SMS_1"
    assert approved.variables == {"sender", "children", "title", "code"}
    assert known.get(("notice", "en")) is None
    enter(stage, state="rejected")
    clock.travel_to(start + FRESH + timedelta(seconds=1))
    assert known.get(("notice", "zh")) is not None  # not asked for each message
    clock.travel_to(start + FRESH + FRESH)
    assert known.get(("notice", "zh")) is None
    clock.travel_to(None)


def test_a_wording_that_has_changed_is_not_approved(stage: Stage) -> None:
    enter(stage, version="aaaaaaaa")
    assert Approvals(stage.engine, SITE).get(("notice", "zh")) is None


def test_the_page_shows_every_wording_and_its_state(
    stage: Stage, visit: Callable[[str], FlaskClient]
) -> None:
    client = visit("district_admin")
    page = client.get("/admin/wordings?lang=en").get_data(as_text=True)
    assert page.count('class="bubble"') == 2 * len(catalogue.messages())
    assert "Parents&#39; meeting moves to 3 pm" in page and "【光明小学三年级2班】王*雨" in page
    one = "/admin/wordings/notice/zh?lang=en"
    page = client.get(one).get_data(as_text=True)
    assert "${title}" in page and "Not handed in" in page
    refused = client.post(one, data={"template_id": "", "state": "approved"})
    assert refused.status_code == 422 and "needs the provider" in refused.get_data(as_text=True)
    done = client.post(one, data={"template_id": "SMS_7", "state": "approved"})
    assert done.status_code == 303
    page = client.get("/admin/wordings?lang=en").get_data(as_text=True)
    assert "SMS_7" in page and "Approved" in page
    assert client.get("/admin/wordings/none/zh").status_code == 404
    assert client.get("/admin/wordings/notice/fr").status_code == 404
    assert visit("teacher").get("/admin/wordings").status_code == 403
