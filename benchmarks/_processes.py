"""CPU time of other processes, by /proc: a database's backends, a broker. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(*pids: int) -> float:
    """Seconds that these processes have used so far, without their children."""
    return sum(sum(_fields(pid)[11:13]) for pid in pids) / _TICK


def cpu_of_family(pid: int) -> float:
    """Seconds of a process and its children, of those that have ended too."""
    used = float(sum(_fields(pid)[11:15]))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = _fields(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[1] == pid:
                used += sum(fields[11:13])
    return used / _TICK


def _fields(pid: int) -> list[int]:
    # the name may hold spaces; what follows it begins with the state, a letter
    after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, after[1:])]
