"""One file for each child of a class: draft, send, open, look, take back, erase."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.communication.files import child_files
from coordination.domain.communication.files.child_files import DRAFTS_KEPT, KEPT, MOST_DRAFTS
from coordination.domain.communication.files.handing_in import MOST_FILES, Handed, Refused
from coordination.domain.communication.notices import queries, services
from coordination.domain.communication.texts import budgets
from coordination.domain.people.models import ClassGroup
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.reactions.work import begin
from tests.build.outing import all_at_once
from tests.build.papers import JPEG, pdf, png, zipped
from tests.integration.communication.conftest import Stage, meeting_at_the_notice

SAID: dict[str, Any] = {
    "title": Text("期末学习情况", "Term report"),
    "body": Text("请打开查看。", "Please open the file."),
    "level": "confirm",
}
RAIN, BROTHER, FRIEND = pdf("rain"), png(), JPEG
ALL = [
    Handed("王小雨.pdf", RAIN),
    Handed("王小宇.png", BROTHER),
    Handed("李想.jpg", FRIEND),
]


def draft(
    stage: Stage, handed: list[Handed] = ALL, *, role: str = "teacher", key: str = "files"
) -> int:
    return stage.act(role, lambda uow: _begin(uow, stage, handed, key)[0])


def _begin(uow: Any, stage: Stage, handed: list[Handed], key: str) -> tuple[int, list[Refused]]:
    notice = child_files.begin(uow, draft_key=key, class_id=stage.world.things["class_a"], **SAID)
    return notice.id, child_files.add(uow, notice_id=notice.id, handed=handed)


def send(stage: Stage, notice: int, role: str = "teacher", **more: Any) -> int:
    return stage.act(
        role, lambda uow: child_files.send(uow, notice_id=notice, **{**SAID, **more}).id
    )


def sent(stage: Stage, handed: list[Handed] = ALL) -> int:
    return send(stage, draft(stage, handed))


def add(stage: Stage, notice: int, *handed: Handed, child: str | None = None) -> list[Refused]:
    return stage.act(
        "teacher",
        lambda uow: child_files.add(
            uow,
            notice_id=notice,
            handed=handed,
            child_id=stage.world.people[child] if child else None,
        ),
    )


def press(stage: Stage, role: str, notice: int, child: str) -> bytes:
    """A guardian presses the button and gets the file."""
    whose = stage.world.people[child]
    stage.act(role, lambda uow: child_files.note_opened(uow, notice_id=notice, child_id=whose))
    return fetch(stage, role, notice, child)


def fetch(stage: Stage, role: str, notice: int, child: str) -> bytes:
    with Session(stage.engine) as session:
        found = child_files.opened(
            session,
            stage.actor(role),
            notice_id=notice,
            child_id=stage.world.people[child],
            now=clock.now(),
        )
    assert found is not None
    return found.body


def look(stage: Stage, role: str, notice: int, child: str = "child") -> bytes:
    whose = stage.world.people[child]
    return stage.act(role, lambda uow: child_files.look(uow, notice_id=notice, child_id=whose).body)


def tick(stage: Stage) -> None:
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        child_files.erase_due(uow)


def rows(stage: Stage, sql: str) -> list[Any]:
    with stage.engine.connect() as connection:
        return list(connection.execute(text(sql)))


# -- the draft ------------------------------------------------------------------------------------


def test_a_draft_goes_to_nobody_and_stands_on_no_list(stage: Stage) -> None:
    notice = draft(stage)
    assert stage.messages(notice) == []
    assert (
        rows(stage, "select 1 from notice_recipient where notice_id = (select max(id) from notice)")
        == []
    )
    with Session(stage.engine) as session:
        for role in ("teacher", "school_admin"):
            actor = stage.actor(role)
            assert notice not in [line.notice.id for line in queries.notices_of(session, actor)]
            assert [d.id for d in child_files.drafts_of(session, actor)] == [notice]
            with pytest.raises(NotFound):
                queries.notice_of(session, actor, notice)
        for role in ("teacher_b", "school_admin_b", "district_admin", "coordinator", "guardian"):
            assert child_files.drafts_of(session, stage.actor(role)) == []
    for act in (
        lambda uow: services.stop_notice(uow, notice_id=notice),
        lambda uow: services.recipient_of(uow.session, notice, stage.world.people["guardian"]),
    ):
        with pytest.raises(NotFound):
            stage.act("teacher", act)


def test_every_pairing_can_be_seen_before_it_is_sent(stage: Stage) -> None:
    notice = draft(stage, ALL[:2])
    with Session(stage.engine) as session:
        found = child_files.sendable_of(session, stage.actor("teacher"), notice)
        lines = child_files.lines_of(session, found, clock.now().date())
    assert {(line.child, line.name, line.kind, line.size) for line in lines} == {
        ("王小雨", "王小雨.pdf", "pdf", len(RAIN)),
        ("王小宇", "王小宇.png", "png", len(BROTHER)),
        ("李想", None, None, 0),
    }


def test_the_same_draft_key_is_one_draft_and_the_same_file_no_second(stage: Stage) -> None:
    assert draft(stage) == draft(stage)
    assert len(rows(stage, "select 1 from child_file")) == 3


def test_another_class_is_another_draft_even_with_the_same_key(stage: Stage) -> None:
    with Session(stage.engine) as session, session.begin():
        other = ClassGroup(
            school_id=stage.world.things["school_a"],
            name_zh="三（3）班",
            name_en="3(3)",
            active=True,
        )
        session.add(other)
        session.flush()
        group = other.id
    first = draft(stage, ALL[:1], role="school_admin")
    second = stage.act(
        "school_admin",
        lambda uow: child_files.begin(uow, draft_key="files", class_id=group, **SAID).id,
    )
    assert second != first
    # nobody of the first class is in it
    (refused,) = stage.act(
        "school_admin", lambda uow: child_files.add(uow, notice_id=second, handed=ALL[:1])
    )
    assert refused.name == "王小雨.pdf"


def test_what_leaves_a_doubt_is_refused_by_name_and_the_rest_is_kept(stage: Stage) -> None:
    handed = [
        Handed("王小雨.pdf", RAIN),
        Handed("张珺.pdf", RAIN),  # a child of another school
        Handed("李想.pdf", b"<html>"),
        Handed("王小宇1.png", BROTHER),
        Handed("2-王小宇.png", BROTHER),
    ]
    notice, refused = stage.act("teacher", lambda uow: _begin(uow, stage, handed, "k"))
    assert {r.name for r in refused} == {"张珺.pdf", "李想.pdf", "王小宇1.png", "2-王小宇.png"}
    assert [r[0] for r in rows(stage, "select name from child_file")] == ["王小雨.pdf"]
    again = add(stage, notice, Handed("王小雨.pdf", pdf("other")))
    assert "已经有文件“王小雨.pdf”" in again[0].says.zh
    stage.act(
        "teacher",
        lambda uow: child_files.remove(uow, notice_id=notice, child_id=stage.world.people["child"]),
    )
    assert add(stage, notice, Handed("王小雨.pdf", pdf("other"))) == []


def test_two_children_of_one_name_need_a_number_or_a_hand(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        connection.execute(
            text("update person set name = '李想', source_id = 'A:20260009' where id = :i"),
            {"i": stage.world.people["brother"]},
        )
    notice = draft(stage, [Handed("王小雨.pdf", RAIN)])
    (refused,) = add(stage, notice, Handed("李想.jpg", FRIEND))
    assert "2 个“李想”" in refused.says.zh
    assert add(stage, notice, Handed("李想20260009.jpg", FRIEND)) == []
    assert add(stage, notice, Handed("IMG_1.jpg", FRIEND), child="friend") == []
    found = rows(stage, "select child_id from child_file order by id")
    assert [r[0] for r in found] == [stage.world.people[c] for c in ("child", "brother", "friend")]


def test_by_hand_it_is_one_file_and_a_child_of_the_class(stage: Stage) -> None:
    notice = draft(stage, ALL[:1])
    for child, handed, field in (
        ("child_b", [Handed("a.pdf", RAIN)], "child_id"),
        ("guardian", [Handed("a.pdf", RAIN)], "child_id"),
        ("friend", [Handed("a.pdf", RAIN), Handed("b.pdf", RAIN)], "files"),
    ):
        with pytest.raises(Invalid) as refused:
            add(stage, notice, *handed, child=child)
        assert list(refused.value.fields) == [field]
    assert len(rows(stage, "select 1 from child_file")) == 1


def test_too_much_in_all_keeps_nothing_of_the_upload(stage: Stage, monkeypatch: Any) -> None:
    notice = draft(stage, ALL[:1])
    monkeypatch.setattr(
        "coordination.domain.communication.files.handing_in.MOST_ALL", len(RAIN) + 10
    )
    with pytest.raises(Invalid):
        add(stage, notice, Handed("王小宇.png", BROTHER))
    assert len(rows(stage, "select 1 from child_file")) == 1


def test_a_class_has_few_drafts_at_a_time(stage: Stage) -> None:
    drafts = [draft(stage, ALL[:1], key=f"k{n}") for n in range(MOST_DRAFTS)]
    with pytest.raises(Invalid) as refused:
        draft(stage, key="one-more")
    assert list(refused.value.fields) == ["class_id"]
    assert draft(stage, ALL[:1], key="k0") == drafts[0]
    stage.act("teacher", lambda uow: child_files.discard(uow, notice_id=drafts[0]))
    assert draft(stage, key="one-more")


def test_an_archive_of_a_whole_class_is_one_upload(stage: Stage) -> None:
    handed = [Handed("三2班.zip", zipped([(f"三2班/{f.name}", f.body) for f in ALL]))]
    notice, refused = stage.act("teacher", lambda uow: _begin(uow, stage, handed, "zip"))
    assert refused == []
    assert look(stage, "teacher", notice, "brother") == BROTHER
    many = [Handed("x.zip", zipped([(f"{n}.pdf", RAIN) for n in range(MOST_FILES + 1)]))]
    with pytest.raises(Invalid):
        add(stage, notice, *many)


@pytest.mark.parametrize(
    "role", ["teacher_b", "school_admin_b", "district_admin", "coordinator", "partner", "guardian"]
)
def test_nobody_else_drafts_changes_or_sends(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        draft(stage, role=role, key="other")
    notice = draft(stage)
    whose = stage.world.people["child"]
    for act in (
        lambda uow: child_files.add(uow, notice_id=notice, handed=ALL),
        lambda uow: child_files.remove(uow, notice_id=notice, child_id=whose),
        lambda uow: child_files.discard(uow, notice_id=notice),
        lambda uow: child_files.change(uow, notice_id=notice, **SAID),
        lambda uow: child_files.send(uow, notice_id=notice, **SAID),
        lambda uow: child_files.look(uow, notice_id=notice, child_id=whose),
    ):
        with pytest.raises(NotFound):
            stage.act(role, act)


# -- sending --------------------------------------------------------------------------------------


def test_it_is_one_notice_to_the_families_of_the_children_with_a_file(stage: Stage) -> None:
    notice = sent(stage, ALL[:1])
    assert stage.told(notice) == {"guardian"}
    people = stage.world.people
    assert rows(
        stage, f"select guardian_id, child_ids from notice_recipient where notice_id = {notice}"
    ) == [(people["guardian"], [people["child"]])]
    (message,) = stage.messages(notice)
    assert "王*雨" in (message.body or "") and "王*宇" not in (message.body or "")
    stage.acknowledge("guardian", notice)
    assert rows(
        stage, f"select confirmed_at is null from notice_recipient where notice_id = {notice}"
    ) == [(False,)]


def test_a_second_press_finds_it_sent(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    notice = draft(stage)
    meeting_at_the_notice(monkeypatch)
    assert all_at_once(*[lambda: send(stage, notice)] * 2) == ["ok", "ok"]
    assert len(stage.messages(notice)) == len({m.household_key for m in stage.messages(notice)})


def test_without_the_lock_a_second_press_fails(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the test above."""
    notice = draft(stage)
    meeting_at_the_notice(monkeypatch, locked=False)
    with pytest.raises(IntegrityError):
        all_at_once(*[lambda: send(stage, notice)] * 2)


