"""A WSGI application that asks nobody: the bytes of FINISHED, for every request; with HANDED, an empty
answer by which nginx in front hands them out itself.

What the product's web server can do at most, whatever the application behind it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

if handed := os.environ.get("HANDED"):
    BODY = b""
    HEADERS = [("Content-Type", "text/calendar"), ("X-Accel-Redirect", handed)]
else:
    BODY = Path(os.environ["FINISHED"]).read_bytes()
    HEADERS = [("Content-Type", "text/calendar"), ("Content-Length", str(len(BODY)))]


def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The finished bytes, or who has them."""
    start_response("200 OK", HEADERS)
    return [BODY]
