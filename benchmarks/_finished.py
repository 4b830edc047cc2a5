"""A WSGI application that asks nobody: the bytes of FINISHED, for every request.

What the product's web server can do at most, whatever the application behind it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

BODY = Path(os.environ["FINISHED"]).read_bytes()
HEADERS = [("Content-Type", "text/calendar"), ("Content-Length", str(len(BODY)))]


def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The finished bytes."""
    start_response("200 OK", HEADERS)
    return [BODY]
