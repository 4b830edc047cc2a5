"""Where a short code leads: subject type -> the endpoint that shows it.

Features say so where their routes are declared; the front page only looks it up. The endpoint takes
one argument, `code`, and resolves it again by itself.
"""

from __future__ import annotations

_endpoints: dict[str, str] = {}


def opens(subject_type: str, endpoint: str) -> None:
    """Codes for `subject_type` are shown by `endpoint`."""
    _endpoints[subject_type] = endpoint


def endpoint_for(subject_type: str) -> str | None:
    """The endpoint that shows codes of this type, if any feature has one."""
    return _endpoints.get(subject_type)
