"""A service on a real Postgres for tests: made, migrated, given events through the kernel's own path."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url

from deploy.local import postgres
from libs.operate import schema
from libs.shared import keys, run
from libs.shared.bus import Bus
from libs.shared.events import Envelope, Event, decode, encode, header_pairs, type_names, uuid7
from libs.shared.service import Record, Running, Service
from libs.shared.settings import Settings

FENCE = text("""
    INSERT INTO fence (topic, partition, topic_id, next_offset) VALUES (:topic, 0, gen_random_uuid(), 0)
    ON CONFLICT DO NOTHING""")
OUTBOX = text("SELECT * FROM outbox ORDER BY id")
EMPTY = text("DELETE FROM outbox")
EMPTY_DATABASE = "SELECT NOT EXISTS (SELECT FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|public$)')"
MIGRATED: dict[
    tuple[str, ...], str
] = {}  # server, service and what it keeps → a database that is migrated, and only so
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Harness:
    """A service without Kafka: `hear` puts events through the batch path, `said` reads what it published."""

    running: Running
    app: FastAPI
    bus: Bus
    positions: dict[tuple[str, int], int] = field(default_factory=dict)

    async def hear(self, *events: Event) -> list[Event]:
        """Events in, as one batch of Kafka records; gives what was published since."""
        await self.take([self.record(event) for event in events])
        return await self.said()

    async def take(self, records: Sequence[Record]) -> None:
        """Records through the bus; partition 0 of each topic."""
        for record in records:
            if (record.topic, record.partition) not in self.positions:
                await self.running.read(FENCE, topic=record.topic)
                self.positions[record.topic, record.partition] = 0
        await self.bus.take(records, self.positions)

    def record(self, event: Event, *, offset: int | None = None) -> Record:
        """An event as the record it would be, at the next offset of its topic."""
        try:
            envelope = event.envelope
        except ValueError:
            now = datetime.now(UTC)
            envelope = Envelope(uuid7(now), "test", now, 1, TRACEPARENT)
            event.enveloped(envelope)
        return self.raw(
            event.topic, event.key.encode(), encode(event), dict(header_pairs(event.type, envelope)), offset
        )

    def raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes],
        offset: int | None = None,
    ) -> Record:
        """Any record, at the next offset of its topic."""
        self._next = getattr(self, "_next", 0) + 1
        return Record(topic, 0, self._next if offset is None else offset, key, value, headers, 0)

    async def said(self) -> list[Event]:
        """What stands in the outbox, in order; taken out of it."""
        events = []
        for row in await self.running.read(OUTBOX):
            envelope = Envelope(row.event_id, self.running.service.name, row.occurred_at, row.version, row.traceparent)
            events.append(decode(type_names[row.type], dict(header_pairs(row.type, envelope)), row.body))
        await self.running.read(EMPTY)
        return events

    async def rows(self, sql: str, **parameters: Any) -> list[Any]:
        """Rows of a query on the service's schema."""
        return list(await self.running.read(text(sql), **parameters))

    @asynccontextmanager
    async def client(self, principal: str, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client of the service with a key of that principal and those scopes; raises nothing on 5xx."""
        key = await keys.create(self.running, principal, list(scopes), None)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://zhida", headers={"Authorization": f"Bearer {key}"}
        ) as client:
            yield client


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 30, every: float = 0.05) -> None:
    """Poll until it holds; an error after that time."""
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(every)


async def _migrate(service: Service, settings: Settings, owner_url: str) -> None:
    """Migrate; an empty database only the first time of a run: then it is made anew as a copy of what came of that."""
    url = make_url(owner_url)
    name, server = str(url.database), url.set(database="postgres").render_as_string(hide_password=False)
    what = (server, service.name, *(kept.name for kept in service.keeps))
    if not await _empty(owner_url):
        await schema.migrate(service, settings)
    elif what in MIGRATED:
        await postgres.drop_database(server, name)
        await postgres.create_database(server, name, MIGRATED[what])
    else:
        await schema.migrate(service, settings)
        await postgres.create_database(server, f"{name}_as_migrated", name)
        MIGRATED[what] = f"{name}_as_migrated"


async def _empty(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval(EMPTY_DATABASE))
    finally:
        await connection.close()


async def drop_copies() -> None:
    """Remove the migrated databases that others were copied from."""
    while MIGRATED:
        (server, *_), name = MIGRATED.popitem()
        await postgres.drop_database(server, name)


@asynccontextmanager
async def harness(service: Service, owner_url: str, **settings: Any) -> AsyncIterator[Harness]:
    """The service migrated into that (new) database, under its own runtime role, opened."""
    runtime = make_url(owner_url).set(username=f"zhida_{service.name}", password="only-for-tests")
    found = service.settings(
        database_url=SecretStr(runtime.render_as_string(hide_password=False)),
        owner_database_url=SecretStr(owner_url),
        **settings,
    )
    await _migrate(service, found, owner_url)
    async with run.started(service, found) as (running, app):
        yield Harness(running, app, Bus(running))
