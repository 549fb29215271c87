"""Gathers a run's facts: every service's tables (under the owner's role), every topic whole, the receivers' logs."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from demo import fact
from demo.fact import Facts, Said, Seen, Sent
from libs.shared.events import CLOCKS, FLOW, INBOUND, NOTICES, REFERENCE, REJECTED

TOPICS = (FLOW, CLOCKS, NOTICES, REJECTED, REFERENCE)
SERVICES = ("intake", "classification", "dispatch", "sla_timer", "notification")

Row = TypeVar("Row")

RECEIVED = """
    SELECT ticket_id, channel || '|' || external_ref AS reference, agent_id, channel, received_at AS at, stage
    FROM intake.ticket LEFT JOIN intake.ticket_stage USING (ticket_id)"""
REFUSED = 'SELECT partition, "offset", reference FROM intake.rejected'
JUDGED = """
    SELECT t.id AS ticket_id, t.state, t.decided_by, r.ticket_id IS NOT NULL AS waiting,
        d.ticket_id IS NOT NULL AS by_person
    FROM classification.ticket t LEFT JOIN classification.review r ON r.ticket_id = t.id
        LEFT JOIN classification.decision d ON d.ticket_id = t.id"""
DISPATCHED = "SELECT ticket_id, state, round, agent_id, rulings FROM dispatch.ticket"
ORDERS = "SELECT work_order_id, ticket_id, department, state, reassigned_from FROM dispatch.work_order"
DELIVERIES = """
    SELECT delivery_id, ticket_id, work_order_id, department, type, state, attempts FROM dispatch.delivery
    WHERE ticket_id IS NOT NULL"""
QUESTIONS = "SELECT question_id, ticket_id, asked_by, reply IS NOT NULL AS answered FROM dispatch.question"
CLOCK_ROWS = "SELECT id AS clock_id, ticket_id, kind, state FROM sla_timer.clock"
NOTICE_ROWS = "SELECT id, recipient, number, ticket_id, kind, fact FROM notification.notice"
KERNEL = """
    SELECT (SELECT count(*) FROM {0}.dead WHERE error IS NOT NULL) AS buried,
        (SELECT count(*) FROM {0}.dead WHERE error IS NULL) AS parked,
        (SELECT count(*) FROM {0}.halt) > 0 AS halted, (SELECT count(*) FROM {0}.outbox) AS unsent"""
VERSIONS = "SELECT key, version FROM {0}.stream WHERE version > 0"
FENCES = "SELECT topic, partition, next_offset, stopped FROM {0}.fence"


async def gather(
    database_url: str,
    kafka: str,
    *,
    logs: Iterable[Path],
    sent: Sequence[Sent],
    seen: Sequence[Seen],
    followed: set[str],
) -> Facts:
    """All facts of the run.

    Args: `database_url`: the owner's; `kafka`: bootstrap servers; `logs`: of the simulated departments; `followed`:
    the agents whose streams were read.
    """
    said, inbound, ends = await topics(kafka)
    hooks, calls = receivers(logs)
    database = await asyncpg.connect(database_url, timeout=10, command_timeout=60)
    try:
        return Facts(
            sent=tuple(sent),
            inbound=inbound,
            said=said,
            received=await _rows(database, RECEIVED, fact.Received),
            refused=await _rows(database, REFUSED, fact.Refused),
            judged=await _rows(database, JUDGED, fact.Judged),
            dispatched=await _rows(database, DISPATCHED, fact.Dispatched),
            orders=await _rows(database, ORDERS, fact.Order),
            deliveries=await _rows(database, DELIVERIES, fact.Delivery),
            questions=await _rows(database, QUESTIONS, fact.Question),
            clocks=await _rows(database, CLOCK_ROWS, fact.Clock),
            notices=await _rows(database, NOTICE_ROWS, fact.Notice),
            engines=tuple([await _engine(database, service, ends) for service in SERVICES]),
            hooks=hooks,
            calls=calls,
            seen=tuple(seen),
            followed=frozenset(followed),
        )
    finally:
        await database.close()


async def _rows(database: Any, statement: str, kind: Callable[..., Row]) -> tuple[Row, ...]:
    return tuple(kind(**dict(row)) for row in await database.fetch(statement))


async def _engine(database: Any, service: str, ends: dict[tuple[str, int], int]) -> fact.Engine:
    kernel = await database.fetchrow(KERNEL.format(service))
    fences = await database.fetch(FENCES.format(service))
    versions = await database.fetch(VERSIONS.format(service))
    behind = {
        (row["topic"], row["partition"]): ends[row["topic"], row["partition"]] - row["next_offset"] for row in fences
    }
    return fact.Engine(
        service=service,
        buried=kernel["buried"],
        parked=kernel["parked"],
        halted=kernel["halted"],
        unsent=kernel["unsent"],
        versions={row["key"]: row["version"] for row in versions},
        behind={f"{topic}/{partition}": count for (topic, partition), count in behind.items()},
        stopped=tuple(f"{row['topic']}/{row['partition']}" for row in fences if row["stopped"]),
    )


async def topics(kafka: str) -> tuple[tuple[Said, ...], frozenset[tuple[int, int]], dict[tuple[str, int], int]]:
    """Every record of Zhida's topics, the places of those on the inbound topic, and where each partition ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, max_partition_fetch_bytes=8 * 1024 * 1024
    )
    await consumer.start()
    try:
        found = await within(30, lambda: partitions(consumer))
        ends = await consumer.end_offsets(found)
        said: list[Said] = []
        inbound: set[tuple[int, int]] = set()
        open_ = {part for part in found if ends[part]}
        consumer.assign(sorted(open_))
        for part in open_:
            consumer.seek(part, 0)
        while open_:
            for part, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    if part.topic == INBOUND:
                        inbound.add((part.partition, record.offset))
                    else:
                        said.append(_said(part, record))
                if records[-1].offset + 1 >= ends[part]:
                    open_.discard(part)
        said.sort(key=lambda each: (each.topic, each.partition, each.offset))
        return tuple(said), frozenset(inbound), {(part.topic, part.partition): end for part, end in ends.items()}
    finally:
        await consumer.stop()


