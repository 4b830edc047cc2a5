"""`coordination run` until the first page answers: on an empty INSTANCE_DIR, and started again.

The first start makes the database, migrates it and loads the demo district; one start follows
SIGKILL, the worst way to stop. Seconds on the clock are what a person waits for, so that here the
load of the machine counts.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks._table import at_most, quick, show

ROOT = Path(__file__).resolve().parent.parent
FIRST, AGAIN = 20, 5
PATIENCE = 120


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """The product on data of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start, wait for the front page; seconds."""
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coordination.cli", "run"],
            cwd=ROOT,
            env={
                **{k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
                "INSTANCE_DIR": str(self.folder),
                "PORT": str(self.port),
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while time.perf_counter() - begun < PATIENCE:
            if self.process.poll() is not None:
                raise SystemExit(f"the product ended with {self.process.returncode}")
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
                    page = answer.read()
                if answer.status == 200 and b"<main" in page:
                    return time.perf_counter() - begun
            except (URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.02)
        raise SystemExit(f"no page within {PATIENCE} s")

    def kill(self) -> None:
        """As if the machine had lost its power; the port is free afterwards."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(60)
        self.process = None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.05)
        raise SystemExit("the web process outlived its parent")


def main() -> None:
    """Start, kill, start again, several times over."""
    taken: dict[str, list[float]] = {"first start": [], "after kill -9": [], "after Ctrl-C": []}
    for _ in range(1 if quick() else 5):
        # not below a home folder: the account that the database has under root must reach it
        folder = Path(tempfile.mkdtemp(prefix="bench-start-"))
        product = Product(folder)
        try:
            taken["first start"].append(product.start())
            product.kill()
            taken["after kill -9"].append(product.start())
            product.stop()
            taken["after Ctrl-C"].append(product.start())
        finally:
            product.stop()
            shutil.rmtree(folder, ignore_errors=True)
    show(
        "`coordination run` until the front page is there",
        ("start", "seconds (median)", "least-most", "runs"),
        [
            (name, f"{statistics.median(s):.1f}", f"{min(s):.1f}-{max(s):.1f}", str(len(s)))
            for name, s in taken.items()
        ],
    )
    at_most("first start", statistics.median(taken["first start"]), FIRST, " s")
    for name in ("after kill -9", "after Ctrl-C"):
        at_most(f"start {name}", statistics.median(taken[name]), AGAIN, " s")


if __name__ == "__main__":
    main()
