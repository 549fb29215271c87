"""One hop: `python -m benchmarks.bare.pipeline NAME`, with KAFKA and DATABASE in the environment."""

import gc
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.bare.pipeline import table
from benchmarks.bare.pipeline.sender import Sender
from benchmarks.bare.pipeline.wire import Said, Voice, batches, event_id, full, new_id
from benchmarks.pipeline import ticket
from deploy.local.leash import leash

STAGES = ("received", "classified", "assigned", "delivered")
Work = Callable[[list[Any]], Awaitable[None]]


def intake(database: Any, voice: Voice) -> Work:
    """Takes tickets in, once each."""

    async def work(records: list[Any]) -> None:
        given = []
        for record in records:
            found = orjson.loads(record.value)
            id_ = new_id()
            body = orjson.dumps({"ticket_id": id_, "ticket": found})
            given.append((new_id(), id_, found["channel"], found["external_ref"], body))
        rows = await database.fetch(table.INTAKE, voice.forgotten(), *zip(*given, strict=True))
        new = {row[0] for row in rows}
        await voice.say([Said(id_, "received", str(t), body) for id_, t, _, _, body in given if id_ in new])

    return work


def classification(database: Any, voice: Voice) -> Work:
    """Reads tickets: with the same matrix as Zhida, or (MODEL=0) by a table of their titles."""
    judge = ticket.judge() if os.environ.get("MODEL", "1") == "1" else ticket.glance()

    async def work(records: list[Any]) -> None:
        given = []
        for record in records:
            found = orjson.loads(record.value)
            situation, departments, probability = judge(found["ticket"])
            said = {**found, "situation": situation, "departments": departments, "probability": probability}
            body = orjson.dumps(said)
            given.append((event_id(record), new_id(), UUID(found["ticket_id"]), situation, probability, body))
        rows = await database.fetch(table.CLASSIFICATION, voice.forgotten(), *zip(*given, strict=True))
        new = {row[0] for row in rows}
        await voice.say([Said(id_, "classified", str(t), body) for _, id_, t, _, _, body in given if id_ in new])

    return work


def dispatch(database: Any, voice: Voice) -> Work:
    """Gives each department its work order and its webhook."""
    sender = Sender(database, Voice(voice.producer, voice.run), os.environ["RECEIVER"])

    async def work(records: list[Any]) -> None:
        given = []
        for record in records:
            found = orjson.loads(record.value)
            for department in found["departments"]:
                order, delivery = new_id(), new_id()
                about = {"work_order_id": order, "ticket_id": found["ticket_id"], "department": department}
                webhook = orjson.dumps({"type": "work_order.assigned", "data": {**about, **found["ticket"]}})
                said, t = orjson.dumps(about), UUID(found["ticket_id"])
                given.append((event_id(record), new_id(), t, order, delivery, department, said, webhook))
        rows = await database.fetch(table.DISPATCH, voice.forgotten(), *zip(*given, strict=True))
        new = {row[0] for row in rows}
        kept = [each for each in given if each[1] in new]
        sender.send([(delivery, order, str(t), code, hook) for _, _, t, order, delivery, code, _, hook in kept])
        await voice.say([Said(id_, "assigned", str(t), body) for _, id_, t, _, _, _, body, _ in kept])

    return work


def clocks(database: Any, voice: Voice) -> Work:
    """Starts a clock and its timer for each work order."""

    async def work(records: list[Any]) -> None:
        due = datetime.now(UTC) + timedelta(hours=2)
        given = []
        for record in records:
            found = orjson.loads(record.value)
            order, id_ = UUID(found["work_order_id"]), new_id()
            body = orjson.dumps({**found, "due_at": due})
            given.append((event_id(record), id_, found["ticket_id"], order, due, body))
        rows = await database.fetch(table.CLOCKS, voice.forgotten(), *zip(*given, strict=True))
        new = {row[0] for row in rows}
        await voice.say([Said(id_, "clocks", key, body) for _, id_, key, _, _, body in given if id_ in new])

    return work


def stages(database: Any, voice: Voice) -> Work:
    """Follows where each ticket stands."""
    number = {full(voice.run, name): place for place, name in enumerate(STAGES)}

    async def work(records: list[Any]) -> None:
        given = [(event_id(record), UUID(record.key.decode()), number[record.topic]) for record in records]
        await database.execute(table.STAGES, *zip(*given, strict=True))

    return work


HOPS: dict[str, tuple[tuple[str, ...], Callable[[Any, Voice], Work]]] = {
    "intake": (("inbound",), intake),
    "classification": (("received",), classification),
    "dispatch": (("classified",), dispatch),
    "clocks": (("assigned",), clocks),
    "stages": (STAGES, stages),
}


async def run(name: str) -> None:
    """Until cancelled."""
    topics, make = HOPS[name]
    kafka, number = os.environ["KAFKA"], os.environ["RUN"]
    database = await asyncpg.create_pool(os.environ["DATABASE"], min_size=2, max_size=2)
    consumer = AIOKafkaConsumer(
        *(full(number, topic) for topic in topics),
        bootstrap_servers=kafka,
        group_id=f"bare-{number}-{name}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=250,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=1024 * 1024
    )
    await consumer.start()
    await producer.start()
    try:
        work = make(database, Voice(producer, number))
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        print("ready", flush=True)
        async for records in batches(consumer):
            await work(records)
    finally:
        await consumer.stop()
        await producer.stop()
        database.terminate()


if __name__ == "__main__":
    leash()
    with suppress(KeyboardInterrupt):
        uvloop.run(run(sys.argv[1]))
