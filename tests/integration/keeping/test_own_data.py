"""What a guardian sees of what is kept, who looked, what they may ask, and what an erasure leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.domain.communication.unanswered import calls
from coordination.domain.oversight import data_requests, erasing, own_data
from coordination.domain.oversight.looks import looks_at
from coordination.domain.oversight.models import DataRequest
from coordination.domain.people import custody
from coordination.domain.people.models import Person
from coordination.ground import clock
from coordination.ground.errors import Forbidden, Invalid, NotFound
from coordination.ground.uow import UnitOfWork
from coordination.settings import Settings
from coordination.web.request import SESSION_KEY
from tests.build.outing import NOW, Outing, all_at_once, meet, outing
from tests.build.serving import FIELD_KEY

WORDS = "孩子的名字写错了"


@dataclass
class Family:
    """The outing, its site, and short ways."""

    stage: Outing
    app: Flask

    def visit(self, role: str) -> FlaskClient:
        client = self.app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = self.stage.world.tokens[role]
        return client

    def kept(self, role: str) -> dict[str, str]:
        """Each section as text."""
        with Session(self.stage.engine) as session:
            sections = own_data.kept_about(session, self.stage.actor(role), NOW.date())
        return {s.key: str([[(f.key, f.value) for f in e] for e in s.entries]) for s in sections}

    def ask(self, role: str = "guardian", kind: str = "erase", child: str | None = "child") -> int:
        number = self.stage.world.people[child] if child else None

        def use(uow: UnitOfWork) -> int:
            return data_requests.ask(uow, kind=kind, child_id=number, words=WORDS).id

        return self.stage.act(role, use)

    def answer(self, asked: int, role: str = "school_admin", *, agreed: bool = True) -> None:
        def use(uow: UnitOfWork) -> None:
            data_requests.answer(uow, request_id=asked, agreed=agreed, words="办好了")

        self.stage.act(role, use)

    def leave(self, child: str = "child") -> None:
        self.stage.sql(
            "update person set status = 'left' where id = :id", id=self.stage.world.people[child]
        )


@pytest.fixture
def family(fresh_url: str) -> Iterator[Family]:
    with outing(fresh_url) as stage:
        session = stage.plan()
        stage.enrol(session)
        stage.answer(session, "guardian", "child")
        yield Family(stage, create_app(Settings(database_url=fresh_url, field_key=FIELD_KEY)))


# -- seeing ---------------------------------------------------------------------------------------


def test_a_guardian_sees_themselves_their_children_and_their_own_answers(family: Family) -> None:
    kept = family.kept("guardian")
    assert "王小雨" in kept["children"]
    assert "王小宇" in kept["children"]
    assert "given" not in kept["consents"]  # in words
    assert "王敏" in kept["consents"]
    assert kept["activities"].count("王小雨") == 2  # the world's session, and ours
    assert "****" in kept["me"]
    assert "1380" not in kept["me"].replace("138****", "")


def test_nothing_of_another_guardian_is_in_it(family: Family) -> None:
    """Not even of one whom custody keeps out, nor the reason for that."""
    people = family.stage.world.people
    family.stage.sql(
        "update guardianship set limit_reason = 'CANARY' where guardian_id = :id",
        id=people["restricted"],
    )
    family.stage.answer(
        next(iter(family.stage.sql("select max(id) from practice_session")))[0],  # type: ignore[arg-type]
        "friend_father",
        "friend",
        signed="李刚",
    )
    seen = "".join(family.kept("friend_mother").values())
    assert "李想" in seen
    assert "李刚" not in seen
    body = family.visit("guardian").get("/family/data").get_data(as_text=True)
    assert "CANARY" not in body
    assert "王强" not in body


def test_custody_takes_the_child_out_of_the_list_at_once(family: Family) -> None:
    kin = family.stage.sql(
        "select id from guardianship where child_id = :c and guardian_id = :g",
        c=family.stage.world.people["child"],
        g=family.stage.world.people["guardian"],
    )[0][0]
    family.ask(kind="correct")

    def use(uow: UnitOfWork) -> None:
        custody.limit(uow, guardianship_id=int(str(kin)), reason="法院裁定")

    family.stage.act("school_admin", use)
    seen = family.kept("guardian")
    assert "王小雨" not in "".join(v for k, v in seen.items() if k != "requests")
    assert "王小宇" in seen["children"]
    page = family.visit("guardian").get("/family/data").get_data(as_text=True)
    assert "王小雨" not in page


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_is_readable_and_changes_nothing(family: Family, language: str) -> None:
    before = family.stage.sql("select count(*) from audit_entry")
    answer = family.visit("guardian").get(f"/family/data?lang={language}")
    assert answer.status_code == 200
    assert family.stage.sql("select count(*) from audit_entry") == before


def copy(client: FlaskClient) -> tuple[int, str]:
    import re

    page = client.get("/family/data").get_data(as_text=True)
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    answer = client.post("/family/data/copy", data={"csrf_token": found.group(1)})
    return answer.status_code, answer.get_data(as_text=True)


def test_the_copy_is_whole_audited_and_limited(family: Family) -> None:
    client = family.visit("guardian")
    status, body = copy(client)
    assert status == 200
    sections = {s["section"]: s["entries"] for s in json.loads(body)["kept"]}
    assert {e["name"] for e in sections["children"]} == {"王小雨", "王小宇"}
    assert sections["consents"][0]["response"] == {"zh": "同意", "en": "Agreed"}
    assert "body" not in body
    noted = family.stage.sql("select actor_id from audit_entry where reason = 'own_copy'")
    assert noted == [(family.stage.world.people["guardian"],)]
    statuses = [copy(client)[0] for _ in range(own_data.COPIES)]
    assert statuses == [200] * (own_data.COPIES - 1) + [303]
    assert "一天最多下载" in client.get("/family/data").get_data(as_text=True)


# -- who has looked -------------------------------------------------------------------------------


def _phoned(family: Family) -> None:
    notice = family.stage.world.things["notice"]
    family.stage.sql(
        "update notice set calls_since = :at, level = 'confirm', state = 'sent', class_ids ="
        " array[:c]::bigint[] where id = :id",
        at=NOW,
        c=family.stage.world.things["class_a"],
        id=notice,
    )
    family.stage.sql("update notice_recipient set confirmed_at = null, nudges = 1")
    recipient = family.stage.sql(
        "select id from notice_recipient where notice_id = :n and guardian_id = :g",
        n=notice,
        g=family.stage.world.people["guardian"],
    )[0][0]

    def use(uow: UnitOfWork) -> str:
        return calls.show_number(
            uow, notice_id=notice, recipient_id=int(str(recipient)), today=NOW.date()
        )

    family.stage.act("teacher", use)


def test_who_asked_for_the_number_is_shown_to_its_holder_alone(family: Family) -> None:
    _phoned(family)

    def looks(role: str) -> list[str]:
        with Session(family.stage.engine) as session:
            return [
                f"{look.role} {look.what.en}"
                for look in looks_at(session, family.stage.actor(role))
            ]

    assert looks("guardian") == ["class_teacher looked at your phone number (call list)"]
    assert looks("friend_mother") == []
    page = family.visit("guardian").get("/family/data").get_data(as_text=True)
    assert "查看了您的手机号" in page
    assert "班主任" in page


# -- asking and answering -------------------------------------------------------------------------


def test_a_request_comes_to_the_school_and_its_answer_to_the_guardian_alone(
    family: Family,
) -> None:
    asked = family.ask(kind="correct")
    today = family.visit("school_admin").get("/").get_data(as_text=True)
    assert "1 条个人信息申请等学校答复" in today
    assert WORDS in family.visit("school_admin").get(f"/people/requests/{asked}").get_data(True)
    assert family.visit("school_admin_b").get(f"/people/requests/{asked}").status_code == 404
    assert family.visit("teacher").get(f"/people/requests/{asked}").status_code == 404
    family.answer(asked, agreed=False)
    page = family.visit("guardian").get("/family/data").get_data(as_text=True)
    assert "办好了" in page
    assert "学校答复了您的个人信息申请" in family.visit("guardian").get("/family").get_data(True)
    assert "个人信息申请" not in family.visit("school_admin").get("/").get_data(as_text=True)


def test_the_deadline_stands_with_the_request(family: Family) -> None:
    asked = family.ask()
    with Session(family.stage.engine) as session:
        row = session.get_one(DataRequest, asked)
        assert row.due_at == clock.now() + data_requests.ANSWERED_WITHIN


def test_asking_is_refused_with_the_field_and_the_remedy(family: Family) -> None:
    with pytest.raises(Invalid) as refused:
        family.ask(child="kid_0")
    assert "about" in refused.value.fields

    def use(uow: UnitOfWork) -> None:
        data_requests.ask(uow, kind="correct", child_id=None, words="  ")

    with pytest.raises(Invalid) as refused:
        family.stage.act("guardian", use)
    assert "words" in refused.value.fields


def test_the_same_is_asked_once_even_at_once(family: Family) -> None:
    assert sorted(all_at_once(family.ask, family.ask)) == ["already_asked", "ok"]


@pytest.mark.parametrize("held", [True, False])
def test_of_two_answers_at_once_one_is_told(
    family: Family, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock both are taken: the control."""
    asked = family.ask()

    def loose(uow: UnitOfWork, number: int) -> DataRequest:
        found = uow.session.get_one(DataRequest, number)
        meet()
        return found

    if not held:
        monkeypatch.setattr(data_requests, "_locked", loose)
    came = sorted(all_at_once(lambda: family.answer(asked), lambda: family.answer(asked)))
    assert came == (["answered", "ok"] if held else ["ok", "ok"])


