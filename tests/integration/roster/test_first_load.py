"""A first import checks its references once, at the end: nothing gets in that would not have before."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from coordination.domain.people.roster import first_load, writing
from tests.build.roster import Export, Office


@pytest.fixture(autouse=True)
def _small_districts_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_load, "LEAST", 5)


def shape(engine: Engine) -> list[tuple[object, ...]]:
    """Every constraint, whether it was checked, and every index that may be used."""
    with engine.connect() as held:
        constraints = held.execute(
            text(
                "select cast(conrelid as regclass), conname, pg_get_constraintdef(oid), convalidated"
                " from pg_constraint where connamespace = cast('public' as regnamespace) order by 1, 2"
            )
        ).all()
        indexes = held.execute(
            text(
                "select indrelid, pg_get_indexdef(indexrelid), indisvalid and indisready"
                " from pg_index join pg_class c on c.oid = indrelid"
                " where c.relnamespace = cast('public' as regnamespace) order by 1, 2"
            )
        ).all()
    return [tuple(row) for row in (*constraints, *indexes)]


class Taken:
    """Whether references were taken off while this listens."""

    def __init__(self, engine: Engine) -> None:
        self.off = 0
        event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, *given: object) -> None:
        self.off += "drop constraint" in str(given[2])


def test_what_was_taken_off_is_put_back_checked(office: Office) -> None:
    before, taken = shape(office.engine), Taken(office.engine)
    office.load(Export())
    assert taken.off == 6  # else the test would prove nothing
    assert shape(office.engine) == before
    with (
        pytest.raises(IntegrityError, match="fk_class_member_person_id"),
        office.engine.begin() as c,
    ):
        c.execute(
            text(
                "insert into class_member (class_id, person_id, starts_on)"
                " select id, 999999, '2026-09-01' from class_group"
            )
        )


@pytest.mark.parametrize(
    ("broken", "refused"),
    [
        (
            "insert into class_member (class_id, person_id, starts_on)"
            " select id, 999999, '2026-09-01' from class_group",
            "fk_class_member_person_id",
        ),
        (
            "insert into guardianship (child_id, guardian_id, relation, starts_on)"
            " select child_id, guardian_id, relation, starts_on from guardianship limit 1",
            "uq_guardianship_current",
        ),
    ],
    ids=["refers to nobody", "stands twice"],
)
def test_a_row_that_should_not_be_there_fails_the_whole_import(
    office: Office, monkeypatch: pytest.MonkeyPatch, broken: str, refused: str
) -> None:
    before, taken = shape(office.engine), Taken(office.engine)
    batch, write = office.preview(Export()), writing.write

    def wrongly(session: Session, batch_id: int, *, today: date, ended: date) -> int:
        written = write(session, batch_id, today=today, ended=ended)
        session.execute(text(broken))
        return written

    monkeypatch.setattr(writing, "write", wrongly)
    with pytest.raises(IntegrityError, match=refused):
        office.apply(batch)
    assert taken.off == 6
    assert shape(office.engine) == before
    with office.engine.connect() as held:
        assert held.scalar(text("select count(*) from person")) == 0


def test_a_connection_cut_between_taking_off_and_putting_back_leaves_everything_in_place(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, taken = shape(office.engine), Taken(office.engine)
    batch, write = office.preview(Export()), writing.write

    def cut_off(session: Session, batch_id: int, *, today: date, ended: date) -> int:
        written = write(session, batch_id, today=today, ended=ended)
        mine = session.scalar(text("select pg_backend_pid()"))
        with office.engine.connect() as other:
            other.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": mine})
        return written

    with monkeypatch.context() as patched:
        patched.setattr(writing, "write", cut_off)
        with pytest.raises(OperationalError):
            office.apply(batch)
    assert taken.off == 6
    assert shape(office.engine) == before
    with office.engine.connect() as held:
        assert held.scalar(text("select count(*) from person")) == 0
    office.apply(batch)  # and it can simply be done again
    assert office.person("K1").name == "王小雨"


def test_whoever_reads_meanwhile_is_not_made_to_wait(office: Office) -> None:
    batch, taken = office.preview(Export()), Taken(office.engine)
    with ExitStack() as stack:
        reader = stack.enter_context(create_engine(office.engine.url).connect())
        reader.execute(text("select count(*) from person"))
        office.apply(batch)
        assert reader.scalar(text("select count(*) from person")) == 7
    assert taken.off == 0


def test_a_district_that_runs_is_never_shut(office: Office) -> None:
    office.load(Export())
    taken, more = Taken(office.engine), Export(mode=None)
    for number in range(9):
        more.users.append([f"N{number}", "", "student", "新", "陈", "S1", "03", "", "", "P1"])
    office.load(more)
    assert taken.off == 0


def test_an_account_that_does_not_own_the_tables_imports_all_the_same(office: Office) -> None:
    batch = office.preview(Export())
    with office.engine.begin() as held:
        held.execute(text("drop role if exists clerk"))
        held.execute(text("create role clerk"))
        held.execute(text("grant all on all tables in schema public to clerk"))
        held.execute(text("grant all on all sequences in schema public to clerk"))
    clerk = create_engine(office.engine.url, connect_args={"options": "-c role=clerk"})
    taken = Taken(clerk)
    Office(clerk, office.folder).apply(batch)
    assert (taken.off, office.person("K1").name) == (0, "王小雨")
    clerk.dispose()
    with office.engine.begin() as held:
        held.execute(text("drop owned by clerk"))
        held.execute(text("drop role clerk"))