def test_who_left_the_class_meanwhile_gets_nothing(stage: Stage) -> None:
    notice = draft(stage)
    with stage.engine.begin() as connection:
        connection.execute(
            text("update class_member set ends_on = current_date - 1 where person_id = :i"),
            {"i": stage.world.people["friend"]},
        )
    send(stage, notice)
    assert stage.told(notice) == {"guardian"}
    assert len(rows(stage, "select 1 from child_file")) == 2


def test_the_words_are_held_to_the_rules_of_every_notice(stage: Stage) -> None:
    notice = draft(stage)
    # the name of any child of the class, with a file or not, beside a mark
    stage.act(
        "teacher",
        lambda uow: child_files.remove(
            uow, notice_id=notice, child_id=stage.world.people["friend"]
        ),
    )
    with pytest.raises(Invalid) as refused:
        send(stage, notice, body=Text("李想 95分。", "Please look."))
    assert "body_zh" in refused.value.fields
    with pytest.raises(Invalid) as refused:
        send(stage, notice, body=Text("全班平均分见附件。", "Please look."))
    assert list(refused.value.fields) == ["looked_at"]
    with pytest.raises(Invalid) as refused:
        stage.act(
            "teacher",
            lambda uow: child_files.change(
                uow, notice_id=notice, **{**SAID, "title": Text("缴费", "Fees")}
            ),
        )
    assert "title_zh" in refused.value.fields
    assert stage.messages(notice) == []


