"""The command that the README names is there after `make`, and works from any folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from coordination.authz.policy import POLICY
from coordination.supervisor import ROOT


def test_the_command_runs_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "coordination", "policy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "notice.send" in done.stdout


def test_the_printed_policy_is_in_words() -> None:
    for rule in POLICY.values():
        assert str(rule) != "nobody"
        assert not set("<>()=") & set(str(rule))
