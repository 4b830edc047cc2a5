"""A real HTTP server that speaks the RPC of Aliyun's Dysmsapi: SendSms and QuerySendDetails.

It checks the signature of every request with the secret, takes, refuses or hangs as `plan` says, and
keeps what it took by number and day.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit
from zoneinfo import ZoneInfo

KEY, SECRET = "LTAI" + "0" * 12, "secret-of-the-stand-in"
SIGN_NAME = "光明区教育"
CHINA = ZoneInfo("Asia/Shanghai")


@dataclass(slots=True)
class Taken:
    """A message that the stand-in accepted."""

    biz_id: str
    fields: dict[str, str]
    day: str


@dataclass
class Standin:
    """The server and what it saw. `plan` holds one fault per coming call, then none.

    Faults: `500_before`, `500_after`, `eof_after`, `garbage_after`, `hang_after`, `429`, or a code
    such as `isv.AMOUNT_NOT_ENOUGH`, answered as the gateway does: with status 200.
    """

    plan: list[str] = field(default_factory=list)
    hang_seconds: float = 5.0
    latency: float = 0.0
    # its list is kept by its own day
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    taken: list[Taken] = field(default_factory=list)
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _released: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """What to give as ALIYUN_ENDPOINT."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.server_address[1]}"

    def next_fault(self) -> str:
        with self._lock:
            return self.plan.pop(0) if self.plan else ""

    def hang(self) -> None:
        self._released.wait(self.hang_seconds)


class _Handler(BaseHTTPRequestHandler):
    owner: Standin
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing: the address of a request holds a number."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fields = dict(parse_qsl(urlsplit(self.path).query)) | dict(parse_qsl(raw.decode()))
        action = self.headers.get("x-acs-action", "")
        self.owner.calls.append((action, fields))
        if not self._signed(raw):
            self._answer(400, {"Code": "SignatureDoesNotMatch", "Message": "wrong"})
            return
        fault = self.owner.next_fault()
        if fault == "500_before":
            self._answer(500, {"Code": "InternalError", "Message": "broken"})
        elif fault == "429":
            self._answer(429, {"Code": "Throttling.User", "Message": "slower"})
        elif "." in fault:
            self._answer(200, {"Code": fault, "Message": "no"})
        elif action == "SendSms":
            self._send(fields, fault)
        elif action == "QuerySendDetails":
            self._list(fields)
        else:
            self._answer(404, {"Code": "InvalidAction.NotFound", "Message": action})

    def _send(self, fields: dict[str, str], fault: str) -> None:
        if self.owner.latency:
            time.sleep(self.owner.latency)
        biz_id = uuid.uuid4().hex
        day = self.owner.now().astimezone(CHINA).strftime("%Y%m%d")
        self.owner.taken.append(Taken(biz_id, fields, day))
        if fault == "500_after":
            self._answer(500, {"Code": "InternalError", "Message": "broken"})
        elif fault == "eof_after":
            self.close_connection = True
        elif fault == "hang_after":
            self.owner.hang()
            self.close_connection = True
        elif fault == "garbage_after":
            self._answer(200, "<html>")
        else:
            self._answer(200, {"Code": "OK", "Message": "OK", "BizId": biz_id})

    def _list(self, fields: dict[str, str]) -> None:
        found = [
            t
            for t in self.owner.taken
            if t.fields["PhoneNumbers"] == fields["PhoneNumber"] and t.day == fields["SendDate"]
        ]
        size, page = int(fields["PageSize"]), int(fields["CurrentPage"])
        lines = [
            {
                "OutId": t.fields.get("OutId", ""),
                "PhoneNum": t.fields["PhoneNumbers"],
                "TemplateCode": t.fields["TemplateCode"],
                "SendStatus": 3,
            }
            for t in found[(page - 1) * size : page * size]
        ]
        self._answer(
            200,
            {
                "Code": "OK",
                "Message": "OK",
                "TotalCount": len(found),
                "SmsSendDetailDTOs": {"SmsSendDetailDTO": lines},
            },
        )

    def _answer(self, status: int, body: dict[str, Any] | str) -> None:
        raw = (body if isinstance(body, str) else json.dumps(body | {"RequestId": "1"})).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _signed(self, raw: bytes) -> bool:
        """ACS3-HMAC-SHA256 as the gateway computes it from what it got."""
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        given = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "ACS3-HMAC-SHA256" or given.get("Credential") != KEY:
            return False
        url = urlsplit(self.path)
        query = "&".join(
            f"{quote(k, safe='~')}={quote(v, safe='~')}"
            for k, v in sorted(parse_qsl(url.query, keep_blank_values=True))
        )
        names = given["SignedHeaders"].split(";")
        headers = "".join(f"{name}:{(self.headers.get(name) or '').strip()}\n" for name in names)
        body = hashlib.sha256(raw).hexdigest()
        if body != self.headers.get("x-acs-content-sha256"):
            return False
        canonical = "\n".join(
            [self.command, url.path, query, headers, given["SignedHeaders"], body]
        )
        text = f"{scheme}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        right = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(right, given.get("Signature", ""))


def day_before(standin: Standin) -> None:
    """Date all that was taken one day back."""
    for taken in standin.taken:
        day = datetime.strptime(taken.day, "%Y%m%d").replace(tzinfo=CHINA) - timedelta(days=1)
        taken.day = day.strftime("%Y%m%d")
