"""A real HTTP server that speaks Twilio's Messages and Calls resources, for tests and demonstrations.

It takes, refuses, slows down or hangs as told per number or by `plan`, and posts signed status
callbacks. Run it alone: `python -m tests.standin.twilio 8089`.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from twilio.request_validator import RequestValidator

ACCOUNT = "AC" + "0" * 32
TOKEN = "0123456789abcdef0123456789abcdef"

# the numbers Twilio itself documents for trials
INVALID = "+15005550001"
UNSUBSCRIBED = "+15005550004"
NOT_MOBILE = "+15005550009"


@dataclass(slots=True)
class Taken:
    """A message that the stand-in accepted."""

    sid: str
    to: str
    body: str
    form: dict[str, str]
    created: datetime
    status: str = "queued"

    def as_json(self) -> dict[str, object]:
        return {
            "sid": self.sid,
            "account_sid": ACCOUNT,
            "api_version": "2010-04-01",
            "to": self.to,
            "from": self.form.get("From"),
            "messaging_service_sid": self.form.get("MessagingServiceSid"),
            "body": self.body,
            "status": self.status,
            "num_segments": "1",
            "num_media": "0",
            "direction": "outbound-api",
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "error_message": None,
            "date_created": format_datetime(self.created),
            "date_updated": format_datetime(self.created),
            "date_sent": None,
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{self.sid}.json",
            "subresource_uris": {},
        }


@dataclass(slots=True)
class TakenCall:
    """A call that the stand-in started; it rings until a test says how it went."""

    sid: str
    to: str
    form: dict[str, str]
    # a field may come several times
    events: list[str]
    created: datetime
    status: str = "queued"

    @property
    def document(self) -> str:
        """The TwiML that came with it."""
        return self.form["Twiml"]

    @property
    def action(self) -> str:
        """Where a pressed key is sent."""
        found = re.search(r'action="([^"]+)"', self.document)
        assert found is not None
        return unescape(found[1])

    def as_json(self) -> dict[str, object]:
        return {
            "sid": self.sid,
            "account_sid": ACCOUNT,
            "api_version": "2010-04-01",
            "to": self.to,
            "from": self.form.get("From"),
            "status": self.status,
            "direction": "outbound-api",
            "answered_by": None,
            "duration": None,
            "price": None,
            "date_created": format_datetime(self.created),
            "date_updated": format_datetime(self.created),
            "start_time": None,
            "end_time": None,
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{self.sid}.json",
            "subresource_uris": {},
        }


@dataclass(slots=True)
class Request:
    """A request as it stood on the wire."""

    method: str
    path: str
    authorization: str
    kind: str
    fields: list[tuple[str, str]]


@dataclass
class Standin:
    """The server and what it saw. `plan` holds one fault per coming create, then none.

    Faults: `429`, `500_before`, `500_after`, `503`, `hang_before`, `hang_after`, `eof_after`,
    `401`, `garbage_after`. Hanging lasts `hang_seconds`.
    """

    account: str = ACCOUNT
    token: str = TOKEN
    plan: list[str] = field(default_factory=list)
    hang_seconds: float = 15.0
    latency: float = 0.0
    list_fails: bool = False
    taken: list[Taken] = field(default_factory=list)
    calls: list[TakenCall] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None
    _released: threading.Event = field(default_factory=threading.Event)

    def start(self, port: int = 0, host: str = "127.0.0.1") -> Self:
        """Listen; port 0 takes a free one."""
        handler = type("Handler", (_Handler,), {"owner": self})
        server = ThreadingHTTPServer((host, port), handler)
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and let hanging requests go."""
        self._released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start() if self._server is None else self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def base(self) -> str:
        """The URL to give as TWILIO_API_BASE."""
        if self._server is None:
            raise RuntimeError("the stand-in is not started")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def next_fault(self) -> str:
        with self._lock:
            return self.plan.pop(0) if self.plan else ""

    def take(self, form: dict[str, str]) -> Taken:
        message = Taken(
            sid="SM" + uuid.uuid4().hex,
            to=form["To"],
            body=form.get("Body", ""),
            form=form,
            created=datetime.now(UTC),
        )
        with self._lock:
            self.taken.append(message)
        return message

    def ring(self, form: dict[str, str], events: list[str]) -> TakenCall:
        call = TakenCall(
            sid="CA" + uuid.uuid4().hex,
            to=form["To"],
            form=form,
            events=events,
            created=datetime.now(UTC),
        )
        with self._lock:
            self.calls.append(call)
        return call

    def note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def pause(self) -> None:
        self._released.wait(self.hang_seconds)

    def report(
        self,
        message: Taken,
        status: str,
        *,
        error_code: str = "",
        url: str | None = None,
        extra: Sequence[tuple[str, str]] = (),
        deliver_to: Callable[[str], str] = str,
    ) -> int:
        """Post one signed status callback and return the HTTP status of the answer.

        `url` is the public URL that is signed; `deliver_to` turns it into where it is posted.
        """
        message.status = status
        target = url or message.form["StatusCallback"]
        fields = [
            ("AccountSid", self.account),
            ("ApiVersion", "2010-04-01"),
            ("MessageSid", message.sid),
            ("SmsSid", message.sid),
            ("MessageStatus", status),
            ("SmsStatus", status),
            ("To", message.to),
            *([("ErrorCode", error_code)] if error_code else []),
            *extra,
        ]
        return self._post(target, fields, deliver_to)[0]

    def report_call(
        self, call: TakenCall, status: str, *, extra: Sequence[tuple[str, str]] = ()
    ) -> int:
        """Post one signed report of a call and return the HTTP status of the answer."""
        call.status = status
        fields = [*self._of(call), ("CallbackSource", "call-progress-events"), *extra]
        return self._post(call.form["StatusCallback"], fields)[0]

    def press(self, call: TakenCall, digit: str) -> tuple[int, str]:
        """Press a key in a call: the HTTP status of the answer, and its TwiML."""
        call.status = "in-progress"
        fields = [*self._of(call), ("Digits", digit), ("msg", "Gather End")]
        return self._post(call.action, fields)

    def _of(self, call: TakenCall) -> list[tuple[str, str]]:
        return [
            ("AccountSid", self.account),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", call.sid),
            ("CallStatus", call.status),
            ("Direction", "outbound-api"),
            ("To", call.to),
        ]

    def _post(
        self,
        target: str,
        fields: Sequence[tuple[str, str]],
        deliver_to: Callable[[str], str] = str,
    ) -> tuple[int, str]:
        request = urllib.request.Request(
            deliver_to(target),
            data=urlencode(fields).encode(),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Twilio-Signature": sign(self.token, target, fields),
                "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""


class _Fields(dict[str, str]):
    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__(fields)
        self._fields = fields

    def getlist(self, name: str) -> list[str]:
        return [value for key, value in self._fields if key == name]


def sign(token: str, url: str, fields: Sequence[tuple[str, str]]) -> str:
    """Sign a callback as Twilio does."""
    return str(RequestValidator(token).compute_signature(url, _Fields(fields)))


class _Handler(BaseHTTPRequestHandler):
    owner: Standin
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: requests hold numbers."""

    def do_POST(self) -> None:
        fields = parse_qsl(
            self.rfile.read(int(self.headers["Content-Length"])).decode(), keep_blank_values=True
        )
        self._note("POST", fields)
        if not self._authorized():
            self._refuse(401, 20003, "Authenticate")
            return
        if self.path not in (self._messages(), self._calls()):
            self._refuse(404, 20404, "The requested resource was not found")
            return
        if self.owner.latency:
            time.sleep(self.owner.latency)
        self._create(dict(fields), [v for k, v in fields if k == "StatusCallbackEvent"])

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._note("GET", parse_qsl(url.query))
        if not self._authorized():
            self._refuse(401, 20003, "Authenticate")
        elif self.owner.list_fails:
            self._refuse(503, 20503, "Service unavailable")
        elif url.path in (self._messages(), self._calls()):
            wanted = parse_qs(url.query).get("To", [None])[0]
            calls = url.path == self._calls()
            known: Sequence[Taken | TakenCall] = self.owner.calls if calls else self.owner.taken
            found = [m for m in reversed(known) if wanted in (None, m.to)]
            self._answer(
                200,
                {
                    "calls" if calls else "messages": [one.as_json() for one in found],
                    "page": 0,
                    "page_size": 100,
                    "start": 0,
                    "end": max(len(found) - 1, 0),
                    "uri": self.path,
                    "first_page_uri": self.path,
                    "next_page_uri": None,
                    "previous_page_uri": None,
                },
            )
        else:
            self._refuse(404, 20404, "The requested resource was not found")

    def _create(self, form: dict[str, str], events: list[str]) -> None:
        fault = self.owner.next_fault()
        refusals = {
            INVALID: (21211, "Invalid 'To' Phone Number"),
            UNSUBSCRIBED: (21610, "Attempt to send to unsubscribed recipient"),
            NOT_MOBILE: (21614, "'To' number is not a valid mobile number"),
        }
        if fault == "429":
            self._refuse(429, 20429, "Too Many Requests")
        elif fault in ("503", "500_before"):
            self._refuse(int(fault[:3]), 20500, "Internal error")
        elif fault == "401":
            self._refuse(401, 20003, "Authenticate")
        elif fault == "hang_before":
            self.owner.pause()
            self.close_connection = True
        elif not form.get("To"):
            self._refuse(400, 21604, "A 'To' phone number is required.")
        elif self.path == self._calls() and not form.get("Twiml"):
            self._refuse(400, 21205, "Url or Twiml is required.")
        elif self.path == self._messages() and not form.get("Body"):
            self._refuse(400, 21602, "Message body is required.")
        elif not (form.get("From") or form.get("MessagingServiceSid")):
            self._refuse(400, 21603, "A 'From' phone number is required.")
        elif form["To"] in refusals:
            self._refuse(400, *refusals[form["To"]])
        else:
            self._accept(form, events, fault)

    def _accept(self, form: dict[str, str], events: list[str], fault: str) -> None:
        calls = self.path == self._calls()
        message = self.owner.ring(form, events) if calls else self.owner.take(form)
        if fault == "hang_after":
            self.owner.pause()
            self.close_connection = True
        elif fault == "eof_after":
            self.close_connection = True
        elif fault == "500_after":
            self._refuse(500, 20500, "Internal error")
        elif fault == "garbage_after":
            self._write(201, b"<html>proxy</html>")
        else:
            self._answer(201, message.as_json())

    def _messages(self) -> str:
        return f"/2010-04-01/Accounts/{self.owner.account}/Messages.json"

    def _calls(self) -> str:
        return f"/2010-04-01/Accounts/{self.owner.account}/Calls.json"

    def _authorized(self) -> bool:
        pair = f"{self.owner.account}:{self.owner.token}".encode()
        return self.headers.get("Authorization") == f"Basic {base64.b64encode(pair).decode()}"

    def _note(self, method: str, fields: list[tuple[str, str]]) -> None:
        heads = (self.headers.get(name, "") for name in ("Authorization", "Content-Type"))
        self.owner.note(Request(method, self.path, *heads, fields))

    def _refuse(self, status: int, code: int, message: str) -> None:
        self._answer(
            status,
            {
                "code": code,
                "message": message,
                "more_info": f"https://www.twilio.com/docs/errors/{code}",
                "status": status,
            },
        )

    def _answer(self, status: int, value: dict[str, object]) -> None:
        self._write(status, json.dumps(value).encode())

    def _write(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 429:
                self.send_header("Retry-After", "2")
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def main(argv: Sequence[str]) -> None:
    """Serve until interrupted."""
    standin = Standin().start(int(argv[1]) if len(argv) > 1 else 8089)
    print(f"TWILIO_API_BASE={standin.base}")
    print(f"TWILIO_ACCOUNT_SID={standin.account}")
    print(f"TWILIO_AUTH_TOKEN={standin.token}")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        standin.stop()


if __name__ == "__main__":
    main(sys.argv)
