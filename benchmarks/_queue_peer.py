"""One task queue doing nothing, many times: run by an interpreter that has the queue installed.

`_queue_peer.py dramatiq|celery COUNT REDIS_URL REDIS_PID` prints the seconds of CPU of this process
(enqueue and work) and of Redis. The worker runs in this process, which is the cheapest way.
Must not import anything of the product: it is not installed where this runs.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from _processes import cpu_of


def dramatiq_run(count: int, url: str, measured: list[float], pid: int) -> None:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=url)
    dramatiq.set_broker(broker)
    done, all_done, lock = [0], threading.Event(), threading.Lock()

    @dramatiq.actor
    def nothing(_number: int) -> None:
        with lock:
            done[0] += 1
            if done[0] == count:
                all_done.set()

    worker = dramatiq.Worker(broker, worker_threads=8)
    worker.start()
    start(measured, pid)
    for number in range(count):
        nothing.send(number)
    assert all_done.wait(300)
    stop(measured, pid)
    worker.stop()


def celery_run(count: int, url: str, measured: list[float], pid: int) -> None:
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    app = Celery("bench", broker=url)
    app.conf.task_ignore_result = True
    app.conf.worker_hijack_root_logger = False
    done, all_done = [0], threading.Event()

    @app.task
    def nothing(_number: int) -> None:
        done[0] += 1
        if done[0] == count:
            all_done.set()

    with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
        start(measured, pid)
        for number in range(count):
            nothing.delay(number)
        assert all_done.wait(300)
        stop(measured, pid)


def start(measured: list[float], pid: int) -> None:
    time.sleep(0.5)  # what starting costs is not counted
    measured[:] = [time.process_time(), cpu_of(pid)]


def stop(measured: list[float], pid: int) -> None:
    measured[:] = [time.process_time() - measured[0], cpu_of(pid) - measured[1]]


if __name__ == "__main__":
    name, count, url, pid = sys.argv[1:]
    found: list[float] = []
    {"dramatiq": dramatiq_run, "celery": celery_run}[name](int(count), url, found, int(pid))
    print(json.dumps(found))