def test_a_budget_that_is_used_up_refuses_it_and_keeps_the_draft(stage: Stage) -> None:
    stage.act(
        "district_admin",
        lambda uow: budgets.set_budget(
            uow,
            office_id=stage.world.things["district"],
            org_id=stage.world.things["school_a"],
            yuan=0,
        ),
    )
    notice = draft(stage)
    with pytest.raises(Conflict) as refused:
        send(stage, notice)
    assert refused.value.code == "budget_used_up"
    assert len(rows(stage, "select 1 from child_file where body_enc is not null")) == 3
    send(stage, notice, urgent_reason="今天家长会要用")
    assert len(stage.messages(notice)) == 3


def test_an_empty_draft_is_not_sent_and_a_sent_one_is_not_changed(stage: Stage) -> None:
    notice = draft(stage, [Handed("王小雨.pdf", RAIN)])
    whose = stage.world.people["child"]
    stage.act("teacher", lambda uow: child_files.remove(uow, notice_id=notice, child_id=whose))
    with pytest.raises(Invalid):
        send(stage, notice)
    add(stage, notice, *ALL)
    send(stage, notice)
    for act in (
        lambda uow: child_files.add(uow, notice_id=notice, handed=ALL),
        lambda uow: child_files.remove(uow, notice_id=notice, child_id=whose),
        lambda uow: child_files.discard(uow, notice_id=notice),
        lambda uow: child_files.begin(
            uow, draft_key="files", class_id=stage.world.things["class_a"], **SAID
        ),
    ):
        with pytest.raises(Conflict):
            stage.act("teacher", act)


