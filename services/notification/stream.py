"""Server-Sent Events: one look at the database every 100 ms for everybody who is connected to this process.

A connection keeps its own place in each inbox it follows. What does not fit into its queue is not dropped: its place
stays where it is, and the next look finds the same notices again. Only who takes nothing for long is cut off, and
resumes with the last id it saw, here or at another process.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.exc import SQLAlchemyError

from libs.shared.events import json_bytes
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.notification.domain.cursor import Cursor
from services.notification.store import inbox
from services.notification.store.inbox import Standing

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


class Arrivals:
    """Readers who come at once (after a replica has died: all of its) ask the database together, not one by one."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._asked: list[tuple[Sequence[str], asyncio.Future[Mapping[str, Standing]]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def standing(self, addresses: Sequence[str]) -> Mapping[str, Standing]:
        """How far these inboxes have come."""
        answer: asyncio.Future[Mapping[str, Standing]] = asyncio.get_running_loop().create_future()
        self._asked.append((addresses, answer))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await answer

    async def _read(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            waiting = [(addresses, answer) for addresses, answer in asked if not answer.done()]
            try:
                wanted = {address for addresses, _ in waiting for address in addresses}
                found = await inbox.standing(self._running, list(wanted))
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                for _, answer in waiting:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for addresses, answer in waiting:
                if not answer.done():
                    answer.set_result({address: found[address] for address in addresses})


Place = tuple[str, int]  # address of an inbox, and the last number seen in it


@dataclass(eq=False)
class Connection:
    """One reader of one or several inboxes."""

    cursor: Cursor
    waiting: deque[bytes] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    size: int = 0  # bytes waiting
    full_since: float | None = None  # monotonic
    ended: str | None = None  # why we ended it

    def offer(self, address: str, number: int, data: bytes) -> bool:
        """Queue a notice; False where there is no room: it will be offered again."""
        if self.size >= QUEUE_BYTES:
            self.full_since = self.full_since or time.monotonic()
            return False
        self.cursor.numbers[address] = number
        self.waiting.append(b"id: " + str(self.cursor).encode() + b"\ndata: " + data + b"\n\n")
        self.size += len(self.waiting[-1])
        self.ready.set()
        return True

    def end(self, reason: str) -> None:
        """Let the reader's request come to its end."""
        if self.ended is None:
            self.ended = reason
            CUT.labels(reason).inc()
            self.ready.set()

    async def wait(self, seconds: float) -> None:
        """Until something waits or it has ended, at most that long."""
        if not self.waiting and not self.ended:
            self.ready.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ready.wait(), seconds)


class Hub:
    """The connections of this process, listed under the places where they wait for more."""

    def __init__(self, running: Running, show: Callable[[Any], Mapping[str, Any]]) -> None:
        self._running = running
        self._show = show
        self._connections: set[Connection] = set()
        self._waiting: dict[Place, set[Connection]] = {}
        self._someone = asyncio.Event()
        self.arrivals = Arrivals(running)

    def __len__(self) -> int:
        return len(self._connections)

    def connect(self, cursor: Cursor) -> Connection:
        """Begin to follow the inboxes of that cursor from its numbers on."""
        connection = Connection(cursor)
        self._connections.add(connection)
        self._list(connection, cursor.numbers.items())
        CONNECTIONS.set(len(self._connections))
        self._someone.set()
        self._running.wake("stream")
        if self._running.stopping.is_set():
            connection.end("stopping")
        return connection

    def leave(self, connection: Connection) -> None:
        """The reader is gone."""
        self._connections.discard(connection)
        self._unlist(connection, connection.cursor.numbers.items())
        CONNECTIONS.set(len(self._connections))
        if not self._connections:
            self._someone.clear()

    async def take(self, connection: Connection, seconds: float) -> bytes:
        """All that waits for a reader, as soon as there is something; nothing after that long or when it has ended."""
        await connection.wait(seconds)
        taken = b"".join(connection.waiting)
        PUSHED.inc(len(connection.waiting))
        connection.waiting.clear()
        connection.size = 0
        if connection.full_since is not None and connection in self._connections:
            connection.full_since = None
            self._list(connection, connection.cursor.numbers.items())
            self._running.wake("stream")
        return taken

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
            self._cut()
            await self._running.pause(min(REST_SECONDS * 2**failures, 2.0))
            if not more:
                await self._running.wait("stream", LOOK_SECONDS - REST_SECONDS)
        for connection in self._connections:
            connection.end("stopping")

    async def look(self) -> bool:
        """One statement for all who wait; answers whether some inbox has more than it gave."""
        if not self._waiting:
            return False
        rows = await inbox.news(self._running, list(self._waiting), PAGE)
        more = False
        now = time.time()
        for place, group in groupby(rows, key=lambda row: (row.recipient, row.after)):
            found = list(group)
            notices = [(row.number, json_bytes(self._show(row))) for row in found]
            LATENCY.observe(max(now - found[0].created_at.timestamp(), 0))
            more = more or len(found) == PAGE
            for connection in list(self._waiting.get(place, ())):
                self._give(connection, place, notices)
        return more

    def _give(self, connection: Connection, place: Place, notices: Sequence[tuple[int, bytes]]) -> None:
        """Hand over what there is room for; a full connection is listed nowhere until its reader has taken."""
        before = list(connection.cursor.numbers.items())
        for number, data in notices:
            if not connection.offer(place[0], number, data):
                self._unlist(connection, before)
                return
        self._unlist(connection, [place])
        self._list(connection, [(place[0], connection.cursor.numbers[place[0]])])

    def _list(self, connection: Connection, places: Iterable[Place]) -> None:
        for place in places:
            self._waiting.setdefault(place, set()).add(connection)

    def _unlist(self, connection: Connection, places: Iterable[Place]) -> None:
        for place in places:
            waiting = self._waiting.get(place)
            if waiting is not None:
                waiting.discard(connection)
                if not waiting:
                    del self._waiting[place]

    def _cut(self) -> None:
        now = time.monotonic()
        for connection in self._connections:
            if connection.full_since is not None and now - connection.full_since > STUCK_SECONDS:
                connection.end("slow")

    async def _idle(self) -> None:
        stop = asyncio.ensure_future(self._running.stopping.wait())
        someone = asyncio.ensure_future(self._someone.wait())
        try:
            await asyncio.wait({stop, someone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            someone.cancel()
