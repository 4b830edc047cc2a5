"""The one request that a broadcast makes a hundred thousand times, over kept-alive connections.

Sends what the SDK's `messages.create` sends, byte for byte in method, path, authentication and form
fields (a contract test compares both on the wire); the SDK stays for everything else. One instance
belongs to one event loop. Must not know the outbox.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from notifications.values import Doubt, Refused


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: the body is empty if it was not a JSON object."""

    status: int
    body: Mapping[str, object]
    retry_after: float | None


class Wire:
    """A pool of connections to one account's Messages resource."""

    def __init__(
        self,
        url: str,
        account: tuple[str, str],
        *,
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        self._url = URL(url)
        self._session = aiohttp.ClientSession(
            headers={
                "Accept": "application/json",
                "Authorization": aiohttp.encode_basic_auth(*account),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            # how many at once is the caller's decision
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_seconds, sock_read=read_seconds
            ),
        )
        # asked once: `trust_env` would read the environment and ~/.netrc for every message
        host = urlsplit(url)
        through = "" if proxy_bypass(host.hostname or "") else getproxies().get(host.scheme, "")
        self._proxy = through or None

    async def create(self, form: Mapping[str, str]) -> Response | Refused | Doubt:
        """Post one message; what was answered, or why nothing was.

        Nothing left our host: a definite no. Anything later: doubt.
        """
        try:
            # a redirect would be a second request with the same message
            async with self._session.post(
                self._url, data=_encoded(form), proxy=self._proxy, allow_redirects=False
            ) as response:
                body = await response.read()
                status, wait = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            return _not_sent(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Doubt(type(error).__name__)
        return Response(status, _object(body), float(wait) if wait.isdigit() else None)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()
        # TLS connections finish closing in the loop
        await asyncio.sleep(0)


def _encoded(form: Mapping[str, str]) -> bytes:
    # a query string is a form; yarl writes it in C, ten times as fast for Chinese as urllib does
    return URL.build(query=dict(form)).raw_query_string.encode()


def _object(body: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _not_sent(error: Exception) -> Refused:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Refused("connect_timeout", "connect_timeout", permanent=False)
    if isinstance(error, aiohttp.ClientSSLError):
        return Refused("tls_handshake", "tls_handshake", permanent=False)
    return Refused("not_connected", "not_connected", permanent=False)