# -- opening --------------------------------------------------------------------------------------


def test_a_guardian_of_two_opens_each_childs_own_and_the_first_time_is_kept(stage: Stage) -> None:
    notice = sent(stage)
    assert press(stage, "guardian", notice, "child") == RAIN
    first = rows(stage, "select opened_at, opened_by_id from child_file order by id")
    assert first[0] == (first[0][0], stage.world.people["guardian"]) and first[0][0]
    assert first[1] == (None, None)
    assert press(stage, "guardian", notice, "brother") == BROTHER
    assert press(stage, "guardian", notice, "child") == RAIN
    assert rows(stage, "select opened_at, opened_by_id from child_file order by id")[0] == first[0]
    read = rows(
        stage,
        f"select read_at is not null, confirmed_at is not null from notice_recipient"
        f" where notice_id = {notice} and guardian_id = {stage.world.people['guardian']}",
    )
    assert read == [(True, False)]


def test_before_the_button_is_pressed_a_look_gets_nothing(stage: Stage) -> None:
    notice = sent(stage)
    with Session(stage.engine) as session:
        found = child_files.opened(
            session,
            stage.actor("guardian"),
            notice_id=notice,
            child_id=stage.world.people["child"],
            now=clock.now(),
        )
    assert found is None


# who may have which file: every other pair of these gets nothing
OPENS = {
    ("guardian", "child"),
    ("guardian", "brother"),
    ("friend_mother", "friend"),
    ("friend_father", "friend"),
    ("english", "friend"),
    ("no_phone", "friend"),
}
FAMILY = [
    "guardian",
    "guardian_b",
    "restricted",
    "former",
    "friend_mother",
    "friend_father",
    "english",
    "no_phone",
    "teacher",
    "teacher_b",
    "school_admin",
    "school_admin_b",
    "district_admin",
    "coordinator",
    "data_officer",
    "partner",
    "volunteer",
]
CHILDREN = ("child", "brother", "friend", "child_b")


