"""Kills, stops and cuts at random, by seed: only processes that the harness itself has started."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress


class Fleet:
    """Processes of one kind, each started anew when it ends."""

    def __init__(self, start: Sequence[Callable[[], subprocess.Popen[bytes]]]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self.running = [make() for make in start]

    def kill(self, number: int) -> None:
        """kill -9; `revive` starts a successor."""
        with self._lock:
            one = self.running[number]
            one.kill()
            one.wait()

    @contextmanager
    def stopped(self, number: int) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end: the process does not know that time has passed."""
        with self._lock:
            one = self.running[number]
        with suppress(ProcessLookupError):
            one.send_signal(signal.SIGSTOP)
        yield
        with suppress(ProcessLookupError):
            one.send_signal(signal.SIGCONT)

    def pause(self, number: int, seconds: float) -> None:
        """Stopped for some seconds."""
        with self.stopped(number):
            time.sleep(seconds)

    def revive(self) -> None:
        """Start again what ended by itself."""
        with self._lock:
            for number, one in enumerate(self.running):
                if one.poll() is not None:
                    self.running[number] = self._start[number]()

    def stop(self) -> None:
        """End all of them for good, with what they started: a web server has a child."""
        with self._lock:
            for one in self.running:
                with suppress(ProcessLookupError):
                    os.killpg(one.pid, signal.SIGKILL)
                one.wait()


class Killer(threading.Thread):
    """Does one harm after the other until told to stop; `done` counts them."""

    def __init__(
        self, seed: int, mean_seconds: float, harms: dict[str, tuple[float, Callable[..., None]]]
    ) -> None:
        super().__init__(daemon=True)
        self._dice = random.Random(f"killer:{seed}")
        self._mean, self._harms = mean_seconds, harms
        self._stop_asked = threading.Event()
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        names = list(self._harms)
        weights = [self._harms[name][0] for name in names]
        while not self._stop_asked.wait(self._dice.expovariate(1 / self._mean)):
            name = self._dice.choices(names, weights)[0]
            self._harms[name][1](self._dice)
            self.done[name] += 1

    def stop(self) -> None:
        """Finish the harm in hand and do no more."""
        self._stop_asked.set()
        self.join()
