"""The service's own Postgres schema: connections that give up in time, and the transaction every change goes through.

Errors:
    Poison          what a record or command asks can never be done (buried or refused, not retried)
    Fenced          another consumer has moved on: roll back and read the position again
    Halted          too much had to be buried: stop until a person says `resume`
    (anything else the database or the network raises is transient: see `is_poison`)
"""

import asyncio
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Executable, Row, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from libs.shared.events import Envelope, Event, encode, uuid7, uuid7s
from libs.shared.telemetry import new_traceparent

if TYPE_CHECKING:
    from libs.shared.service import Running

DRIVERS = {"asyncpg", "sqlalchemy", "uvloop"}
LIMITS = {  # a stopped process must not keep its locks
    "idle_in_transaction_session_timeout": "5000",
    "lock_timeout": "5000",
    "statement_timeout": "10000",
    "tcp_user_timeout": "10000",
    "jit": "off",
    # What a plan may cost here is rows: each statement looks up what it names, in tables that grow for years. Postgres
    # reckons with all months where a lookup will touch one, and a plan made while a month was empty is kept when it
    # fills; so that neither makes it read a table from end to end, a row costs as much as a page.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "random_page_cost": "1.1",
    "cpu_tuple_cost": "1",
    "cpu_index_tuple_cost": "0.5",
    "max_parallel_workers_per_gather": "0",
}

# Locks streams in key order, and gives the traces they belong to; the rows of new tickets are made here.
LOCK = text("""
    WITH locked AS (
        INSERT INTO stream (key, version) SELECT key, 0 FROM unnest(CAST(:keys AS text[])) AS k(key) ORDER BY key
        ON CONFLICT (key) DO UPDATE SET version = stream.version RETURNING key, traceparent)
    SELECT clock_timestamp() AS now, count(*),
        array_agg(key) FILTER (WHERE traceparent IS NOT NULL) AS streams,
        array_agg(traceparent) FILTER (WHERE traceparent IS NOT NULL) AS parents FROM locked""")

# Draws gapless versions and appends to the outbox; `back` counts an event's place from the end of its stream.
# The first event's trace is kept for what commands and timers say later.
PUBLISH = text("""
    WITH said AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[]),
            CAST(:types AS text[]), CAST(:backs AS int[]), CAST(:parents AS text[]), CAST(:bodies AS bytea[]))
            WITH ORDINALITY AS e(id, topic, key, type, back, traceparent, body, place)),
    drawn AS (
        INSERT INTO stream (key, version, traceparent)
        SELECT key, count(*), (array_agg(traceparent ORDER BY place))[1] FROM said GROUP BY key ORDER BY key
        ON CONFLICT (key) DO UPDATE SET version = stream.version + excluded.version,
            traceparent = coalesce(stream.traceparent, excluded.traceparent) RETURNING key, version)
    INSERT INTO outbox (event_id, topic, key, type, version, occurred_at, traceparent, body)
    SELECT s.id, s.topic, s.key, s.type, d.version - s.back, CAST(:now AS timestamptz), s.traceparent, s.body
    FROM said s JOIN drawn d USING (key) ORDER BY s.place""")

HOLD = text("""
    INSERT INTO lease (name, owner, until) VALUES (:name, :owner, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE lease.owner = excluded.owner OR lease.until < clock_timestamp() RETURNING 1""")
RELEASE = text("DELETE FROM lease WHERE name = :name AND owner = :owner")


class Poison(Exception):
    """What is asked can never be done; says why."""


class Fenced(Exception):
    """Another consumer has taken these partitions, or the outcome of a commit was unknown."""


class Halted(Exception):
    """So many events cannot be handled that the fault is likely ours."""


def is_poison(error: Exception) -> bool:
    """Whether repeating cannot help: SQLSTATE 22 and 23 (not 23514, "no partition"), and errors of our own code.

    All else from database, broker and network is transient: deadlock, timeout, lost connection, stale plan.
    """
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        return state[:2] in {"22", "23"} and state != "23514"
    transient = Fenced | Halted | SQLAlchemyError | OSError | TimeoutError | asyncio.CancelledError
    return not isinstance(error, transient) and not _of_driver(error)


def _of_driver(error: Exception) -> bool:
    """Whether the driver itself broke, as on a connection that was cut in mid-work (a RuntimeError of uvloop's)."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").partition(".")[0] in DRIVERS


def describe(error: BaseException) -> str:
    """An error for a log: what and where, never its text, which may hold what a customer said."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    place = f" in {ours[-1].name}, line {ours[-1].lineno}" if ours else ""
    return f"{type(cause.__cause__ or cause).__name__}{f' (SQLSTATE {state})' if state else ''}{place}"