def _who_opens(stage: Stage, notice: int) -> set[tuple[str, str]]:
    found = set()
    for role in FAMILY:
        for child in CHILDREN:
            try:
                press(stage, role, notice, child)
            except NotFound:
                continue
            found.add((role, child))
    return found


def test_each_family_opens_its_own_childs_file_and_no_other(stage: Stage) -> None:
    assert _who_opens(stage, sent(stage)) == OPENS


def test_the_matrix_goes_red_without_the_check(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: it is this check, at each opening, that keeps one family from another's."""
    notice = sent(stage)
    monkeypatch.setattr(child_files, "allowed", lambda *_: True)
    monkeypatch.setattr("coordination.authz.policy.allowed", lambda *_: True)
    assert ("guardian", "friend") in _who_opens(stage, notice)


def test_custody_counts_at_the_moment_of_opening(stage: Stage) -> None:
    notice = sent(stage)
    assert press(stage, "guardian", notice, "child") == RAIN
    people = stage.world.people
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "update guardianship set no_disclosure = true where guardian_id = :g and child_id = :c"
            ),
            {"g": people["guardian"], "c": people["child"]},
        )
    for again in (press, fetch):
        with pytest.raises(NotFound):
            again(stage, "guardian", notice, "child")
    # of the brother nothing has changed
    assert press(stage, "guardian", notice, "brother") == BROTHER


def test_class_teacher_and_school_look_and_that_is_recorded(stage: Stage) -> None:
    notice = sent(stage)
    for role in ("teacher", "school_admin"):
        assert look(stage, role, notice) == RAIN
    for role in FAMILY:
        if role not in ("teacher", "school_admin"):
            with pytest.raises(NotFound):
                look(stage, role, notice)
    lines = rows(
        stage,
        "select actor_id, after from audit_entry where action = 'look' and table_name = 'child_file'"
        " order by id",
    )
    whose = {"notice_id": notice, "child_id": stage.world.people["child"]}
    assert [tuple(line) for line in lines] == [
        (stage.world.people[role], whose) for role in ("teacher", "school_admin")
    ]
    # by itself a look of the school is no opening by the family
    assert rows(stage, "select 1 from child_file where opened_at is not null") == []


def test_a_teacher_who_has_left_the_class_looks_no_more(stage: Stage) -> None:
    notice = sent(stage)
    with stage.engine.begin() as connection:
        connection.execute(
            text("update membership set ends_on = current_date - 1 where person_id = :i"),
            {"i": stage.world.people["teacher"]},
        )
    with pytest.raises(NotFound):
        look(stage, "teacher", notice)


# -- at rest, and gone ----------------------------------------------------------------------------


def test_the_bytes_are_sealed_for_their_notice_and_child(stage: Stage) -> None:
    notice = sent(stage)
    sealed = {r[0]: bytes(r[1]) for r in rows(stage, "select child_id, body_enc from child_file")}
    plain = {"child": RAIN, "brother": BROTHER, "friend": FRIEND}
    for child, body in plain.items():
        kept = sealed[stage.world.people[child]]
        assert body not in kept and body[:8] not in kept
    with stage.engine.begin() as connection:
        connection.execute(
            text("update child_file set body_enc = :b where child_id = :c"),
            {"b": sealed[stage.world.people["friend"]], "c": stage.world.people["child"]},
        )
    with pytest.raises(InvalidTag):
        press(stage, "guardian", notice, "child")


