"""Watches the stores from beside the proxy: where the topics end, how far each service is, whether all is at rest."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.local import environment
from reconcile.book import TOPICS

Ends = Mapping[tuple[str, int], int]
FENCES: Final = " UNION ALL ".join(
    f"SELECT '{name}' AS service, topic, partition, next_offset, stopped FROM {name}.fence"
    for name in environment.services()
)
LEFT: Final = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM {name}.outbox) AS {name}_unsent, (SELECT count(*) FROM {name}.dead) AS {name}_dead,"
    f" (SELECT count(*) FROM {name}.halt) AS {name}_halted"
    for name in environment.services()
)
UNDER_WAY: Final = """
    SELECT (SELECT count(*) FROM dispatch.ticket WHERE state <> 'closed') AS open_tickets,
        (SELECT count(*) FROM dispatch.delivery WHERE state IN ('pending', 'waiting')) AS deliveries,
        (SELECT count(*) FROM sla_timer.clock WHERE state = 'running') AS clocks,
        (SELECT count(*) FROM classification.review) AS reviews,
        (SELECT count(*) FROM intake.ticket_stage WHERE stage <> 'closed') AS stages"""
TROUBLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError)


@dataclass
class Watch:
    """Connections of its own, opened anew when a store comes back."""

    kafka: str
    database_url: str
    _consumer: AIOKafkaConsumer | None = None
    _database: Any = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ends(self) -> Ends:
        """Where every partition ends now; waits while the broker is away."""
        while True:
            try:
                async with self._asking:
                    consumer = await self._kafka()
                    parts = [
                        TopicPartition(topic, number)
                        for topic in TOPICS
                        for number in consumer.partitions_for_topic(topic) or ()
                    ]
                    if parts:
                        ends = await asyncio.wait_for(consumer.end_offsets(parts), 5)
                        return {(tp.topic, tp.partition): end for tp, end in ends.items()}
            except TROUBLE:
                await self.close()
            await asyncio.sleep(0.1)

    async def rows(self, statement: str, *values: Any) -> list[Any]:
        """Rows of a statement; waits while Postgres is away."""
        while True:
            try:
                async with self._asking:
                    if self._database is None or self._database.is_closed():
                        self._database = await asyncpg.connect(self.database_url, timeout=3, command_timeout=60)
                    return list(await self._database.fetch(statement, *values))
            except TROUBLE:
                await self._drop()
            await asyncio.sleep(0.05)

    async def fences(self) -> dict[str, dict[tuple[str, int], int]]:
        """How far each service is: service → partition → next offset."""
        found: dict[str, dict[tuple[str, int], int]] = {name: {} for name in environment.services()}
        for row in await self.rows(FENCES):
            found[row["service"]][row["topic"], row["partition"]] = row["next_offset"]
        return found

    async def passed(self, ends: Ends, services: Iterable[str], seconds: float) -> dict[str, float]:
        """Wait until these services have all read everything up to `ends`, and something behind.

        Gives how long each took; a service that took longer than `seconds` is missing.
        """
        began, missing = time.monotonic(), set(services)
        took: dict[str, float] = {}
        while missing and time.monotonic() - began < seconds:
            fences = await self.fences()
            back = {name for name in missing if _beyond(fences[name], ends)}
            took |= dict.fromkeys(back, time.monotonic() - began)
            missing -= back
            if missing:
                await asyncio.sleep(0.05)
        return took

    async def unread(self) -> int:
        """Records that some service has not handled yet."""
        ends, fences = await self.ends(), await self.fences()
        return sum(max(ends[part] - at, 0) for held in fences.values() for part, at in held.items())

    async def left(self) -> dict[str, int]:
        """Everything that is still to be done, by name; empty when all is at rest."""
        [kernel], [work] = await self.rows(LEFT), await self.rows(UNDER_WAY)
        found = {**dict(kernel), **dict(work), "unread": await self.unread()}
        return {name: count for name, count in found.items() if count and not name.endswith("_dead")}

    async def close(self) -> None:
        """Let the connections go."""
        consumer, self._consumer = self._consumer, None
        if consumer:
            with contextlib.suppress(*TROUBLE):
                await asyncio.wait_for(consumer.stop(), 3)
        await self._drop()

    async def _drop(self) -> None:
        database, self._database = self._database, None
        if database:
            with contextlib.suppress(*TROUBLE):
                await database.close(timeout=1)

    async def _kafka(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False, request_timeout_ms=3000)
            await asyncio.wait_for(consumer.start(), 5)
            await consumer._client.force_metadata_update()
            self._consumer = consumer
        return self._consumer


@contextlib.asynccontextmanager
async def opened(kafka: str, database_url: str) -> AsyncIterator[Watch]:
    """Watching, until the block ends."""
    watch = Watch(kafka, database_url)
    try:
        yield watch
    finally:
        await watch.close()


def _beyond(held: Mapping[tuple[str, int], int], ends: Ends) -> bool:
    """Whether a service stands at or behind these ends everywhere, and behind one of them somewhere."""
    gaps = [at - ends.get(part, 0) for part, at in held.items()]
    return bool(gaps) and min(gaps) >= 0 and max(gaps) > 0
