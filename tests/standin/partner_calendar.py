"""A partner's web server for calendars, over real TLS with a certificate of its own making.

Each path misbehaves in one way; `behaviour` may add more. It listens on loopback only, which the
product refuses to ask: tests hand it a network that allows loopback, and tests of the refusal do not.
"""

from __future__ import annotations

import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from calendars.fetch import Network

NAME = "calendar.partner.example"
FILE = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20261101T000000Z\r\n"
    b"DTSTART:20261204T060000Z\r\nDTEND:20261204T080000Z\r\nSUMMARY:busy\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)

Behaviour = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class PartnerServer:
    """A running server: its port, whom to trust, and what was asked of it."""

    port: int
    authority: Path
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    content: bytes = FILE
    etag: str = ""

    def url(self, path: str = "/free.ics") -> str:
        return f"https://{NAME}:{self.port}{path}"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def network(
        self,
        *,
        resolve: Callable[[str, int], list[str]] | None = None,
        allows: Callable[[str], bool] = lambda address: address == "127.0.0.1",
    ) -> Network:
        """A network on which this server is the partner's."""
        return Network(
            resolve=resolve or (lambda host, port: ["127.0.0.1"]),
            allows=allows,
            trust=self.trust,
            port=self.port,
        )


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(NAME), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


def _handler(server: PartnerServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers)))
            chosen = server.behaviour.get(self.path)
            if chosen is not None:
                chosen(self)
                return
            if server.etag and self.headers.get("If-None-Match") == server.etag:
                self.send_response(304)
                self.end_headers()
                return
            give(self, server.content, etag=server.etag)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def give(handler: BaseHTTPRequestHandler, body: bytes, etag: str = "", **headers: str) -> None:
    """A plain 200."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/calendar")
    handler.send_header("Content-Length", str(len(body)))
    if etag:
        handler.send_header("ETag", etag)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def redirect(to: str, status: int = 302) -> Behaviour:
    """Send the caller elsewhere."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return act


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(600):
            handler.wfile.write(b"B")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        return


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    """A header that never ends."""
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(600):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        return


def endless(handler: BaseHTTPRequestHandler) -> None:
    """More and more, without saying how much."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"X" * 65_536)
    except OSError:
        return


@contextmanager
def partner_server() -> Iterator[PartnerServer]:
    """A server for the length of the block."""
    with tempfile.TemporaryDirectory() as name:
        certificate, private = _certificate(Path(name))
        web = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, private)
        web.socket = context.wrap_socket(web.socket, server_side=True)
        web.daemon_threads = True
        server = PartnerServer(web.server_port, certificate)
        web.RequestHandlerClass = _handler(server)
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            web.shutdown()
            web.server_close()
            thread.join()
