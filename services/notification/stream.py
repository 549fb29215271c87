"""Server-Sent Events: one look at the database every 100 ms for everybody who is connected to this process.

A connection keeps its own place in each inbox it follows. What does not fit into its queue is not dropped: its place
stays where it is, and the next look finds the same notices again. Only who takes nothing for long is cut off, and
resumes with the last id it saw, here or at another process.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.exc import SQLAlchemyError

from libs.shared.events import json_bytes
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.notification.domain.cursor import Cursor
from services.notification.store import inbox

LOOK_SECONDS = 0.1
REST_SECONDS = 0.02  # at least between two looks, however often we are woken
PAGE = 100  # notices of one inbox in one look
QUEUE_BYTES = 256 * 1024  # waiting in one connection; one notice always finds room in an empty queue
STUCK_SECONDS = 30.0  # with a full queue

CONNECTIONS = Gauge("zhida_streams", "Open event streams")
PUSHED = Counter("zhida_stream_notices_total", "Notices written to event streams")
CUT = Counter("zhida_streams_cut_total", "Event streams ended by us", ["reason"])
LATENCY = Histogram(
    "zhida_stream_latency_seconds",
    "From a notice's row to the stream",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 5.0),
)


@dataclass(eq=False)
class Connection:
    """One reader of one or several inboxes."""

    cursor: Cursor
    waiting: deque[bytes] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    size: int = 0  # bytes waiting
    full_since: float | None = None  # monotonic
    ended: str | None = None  # why we ended it

    def offer(self, address: str, number: int, data: bytes) -> None:
        """Queue a notice where there is room; else the next look brings it again."""
        if self.size >= QUEUE_BYTES:
            self.full_since = self.full_since or time.monotonic()
            return
        self.cursor.numbers[address] = number
        self.waiting.append(b"id: " + str(self.cursor).encode() + b"\ndata: " + data + b"\n\n")
        self.size += len(self.waiting[-1])
        self.ready.set()

    def end(self, reason: str) -> None:
        """Let the reader's request come to its end."""
        if self.ended is None:
            self.ended = reason
            CUT.labels(reason).inc()
            self.ready.set()

    async def take(self, seconds: float) -> bytes:
        """All that waits, as soon as there is something; nothing after that long or when it has ended."""
        if not self.waiting and not self.ended:
            self.ready.clear()
            try:
                await asyncio.wait_for(self.ready.wait(), seconds)
            except TimeoutError:
                return b""
        taken = b"".join(self.waiting)
        PUSHED.inc(len(self.waiting))
        self.waiting.clear()
        self.size, self.full_since = 0, None
        return taken


class Hub:
    """The connections of this process."""

    def __init__(self, running: Running, show: Callable[[Any], Mapping[str, Any]]) -> None:
        self._running = running
        self._show = show
        self._connections: set[Connection] = set()
        self._someone = asyncio.Event()

    def __len__(self) -> int:
        return len(self._connections)

    def connect(self, cursor: Cursor) -> Connection:
        """Begin to follow the inboxes of that cursor from its numbers on."""
        connection = Connection(cursor)
        self._connections.add(connection)
        CONNECTIONS.set(len(self._connections))
        self._someone.set()
        self._running.wake("stream")
        if self._running.stopping.is_set():
            connection.end("stopping")
        return connection

    def leave(self, connection: Connection) -> None:
        """The reader is gone."""
        self._connections.discard(connection)
        CONNECTIONS.set(len(self._connections))
        if not self._connections:
            self._someone.clear()

    async def run(self) -> None:
        """Look for news until the process stops, then end every stream."""
        failures = 0
        while not self._running.stopping.is_set():
            if not self._connections:
                await self._idle()
                continue
            try:
                more = await self.look()
                failures = 0
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                failures += 1
                more = False
                log.warning("stream.retry", error=type(error).__name__)
            await self._running.pause(min(REST_SECONDS * 2**failures, 2.0))
            if not more:
                await self._running.wait("stream", LOOK_SECONDS - REST_SECONDS)
        for connection in self._connections:
            connection.end("stopping")

    async def look(self) -> bool:
        """One statement for all who have room; answers whether some inbox has more than it gave."""
        listening: dict[tuple[str, int], list[Connection]] = {}
        for connection in self._with_room():
            for place in connection.cursor.numbers.items():
                listening.setdefault(place, []).append(connection)
        if not listening:
            return False
        rows = await inbox.news(self._running, listening.keys(), PAGE)
        given: dict[tuple[str, int], int] = defaultdict(int)
        now = time.time()
        for row in rows:
            place = row.recipient, row.after
            given[place] += 1
            data = json_bytes(self._show(row))
            LATENCY.observe(max(now - row.created_at.timestamp(), 0))
            for connection in listening[place]:
                connection.offer(row.recipient, row.number, data)
        return PAGE in given.values()

    def _with_room(self) -> Iterable[Connection]:
        now = time.monotonic()
        for connection in self._connections:
            if connection.full_since is None:
                yield connection
            elif now - connection.full_since > STUCK_SECONDS:
                connection.end("slow")

    async def _idle(self) -> None:
        stop = asyncio.ensure_future(self._running.stopping.wait())
        someone = asyncio.ensure_future(self._someone.wait())
        try:
            await asyncio.wait({stop, someone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            someone.cancel()
