"""A number at which three texts failed waits for the school until it is put right, by hand or roster."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.people import contacts, custody, numbers
from coordination.domain.people.events import RosterApplied
from coordination.domain.people.models import ContactPoint, Guardianship
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.reactions import on_people
from coordination.reactions.work import begin
from notifications import suppressions
from tests.build.outing import all_at_once, meet
from tests.integration.people_pages.conftest import Stage

NEW = "13912345678"
TODAY = clock.now().date()


def kin(stage: Stage, role: str = "guardian") -> int:
    with Session(stage.engine) as session:
        return (
            session.scalars(
                select(Guardianship.id).where(Guardianship.guardian_id == stage.world.people[role])
            ).first()
            or 0
        )


def fail(stage: Stage, role: str = "guardian", times: int = 3) -> None:
    """What the providers report, and what the clock makes of it."""
    with Session(stage.engine) as session, session.begin():
        for _ in range(times):
            suppressions.strike(session, stage.world.people[role], "sms", "30005", clock.now())
    carry_over(stage)


def carry_over(stage: Stage) -> None:
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        on_people.carry_over(uow)


def waiting(stage: Stage, role: str = "teacher") -> bool:
    return "号码打不通，请核对" in stage.visit(role).get("/?lang=zh").get_data(as_text=True)


def usable(stage: Stage, role: str = "guardian") -> str | None:
    person = stage.world.people[role]
    with Session(stage.engine) as session:
        if (person, "sms") in suppressions.suppressed(session, [person]):
            return None
        return contacts.phones_of(session, [person]).get(person)


def test_two_failures_are_no_task_and_three_are(stage: Stage) -> None:
    before = usable(stage)
    fail(stage, times=2)
    assert not waiting(stage) and usable(stage) == before
    fail(stage, times=1)
    assert waiting(stage) and waiting(stage, "school_admin") and usable(stage) is None
    page = stage.visit("teacher").get("/people/numbers?lang=zh").get_data(as_text=True)
    assert f"/people/numbers/{kin(stage)}" in page
    assert (before or "")[3:] not in page, "a phone is shown masked"


@pytest.mark.parametrize("role", ["teacher_b", "school_admin_b"])
def test_others_see_nothing_of_it(stage: Stage, role: str) -> None:
    fail(stage)
    assert not waiting(stage, role)
    visitor = stage.visit(role)
    assert f"/people/numbers/{kin(stage)}" not in visitor.get("/people/numbers").get_data(True)
    assert visitor.get(f"/people/numbers/{kin(stage)}").status_code == 404
    assert visitor.post(f"/people/numbers/{kin(stage)}", data={"phone": NEW}).status_code == 404
    assert usable(stage) is None


def test_the_district_sees_no_names(stage: Stage) -> None:
    fail(stage)
    assert stage.visit("district_admin").get("/people/numbers").status_code == 403
    assert not waiting(stage, "district_admin")


def test_the_right_number_closes_the_task_and_stands_in_the_audit_trail(stage: Stage) -> None:
    fail(stage)
    teacher = stage.visit("teacher")
    answer = teacher.post(f"/people/numbers/{kin(stage)}", data={"phone": NEW})
    assert answer.status_code == 303
    assert usable(stage) == "+86" + NEW and not waiting(stage)
    carry_over(stage)
    assert usable(stage) == "+86" + NEW
    with Session(stage.engine) as session:
        added = session.scalars(
            select(AuditEntry).where(
                AuditEntry.table_name == "contact_point",
                AuditEntry.actor_id == stage.world.people["teacher"],
            )
        ).all()
    assert [line.action for line in added] == ["add"] and NEW not in repr(added[0].after)
    # who comes second is told that it is done
    assert teacher.get(f"/people/numbers/{kin(stage)}").status_code == 404


def test_a_number_that_is_right_is_tried_again_and_fails_anew_after_three(stage: Stage) -> None:
    before = usable(stage)
    fail(stage)
    answer = stage.visit("teacher").post(f"/people/numbers/{kin(stage)}", data={"step": "right"})
    assert answer.status_code == 303
    assert usable(stage) == before and not waiting(stage)
    fail(stage, times=2)
    assert not waiting(stage)
    fail(stage, times=1)
    assert waiting(stage)


def test_a_roster_with_another_number_closes_it_by_itself(stage: Stage) -> None:
    fail(stage)
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        uow.authorize("system.run")
        contacts.set_phone(session, stage.world.people["guardian"], NEW, batch_id=7)
        uow.record(RosterApplied(7))
    carry_over(stage)
    assert usable(stage) == "+86" + NEW and not waiting(stage)


def test_a_guardian_under_a_custody_limit_is_nobodys_task(stage: Stage) -> None:
    fail(stage)
    stage.act("school_admin", custody.limit, guardianship_id=kin(stage), reason="法院裁定")
    assert not waiting(stage)
    assert stage.visit("teacher").get(f"/people/numbers/{kin(stage)}").status_code == 404


def test_who_has_another_number_that_works_is_not_listed(stage: Stage) -> None:
    fail(stage)
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["guardian"], NEW)
    assert not waiting(stage)


@pytest.mark.parametrize("typed", ["", "12345", "１３８", "abc", "+1", "13800138000" * 40, "\x00"])
def test_what_is_no_number_is_refused_at_its_field(stage: Stage, typed: str) -> None:
    fail(stage)
    answer = stage.visit("teacher").post(f"/people/numbers/{kin(stage)}", data={"phone": typed})
    assert answer.status_code == 422
    assert "phone-error" in answer.get_data(as_text=True)
    assert usable(stage) is None


def test_the_number_that_fails_is_not_taken_again(stage: Stage) -> None:
    before = usable(stage) or ""
    fail(stage)
    answer = stage.visit("teacher").post(
        f"/people/numbers/{kin(stage)}?lang=zh", data={"phone": before}
    )
    assert answer.status_code == 409 and "这就是打不通的号码" in answer.get_data(as_text=True)
    assert usable(stage) is None


def test_a_teachers_own_number_is_not_taken_for_a_guardian(stage: Stage) -> None:
    """A phone signs its holder in: nobody of the staff may become somebody's parent."""
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["teacher"], NEW)
    fail(stage)
    answer = stage.visit("teacher").post(
        f"/people/numbers/{kin(stage)}?lang=zh", data={"phone": NEW}
    )
    assert answer.status_code == 409 and "教职工" in answer.get_data(as_text=True)
    assert usable(stage) is None