def test_only_the_school_office_answers(family: Family) -> None:
    asked = family.ask()
    for role in ("teacher", "school_admin_b", "district_admin", "guardian"):
        with pytest.raises((Forbidden, NotFound)):
            family.answer(asked, role)


# -- erasing --------------------------------------------------------------------------------------


def _everything(family: Family) -> str:
    """All rows of all tables as text."""
    names = family.stage.sql(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    return "\n".join(
        str(row)
        for (name,) in names
        for row in family.stage.sql(f"select '{name}', to_jsonb(t)::text from {name} t")
    )


def test_a_child_at_school_is_not_erased(family: Family) -> None:
    family.answer(family.ask())
    assert "王小雨" in _everything(family)
    with pytest.raises(ValueError, match="at school"):
        family.stage.act("school_admin", lambda uow: _erase(uow, family))


def _erase(uow: UnitOfWork, family: Family) -> None:
    erasing.erase_child(uow, uow.session.get_one(Person, family.stage.world.people["child"]))


def test_erasing_who_has_left_leaves_counts_and_no_name_anywhere(family: Family) -> None:
    """The name of the child is nowhere in the database; whoever has another child here stays."""
    asked = family.ask()
    counted = [
        family.stage.sql(f"select count(*) from {table}")
        for table in ("enrolment", "consent_answer", "person", "notice_recipient")
    ]
    family.leave()
    family.answer(asked)
    left = [line for line in _everything(family).splitlines() if "王小雨" in line]
    assert [line[:60] for line in left if "outbox_message" not in line] == []
    assert counted == [
        family.stage.sql(f"select count(*) from {table}")
        for table in ("enrolment", "consent_answer", "person", "notice_recipient")
    ]
    # the mother of 王小宇 as well
    assert "王小宇" in family.kept("guardian")["children"]
    gone = family.stage.sql(
        "select actor from audit_entry where table_name = 'person' and action = 'remove'"
    )
    assert len(gone) >= 1


def test_guardians_who_have_nobody_else_are_erased_with_their_last_child(family: Family) -> None:
    asked = family.ask("english", child="reader")
    family.leave("reader")
    family.answer(asked)
    everything = _everything(family)
    assert "Anna Smith" not in everything
    assert "赵一诺" not in everything
    mother = family.stage.world.people["english"]
    assert family.stage.sql("select 1 from contact_point where person_id = :p", p=mother) == []
    told = family.stage.sql("select state from outbox_message where recipient_id = :p", p=mother)
    assert not {state for (state,) in told} & {"queued", "held"}
