"""Handing out a file that somebody uploaded: to this reader alone, and never as a page of ours.

Must not know whose it is.
"""

from __future__ import annotations

import io

from flask import Response, send_file

# no scripts, no forms, an origin of its own; the browser's own page around a picture has inline styles
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


def handed_out(body: bytes, mime: str, name: str) -> Response:
    """A picture is shown, everything else saved; nobody on the way may keep either."""
    answer = send_file(
        io.BytesIO(body),
        mimetype=mime,
        as_attachment=not mime.startswith("image/"),
        download_name=name,
        etag=False,
        max_age=0,
    )
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
