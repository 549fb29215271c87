"""The call-centre platforms' end: tickets onto the inbound topic in batches, as many as fit or at a fixed rate."""

import asyncio
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import AIOKafkaProducer

TICK = 0.025  # s between two batches
MOST = 500  # records published at once


class Source(Protocol):
    """An endless row of tickets."""

    def next(self) -> tuple[bytes, bytes]:
        """Key and value of the next one."""


@dataclass
class Publisher:
    """Publishes a run's tickets and keeps when each was handed over."""

    producer: AIOKafkaProducer
    topic: str
    partitions: int
    tickets: Source
    sent: list[float] = field(default_factory=list)  # monotonic time by number

    async def publish(self, count: int) -> None:
        """The next tickets, a batch for each partition (by CRC-32 of the key, librdkafka's default); acknowledged."""
        batches = defaultdict(list)
        now = time.monotonic()
        for _ in range(count):
            key, value = self.tickets.next()
            batches[zlib.crc32(key) % self.partitions].append((key, value))
            self.sent.append(now)
        waiting = []
        for partition, records in batches.items():
            batch = self.producer.create_batch()
            for key, value in records:
                assert batch.append(key=key, value=value, timestamp=None) is not None
            batch.close()
            waiting.append(await self.producer.send_batch(batch, self.topic, partition=partition))
        await asyncio.gather(*waiting)

    async def closed(self, seconds: float, under_way: Callable[[], int], backlog: int) -> None:
        """As many as fit for so long: never more than `backlog` under way."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            room = min(backlog - under_way(), MOST)
            if room > 0:
                await self.publish(room)
            await asyncio.sleep(max(now + TICK - time.monotonic(), 0.001))

    async def open(self, seconds: float, rate: float) -> None:
        """So many a second, whatever becomes of them."""
        begin, done = time.monotonic(), 0
        total = round(rate * seconds)
        while done < total:
            due = min(int((time.monotonic() - begin + TICK) * rate), total)
            while done < due:
                count = min(due - done, MOST)
                await self.publish(count)
                done += count
            await asyncio.sleep(max(begin + done / rate - time.monotonic(), 0.001))


@asynccontextmanager
async def publishing(servers: str, topic: str, tickets: Source) -> AsyncIterator[Publisher]:
    """A publisher with acks=all."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, max_batch_size=1024 * 1024
    )
    await producer.start()
    try:
        yield Publisher(producer, topic, len(await producer.partitions_for(topic)), tickets)
    finally:
        await producer.stop()
