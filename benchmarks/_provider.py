"""A provider for the benchmarks: takes every message after a fixed time. Run as a process of its own.

Reads no more of a request than its length, so that the machine's time is left to the candidates.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBERS = itertools.count()


class _Talk(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._rest = seconds, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while True:
            head, found, body = self._rest.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(body) < length:
                return
            self._rest = body[length:]
            asyncio.get_running_loop().call_later(self._seconds, self._answer)

    def _answer(self) -> None:
        body = b'{"sid": "SM%032x", "num_segments": "1", "status": "queued"}' % next(_NUMBERS)
        self._transport.write(
            b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )


async def _serve(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    taker = await loop.create_server(lambda: _Talk(seconds), "127.0.0.1", 0, backlog=1024)
    print(taker.sockets[0].getsockname()[1], flush=True)
    await taker.serve_forever()


@contextmanager
def provider(seconds: float) -> Iterator[str]:
    """The address of a provider that needs `seconds` for each message."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