def test_the_audit_trail_names_no_file(stage: Stage) -> None:
    notice = draft(stage, [Handed("王小雨 38.pdf", RAIN)])
    whose = stage.world.people["child"]
    stage.act("teacher", lambda uow: child_files.remove(uow, notice_id=notice, child_id=whose))
    found = rows(
        stage, "select action, before, after from audit_entry where table_name = 'child_file'"
    )
    assert [r[0] for r in found] == ["add", "remove"]
    assert "38" not in str([r[1:] for r in found])


def test_a_notice_that_was_stopped_opens_no_file(stage: Stage) -> None:
    notice = sent(stage)
    assert press(stage, "guardian", notice, "child") == RAIN
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    for attempt in (
        lambda: press(stage, "guardian", notice, "child"),
        lambda: fetch(stage, "guardian", notice, "child"),
        lambda: look(stage, "teacher", notice),
    ):
        with pytest.raises(TooLate) as refused:
            attempt()
        assert refused.value.code == "file_taken_back"
    tick(stage)
    assert rows(stage, "select 1 from child_file where body_enc is not null or name <> ''") == []


def test_after_their_time_files_are_erased_and_that_they_were_opened_stays(stage: Stage) -> None:
    now = clock.now()
    notice = sent(stage)
    press(stage, "guardian", notice, "child")
    clock.travel_to(now + KEPT - timedelta(minutes=1))
    tick(stage)
    assert look(stage, "teacher", notice) == RAIN
    clock.travel_to(now + KEPT + timedelta(minutes=1))
    # before the clock comes, too
    for attempt in (
        lambda: press(stage, "guardian", notice, "child"),
        lambda: look(stage, "teacher", notice),
    ):
        with pytest.raises(TooLate) as refused:
            attempt()
        assert refused.value.code == "file_erased"
    tick(stage)
    found = rows(stage, "select name, body_enc, erased_at, opened_at from child_file order by id")
    assert all(r[:2] == ("", None) and r[2] for r in found)
    assert found[0][3] is not None
    tick(stage)
    erased = rows(stage, "select before from audit_entry where action = 'erase'")
    assert [len(r[0]["ids"]) for r in erased] == [3]


def test_a_draft_that_nobody_sent_is_gone_after_a_day(stage: Stage) -> None:
    now = clock.now()
    kept = sent(stage)
    draft(stage, key="left")
    clock.travel_to(now + DRAFTS_KEPT - timedelta(minutes=1))
    tick(stage)
    assert len(rows(stage, "select 1 from notice where state = 'draft'")) == 1
    clock.travel_to(now + DRAFTS_KEPT + timedelta(minutes=1))
    tick(stage)
    assert rows(stage, "select 1 from notice where state = 'draft'") == []
    assert {r[0] for r in rows(stage, "select notice_id from child_file")} == {kept}


def test_a_draft_that_is_given_up_is_gone_at_once(stage: Stage) -> None:
    notice = draft(stage)
    stage.act("teacher", lambda uow: child_files.discard(uow, notice_id=notice))
    assert rows(stage, "select 1 from child_file") == []
    with pytest.raises(NotFound):
        send(stage, notice)


def test_reminders_and_the_call_list_know_these_families_alone(stage: Stage) -> None:
    from coordination.domain.communication.unanswered import calls

    notice = sent(stage, ALL[:2])
    with Session(stage.engine) as session:
        found = calls.calls_of(session, stage.actor("teacher"), notice, clock.now().date())
        assert {line.child for line in found.lines} == {"王小雨", "王小宇"}
        with pytest.raises(NotFound):
            calls.calls_of(session, stage.actor("teacher_b"), notice, clock.now().date())
    stage.deliver()
    assert stage.nudge(notice) == 1
    assert stage.told(notice, "notice_nudge") == {"guardian"}
