"""Corrections: a guardian proposes, a phone is proven, the school decides, the guardian is told."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from coordination.domain.people import contacts, custody
from coordination.domain.people.corrections import deciding, proposing
from coordination.domain.people.corrections.models import Correction
from coordination.domain.people.models import ContactPoint, Person
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, CoordinationError, Forbidden, Invalid, TooMany
from coordination.settings import Settings
from coordination.worker import drain
from notifications import suppressions
from notifications.models import OutboxMessage, SimulatedMessage
from tests.build import years
from tests.integration.people_pages.conftest import Stage

NEW = "13700137009"


def propose(stage: Stage, by: str = "guardian", **more: object) -> None:
    values: dict[str, object] = {
        "child_id": stage.world.people["child"],
        "of_child": False,
        "field": "name",
        "typed": "王慜",
        "reason": "户口本上是这个字",
        **more,
    }
    stage.act(by, proposing.propose, **values)


def latest(stage: Stage) -> Correction:
    with Session(stage.engine) as session:
        return session.scalars(select(Correction).order_by(Correction.id.desc())).first()  # type: ignore[return-value]


def accept(stage: Stage, by: str = "school_admin", *, seen: str | None = None) -> None:
    with Session(stage.engine) as session:
        line = deciding.lines_of(session, [latest(stage)])[0]
    stage.act(
        by,
        deciding.accept,
        correction_id=line.id,
        seen=line.now if seen is None else seen,
        said="",
        today=years.today(),
    )


def code_sent(stage: Stage) -> tuple[str, str]:
    """(mask of the phone it went to, the code) of the latest code, after a worker has sent it."""
    drain(
        stage.engine,
        replace(Settings(), database_url=str(stage.engine.url.render_as_string(False))),
    )
    with Session(stage.engine) as session:
        sent = session.scalars(
            select(SimulatedMessage).order_by(SimulatedMessage.id.desc())
        ).first()
        assert sent is not None
        found = re.search(r"\d{6}", sent.body)
        assert found
        return sent.address_mask, found[0]


def phone_of(stage: Stage, role: str = "guardian") -> list[str]:
    with Session(stage.engine) as session:
        return list(
            session.scalars(
                select(ContactPoint.mask).where(
                    ContactPoint.person_id == stage.world.people[role], ContactPoint.kind == "phone"
                )
            )
        )


def test_a_name_is_compared_accepted_and_told(stage: Stage) -> None:
    family = stage.visit("guardian")
    sent = family.post(
        "/family/corrections/new",
        data={"field": "own-name", "typed": "王慜", "reason": "户口本上是这个字"},
    )
    assert sent.status_code == 303
    assert "王慜" in family.get("/family/corrections").text
    office = stage.visit("school_admin")
    assert "1 条家长提交的更正待核对" in office.get("/").text
    assert "王慜" in office.get("/people/corrections").text
    held = latest(stage)
    page = office.get(f"/people/corrections/{held.id}").text
    assert "王敏" in page and "王慜" in page and "户口本上是这个字" in page
    done = office.post(
        f"/people/corrections/{held.id}", data={"step": "accept", "seen": "王敏", "said": ""}
    )
    assert done.status_code == 303
    with Session(stage.engine) as session:
        person = session.get_one(Person, stage.world.people["guardian"])
        assert (person.name, person.pinyin) == ("王慜", "wang min")
        told = session.scalars(
            select(OutboxMessage).where(OutboxMessage.template_key == "correction_decided")
        ).one()
        assert told.recipient_id == person.id and "已采纳" in told.body
        lines = session.scalars(
            select(AuditEntry).where(
                AuditEntry.table_name == "person", AuditEntry.row_id == person.id
            )
        ).all()
        assert [(e.before["name"], e.after["name"]) for e in lines if e.before and e.after] == [
            ("王敏", "王慜")
        ]
    assert "已采纳" in stage.visit("guardian").get("/family/corrections").text


def test_a_childs_name_is_changed_for_its_family_alone(stage: Stage) -> None:
    propose(stage, of_child=True, field="name_en", typed="Rain Wang")
    accept(stage)
    with Session(stage.engine) as session:
        assert session.get_one(Person, stage.world.people["child"]).name_en == "Rain Wang"


def test_a_declined_one_says_why_and_changes_nothing(stage: Stage) -> None:
    propose(stage)
    with pytest.raises(Invalid) as refused:
        stage.act("school_admin", deciding.decline, correction_id=latest(stage).id, said="")
    assert "said" in refused.value.fields
    stage.act(
        "school_admin", deciding.decline, correction_id=latest(stage).id, said="请带户口本到校"
    )
    with Session(stage.engine) as session:
        assert session.get_one(Person, stage.world.people["guardian"]).name == "王敏"
        told = session.scalars(select(OutboxMessage.body)).one()
    assert "未采纳，请带户口本到校" in told
    assert "请带户口本到校" in stage.visit("guardian").get("/family/corrections").text


def test_a_phone_is_proven_by_a_code_to_the_new_one(stage: Stage) -> None:
    family = stage.visit("guardian")
    sent = family.post("/family/corrections/new", data={"field": "own-phone", "typed": NEW})
    where = sent.headers["Location"]
    assert where.endswith("/code")
    # not before the school until it is proven
    assert (
        stage.visit("school_admin").get(f"/people/corrections/{latest(stage).id}").status_code
        == 404
    )
    mask, code = code_sent(stage)
    assert mask == "137****7009"  # not to the number that is registered
    wrong = "000000" if code != "000000" else "111111"
    refused = family.post(where, data={"code": wrong})
    assert refused.status_code == 422 and "验证码不对" in refused.text
    assert latest(stage).tries_left == proposing.CODE_TRIES - 1
    assert family.post(where, data={"code": code}).status_code == 303
    assert phone_of(stage) == ["138****8001"]  # the school has not said yes
    accept(stage)
    assert phone_of(stage) == ["137****7009"]
    held = latest(stage)
    assert held.sealed is None and held.sealed_index is None and held.code_hash is None
    newcomer = stage.app.test_client()
    newcomer.post("/sign-in/phone", data={"phone": NEW})
    with Session(stage.engine) as session:
        person = stage.world.people["guardian"]
        assert session.scalars(text("select person_id from one_time_code")).all() == [person]
        assert contacts.persons_by_phone(session, "+8613800138001") == []


def test_the_code_reaches_a_family_whose_old_number_fails(stage: Stage) -> None:
    person = stage.world.people["guardian"]
    with Session(stage.engine) as session, session.begin():
        contacts.suppress(session, person, contacts.BAD_NUMBER, clock.now())
        suppressions.suppress(session, person, "sms", "30005", clock.now())
    propose(stage, field="phone", typed=NEW, reason="")
    mask, _ = code_sent(stage)
    assert mask == "137****7009"


def test_a_code_is_of_no_use_after_too_many_tries_or_too_long(stage: Stage) -> None:
    propose(stage, field="phone", typed=NEW, reason="")
    _, code = code_sent(stage)
    ident = latest(stage).id
    for _ in range(proposing.CODE_TRIES):
        stage.act("guardian", proposing.prove, correction_id=ident, typed="x")
    with pytest.raises(CoordinationError, match="too_late"):
        stage.act("guardian", proposing.prove, correction_id=ident, typed=code)
    stage.act("guardian", proposing.send_again, correction_id=ident)
    _, code = code_sent(stage)
    clock.travel_to(clock.now() + timedelta(minutes=11))
    with pytest.raises(CoordinationError, match="too_late"):
        stage.act("guardian", proposing.prove, correction_id=ident, typed=code)


def test_who_opted_out_stays_opted_out_on_the_new_number(stage: Stage) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.suppress(session, stage.world.people["guardian"], contacts.OPTED_OUT, clock.now())
    propose(stage, field="phone", typed=NEW, reason="")
    _, code = code_sent(stage)
    stage.act("guardian", proposing.prove, correction_id=latest(stage).id, typed=code)
    accept(stage)
    with Session(stage.engine) as session:
        assert contacts.phones_of(session, [stage.world.people["guardian"]]) == {}


def test_a_number_of_staff_is_not_taken(stage: Stage) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["teacher_b"], NEW)
    propose(stage, field="phone", typed=NEW, reason="")
    _, code = code_sent(stage)
    stage.act("guardian", proposing.prove, correction_id=latest(stage).id, typed=code)
    with pytest.raises(Conflict, match="number_of_staff"):
        accept(stage)
    assert phone_of(stage) == ["138****8001"]


def test_an_email_is_shown_masked_to_the_office(stage: Stage) -> None:
    propose(stage, field="email", typed="Wang.Min@example.com", reason="")
    page = stage.visit("school_admin").get("/people/corrections").text
    assert "w***@example.com" in page and "wang.min" not in page.lower()
    accept(stage)
    with Session(stage.engine) as session:
        person = stage.world.people["guardian"]
        assert contacts.emails_of(session, [person]) == {person: "wang.min@example.com"}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"typed": ""}, "typed"),
        ({"typed": "王敏"}, "typed"),
        ({"typed": "很" * 61}, "typed"),
        ({"reason": ""}, "reason"),
        ({"reason": "很" * 201}, "reason"),
        ({"field": "phone", "typed": "123"}, "typed"),
        ({"field": "phone", "typed": "13800138001"}, "typed"),
        ({"field": "email", "typed": "nobody"}, "typed"),
        ({"field": "grade"}, "field"),
        ({"field": "phone", "of_child": True, "typed": NEW}, "field"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(
    stage: Stage, more: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        propose(stage, **more)
    assert field in refused.value.fields


@pytest.mark.parametrize("who", ["guardian_b", "restricted", "former", "teacher"])
def test_nobody_proposes_for_a_child_that_is_not_theirs(stage: Stage, who: str) -> None:
    with pytest.raises(Forbidden):
        propose(stage, by=who)


@pytest.mark.parametrize("who", ["teacher", "school_admin_b", "district_admin", "guardian"])
def test_only_the_childs_school_decides(stage: Stage, who: str) -> None:
    propose(stage)
    with pytest.raises(Forbidden):
        accept(stage, by=who)
    assert stage.visit(who).get(f"/people/corrections/{latest(stage).id}").status_code in (403, 404)


def test_a_limit_that_was_set_since_forbids_it(stage: Stage) -> None:
    propose(stage)
    with Session(stage.engine) as session:
        kin = session.execute(
            text("select id from guardianship where guardian_id = :g"),
            {"g": stage.world.people["guardian"]},
        ).scalar_one()
    stage.act("school_admin", custody.limit, guardianship_id=kin, reason="法院裁定")
    with pytest.raises(Conflict, match="limited"):
        accept(stage)


def test_what_changed_beside_it_is_compared_again(stage: Stage) -> None:
    propose(stage)
    with Session(stage.engine) as session, session.begin():
        session.get_one(Person, stage.world.people["guardian"]).name = "王民"
    with pytest.raises(CoordinationError, match="stale"):
        accept(stage, seen="王敏")
    office = stage.visit("school_admin")
    answer = office.post(
        f"/people/corrections/{latest(stage).id}", data={"step": "accept", "seen": "王敏"}
    )
    assert answer.status_code == 409 and "刚刚变了" in answer.text


def test_one_of_a_kind_waits_at_a_time_and_may_be_withdrawn(stage: Stage) -> None:
    propose(stage)
    with pytest.raises(Conflict, match="proposed_already"):
        propose(stage, typed="王忞")
    family = stage.visit("guardian")
    assert family.post(f"/family/corrections/{latest(stage).id}/withdraw").status_code == 303
    propose(stage, typed="王忞")
    stranger = stage.visit("guardian_b")
    assert stranger.post(f"/family/corrections/{latest(stage).id}/withdraw").status_code == 404


def test_nobody_sends_more_than_some_a_day(stage: Stage) -> None:
    for n in range(proposing.A_DAY):
        propose(stage, typed=f"王{n}")
        stage.act("guardian", proposing.withdraw, correction_id=latest(stage).id)
    with pytest.raises(TooMany):
        propose(stage)


def test_codes_are_limited_too(stage: Stage) -> None:
    propose(stage, field="phone", typed=NEW, reason="")
    for _ in range(proposing.CODES_A_DAY - 1):
        stage.act("guardian", proposing.send_again, correction_id=latest(stage).id)
    with pytest.raises(TooMany):
        stage.act("guardian", proposing.send_again, correction_id=latest(stage).id)


def test_the_code_stands_in_no_trail(stage: Stage) -> None:
    propose(stage, field="phone", typed=NEW, reason="")
    _, code = code_sent(stage)
    with Session(stage.engine) as session:
        trail = repr(session.execute(text("select before, after from audit_entry")).all())
    assert NEW not in trail and code not in trail


def _both_decide(stage: Stage, ident: int) -> list[str]:
    told: list[str] = []

    def press(how: str) -> None:
        try:
            if how == "accept":
                stage.act(
                    "school_admin",
                    deciding.accept,
                    correction_id=ident,
                    seen="王敏",
                    said="",
                    today=years.today(),
                )
            else:
                stage.act("school_admin", deciding.decline, correction_id=ident, said="不对")
        except CoordinationError as refusal:
            told.append(refusal.code)
        else:
            told.append("done")

    threads = [threading.Thread(target=press, args=(how,)) for how in ("accept", "decline")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(told)


def test_of_two_who_decide_at_once_one_does(stage: Stage) -> None:
    propose(stage)
    assert _both_decide(stage, latest(stage).id) == ["decided", "done"]


def test_without_the_lock_both_would(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    # negative control: both read it as waiting before either writes
    seen = threading.Barrier(2)

    def unlocked(session: Session, ident: int) -> Correction | None:
        found = session.get(Correction, ident)
        seen.wait(10)
        return found

    propose(stage)
    monkeypatch.setattr(deciding, "_locked", unlocked)
    assert _both_decide(stage, latest(stage).id) == ["done", "done"]
