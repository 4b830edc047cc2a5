"""A few seconds of the fuzzing that `make fuzz` does for an hour, and proof that it finds faults."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calendars import busy_child
from scripts import fuzz_calendars as fuzz

FAULTS = {
    "a crash": "ended with 1",
    "a hang": "s of CPU",
    "a flood": "MB",
}


def test_mutated_calendars_do_no_harm(tmp_path: Path) -> None:
    # apart: a reader forked from the tests' own process would be as large as they are
    done = subprocess.run(
        [
            *(sys.executable, "scripts/fuzz_calendars.py", "--seed", "7", "--minutes", "5"),
            *("--cases", "300", "--keep", str(tmp_path)),
        ],
        cwd=fuzz.HERE,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300 cases" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_makes_the_same_files() -> None:
    first = [content for (_, content), _ in zip(fuzz.cases(3), range(50), strict=False)]
    again = [content for (_, content), _ in zip(fuzz.cases(3), range(50), strict=False)]
    assert first == again
    assert len(set(first)) > 45


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_reader_is_found_out(
    fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # negative control: the forked reader inherits the fault
    def crash(*_: object) -> None:
        raise RuntimeError("a fault")

    def hang(*_: object) -> None:
        begun = time.process_time()
        while time.process_time() - begun < 2.5:
            pass

    def flood(*_: object) -> None:
        kept.append(b"x" * 350_000_000)

    kept: list[bytes] = []
    chosen = {"a crash": crash, "a hang": hang, "a flood": flood}[fault]
    monkeypatch.setattr(busy_child, "_refuse_unread", chosen)
    if fault != "a crash":
        monkeypatch.setattr(busy_child, "_limit", lambda *_: None)
    content = fuzz.corpus()[-1]
    assert FAULTS[fault] in fuzz.what_is_wrong(fuzz.read_apart(content))
    if fault == "a crash":
        assert fuzz.run(seed=7, minutes=5, most=40, keep=tmp_path) > 0
        assert any(tmp_path.glob("*.ics"))
