"""The application on a port of its own, so that a provider on this machine can call it back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from coordination.app import create_app
from coordination.settings import Settings
from coordination.worker import configure

FIELD_KEY = "a field key for tests only"


@contextmanager
def serving_site(database_url: str, **settings: Any) -> Iterator[tuple[Settings, Flask]]:
    """The settings, with the address at which the application is reached, and the application."""
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
    made = Settings(
        database_url=database_url,
        public_url=f"http://127.0.0.1:{server.server_port}",
        field_key=FIELD_KEY,
        **settings,
    )
    app = create_app(made)
    server.app = app
    configure(made)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made, app
    finally:
        server.shutdown()
