"""The relay empties the outbox into Kafka: in order for each ticket, nothing left behind, at least once."""

import asyncio
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from sqlalchemy import text

from libs.shared import telemetry
from libs.shared.db import describe
from libs.shared.events import Envelope, header_pairs
from libs.shared.kafka import connection, shut
from libs.shared.service import LONGEST_PAUSE, Running
from libs.shared.telemetry import log

MOST = 4000  # rows of one pass

# Ids above the floor, and those below it that were skipped: they may belong to a transaction that was still running.
PENDING = text(f"""
    SELECT id, event_id, topic, key, type, version, occurred_at, traceparent, body FROM (
        (SELECT * FROM outbox WHERE id = ANY(CAST(:gaps AS bigint[])))
        UNION ALL (SELECT * FROM outbox WHERE id > :floor ORDER BY id LIMIT {MOST})) AS pending
    ORDER BY id LIMIT {MOST}""")
FORGET = text("DELETE FROM outbox WHERE id = ANY(CAST(:ids AS bigint[]))")
LAST_DRAWN = text("SELECT coalesce(pg_sequence_last_value('outbox_id_seq'), 0) AS id")
HORIZON = text("""
    SELECT CAST(CAST(pg_snapshot_xmin(s) AS text) AS bigint) AS oldest,
        CAST(CAST(pg_snapshot_xmax(s) AS text) AS bigint) AS next FROM pg_current_snapshot() AS s""")

LONGEST_TRANSACTION = 60.0  # s
POLL = 0.05  # s between two looks for what other processes have written; what this one writes wakes the relay
DISCOVERY = 1.0  # s between full reads of the outbox, the net below the floor
BATCH_BYTES = 256 * 1024
MURMUR, MURMUR_SEED = 0x5BD1E995, 0x9747B28C
UUID_LENGTH = 36


