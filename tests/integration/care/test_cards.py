"""A family's card: on consent alone, by whom custody lets, and gone with the press that withdraws it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidTag
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.care import cards
from coordination.domain.care.content import NONE, OPEN, QUESTIONS, Answer, Card
from coordination.domain.care.models import HealthCard
from coordination.domain.people import custody
from coordination.domain.people.models import Guardianship
from coordination.ground import clock
from coordination.ground.errors import Forbidden, Invalid, NotFound, Stale
from tests.build.cards import MARKER, OTHER_PHONE, a_card, form_of, write
from tests.build.outing import DAY, ZONE, Outing

Visit = Callable[[str], FlaskClient]


def read(stage: Outing, role: str, child: str = "child") -> cards.FamilyCard:
    actor = stage.actor(role)
    with Session(stage.engine) as session:
        return cards.card_of(session, actor, stage.world.people[child], clock.today(ZONE), ZONE)


def address(stage: Outing, *rest: str, child: str = "child") -> str:
    return "/".join((f"/family/children/{stage.world.people[child]}/card", *rest))


def test_no_card_without_consent_and_the_consent_says_what_was_agreed(stage: Outing) -> None:
    with pytest.raises(Invalid) as refused:
        write(stage, agreed=False)
    assert set(refused.value.fields) == {"agree"}
    assert stage.sql("select count(*) from card_consent") == [(0,)]
    write(stage)
    ((response, text_hash),) = stage.sql("select response, text_hash from card_consent")
    assert (response, len(text_hash)) == ("given", 64)


def test_a_card_is_sealed_and_no_trail_log_or_column_says_what_it_says(
    stage: Outing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    write(stage)
    write(stage, card=a_card("蜂蜇" + MARKER), version=1)
    with stage.engine.connect() as connection:
        for table in connection.scalars(
            text("select tablename from pg_tables where schemaname = 'public'")
        ).all():
            rows = connection.scalars(text(f'select to_jsonb(t)::text from "{table}" t')).all()
            for secret in ("MARKER", OTHER_PHONE):
                assert not [r for r in rows if secret in r], table
        trail = connection.execute(
            text("select action, after from audit_entry where table_name = 'health_card'")
        ).all()
    assert [action for action, _ in trail] == ["add", "change"]
    assert all(after["body_enc"] == "•" for _, after in trail)
    assert "MARKER" not in caplog.text
    assert read(stage, "guardian").card == a_card("蜂蜇" + MARKER)


def test_bytes_put_at_another_child_do_not_open(stage: Outing) -> None:
    write(stage)
    write(stage, "friend_mother", "friend")
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "update health_card set body_enc = (select body_enc from health_card where child_id"
                " = :a) where child_id = :b"
            ),
            {"a": stage.world.people["child"], "b": stage.world.people["friend"]},
        )
    with pytest.raises(InvalidTag):
        read(stage, "friend_mother", "friend")


@pytest.mark.parametrize("role", ["restricted", "former", "guardian_b", "teacher", "coordinator"])
def test_whom_custody_keeps_out_reads_and_writes_nothing(stage: Outing, role: str) -> None:
    write(stage)
    with pytest.raises(NotFound):
        read(stage, role)
    with pytest.raises(Forbidden):
        write(stage, role, version=1)


def test_a_limit_that_is_set_later_shuts_the_card_at_once(stage: Outing) -> None:
    write(stage, "friend_father", "friend")
    with Session(stage.engine) as session:
        kin = (
            session.query(Guardianship)
            .filter_by(guardian_id=stage.world.people["friend_father"])
            .one()
            .id
        )
    stage.act("school_admin", lambda uow: custody.limit(uow, guardianship_id=kin, reason="裁定"))
    with pytest.raises(NotFound):
        read(stage, "friend_father", "friend")
    # the other guardian's card is still there, and the limited one is nobody to phone
    found = read(stage, "friend_mother", "friend")
    assert found.card is not None
    assert [k.name for k in found.kin] == ["赵兰"]


def test_a_carer_reads_but_only_a_legal_guardian_writes(stage: Outing) -> None:
    write(stage, "friend_mother", "friend")
    stage.sql(
        "update guardianship set legal = false where guardian_id = :p",
        p=stage.world.people["friend_father"],
    )
    assert read(stage, "friend_father", "friend").card is not None
    assert not read(stage, "friend_father", "friend").may_write
    with pytest.raises(Forbidden):
        write(stage, "friend_father", "friend", version=1)
    with pytest.raises(Forbidden):
        withdraw(stage, "friend_father", "friend")


def withdraw(stage: Outing, role: str = "guardian", child: str = "child") -> bool:
    return stage.act(
        role,
        lambda uow: cards.withdraw(
            uow, child_id=stage.world.people[child], language="zh", today=clock.today(ZONE)
        ),
    )


def test_withdrawing_erases_at_once_and_a_page_left_open_does_not_bring_it_back(
    stage: Outing,
) -> None:
    write(stage)
    assert withdraw(stage)
    assert stage.sql("select count(*) from health_card") == [(0,)]
    assert stage.sql("select response from card_consent order by id") == [
        ("given",),
        ("withdrawn",),
    ]
    with pytest.raises(Stale):
        write(stage, version=1)  # consent is not carried over from before
    assert not withdraw(stage)


def test_who_saves_an_older_page_is_shown_both_texts_and_loses_neither(
    stage: Outing, visit: Visit
) -> None:
    write(stage, card=a_card("虾"))
    write(stage, card=a_card("虾和蟹"), version=1)
    browser = visit("guardian")
    answer = browser.post(address(stage, "edit"), data=form_of(version="1", allergies_words="芒果"))
    page = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "虾和蟹" in page, "what stands"
    assert 'value="芒果"' in page, "what was typed"
    assert 'name="version" type="hidden" value="2"' in page
    # and pressing again, having seen it, keeps one's own
    assert (
        browser.post(
            address(stage, "edit"), data=form_of(version="2", allergies_words="芒果")
        ).status_code
        == 303
    )
    found = read(stage, "guardian")
    assert found.card is not None
    assert found.card.answer("allergies").words == "芒果"


def test_a_second_press_of_the_same_words_is_no_quarrel(stage: Outing, visit: Visit) -> None:
    browser = visit("guardian")
    for _ in range(2):
        assert browser.post(address(stage, "edit"), data=form_of()).status_code == 303
    assert stage.sql("select version from health_card") == [(1,)]
    # other words from that old page are one, and so is another number
    for changed in (
        {"allergies_words": "虾"},
        {"other_name": "外婆", "other_phone": OTHER_PHONE},
    ):
        assert browser.post(address(stage, "edit"), data=form_of(**changed)).status_code == 409


def test_the_page_says_none_for_none_and_not_answered_for_open(stage: Outing, visit: Visit) -> None:
    answers = {name: Answer(NONE) for name in QUESTIONS} | {"diet": Answer(OPEN)}
    write(stage, card=Card(answers))
    page = visit("guardian").get(address(stage)).get_data(as_text=True)
    assert "没有已知过敏" in page
    assert "家长未填" in page


def test_a_refused_form_keeps_every_word(stage: Outing, visit: Visit) -> None:
    answer = visit("guardian").post(
        address(stage, "edit"),
        data=form_of(agree="", medicines_words="沙丁胺醇", other_name="外婆", other_phone="12"),
    )
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    for kept in (MARKER, "沙丁胺醇", "外婆", 'value="12"'):
        assert kept in page
    for said in ("没有您的同意不能保存", "手机号无效"):
        assert said in page
    (box,) = re.findall(r'<input[^>]*name="agree"[^>]*>', page)
    assert "checked" not in box, "no box is ticked before"


@pytest.mark.parametrize(
    "broken",
    [
        {"version": "x"},
        {"version": "9" * 30},
        {"allergies_state": "maybe"},
        {"allergies_kinds": "fur"},
        {"allergies_words": "花" * 5000},
        {"call_1": "999999"},
        {"call_1": "x"},
        {"other_phone": "110"},
    ],
)
def test_whatever_is_posted_is_refused_in_words(
    stage: Outing, visit: Visit, broken: dict[str, str]
) -> None:
    answer = visit("guardian").post(address(stage, "edit"), data=form_of(**broken))
    assert answer.status_code in (409, 422)
    assert 'id="error-summary"' in answer.get_data(as_text=True)


def test_the_family_is_asked_once_and_quietly_when_the_card_is_old(
    stage: Outing, visit: Visit
) -> None:
    write(stage)
    browser = visit("guardian")
    assert "请核对一次" not in browser.get("/family").get_data(as_text=True)
    clock.travel_to(clock.now() + 184 * DAY)
    assert browser.get("/family").get_data(as_text=True).count("请核对一次") == 1
    browser.post(address(stage, "confirm"), data={"version": "1"})
    assert "请核对一次" not in browser.get("/family").get_data(as_text=True)
    assert stage.sql("select count(*) from outbox_message where body like '%健康%'") == [(0,)]


def test_confirming_a_page_that_has_changed_confirms_nothing(stage: Outing, visit: Visit) -> None:
    write(stage)
    before = stage.sql("select confirmed_at from health_card")
    clock.travel_to(clock.now() + DAY)
    answer = visit("guardian").post(
        address(stage, "confirm"), data={"version": "0"}, follow_redirects=True
    )
    assert "刚刚有改动" in answer.get_data(as_text=True)
    assert stage.sql("select confirmed_at from health_card") == before


def test_the_database_keeps_no_card_without_a_consent(stage: Outing) -> None:
    column = HealthCard.__table__.c.consent_id
    assert not column.nullable
    assert json.dumps([str(f.column) for f in column.foreign_keys]) == '["card_consent.id"]'
