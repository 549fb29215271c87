"""A service as data (what it hears, says, serves and runs), and a running one (its database, leases and wake-ups)."""

import asyncio
import contextlib
import functools
import inspect
import os
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_origin, get_type_hints

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Executable, Row

from libs.shared import db
from libs.shared.db import Transaction
from libs.shared.events import Event
from libs.shared.keep import Kept
from libs.shared.settings import Settings

Handler = Callable[..., Awaitable[Any]]

LONGEST_PAUSE = 1.0  # s between two tries: a store that is back is found within that
PORTS = {"intake": 8101, "classification": 8102, "dispatch": 8103, "sla_timer": 8104, "notification": 8105}


class Record(NamedTuple):
    """A Kafka record as it lies in its partition."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    timestamp_ms: int

    @property
    def type(self) -> str:
        """The CloudEvents type, or "" where there is none."""
        return self.headers.get("ce_type", b"").decode(errors="replace").replace("\x00", "\ufffd")


@dataclass(frozen=True)
class Service:
    """The table of contents of one service."""

    name: str
    hears: Mapping[type[Any], Handler] = field(default_factory=dict)
    says: tuple[type[Event], ...] = ()
    serves: APIRouter = field(default_factory=APIRouter)
    runs: tuple[Callable[["Running"], Awaitable[None]], ...] = ()
    prepares: Mapping[type[Any], Callable[[Any, "Running"], Awaitable[Sequence[Any]]]] = field(default_factory=dict)
    receives: Mapping[str, Handler] = field(default_factory=dict)  # raw topics
    shapes: Mapping[str, type[BaseModel]] = field(default_factory=dict)  # what raw topics hold, for the documents
    settings: type[Settings] = Settings
    keeps: tuple[Kept, ...] = ()  # partitioned tables, and how long; the inbox is the kernel's
    opens: Callable[["Running"], AbstractAsyncContextManager[Any]] | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics to read."""
        return tuple(sorted({kind.topic for kind in self.hears} | set(self.receives)))


@functools.cache
def takes_many(handler: Handler) -> bool:
    """Whether a handler has the list form, by the annotation of its first parameter."""
    first = next(iter(inspect.signature(handler).parameters))
    return get_origin(get_type_hints(handler)[first]) is list


class Stopping(asyncio.Event):
    """Set when the process shall stop; sets with it what its parts wait for."""

    def __init__(self, wakes: Mapping[str, asyncio.Event]) -> None:
        super().__init__()
        self._wakes = wakes

    def set(self) -> None:
        """Stop."""
        super().set()
        for wake in self._wakes.values():
            wake.set()


class Running:
    """One process of a service."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.settings = settings
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self.engine = db.engine(
            settings.database_url.get_secret_value(), service.name, settings.database_pool, f"zhida-{service.name}"
        )
        self.reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.resources: Any = None
        self._wakes: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.stopping: asyncio.Event = Stopping(self._wakes)
        self.unready: dict[str, str] = {}  # part → why it is not ready
        self._clock = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        """The time (UTC) outside transactions: the database's as last read, and what has passed since.

        This machine's own clock may be wrong, and may be set while the process runs.
        """
        at, then = self._clock
        return at + timedelta(seconds=time.monotonic() - then)

    def set_clock(self, now: datetime) -> None:
        """What the database's clock says."""
        self._clock = now, time.monotonic()

    def transaction(self, keys: Iterable[str] = ()) -> AbstractAsyncContextManager[Transaction]:
        """A transaction with these streams locked; see `db.transaction`."""
        return db.transaction(self, keys)

    async def read(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        """Rows of one statement that is a transaction of its own; none where it gives none."""
        async with self.reader.connect() as connection:
            result = await connection.execute(statement, parameters)
            return result.all() if result.returns_rows else []

    async def hold(self, name: str, seconds: float) -> bool:
        """Take or renew a lease for this process; False while another process holds it."""
        return bool(await self.read(db.HOLD, name=name, owner=self.owner, seconds=seconds))

    async def release(self, name: str) -> None:
        """Give a lease back, so that another process need not wait for its end."""
        await self.read(db.RELEASE, name=name, owner=self.owner)

    def wake(self, name: str) -> None:
        """Wake whoever waits for this name in this process."""
        self._wakes[name].set()

    async def wait(self, name: str, seconds: float) -> None:
        """Wait to be woken, at most that long; returns at once when the process is stopping."""
        event = self._wakes[name]
        if not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()
        event.clear()

    async def pause(self, seconds: float) -> None:
        """Sleep, or return at once when the process is stopping."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["Running"]:
        """The process with its resources, closed at the end."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.engine.dispose)
            if self.service.opens:
                self.resources = await stack.enter_async_context(self.service.opens(self))
            yield self
