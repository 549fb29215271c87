"""How the bare programs read from Kafka and write to it: batches in, batches out, acknowledged by all."""

import asyncio
import os
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

NAMES = ("inbound", "received", "classified", "assigned", "delivered", "clocks")
BATCH = 500
COMMIT = 1.0  # s between two commits of offsets


def full(run: str, name: str) -> str:
    """The topic of that short name in this run."""
    return f"bare.{run}.{name}"


class Said(NamedTuple):
    """One event on its way out."""

    id: UUID
    topic: str  # its short name
    key: str
    body: bytes


def new_id() -> UUID:
    """A UUIDv7."""
    random = int.from_bytes(os.urandom(10), "big")
    high = time.time_ns() // 1_000_000 << 16 | 0x7000 | random >> 68
    return UUID(int=high << 64 | 0b10 << 62 | random & (1 << 62) - 1)


class Voice:
    """Sends what was written to the outbox and keeps what may be deleted there."""

    def __init__(self, producer: AIOKafkaProducer, run: str) -> None:
        self.producer, self.run = producer, run
        self._sending: asyncio.Task[None] | None = None
        self._partitions: dict[str, int] = {}
        self.sent: list[UUID] = []  # acknowledged: the next statement deletes them

    def forgotten(self) -> list[UUID]:
        """What the next statement deletes."""
        sent, self.sent = self.sent, []
        return sent

    async def say(self, events: Sequence[Said]) -> None:
        """Begin to send, once what was said before is acknowledged: order is kept."""
        if self._sending:
            await self._sending
        self._sending = asyncio.create_task(self._send(events)) if events else None

    async def _send(self, events: Sequence[Said]) -> None:
        batches: dict[tuple[str, int], list[Said]] = defaultdict(list)
        for event in events:
            if event.topic not in self._partitions:
                self._partitions[event.topic] = len(await self.producer.partitions_for(full(self.run, event.topic)))
            batches[event.topic, zlib.crc32(event.key.encode()) % self._partitions[event.topic]].append(event)
        waiting = []
        for (topic, partition), part in batches.items():
            batch = self.producer.create_batch()
            for event in part:
                headers = [("id", event.id.bytes)]
                kept = batch.append(key=event.key.encode(), value=event.body, timestamp=None, headers=headers)
                assert kept is not None, "a batch holds more than the largest here"
            batch.close()
            waiting.append(await self.producer.send_batch(batch, full(self.run, topic), partition=partition))
        await asyncio.gather(*waiting)
        self.sent += [event.id for event in events]


async def batches(consumer: AIOKafkaConsumer) -> AsyncIterator[list[Any]]:
    """Up to 500 records at a time; offsets are committed behind the caller, about once a second."""
    due = time.monotonic() + COMMIT
    while True:
        found = await consumer.getmany(timeout_ms=200, max_records=BATCH)
        if found:
            yield [record for part in found.values() for record in part]
        if time.monotonic() >= due and consumer.assignment():
            await consumer.commit()
            due = time.monotonic() + COMMIT


def event_id(record: Any) -> UUID:
    """The id under which the event is known."""
    return UUID(bytes=record.headers[0][1])
