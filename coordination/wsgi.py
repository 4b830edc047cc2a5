"""Composition root of the web process: `granian --interface wsgi coordination.wsgi:app`."""

from coordination.app import create_app
from coordination.settings import load

app = create_app(load())
