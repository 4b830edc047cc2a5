"""A partner's calendar from the internet, without letting the address reach anything of ours.

The name is resolved once per hop, every address it has must be public, and the connection goes to
the address that was checked, so that a name that changes its mind in between (DNS rebinding) gains
nothing. Redirects are new hops. Must not know what the file is for or where addresses are kept.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from time import monotonic
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from calendars.errors import FailedFetch, RefusedAddress

PORT = 443
AGENT = "coordination-calendar/1"
_SAFE = "%/:=&?~+!$,;'@()*[]-._"
_REDIRECTS = (301, 302, 303, 307, 308)
_HIDING = tuple(
    map(
        ipaddress.ip_network,
        (
            "::ffff:0:0/96",  # IPv4 mapped
            "::/96",  # IPv4 compatible
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",
            "2002::/16",  # 6to4
            "2001::/32",  # Teredo
            "fec0::/10",  # site local, long withdrawn
        ),
    )
)
# public by number, and yet the metadata and health services of clouds
_SERVICES = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "100.100.100.200")))

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much, how long, how many hops."""

    octets: int = 2_000_000
    seconds: float = 10
    redirects: int = 3


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: `content` is None if nothing changed since `etag` and `modified`."""

    content: bytes | None
    etag: str
    modified: str


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet and to nobody's inside."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if any(ip in network for network in _HIDING if network.version == ip.version):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and ip not in _SERVICES


def resolved(host: str, port: int) -> list[str]:
    """Every address of a name, as the system resolves it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _trusting_the_usual() -> ssl.SSLContext:
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Network:
    """How names are resolved, which addresses may be asked, and whom to trust."""

    resolve: Resolve = resolved
    allows: Callable[[str], bool] = is_public
    trust: Callable[[], ssl.SSLContext] = _trusting_the_usual
    port: int = PORT


@dataclass(slots=True)
class _Clock:
    """What is left of the time for the whole fetch."""

    seconds: float
    begun: float = field(default_factory=monotonic)

    def left(self) -> float:
        left = self.seconds - (monotonic() - self.begun)
        if left <= 0:
            raise FailedFetch("took too long")
        return left


def clean_address(typed: str, port: int = PORT) -> str:
    """An https address in its plain form, `webcal:` understood; RefusedAddress for all others."""
    text = typed.strip()
    if any(ord(letter) < 33 or letter == "\\" for letter in text) or len(text) > 2000:
        raise RefusedAddress("not an address")
    if text.lower().startswith(("webcal://", "webcals://")):
        text = "https://" + text.partition("://")[2]
    try:
        parts = urlsplit(text)
        number, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise RefusedAddress("not an address") from error
    if parts.scheme.lower() != "https":
        raise RefusedAddress("not https")
    if "@" in parts.netloc:
        raise RefusedAddress("a name or password in the address")
    if number not in (None, port):
        raise RefusedAddress("another port")
    ascii_host = _ascii(host)
    shown = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    where = shown if number in (None, PORT) else f"{shown}:{number}"
    path, query = quote(parts.path or "/", safe=_SAFE), quote(parts.query, safe=_SAFE)
    return urlunsplit(("https", where, path, query, ""))


def fetch(
    address: str,
    *,
    etag: str = "",
    modified: str = "",
    bounds: Bounds = Bounds(),
    network: Network = Network(),
) -> Fetched:
    """The file at an address; RefusedAddress or FailedFetch say why there is none."""
    clock = _Clock(bounds.seconds)
    asked = {"User-Agent": AGENT, "Accept": "text/calendar, */*;q=0.1"}
    if etag:
        asked["If-None-Match"] = etag
    if modified:
        asked["If-Modified-Since"] = modified
    for _ in range(bounds.redirects + 1):
        address = clean_address(address, network.port)
        with _answer(address, asked, clock, network) as answer:
            if answer.status in _REDIRECTS:
                onward = answer.getheader("Location")
                if not onward:
                    raise FailedFetch("a redirect to nowhere")
                address = urljoin(address, onward)
                continue
            if answer.status == 304 and (etag or modified):
                return Fetched(None, etag, modified)
            if answer.status != 200:
                raise FailedFetch(f"answered {answer.status}")
            if answer.getheader("Content-Encoding", "identity").lower() != "identity":
                raise FailedFetch("packed, which was not asked for")
            content = _read(answer, bounds.octets, clock)
            return Fetched(
                content,
                (answer.getheader("ETag") or "")[:200],
                (answer.getheader("Last-Modified") or "")[:60],
            )
    raise FailedFetch("too many redirects")


class _Pinned(http.client.HTTPSConnection):
    """HTTPS to an address that was checked, under the name it was asked by."""

    def __init__(
        self, host: str, port: int, address: str, trust: ssl.SSLContext, timeout: float
    ) -> None:
        super().__init__(host, port, timeout=timeout, context=trust)
        self._address, self._trust = address, trust
        # http.client forgets its socket once the answer owns it; the watchdog must not
        self._line: socket.socket | None = None

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self._line = plain  # at once: a handshake may drag on
        self.sock = self._line = self._trust.wrap_socket(plain, server_hostname=self.host)

    def cut(self) -> None:
        """End it from outside, whatever it is waiting for."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Close whatever is open, a line that never became secure included."""
        self.close()
        if self._line is not None:
            self._line.close()


@contextmanager
def _answer(
    address: str, asked: dict[str, str], clock: _Clock, network: Network
) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or PORT
    checked = _checked(host, port, clock, network)
    connection = _Pinned(host, port, checked, network.trust(), clock.left())
    # a server that sends a byte now and then never runs into the timeout of a socket
    watchdog = Timer(clock.left(), connection.cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        target = urlunsplit(("", "", parts.path, parts.query, ""))
        connection.request("GET", target, headers=asked)
        yield connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        clock.left()
        raise FailedFetch(_why(error)) from error
    finally:
        watchdog.cancel()
        connection.end()


def _checked(host: str, port: int, clock: _Clock, network: Network) -> str:
    pool = ThreadPoolExecutor(1)
    try:
        # the system's resolver knows no deadline
        found = pool.submit(network.resolve, host, port).result(timeout=clock.left())
    except TooLong as error:
        raise FailedFetch("took too long") from error
    except (OSError, UnicodeError) as error:
        raise FailedFetch("there is no such name") from error
    finally:
        pool.shutdown(wait=False)
    if not found:
        raise FailedFetch("there is no such name")
    if not all(network.allows(each) for each in found):
        raise RefusedAddress("not a public address")
    return found[0]


def _read(answer: http.client.HTTPResponse, octets: int, clock: _Clock) -> bytes:
    said = answer.getheader("Content-Length", "")
    if said.isdecimal() and int(said) > octets:
        raise FailedFetch(f"larger than {octets} bytes")
    parts, size = [], 0
    while chunk := answer.read(65_536):
        clock.left()
        size += len(chunk)
        if size > octets:
            raise FailedFetch(f"larger than {octets} bytes")
        parts.append(chunk)
    clock.left()
    if said.isdecimal() and size < int(said):
        raise FailedFetch("broke off")
    return b"".join(parts)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (
            "its certificate is not trusted" if "CERT" in str(error).upper() else "no secure line"
        )
    if isinstance(error, TimeoutError):
        return "took too long"
    if isinstance(error, http.client.IncompleteRead):
        return "broke off"
    if isinstance(error, http.client.HTTPException):
        return "does not speak HTTP"
    return "cannot be reached"


def _ascii(host: str) -> str:
    if not host:
        raise RefusedAddress("not an address")
    try:
        return host.encode("ascii").decode() if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise RefusedAddress("not an address") from error