def test_of_two_who_put_it_right_the_second_is_told(stage: Stage) -> None:
    fail(stage)

    def correct(phone: str) -> None:
        stage.act("teacher", numbers.correct, guardianship_id=kin(stage), phone=phone, day=TODAY)

    results = all_at_once(lambda: correct(NEW), lambda: correct("13912345679"))
    assert sorted(results) == ["number_fine", "ok"]
    with Session(stage.engine) as session:
        points = session.scalars(
            select(ContactPoint).where(ContactPoint.suppressed_at.is_(None))
        ).all()
        mine = [p for p in points if p.person_id == stage.world.people["guardian"]]
    assert len(mine) == 1


@pytest.mark.parametrize("locked", [True, False])
def test_a_number_that_is_put_right_meanwhile_is_not_marked_bad(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    """The clock has seen the strikes when the roster comes. The control reads without locking."""
    person = stage.world.people["guardian"]
    with Session(stage.engine) as session, session.begin():
        for _ in range(3):
            suppressions.strike(session, person, "sms", "30005", clock.now())
    found = suppressions.stopped

    def look(*given: object) -> object:
        if locked:
            seen = found(*given)  # type: ignore[arg-type]
        else:
            session = given[0]
            seen = list(suppressions.suppressed(session, [person]).items())  # type: ignore[arg-type]
            seen = [(who, reason) for (who, _), reason in seen]
        meet()
        if not locked:
            # the roster commits here: nothing holds it up
            meet()
        return seen

    monkeypatch.setattr(on_people.suppressions, "stopped", look)

    def roster() -> None:
        with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
            uow.authorize("system.run")
            meet()
            contacts.set_phone(session, person, NEW, batch_id=7)
            uow.record(RosterApplied(7))
        if not locked:
            meet()

    assert all_at_once(lambda: carry_over(stage), roster) == ["ok", "ok"]
    with Session(stage.engine) as session:
        new = session.scalars(
            select(ContactPoint).where(ContactPoint.person_id == person).order_by(ContactPoint.id)
        ).all()[-1]
    assert (new.suppressed_reason is None) is locked


def test_the_list_shows_the_longest_first(stage: Stage) -> None:
    stage.fill(3)
    with Session(stage.engine) as session, session.begin():
        adults = session.scalars(
            select(ContactPoint.person_id).order_by(ContactPoint.person_id.desc()).limit(3)
        ).all()
        for days, adult in enumerate(adults):
            contacts.suppress(
                session, adult, contacts.BAD_NUMBER, clock.now() - timedelta(days=days)
            )
        rows = session.execute(numbers.bad_numbers_query(stage.actor("teacher"), TODAY)).all()
        lines = numbers.bad_number_lines(rows)
        assert len(lines) == 3
        assert [x.since for x in lines] == sorted(x.since for x in lines)
        assert numbers.count_bad_numbers(session, stage.actor("teacher"), TODAY) == 3
        session.execute(update(ContactPoint).values(suppressed_at=None, suppressed_reason=None))
        session.flush()
        assert numbers.count_bad_numbers(session, stage.actor("teacher"), TODAY) == 0
