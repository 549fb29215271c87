"""One hop without Zhida: topic → table, dedup table and outbox in one statement a batch → relay → topic.

`python -m benchmarks.bare.hop KAFKA DATABASE_URL SOURCE TARGET GROUP lean|versioned`. At least once in, deduplicated by
event id in the effect's transaction; out through the outbox, acknowledged by all. No fence, no locks, no burial.
`versioned` also checks each event against its contract's classes, as readers of a shared topic must, and draws a
gapless version for each key.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections import defaultdict
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from deploy.local.leash import leash
from libs.shared.contracts.intake import TicketReceived

FRESH = """
    WITH heard AS (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::text[], $6::uuid[], $7::bytea[])
            WITH ORDINALITY AS h(id, ticket_id, title, star, traceparent, event_id, body, place)),
    fresh AS (INSERT INTO inbox SELECT DISTINCT id FROM heard ON CONFLICT DO NOTHING RETURNING id),
    done AS (
        INSERT INTO effect SELECT ticket_id, title, star FROM heard JOIN fresh USING (id) RETURNING ticket_id)"""
LEAN = f"""{FRESH}
    INSERT INTO outbox (event_id, key, occurred_at, traceparent, body)
    SELECT event_id, ticket_id::text, now(), traceparent, body FROM heard JOIN fresh USING (id) ORDER BY place"""
VERSIONED = f"""{FRESH},
    drawn AS (
        INSERT INTO stream SELECT ticket_id::text, count(*) FROM heard JOIN fresh USING (id) GROUP BY 1 ORDER BY 1
        ON CONFLICT (key) DO UPDATE SET version = stream.version + excluded.version RETURNING key, version)
    INSERT INTO outbox (event_id, key, occurred_at, traceparent, body, version)
    SELECT event_id, key, now(), traceparent, body,
        version + 1 - row_number() OVER (PARTITION BY key ORDER BY place DESC)
    FROM heard JOIN fresh USING (id) JOIN drawn ON key = ticket_id::text ORDER BY place"""
PENDING = "SELECT id, event_id, key, occurred_at, traceparent, body, version FROM outbox ORDER BY id LIMIT 4000"
FORGET = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"


async def take(
    kafka: str, pool: "asyncpg.Pool[Any]", source: str, group: str, *, versioned: bool, woken: asyncio.Event
) -> None:
    """Batches of up to 500 records, each one statement and so one transaction."""
    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=kafka, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=1024 * 1024,
    )  # fmt: skip
    await consumer.start()
    commit = time.monotonic() + 1
    while True:
        fetched = await consumer.getmany(timeout_ms=200, max_records=500)
        ids, tickets, titles, stars, parents, events, bodies = [], [], [], [], [], [], []
        for records in fetched.values():
            for record in records:
                headers = dict(record.headers)
                if headers["ce_type"] != b"zhida.TicketReceived.v1":
                    continue
                ids.append(UUID(headers["ce_id"].decode()))
                if versioned:
                    event = TicketReceived.model_validate_json(record.value)
                    tickets.append(event.ticket_id)
                    titles.append(event.ticket.title)
                    stars.append(event.ticket.customer.star)
                else:
                    body = orjson.loads(record.value)
                    ticket = body["ticket"]
                    tickets.append(UUID(body["ticket_id"]))
                    titles.append(ticket["title"])
                    stars.append(ticket["customer"]["star"])
                parents.append(headers["traceparent"].decode())
                events.append(uuid7())
                bodies.append(orjson.dumps({"ticket_id": tickets[-1], "title": titles[-1], "star": stars[-1]}))
        if ids:
            await pool.execute(VERSIONED if versioned else LEAN, ids, tickets, titles, stars, parents, events, bodies)
            woken.set()
        if time.monotonic() > commit:
            await consumer.commit()
            commit = time.monotonic() + 1


async def relay(kafka: str, pool: "asyncpg.Pool[Any]", target: str, woken: asyncio.Event) -> None:
    """The outbox in order of id, one batch for each partition, deleted when acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=256 * 1024
    )  # fmt: skip
    await producer.start()
    numbers, partitioner = sorted(await producer.partitions_for(target)), DefaultPartitioner()
    while True:
        woken.clear()
        rows = await pool.fetch(PENDING)
        if not rows:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), 0.05)
            continue
        batches: dict[int, Any] = defaultdict(producer.create_batch)
        full = []
        for row in rows:
            key = row["key"].encode()
            partition = partitioner(key, numbers, numbers)
            record = {
                "key": key,
                "value": row["body"],
                "timestamp": None,
                "headers": [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", str(row["event_id"]).encode()),
                    ("ce_source", b"bare"),
                    ("ce_type", b"zhida.Hopped.v1"),
                    ("ce_sequence", str(row["version"]).encode()),
                    ("ce_time", row["occurred_at"].isoformat().encode()),
                    ("traceparent", row["traceparent"].encode()),
                    ("content-type", b"application/json"),
                ],
            }
            if batches[partition].append(**record) is None:
                full.append(await producer.send_batch(batches[partition], target, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(**record)
        full += [await producer.send_batch(batch, target, partition=each) for each, batch in batches.items()]
        await asyncio.gather(*full)
        await pool.execute(FORGET, [row["id"] for row in rows])


def uuid7() -> UUID:
    """Time-ordered, so that indices stay local."""
    return UUID(bytes=(time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))


async def main(*words: str) -> None:
    """Both halves until the process is ended."""
    kafka, url, source, target, group, form = words
    woken = asyncio.Event()
    async with asyncpg.create_pool(url, min_size=2, max_size=4) as pool, asyncio.TaskGroup() as both:
        both.create_task(take(kafka, pool, source, group, versioned=form == "versioned", woken=woken))
        both.create_task(relay(kafka, pool, target, woken))


if __name__ == "__main__":
    leash()
    uvloop.run(main(*sys.argv[1:]))
