"""The departments' end: a plain fast server that verifies nothing and notes every webhook with the time it came."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

_MARK = b'"ticket_id":"'


@dataclass
class Receiver:
    """Every webhook that came: webhook-id → (ticket, department, monotonic time of its first copy)."""

    webhooks: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    copies: int = 0  # of webhooks that had come before
    port: int = 0
    _wanted: int = 0
    _enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note it and answer 200."""
        body = await request.read()
        now = time.monotonic()
        name = request.headers["webhook-id"]
        if name in self.webhooks:
            self.copies += 1
        else:
            start = body.index(_MARK) + len(_MARK)
            self.webhooks[name] = body[start : start + 36].decode(), request.path[1:], now
            if len(self.webhooks) == self._wanted:
                self._enough.set()
        return web.Response()

    async def until(self, count: int, seconds: float) -> None:
        """Wait for so many webhooks. Raises TimeoutError."""
        self._enough.clear()
        self._wanted = count
        if len(self.webhooks) < count:
            await asyncio.wait_for(self._enough.wait(), seconds)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1; `http://127.0.0.1:PORT/DEPARTMENT` is each department's address."""
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.take, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
