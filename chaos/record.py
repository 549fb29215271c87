"""Records put on the topics by hand: what nobody can handle, and whole topics once more."""

import asyncio
import contextlib
import json
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.shared.contracts.dispatch import WorkOrderAccepted
from libs.shared.contracts.sla_timer import ClockWarned
from libs.shared.events import CLOCKS, FLOW, INBOUND, Envelope, header_pairs, uuid7
from reconcile.ledger import Ledger

MOST_REPLAYED: Final = 20_000  # records: of longer topics the last so many come again
TOPICS: Final = {"flow": (FLOW, WorkOrderAccepted.type), "clocks": (CLOCKS, ClockWarned.type), "inbound": (INBOUND, "")}
HUGE: Final = 900_000  # bytes; the broker takes 1 MB


@contextlib.asynccontextmanager
async def producing(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer past the proxy."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_request_size=1024 * 1024
    )
    await asyncio.wait_for(producer.start(), 30)
    try:
        yield producer
    finally:
        await asyncio.wait_for(producer.stop(), 30)


async def poison(kafka: str, ledger: Ledger, where: str, kind: str, *, ticket: str | None, draw: random.Random) -> str:
    """Put a record there that nobody can handle; gives the key it has. `ticket`: whose, None: nobody's."""
    topic, type_name = TOPICS[where]
    key = ticket or str(uuid7(datetime.now(UTC)))
    value = json.dumps({"ticket_id": key, "work_order_id": "none", "clock": None}).encode()
    headers: Sequence[tuple[str, bytes]] = _headers(type_name, draw)
    match kind:
        case "bad-json":
            value = b'{"ticket_id": '
        case "huge":
            value = json.dumps({"ticket_id": key, "work_order_id": "x" * HUGE}).encode()
        case "no-headers":
            headers = [("ce_type", type_name.encode())]
        case "unknown-type":
            headers = _headers("zhida.NeverHeardOf.v1", draw)
    async with producing(kafka) as producer:
        raw_key = None if kind == "null-key" else key.encode()
        offer = ledger.offered(key, None, "refused") if topic == INBOUND and raw_key else None
        sent = await producer.send_and_wait(
            topic, value, key=raw_key, headers=[] if topic == INBOUND else list(headers)
        )
    if offer is not None:
        ledger.published(offer, sent.partition, sent.offset)
    else:
        ledger.planted(topic, sent.partition, sent.offset)
    return key


def _headers(type_name: str, draw: random.Random) -> list[tuple[str, bytes]]:
    now = datetime.now(UTC)
    trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    return header_pairs(type_name, Envelope(uuid7(now), "dispatch", now, draw.randrange(900, 999), trace))


async def replay(kafka: str, ledger: Ledger, topic: str) -> int:
    """Produce a topic's records again, as they are, in their order; gives how many."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, max_partition_fetch_bytes=1 << 22)
    await asyncio.wait_for(consumer.start(), 30)
    try:
        await consumer._client.force_metadata_update()
        parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        ends = await consumer.end_offsets(parts)
        each = max(MOST_REPLAYED // max(len(parts), 1), 1)
        starts = {tp: max(end - each, 0) for tp, end in ends.items()}
        open_ = {tp for tp in parts if ends[tp]}
        consumer.assign(sorted(open_))
        for tp in open_:
            consumer.seek(tp, starts[tp])
        count = 0
        async with producing(kafka) as producer:
            while open_:
                for tp, records in (await consumer.getmany(timeout_ms=1000, max_records=1000)).items():
                    old = [record for record in records if record.offset < ends[tp]]
                    count += await _again(producer, ledger, topic, old)
                    if records[-1].offset + 1 >= ends[tp]:
                        open_.discard(tp)
                        consumer.pause(tp)
        return count
    finally:
        await asyncio.wait_for(consumer.stop(), 30)


async def _again(producer: AIOKafkaProducer, ledger: Ledger, topic: str, records: Sequence[Any]) -> int:
    waiting = []
    for record in records:
        offer = ledger.offered(record.key.decode(), None, "any") if topic == INBOUND and record.key else None
        sending = await producer.send(
            topic, record.value, key=record.key, partition=record.partition, headers=list(record.headers)
        )
        waiting.append((record, offer, sending))
    for record, offer, sending in waiting:
        sent = await sending
        if offer is not None:
            ledger.published(offer, sent.partition, sent.offset)
        elif topic == INBOUND or (topic, record.partition, record.offset) in ledger.plants:
            ledger.planted(topic, sent.partition, sent.offset)
    return len(waiting)
