"""A bad network in front of the sandbox: a TCP proxy that stalls, resets connections and says
GOAWAY.

It follows HTTP/2's frames (RFC 9113 §4.1) far enough to know which streams are open, to put a
GOAWAY between two frames, and to keep from the sandbox what a GOAWAY has refused. Anything else
than HTTP/2 passes as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from tests.providers.sandbox_server import free_port

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, GOAWAY, CONTINUATION = 0x0, 0x1, 0x3, 0x7, 0x9
END_STREAM = 0x1
SWALLOW_SECS = 0.3
RECENT_SECS = 0.5
LEAVE_SECS = 5
CHUNK_BYTES = 256 * 1024
T = TypeVar("T")


class _Link:
    """One client connection and its connection to the sandbox."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        is_clear: asyncio.Event,
    ) -> None:
        self.client, self.upstream, self.is_clear = client, upstream, is_clear
        self.is_framed = False
        self.is_swallowing = False  # what the client sends is read and goes nowhere
        self.highest = self.refused = 0
        self.last: int | None = None  # the last stream that a GOAWAY took
        self.open: set[int] = set()
        self.answered: deque[float] = deque()  # when, monotonic; of the last RECENT_SECS
        self._up, self._down = bytearray(), bytearray()

    async def carry(self) -> None:
        ways = [
            asyncio.ensure_future(self._pump(self.client[0], self.upstream[1], self._upwards)),
            asyncio.ensure_future(self._pump(self.upstream[0], self.client[1], self._downwards)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self.last is not None:
                ways[0].cancel()
                await asyncio.wait(ways[:1])
                await self._take_leave()
        finally:
            for way in ways:
                way.cancel()
            self.client[1].close()
            self.upstream[1].close()

    async def _take_leave(self) -> None:
        """After a GOAWAY, when every stream that it took has its answer: end our side, and count
        what is refused until the client ends its own. A socket closed with unread requests is
        reset: the client would lose answers that it has not read yet, and requests of which
        nobody counted that they were refused."""
        with contextlib.suppress(OSError, TimeoutError):
            self.client[1].write_eof()
            async with asyncio.timeout(LEAVE_SECS):
                while chunk := await self.client[0].read(CHUNK_BYTES):
                    self._upwards(chunk)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, read: Any
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(CHUNK_BYTES):
                await self.is_clear.wait()
                sink.write(read(chunk))
                await sink.drain()
                if self.last is not None and not self.open:
                    return  # every stream that the GOAWAY took has its answer

    def _upwards(self, chunk: bytes) -> bytes:
        if not self.is_framed and not self.highest and chunk.startswith(PREFACE):
            self.is_framed = True
            return PREFACE + self._upwards(chunk[len(PREFACE) :])
        if not self.is_framed:
            return chunk
        kept = bytearray()
        for kind, _, stream, frame in _frames(self._up, chunk):
            if (
                self.last is not None
                and stream > self.last
                and kind in (DATA, HEADERS, CONTINUATION)
            ):
                self.refused += kind == HEADERS
                continue
            if kind == HEADERS:
                self.highest = max(self.highest, stream)
                self.open.add(stream)
            if kind == RST_STREAM:
                self.open.discard(stream)
            kept += frame
        return b"" if self.is_swallowing else bytes(kept)

    def _downwards(self, chunk: bytes) -> bytes:
        if not self.is_framed:
            return chunk
        kept = bytearray()
        for kind, flags, stream, frame in _frames(self._down, chunk):
            if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                self.open.discard(stream)
                self.answered.append(time.monotonic())
            kept += frame
        while self.answered and self.answered[0] < time.monotonic() - RECENT_SECS:
            self.answered.popleft()
        return bytes(kept)

    def go_away(self) -> None:
        if self.is_framed and self.last is None:
            self.last = self.highest
            body = struct.pack(">LL", self.last, 0)
            self.client[1].write(
                struct.pack(">L", len(body))[1:] + bytes((GOAWAY, 0)) + bytes(4) + body
            )

    def reset(self) -> None:
        """RST to both sides."""
        for _, writer in (self.client, self.upstream):
            link: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


def _frames(buffer: bytearray, chunk: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, stream, whole frame) of every complete frame; the rest stays in `buffer`."""
    buffer += chunk
    start = 0
    while len(buffer) - start >= 9:
        end = start + 9 + int.from_bytes(buffer[start : start + 3])
        if len(buffer) < end:
            break
        stream = int.from_bytes(buffer[start + 5 : start + 9]) & 0x7FFFFFFF
        yield buffer[start + 3], buffer[start + 4], stream, bytes(buffer[start:end])
        start = end
    del buffer[:start]


class Proxy:
    """Its methods may be called from any other thread."""

    def __init__(self, upstream_port: int) -> None:
        self.port = free_port()
        self.goaways = self.resets = 0
        self._refused = 0  # by links that are gone
        self._upstream_port = upstream_port
        self._links: set[_Link] = set()
        self._is_swallowing = False
        self._loop = asyncio.new_event_loop()
        self._is_clear = asyncio.Event()
        self._is_clear.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def refused(self) -> int:
        """How many requests came after a GOAWAY that did not take them."""
        return self._refused + sum(link.refused for link in list(self._links))

    def stall(self, secs: float) -> None:
        """Nothing passes for `secs`; then everything goes on."""
        self._run(self._stall(secs))

    def reset(self, *, share: float, swallow: bool, dice: random.Random) -> int:
        """Reset this share of the HTTP/2 connections, at least one; with `swallow` what was sent
        in the last moments never reached the sandbox. Returns how many requests may have lost
        their answer."""
        return self._run(self._reset(share, swallow, dice))

    def go_away(self) -> int:
        """GOAWAY to every HTTP/2 connection; what is open is still answered. Returns to how
        many."""
        return self._run(self._go_away())

    async def _stall(self, secs: float) -> None:
        self._is_clear.clear()
        await asyncio.sleep(secs)
        self._is_clear.set()

    async def _reset(self, share: float, swallow: bool, dice: random.Random) -> int:
        framed = [link for link in self._links if link.is_framed]
        chosen = dice.sample(framed, max(1, round(share * len(framed)))) if framed else []
        if swallow:
            for link in chosen:
                link.is_swallowing = True
            self._is_swallowing = share == 1  # new connections too
            await asyncio.sleep(SWALLOW_SECS)
            chosen += [link for link in self._links if link.is_swallowing and link not in chosen]
            self._is_swallowing = False
        lost = 0
        for link in chosen:
            # A reset throws away what the client has not read yet, so the last answers may be lost
            # too.
            lost += len(link.open) + len(link.answered)
            link.reset()
        self.resets += len(chosen)
        return lost

    async def _go_away(self) -> int:
        framed = [link for link in self._links if link.is_framed and link.last is None]
        for link in framed:
            link.go_away()
        self.goaways += len(framed)
        return len(framed)

    def _run(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(60)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            writer.close()
            return
        link = _Link((reader, writer), upstream, self._is_clear)
        link.is_swallowing = self._is_swallowing
        self._links.add(link)
        try:
            await link.carry()
        finally:
            self._links.discard(link)
            self._refused += link.refused

    def serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve_one, "127.0.0.1", self.port)
        )
        self._loop.run_forever()
        server.close()
        for link in self._links:
            link.reset()
        while self._links:  # each ends by its own end of file
            self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextlib.contextmanager
def running_proxy(upstream_port: int) -> Iterator[Proxy]:
    """A proxy on a free port of this machine, in a thread of its own."""
    proxy = Proxy(upstream_port)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), 1):
            break
        threading.Event().wait(0.02)
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(10)
