"""Timing and printing for the benchmarks: candidates take turns, medians are compared, limits judged.

CPU time of this process is measured where one process does the work: it hardly depends on what else
the machine does. Knows nothing of the product.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

console = Console(width=110)


def quick() -> bool:
    """Whether a short run is wanted: ``--quick``, or BENCH_QUICK=1 for all of `make bench`."""
    return "--quick" in sys.argv or os.environ.get("BENCH_QUICK") == "1"


def rounds(usual: int = 7) -> int:
    """How many turns each candidate gets; never less than five."""
    return 5 if quick() else max(usual, 5)


@dataclass(slots=True)
class Times:
    """What one candidate needed, turn by turn, per call."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def wall_median(self) -> float:
        """Seconds on the clock."""
        return statistics.median(self.wall)

    @property
    def cpu_median(self) -> float:
        """Seconds of CPU of this process."""
        return statistics.median(self.cpu)

    @property
    def spread(self) -> str:
        """The least and the most CPU, in milliseconds."""
        return f"{min(self.cpu) * 1e3:.2f}-{max(self.cpu) * 1e3:.2f}"


def race(
    candidates: Mapping[str, Callable[[], object]], *, turns: int, calls: int = 1
) -> dict[str, Times]:
    """Let the candidates take turns, in changing order, `calls` calls a turn; warmed up before."""
    found = {name: Times() for name in candidates}
    for run in candidates.values():
        run()
    order = list(candidates)
    for turn in range(turns):
        for name in order if turn % 2 == 0 else reversed(order):
            run = candidates[name]
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(calls):
                run()
            found[name].cpu.append((time.process_time() - cpu) / calls)
            found[name].wall.append((time.perf_counter() - wall) / calls)
    return found


def show(title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table."""
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def at_least(what: str, value: float, goal: float, unit: str = "x") -> None:
    """Print whether a ratio reaches its goal."""
    met = "met" if value >= goal else "NOT met"
    console.print(f"{what}: {value:.1f}{unit}, at least {goal:g}{unit}: {met}")


def at_most(what: str, value: float, goal: float, unit: str = "") -> None:
    """Print whether a figure stays below its limit."""
    met = "met" if value <= goal else "NOT met"
    console.print(f"{what}: {value:.1f}{unit}, at most {goal:g}{unit}: {met}")
