"""A test client that speaks like a browser: tokens and cookies included."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "a long enough sentence"
PHONE = "13800000001"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """A test client that sends the token of the page it has just seen."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.token = ""

    def get(self, path: str, **kept: str) -> TestResponse:
        """Open a page."""
        return self._seen(self.client.get(path, **kept))

    def post(self, path: str, **fields: str) -> TestResponse:
        """Submit a form."""
        return self._seen(self.client.post(path, data={"csrf_token": self.token, **fields}))

    def _seen(self, answer: TestResponse) -> TestResponse:
        if found := _TOKEN.search(answer.get_data(as_text=True)):
            self.token = found.group(1)
        return answer

    def sign_in(self, login: str = "li", password: str = PASSWORD) -> TestResponse:
        """Sign in with a password."""
        self.get("/sign-in")
        return self.post("/sign-in", login=login, password=password)
