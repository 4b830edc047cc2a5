"""Every reason that the product gives for what became of a message is said in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from coordination.web import delivery
from tests.house import source

# call -> which of its arguments is a code that the page of a message shows
GIVEN = {"Skip": 0, "Refused": 1, "Doubt": 0, "Decision": 2}
NAMED = ("reason", "reason_code")


def codes(path: Path) -> Iterator[str]:
    """Codes that a file gives as plain text."""
    for call in source.calls(path, *GIVEN, "values"):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        place = GIVEN.get(name)
        found = [] if place is None else call.args[place : place + 1]
        found += [k.value for k in call.keywords if k.arg in NAMED]
        for value in found:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def given() -> dict[str, Path]:
    """Each code of the engine, of its channels and of what resolves recipients."""
    files = source.files("notifications", "coordination/reactions")
    return {code: path for path in files for code in codes(path)}


def test_every_reason_has_words_in_both_languages() -> None:
    unsaid = [code for code in given() if "原因代码" in str(delivery.reason_word(code))]
    assert unsaid == []


def test_the_search_finds_reasons_of_every_kind() -> None:
    found = given()
    for code in ("left", "no_template", "no_sid", "doubt_again_and_again", "sender_died"):
        assert code in found, code


def test_a_reason_of_which_only_the_kind_is_known_says_that() -> None:
    assert "503" in str(delivery.reason_word("http_503"))
    assert "核实" in str(delivery.reason_word("ConnectionResetError"))
    assert "12345" in str(delivery.reason_word("12345"))
