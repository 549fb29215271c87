"""HTTP/1.1 for a load generator that must cost next to nothing: connections that are kept, and a server for webhooks.

Both sides do no more than this benchmark needs: one request at a time on a connection, bodies with a content-length.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools


class WireError(Exception):
    """The connection was lost in the middle of a request."""


class Line(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio."""
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        """asyncio."""
        self.transport = None
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(WireError("connection lost"))

    def on_body(self, body: bytes) -> None:
        """httptools."""
        self._body += body

    def on_message_complete(self) -> None:
        """httptools."""
        body, self._body = self._body, b""
        status, waiting = self._parser.get_status_code(), self._waiting
        self._parser = httptools.HttpResponseParser(self)
        if waiting and not waiting.done():
            waiting.set_result((status, body))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; its answer's status and body."""
        if self.transport is None:
            raise WireError("connection lost")
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting


@dataclass
class Caller:
    """Asks one service, over as many connections as there are requests at a time."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    _idle: list[Line] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Send JSON; status and body. Underscores in a header's name stand for hyphens."""
        given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in (self.headers | headers).items())
        place = urlsplit(self.url)
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{given}\r\n"
        )
        while self._idle and self._idle[-1].transport is None:
            self._idle.pop()
        line = self._idle.pop() if self._idle else await self._open(place.hostname or "", place.port or 80)
        answer = await line.send(head.encode() + body)
        self._idle.append(line)
        return answer

    async def _open(self, host: str, port: int) -> Line:
        _, line = await asyncio.get_running_loop().create_connection(Line, host, port)
        return line

    def close(self) -> None:
        """Close what is idle."""
        for line in self._idle:
            if line.transport:
                line.transport.close()


class _Ear(asyncio.Protocol):
    """One connection of a webhook's sender: every request is taken with 204."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        self._take(body)


@asynccontextmanager
async def hearing(take: Callable[[bytes], None]) -> AsyncIterator[str]:
    """A server that gives each request's body to `take`; its address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Ear(take), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
