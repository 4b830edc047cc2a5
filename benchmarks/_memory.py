"""What this process keeps in memory, and the most that a piece of work needed beside it (Linux)."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path


def resident(pid: int | str = "self") -> float:
    """MiB that a process has in memory now."""
    return _line("VmRSS", pid)


def extra(work: Callable[[], object]) -> float:
    """MiB that `work` needed at its peak beside what was there before it began."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident()
    work()
    return _line("VmHWM", "self") - before


def _line(name: str, pid: int | str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)