async def partitions(consumer: Any) -> list[TopicPartition] | None:
    await consumer._client.force_metadata_update()
    found = {topic: consumer.partitions_for_topic(topic) for topic in (*TOPICS, INBOUND)}
    if not all(found.values()):
        return None
    return [TopicPartition(topic, number) for topic, numbers in found.items() for number in sorted(numbers or ())]


def _said(part: TopicPartition, record: Any) -> Said:
    headers = {name: value.decode() for name, value in record.headers}
    return Said(
        topic=part.topic,
        partition=part.partition,
        offset=record.offset,
        key=record.key.decode(),
        id=UUID(headers["ce_id"]),
        type=headers["ce_type"].split(".")[1],
        source=headers["ce_source"].removeprefix("zhida/"),
        version=int(headers["ce_sequence"]),
        at=datetime.fromisoformat(headers["ce_time"]).astimezone(UTC),
        data=orjson.loads(record.value),
    )


def receivers(logs: Iterable[Path]) -> tuple[tuple[fact.Hook, ...], tuple[fact.Call, ...]]:
    """What the departments' receivers wrote down, in order of time."""
    hooks, calls = [], []
    for log in logs:
        for line in log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["event"] == "webhook":
                hooks.append(
                    fact.Hook(
                        department=entry["department"],
                        id=entry["webhook_id"],
                        type=entry["type"] or "",
                        ticket_id=entry["ticket_id"],
                        work_order_id=entry["work_order_id"],
                        at=datetime.fromisoformat(entry["received_at"]),
                        status=entry["status"],
                        duplicate=entry["duplicate"],
                    )
                )
            else:
                calls.append(
                    fact.Call(
                        department=entry["department"],
                        name=entry["call"],
                        ticket_id=entry["ticket_id"],
                        work_order_id=entry["work_order_id"],
                        at=datetime.fromisoformat(entry["sent_at"]),
                        status=entry["status"],
                        key=entry["key"],
                    )
                )
    hooks.sort(key=lambda hook: hook.at)
    calls.sort(key=lambda call: call.at)
    return tuple(hooks), tuple(calls)


async def within(seconds: float, attempt: Callable[[], Awaitable[Row | None]]) -> Row:
    """The first result that is not None. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        result = await attempt()
        while result is None:
            await asyncio.sleep(0.1)
            result = await attempt()
        return result
