"""Preview, apply, undo: what was shown is what is written, and it can be taken back."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.people.contacts import phones_of
from coordination.domain.people.models import (
    AccessCode,
    ClassGroup,
    ClassMember,
    Guardianship,
    Organisation,
    Person,
    RosterBatch,
    RosterUpload,
)
from coordination.domain.people.roster import batches, findings, queries, uploads, writing
from coordination.ground import clock
from coordination.ground.actor import Post, Role
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from coordination.reactions.work import begin
from tests.build.roster import Export, Office


def changed_export() -> Export:
    """The export half a year later: a name corrected, a new phone, a move, a newcomer, a leaver."""
    export = Export()
    export.orgs[1][2] = "光明第一实验小学"
    export.classes[0][2] = "四（2）班"
    export.classes[0][3] = "04"
    export.user("K1")[3] = "小宇"
    export.user("P1")[7] = "13900139001"
    export.drop("K2")
    export.user("P3")[9] = ""
    export.users.append(["K3", "", "student", "垚", "司马", "S1", "04", "", "", "P3"])
    export.enrolments.append(["E9", "", "C32", "K3", "student", ""])
    export.user("K1")[9] = "P1"
    return export


def test_undo_of_a_first_import_leaves_nothing_behind(office: Office) -> None:
    before = office.hashed()
    batch = office.load(Export())
    assert office.hashed() != before
    result = office.undo(batch)
    assert office.hashed() == before
    assert result.removed == 21
    assert (result.restored, result.ended, result.kept) == (0, 0, ())


def test_undo_of_a_later_import_restores_every_row_exactly(office: Office) -> None:
    office.load(Export())
    before = office.hashed()
    batch = office.load(changed_export())
    counts = office.counts(batch)
    assert counts["school"][1] == 1
    assert counts["class"][1] == 1
    assert counts["student"][:3] == (1, 1, 1)
    assert counts["contact"][:3] == (1, 0, 1)
    assert counts["member"][:3] == (1, 0, 1)
    assert counts["kin"][:3] == (1, 0, 1)
    after = office.hashed()
    assert all(after[table] != before[table] for table in after if table != "membership")
    result = office.undo(batch)
    assert result.kept == ()
    assert office.hashed() == before


def test_imports_are_undone_from_the_last_to_the_first(office: Office) -> None:
    empty = office.hashed()
    first = office.load(Export())
    second = office.load(changed_export())
    with pytest.raises(Conflict) as refused:
        office.undo(first)
    assert refused.value.code == "built_upon"
    assert str(second) in refused.value.message.zh
    office.undo(second)
    office.undo(first)
    assert office.hashed() == empty


def test_an_import_that_wrote_nothing_does_not_stand_in_the_way(office: Office) -> None:
    first = office.load(Export())
    office.load(Export())
    office.undo(first)


def test_undo_ends_a_row_that_something_hangs_on_and_says_so(office: Office) -> None:
    batch = office.load(Export())
    mother = office.person("P1").id
    with Session(office.engine) as session:
        session.add(
            AccessCode(
                code_hash=b"x" * 32,
                person_id=mother,
                subject_type="notice",
                subject_id=1,
                expires_at=clock.now() + timedelta(days=1),
            )
        )
        session.commit()
    result = office.undo(batch)
    assert result.kept == ("王敏",)
    assert result.ended == 1
    assert office.person("P1").status == "left"
    with Session(office.engine) as session:
        assert session.scalars(select(Person.name)).all() == ["王敏"]


def test_undo_keeps_what_somebody_changed_since(office: Office) -> None:
    office.load(Export())
    batch = office.load(changed_export())
    with Session(office.engine) as session:
        session.execute(text("update person set name = '王晓雨' where source_id = 'K1'"))
        session.commit()
    result = office.undo(batch)
    assert result.kept == ("王小宇",)
    assert office.person("K1").name == "王晓雨"


def test_undo_keeps_a_child_whom_a_list_of_ids_names(office: Office) -> None:
    batch = office.load(Export())
    teacher, mother, child = (office.person(source).id for source in ("T1", "P1", "K1"))
    with Session(office.engine) as session:
        (class_id,) = session.scalars(select(ClassGroup.id))
        (school_id,) = session.scalars(select(Organisation.id).where(Organisation.kind == "school"))
        sent = Notice(
            school_id=school_id,
            class_ids=[class_id],
            class_id=class_id,
            sender_id=teacher,
            draft_key="x",
            title_zh="家长会",
            title_en="Meeting",
            body_zh="周五",
            body_en="Friday",
            level="info",
            state="sent",
            sent_at=clock.now(),
        )
        session.add(sent)
        session.flush()
        session.add(
            NoticeRecipient(
                notice_id=sent.id,
                guardian_id=mother,
                child_ids=[child],
                household_key="h",
                language="zh",
                told_via_id=mother,
            )
        )
        session.commit()
    result = office.undo(batch)
    assert set(result.kept) == {"光明实验小学", "三（2）班", "李静", "王敏", "王小雨"}
    assert office.person("K1").status == "left"


def test_undo_does_not_begin_twice_what_somebody_began_anew(office: Office) -> None:
    office.load(Export())
    batch = office.load(changed_export())
    child = office.person("K2").id
    with Session(office.engine) as session:
        ended = session.scalars(select(ClassMember).where(ClassMember.person_id == child)).one()
        session.add(
            ClassMember(class_id=ended.class_id, person_id=child, starts_on=date(2026, 9, 2))
        )
        session.commit()
    result = office.undo(batch)
    assert result.kept == ("张珺 → 三（2）班",)
    assert office.classes("K2") == {"三（2）班"}


def test_a_batch_is_applied_once_and_undone_once(office: Office) -> None:
    batch = office.load(Export())
    with pytest.raises(Conflict):
        office.apply(batch)
    office.undo(batch)
    with pytest.raises(Conflict):
        office.undo(batch)
    with pytest.raises(NotFound):
        office.apply(99_999)


def test_apply_refuses_if_the_present_rows_changed_after_the_preview(office: Office) -> None:
    office.load(Export())
    batch = office.preview(changed_export())
    with Session(office.engine) as session:
        session.execute(text("update person set name = '王宇' where source_id = 'K1'"))
        session.commit()
    before = office.hashed(physical=True)
    with pytest.raises(Stale):
        office.apply(batch)
    assert office.hashed(physical=True) == before
    assert office.apply(office.preview(changed_export())) > 0


def test_a_preview_of_yesterday_may_be_applied_today(office: Office) -> None:
    office.load(Export())
    batch = office.preview(changed_export())
    clock.travel_to(clock.now() + timedelta(days=1))
    assert office.apply(batch) > 0


def test_the_uploaded_file_is_gone_once_it_is_applied_or_discarded(
    office: Office,
) -> None:
    batch = office.preview(Export())
    assert held_by(office) == {batch}
    office.apply(batch)
    assert held_by(office) == set()
    batch = office.preview(changed_export())
    assert kept_lines(office, batch) > 0
    office.discard(batch)
    assert held_by(office) == set()
    assert kept_lines(office, batch) == 0
    with pytest.raises(Conflict):
        office.apply(batch)


def test_an_uploaded_file_is_sealed_and_belongs_to_its_batch(
    office: Office, tmp_path: Path
) -> None:
    plain = tmp_path / "roster.csv"
    plain.write_bytes("王小宇,13800138001\n".encode() * 80_000)  # more than one part
    with Session(office.engine) as session:
        batches_of = [RosterBatch(source_name="a", format="sheet", state="previewed") for _ in "ab"]
        session.add_all(batches_of)
        session.flush()
        for batch in batches_of:
            uploads.keep(session, batch.id, plain)
        with uploads.kept(session, batches_of[0].id) as copy:
            assert copy.read_bytes() == plain.read_bytes()
        stored = session.scalars(select(RosterUpload.body_enc)).all()
        assert len(stored) == 4
        assert not any("王小宇".encode() in part or b"13800138001" in part for part in stored)
        # a part that is put into another's place is noticed
        session.execute(
            text(
                "update roster_upload a set body_enc = b.body_enc from roster_upload b"
                " where a.part = 0 and b.part = 0 and a.batch_id <> b.batch_id"
            )
        )
        with pytest.raises(InvalidTag), uploads.kept(session, batches_of[0].id):
            pass


def held_by(office: Office) -> set[int]:
    """The batches whose files are kept."""
    with Session(office.engine) as session:
        return set(session.scalars(select(RosterUpload.batch_id)))


def kept_lines(office: Office, batch_id: int) -> int:
    """How many named lines are kept with a batch."""
    with Session(office.engine) as session:
        return queries.changes_page(session, batch_id).total


def test_a_file_that_cannot_be_read_is_not_kept(office: Office, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    with pytest.raises(Invalid):
        office.preview(broken)
    assert held_by(office) == set()


def test_a_preview_nobody_applied_is_given_up_after_a_week(office: Office) -> None:
    office.preview(Export())
    with Session(office.engine) as session:
        session.execute(text("update roster_batch set created_at = :at"), {"at": clock.now()})
        session.commit()
    clock.travel_to(clock.now() + timedelta(days=8))
    office.preview(Export())
    with Session(office.engine) as session:
        states = session.scalars(select(RosterBatch.state).order_by(RosterBatch.id)).all()
    assert states == ["discarded", "previewed"]
    assert len(held_by(office)) == 1


def test_apply_says_so_if_the_file_is_no_longer_there(office: Office) -> None:
    batch = office.preview(Export())
    with Session(office.engine) as session, session.begin():
        uploads.forget(session, batch)
    with pytest.raises(Invalid):
        office.apply(batch)


@pytest.mark.parametrize("role", [r for r in Role if r is not Role.DISTRICT_ADMIN])
def test_only_the_districts_administrator_imports(office: Office, role: Role) -> None:
    actor = Actor(person_id=1, name="x", posts=(Post(role, 1),))
    for attempt in (
        lambda uow: batches.preview(uow, path=Path("x"), name="x"),
        lambda uow: batches.apply(uow, batch_id=1),
        lambda uow: batches.undo(uow, batch_id=1),
        lambda uow: batches.discard(uow, batch_id=1),
    ):
        with (
            pytest.raises(Forbidden),
            Session(office.engine) as session,
            begin(session, actor) as uow,
        ):
            attempt(uow)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "without the guard"])
def test_nobody_changes_a_row_between_comparing_and_writing(
    office: Office, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    office.load(Export())
    batch = office.preview(changed_export())
    if not guarded:
        monkeypatch.setattr(writing, "hold_present_rows", lambda session: None)
    kept_out: list[bool] = []
    keep = findings.keep_all_changes

    def meanwhile(session: Session, batch_id: int, ended: date) -> None:
        keep(session, batch_id, ended)
        with office.engine.connect() as other:
            other.execute(text("set lock_timeout = '200ms'"))
            try:
                other.execute(text("update person set name = '王语' where source_id = 'K1'"))
                other.commit()
                kept_out.append(False)
            except OperationalError:
                kept_out.append(True)

    monkeypatch.setattr(findings, "keep_all_changes", meanwhile)
    office.apply(batch)
    assert kept_out == [guarded]
    # without the guard the other person's correction is lost without a trace
    assert office.person("K1").name == "王小宇"


# -- custody limits ----------------------------------------------------------------------------


def limit(office: Office, child: str, guardian: str) -> None:
    """Somebody decides that this guardian is told nothing."""
    with Session(office.engine) as session:
        row = session.scalars(
            select(Guardianship).where(
                Guardianship.child_id == office.person(child).id,
                Guardianship.guardian_id == office.person(guardian).id,
            )
        ).one()
        row.no_disclosure = True
        session.commit()


def limits(office: Office) -> list[tuple[bool, date | None]]:
    """(limited, ends on) of every guardianship of the limited guardian."""
    with Session(office.engine) as session:
        return [
            (limited, ends)
            for limited, ends in session.execute(
                select(Guardianship.no_disclosure, Guardianship.ends_on)
                .where(Guardianship.guardian_id == office.person("P2").id)
                .order_by(Guardianship.id)
            )
        ]


def without_the_guardian() -> Export:
    export = Export()
    export.user("K1")[9] = "P1"
    return export


def guardian_deleted() -> Export:
    export = Export(mode="delta")
    export.user("P2")[1] = "tobedeleted"
    return export


def relation_deleted() -> Export:
    export = Export()
    export.user("K1")[9] = "P1"
    export.extra["relationships.csv"] = [
        ["userSourcedId", "relationshipUserSourcedId", "relationshipRole", "status"],
        ["K1", "P2", "guardian", "tobedeleted"],
    ]
    return export


def other_relation() -> Export:
    export = Export()
    export.user("P2")[2] = "parent"
    return export


@pytest.mark.parametrize(
    "export", [Export, without_the_guardian, guardian_deleted, relation_deleted, other_relation]
)
def test_no_file_lifts_a_custody_limit(office: Office, export: type[Export]) -> None:
    office.load(Export())
    limit(office, "K1", "P2")
    office.load(export())
    assert limits(office) == [(True, None)]


def test_a_limit_comes_back_with_the_guardian(office: Office) -> None:
    office.load(Export())
    limit(office, "K1", "P2")
    with Session(office.engine) as session:
        session.execute(text("update guardianship set ends_on = '2026-09-01' where no_disclosure"))
        session.commit()
    office.load(Export())
    assert limits(office) == [(True, date(2026, 9, 1)), (True, None)]


def test_undo_keeps_a_limit_that_was_set_on_what_it_takes_back(office: Office) -> None:
    batch = office.load(Export())
    limit(office, "K1", "P2")
    office.undo(batch)
    assert limits(office) == [(True, None)]
    assert office.person("P2").status == "left"


# -- phones --------------------------------------------------------------------------------------


def test_a_number_that_left_the_roster_is_forgotten(office: Office) -> None:
    office.load(Export())
    office.load(changed_export())
    mother = office.person("P1").id
    with Session(office.engine) as session:
        assert phones_of(session, [mother]) == {mother: "+8613900139001"}


def test_a_number_that_was_given_by_hand_stays(office: Office) -> None:
    office.load(Export())
    mother = office.person("P1").id
    with Session(office.engine) as session:
        session.execute(text("update contact_point set batch_id = null"))
        session.commit()
    office.load(changed_export())
    with Session(office.engine) as session:
        assert (
            session.scalar(
                text("select count(*) from contact_point where kind = 'phone' and person_id = :p"),
                {"p": mother},
            )
            == 2
        )


def test_what_is_kept_of_a_batch_names_no_phone(office: Office) -> None:
    batch = office.load(Export())
    office.load(changed_export())
    with Session(office.engine) as session:
        kept = "\n".join(
            session.scalars(
                text(
                    "select to_jsonb(c)::text from roster_change c union all"
                    " select to_jsonb(b)::text from roster_batch b union all"
                    " select to_jsonb(a)::text from audit_entry a union all"
                    " select to_jsonb(r)::text from roster_refusal r"
                )
            )
        )
    assert batch
    assert "王小宇" in kept
    for digits in ("13800138001", "13900139001"):
        assert digits not in kept


def test_a_terminal_takes_files_larger_than_a_page_does(office: Office, tmp_path: Path) -> None:
    export = Export()
    export.extra["demographics.csv"] = [["sourcedId", "note"], ["K1", "x" * 19_000]] * 600
    path = export.zip(tmp_path / "large.zip")
    assert path.stat().st_size > uploads.MOST_BY_WEB
    assert office.counts(office.preview(path))["student"] == (2, 0, 0, 0, 0)
