"""Is the process alive, and may it take visitors? For load balancers and service managers."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from coordination.ground import clock
from coordination.web.guards import Access, guard
from coordination.web.readiness import readiness
from coordination.web.request import database

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@guard(Access.PUBLIC)
def process() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
@guard(Access.PUBLIC)
def ready() -> ResponseReturnValue:
    """Database, migration head, the clock's last tick, age of the oldest due message."""
    found = readiness(database(), clock.now())
    return jsonify(
        status="ready" if found.ready else "not ready",
        database=found.database,
        migrated=found.migrated,
        clock_age_seconds=found.clock_age_seconds,
        clock_late=found.clock_late,
        oldest_due_message_seconds=found.oldest_due_seconds,
        held_after_restore=found.held_after_restore,
    ), 200 if found.ready else 503
