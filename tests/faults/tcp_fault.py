"""A TCP proxy, as a process of its own, that cuts, refuses or delays when told to.

`python -m tests.faults.tcp_fault PORT TARGET`; the target is `host:port` or a Unix socket's path.
Commands come by line on standard input: `cut` resets every connection, `refuse SECONDS` resets new
ones for a while, `delay SECONDS` holds back every byte from now on.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time


class Proxy:
    """Passes bytes both ways between a port and a target."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.delay = 0.0
        self.refuse_until = 0.0
        self.open: set[asyncio.StreamWriter] = set()

    async def serve(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        if time.monotonic() < self.refuse_until:
            _reset(near_out)
            return
        try:
            far_in, far_out = await self.reach()
        except OSError:
            _reset(near_out)
            return
        self.open |= {near_out, far_out}
        try:
            await asyncio.gather(self.carry(near_in, far_out), self.carry(far_in, near_out))
        finally:
            self.open -= {near_out, far_out}

    async def reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.target.startswith("/"):
            return await asyncio.open_unix_connection(self.target)
        host, port = self.target.rsplit(":", 1)
        return await asyncio.open_connection(host, int(port))

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                sink.write(data)
                await sink.drain()
        with contextlib.suppress(OSError, RuntimeError):
            sink.close()

    def obey(self, line: str) -> None:
        word, _, value = line.partition(" ")
        if word == "cut":
            for writer in list(self.open):
                _reset(writer)
        elif word == "refuse":
            self.refuse_until = time.monotonic() + float(value)
        elif word == "delay":
            self.delay = float(value)


def _reset(writer: asyncio.StreamWriter) -> None:
    handle = writer.get_extra_info("socket")
    if handle is not None and handle.family == socket.AF_INET:
        with contextlib.suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(port: int, target: str) -> None:
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    async with server:
        while line := await asyncio.to_thread(sys.stdin.readline):
            proxy.obey(line.strip())


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), sys.argv[2]))