@dataclass
class Transaction:
    """One database transaction: rows in, events out. Handlers never commit it."""

    connection: AsyncConnection
    running: "Running"
    now: datetime  # database time (UTC), read once, after the locks were taken
    causes: dict[str, str] = field(default_factory=dict)  # ticket key → traceparent of what caused the change
    traces: dict[str, str] = field(default_factory=dict)  # locked key → traceparent of the first thing said about it
    prepared: dict[UUID, Any] = field(default_factory=dict)  # event id → what `prepares` made of it
    keys: frozenset[str] = frozenset()  # locked when it began
    memory: dict[Any, Any] = field(default_factory=dict)  # what a service's store remembers until the end
    said: list[Event] = field(default_factory=list)
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    gathered: dict[Callable[["Transaction", list[Any]], Awaitable[None]], list[Any]] = field(default_factory=dict)

    def new_id(self) -> UUID:
        """A UUIDv7 at this transaction's time."""
        return uuid7(self.now)

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        """Run a statement and give its rows."""
        return (await self.connection.execute(statement, parameters)).all()

    async def run(self, statement: Executable, **parameters: Any) -> int:
        """Run a statement and give the number of rows it changed."""
        return (await self.connection.execute(statement, parameters)).rowcount

    async def lock(self, keys: Iterable[str]) -> None:
        """Lock further streams, in key order; whoever locks twice must lock in ascending order over both."""
        await self.rows(LOCK, keys=sorted(set(keys)))

    def publish(self, event: Event) -> None:
        """Say this when the transaction commits."""
        self.said.append(event)

    def gather(self, write: Callable[["Transaction", list[Any]], Awaitable[None]], items: Iterable[Any]) -> None:
        """Have these written by `write(tx, items)`, once for the whole batch, before the outbox.

        For rows outside the locked tickets: written handler by handler, two batches would lock them crosswise.
        """
        self.gathered.setdefault(write, []).extend(items)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this (it must not fail) once the transaction has committed."""
        self.afterwards.append(call)

    async def flush(self) -> None:
        """Write what was gathered, then what was said into the outbox: one statement, whatever its number."""
        for write, items in self.gathered.items():
            await write(self, items)
        if not self.said:
            return
        keys = [event.key for event in self.said]
        left = Counter(keys)
        backs, parents = [], []
        for key in keys:
            left[key] -= 1
            backs.append(left[key])
            parent = self.causes.get(key) or self.traces.get(key)
            parents.append(parent or self.causes.setdefault(key, new_traceparent()))
        ids = uuid7s(self.now, len(keys))
        await self.run(
            PUBLISH,
            ids=ids,
            topics=[event.topic for event in self.said],
            keys=keys,
            types=[event.type for event in self.said],
            backs=backs,
            parents=parents,
            bodies=[encode(event) for event in self.said],
            now=self.now,
        )
        source = self.running.service.name
        for event, id_, parent in zip(self.said, ids, parents, strict=True):
            event.enveloped(Envelope(id_, source, self.now, 0, parent))


async def rows(source: "Transaction | Running", statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
    """Rows in a transaction, or outside any."""
    if isinstance(source, Transaction):
        return await source.rows(statement, **parameters)
    return await source.read(statement, **parameters)


def engine(url: str, schema: str, pool: int | None, application: str) -> AsyncEngine:
    """An engine whose connections see one schema and give up in time; `pool` None: no pool (commands)."""
    address: URL = make_url(url).set(drivername="postgresql+asyncpg")
    limits = LIMITS if pool else {"lock_timeout": "2000"}
    options = {"server_settings": {**limits, "search_path": schema, "application_name": application}, "timeout": 5}
    hidden = {"hide_parameters": True, "connect_args": options}  # what customers say must not reach a log
    if pool is None:
        return create_async_engine(address, poolclass=NullPool, **hidden)
    options["command_timeout"] = 15
    return create_async_engine(address, pool_size=pool, max_overflow=0, pool_timeout=10, **hidden)


@asynccontextmanager
async def transaction(running: "Running", keys: Iterable[str] = ()) -> AsyncIterator[Transaction]:
    """A transaction with these streams locked in key order; flushes, commits and wakes the relay at its end."""
    async with running.engine.connect() as connection:
        async with connection.begin():
            tx = await begun(running, connection, keys)
            yield tx
            await tx.flush()
        committed(tx)


async def begun(running: "Running", connection: AsyncConnection, keys: Iterable[str]) -> Transaction:
    """Take the locks and read the clock, in one statement."""
    wanted = {key for key in keys if key}
    row = (await connection.execute(LOCK, {"keys": sorted(wanted)})).one()
    running.set_clock(row.now)
    traces = dict(zip(row.streams or (), row.parents or (), strict=True))
    return Transaction(connection, running, row.now, traces=traces, keys=frozenset(wanted))


def committed(tx: Transaction) -> None:
    """What follows a commit, in this process only: nothing may depend on it."""
    if tx.said:
        tx.running.wake("relay")
    for call in tx.afterwards:
        call()