class Relay:
    """Sends the outbox to Kafka in order; one owner per service, by lease."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.last = asyncio.Event()  # set when nothing more will be said: send what is left and return
        self._producer: AIOKafkaProducer | None = None
        self._restart()

    def _restart(self) -> None:
        self._floor: int | None = None  # all ids up to here were sent, or are in `gaps`
        self._gaps: dict[int, float] = {}  # skipped id → monotonic time it was first missed
        self._unsettled = 0  # while transactions older than this still run, the whole outbox is read every time
        self._next_discovery = 0.0

    async def run(self) -> None:
        """Relay until `last` is set, then what the last transactions said."""
        wait, renew = 0.1, 0.0
        while True:
            last = self.last.is_set()
            try:
                if time.monotonic() >= renew:
                    if not await self.running.hold("relay", 10):
                        self._restart()
                        if last:
                            return
                        await self.running.pause(1.0)
                        continue
                    renew = time.monotonic() + 3.0
                sent = await self._pass()
                wait = 0.1
                if last and not sent:
                    break
                if sent < MOST:
                    await self.running.wait("relay", POLL)
            except Exception as error:
                telemetry.RETRIES.labels("relay").inc()
                log.warning("retrying", part="relay", error=describe(error))
                await self._close()
                self._restart()
                if last:
                    break
                await self.running.pause(wait)
                wait, renew = min(wait * 2, LONGEST_PAUSE), 0.0
        await self._close()
        with suppress(Exception):
            await self.running.release("relay")

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer:
            await shut(producer, producer.client, 1)

    async def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **connection(self.running.settings),
                client_id=f"zhida-{self.running.service.name}",
                enable_idempotence=True,
                acks="all",
                max_batch_size=BATCH_BYTES,
                request_timeout_ms=10_000,
            )
            try:
                await producer.start()
            except BaseException:
                await shut(producer, producer.client, 5)
                raise
            self._producer = producer
        return self._producer

    async def _pass(self) -> int:
        """Read what is pending, send it, forget it; gives how many."""
        now = time.monotonic()
        if self._floor is None:
            [drawn] = await self.running.read(LAST_DRAWN)  # before the snapshot: whoever drew up to here is in it
            [horizon] = await self.running.read(HORIZON)
            self._floor, self._unsettled = drawn.id, horizon.next
        if self._unsettled:
            [horizon] = await self.running.read(HORIZON)
            if horizon.oldest >= self._unsettled:
                self._unsettled = 0
                self._next_discovery = 0.0  # one more full read, now that nothing older can appear
        floor = self._floor
        if self._unsettled or now >= self._next_discovery:
            floor, self._next_discovery = 0, now + DISCOVERY
        rows = await self.running.read(PENDING, floor=floor, gaps=list(self._gaps) if floor else [])
        if not rows:
            telemetry.OUTBOX_AGE.set(0)
            return 0
        telemetry.OUTBOX_AGE.set(max(time.time() - rows[0].occurred_at.timestamp(), 0))
        if not floor and len(rows) == MOST:
            self._next_discovery = 0.0  # there is more below the floor, and it comes before what is above
        await self._send(rows)
        ids = [row.id for row in rows]
        await self.running.read(FORGET, ids=ids)
        telemetry.RELAYED.inc(len(rows))
        self._rise(ids, now)
        return len(rows)

    def _rise(self, ids: list[int], now: float) -> None:
        """Move the floor to the highest id sent, remembering the ids that were skipped on the way."""
        floor = self._floor or 0
        if self._unsettled or ids[-1] <= floor:
            self._forget_gaps(set(ids), now)
            return
        seen = set(ids)
        for id_ in range(max(floor, ids[-1] - 100_000) + 1, ids[-1]):
            if id_ not in seen:
                self._gaps.setdefault(id_, now)
        self._floor = ids[-1]
        self._forget_gaps(seen, now)

    def _forget_gaps(self, seen: set[int], now: float) -> None:
        self._gaps = {
            k: since for k, since in self._gaps.items() if k not in seen and now - since < LONGEST_TRANSACTION
        }

    async def _send(self, rows: Sequence[Any]) -> None:
        """Send rows to their partitions: in order within one, all at once over several; every one acknowledged."""
        producer = await self._open()
        topics: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            topics[row.topic].append(row)
        partitions: dict[TopicPartition, list[Any]] = defaultdict(list)
        for topic, part in topics.items():
            count = len(await producer.partitions_for(topic))
            for row, number in zip(part, numbers([row.key.encode() for row in part], count), strict=True):
                partitions[TopicPartition(topic, number)].append(row)
        async with asyncio.TaskGroup() as group:
            for tp, part in partitions.items():
                group.create_task(self._send_to(producer, tp, part))

    async def _send_to(self, producer: AIOKafkaProducer, tp: TopicPartition, rows: Sequence[Any]) -> None:
        batch = producer.create_batch()
        source = self.running.service.name
        for row in rows:
            envelope = Envelope(row.event_id, source, row.occurred_at, row.version, row.traceparent)
            record = {
                "key": row.key.encode(),
                "value": row.body,
                "timestamp": int(row.occurred_at.timestamp() * 1000),
                "headers": header_pairs(row.type, envelope),
            }
            if batch.append(**record) is None:
                await self._deliver(producer, tp, batch)
                batch = producer.create_batch()
                batch.append(**record)
        await self._deliver(producer, tp, batch)

    async def _deliver(self, producer: AIOKafkaProducer, tp: TopicPartition, batch: Any) -> None:
        batch.close()
        acknowledged = await producer.send_batch(batch, tp.topic, partition=tp.partition)
        await asyncio.wait_for(acknowledged, 15)


def numbers(keys: Sequence[bytes], count: int) -> list[int]:
    """The partition of each key, as Kafka's own clients choose it (murmur2); keys as long as a UUID all at once.

    Each key has a lane of 64 bits in one large integer, so that the work in Python is done once for all of them.
    """
    alike = [key for key in keys if len(key) == UUID_LENGTH and sys.byteorder == "little"]
    found = dict(zip(alike, _lanes(alike, count), strict=True)) if alike else {}
    every = list(range(count))
    return [found[key] if key in found else DefaultPartitioner()(key, every, every) for key in keys]


def _lanes(keys: Sequence[bytes], count: int) -> list[int]:
    words = array("I", b"".join(keys))
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * len(keys), "little")
    low = {bits: ones * ((1 << bits) - 1) for bits in (8, 17, 19, 32)}
    hashed = ones * (MURMUR_SEED ^ UUID_LENGTH)
    for place in range(UUID_LENGTH // 4):
        word = int.from_bytes(array("Q", words[place :: UUID_LENGTH // 4]).tobytes(), "little") * MURMUR & low[32]
        word = (word ^ word >> 24 & low[8]) * MURMUR & low[32]
        hashed = hashed * MURMUR & low[32] ^ word
    hashed = (hashed ^ hashed >> 13 & low[19]) * MURMUR & low[32]
    hashed ^= hashed >> 15 & low[17]
    return [(lane & 0x7FFFFFFF) % count for lane in array("Q", hashed.to_bytes(8 * len(keys), "little"))]
