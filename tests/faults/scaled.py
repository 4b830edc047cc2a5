"""Starts a process of the product with every waiting time divided by FAULTS_SCALE: same code, less
patience. A check after two minutes comes after two seconds at 60; the order of all times stays.

`python -m tests.faults.scaled worker` is `coordination worker`, scaled.
"""

from __future__ import annotations

import os

from coordination.cli import main
from notifications import pump, reconciling, retry
from notifications.channels import twilio_sms

# a busy machine is not a slow provider: the read timeout is not scaled below this
SHORTEST_READ = 1.0


def scale(by: float) -> None:
    """Divide every waiting time of this process; what decides on them is not touched."""
    retry.CHECKS = tuple(wait / by for wait in retry.CHECKS)  # type: ignore[assignment]
    retry.BACKOFF = tuple(wait / by for wait in retry.BACKOFF)
    retry.HALT = retry.HALT / by
    reconciling.ASK_AGAIN = reconciling.ASK_AGAIN / by
    reconciling.PATIENCE = reconciling.PATIENCE / by
    reconciling.ASK_DAILY = reconciling.ASK_DAILY / by
    pump.STALE_SECONDS = pump.STALE_SECONDS / by
    twilio_sms.READ_SECONDS = max(twilio_sms.READ_SECONDS / by, SHORTEST_READ)


if __name__ == "__main__":
    scale(float(os.environ.get("FAULTS_SCALE", "1")))
    main()
