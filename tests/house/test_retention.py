"""Every table has a term, or a reason why nothing of it ends by itself."""

from __future__ import annotations

from coordination.domain.tables import metadata as district
from coordination.reactions import retention
from notifications.models import metadata as notifications

TABLES = set(district.tables) | set(notifications.tables)
ENDING = {table for one in retention.ALL for table in one.tables}


def test_every_table_ends_or_is_kept_for_a_reason() -> None:
    assert TABLES - ENDING - set(retention.KEPT) == set()


def test_no_table_is_listed_that_is_not_there_or_twice() -> None:
    assert ENDING | set(retention.KEPT) == TABLES
    assert ENDING & set(retention.KEPT) == set()


def test_every_term_says_why_and_counts_from_something() -> None:
    for one in retention.ALL:
        assert one.days > 0
        assert all((one.why.zh, one.why.en, one.since.zh, one.since.en))


def test_no_table_with_a_person_in_it_is_called_a_setting_or_work() -> None:
    """A column that refers to a child or guardian is not "nothing personal"."""
    personal = {
        name
        for name, table in district.tables.items()
        if {"child_id", "guardian_id"} & set(table.columns.keys())
    }
    impersonal = {
        name for name, why in retention.KEPT.items() if "personal" in why.en or "name" in why.en
    }
    assert personal & impersonal == set()
