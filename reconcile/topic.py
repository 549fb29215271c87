"""Zhida's topics, read whole and once: what each record says, in as few columns as the checks need."""

import asyncio
import contextlib
from array import array
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from libs.shared.events import CLOCKS, FLOW, INBOUND, NOTICES
from reconcile.book import (
    EPOCH,
    MICROSECOND,
    SERVICE_CODES,
    TOPIC_CODES,
    TOPICS,
    TYPES,
    Book,
    instant,
    keyed,
    micros,
    packed,
)
from reconcile.source import Unseen

PATIENCE = 30.0  # s until the brokers must have told what topics there are, and between two records
FETCH_BYTES = 8 * 1024 * 1024
KEPT = (FLOW, CLOCKS, NOTICES)  # topics whose every record since a ticket's birth is needed
HEAR = """
    INSERT INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0) ON CONFLICT DO UPDATE
    SET copies = copies + 1, clash = clash OR digest <> excluded.digest, place = min(place, excluded.place)"""

Line = tuple[Any, Any, Any]  # subject, detail, more
Body = Mapping[str, Any]


@dataclass
class Heard:
    """What is counted while the topics are read."""

    ids: dict[str, "array[int]"] = field(default_factory=lambda: defaultdict(lambda: array("q")))  # type → event ids
    types: Counter[tuple[str, str]] = field(default_factory=Counter)  # (topic, type) → records
    parts: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)  # (topic, partition) → from, to
    oldest: int = 0  # instant before which some partition has lost records to its retention; 0: none has

    def count(self, topic: str, kind: str, id_: bytes) -> None:
        """One record of that type."""
        self.types[topic, kind] += 1
        self.ids[kind].append(int.from_bytes(id_[8:], "big", signed=True))


@dataclass(frozen=True)
class Window:
    """Tickets born within these instants (microseconds), by the time in their ids."""

    since: int | None = None
    until: int | None = None

    def holds(self, key: bytes | str) -> bool:
        """Whether a stream belongs to it; what is no ticket belongs to no window but the whole."""
        if self.since is None and self.until is None:
            return True
        if isinstance(key, str):
            return False
        return self.covers(int.from_bytes(key[:6], "big") * 1000)

    def covers(self, at: int) -> bool:
        """Whether an instant lies in it."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


async def gather(book: Book, kafka: Mapping[str, Any], window: Window) -> Heard:
    """Every record of Zhida's topics into the book. Raises Unseen."""
    heard = Heard()
    planted = {tuple(row) for row in book.rows("SELECT topic(topic), partition, place FROM planted")}
    try:
        async with reading(kafka) as consumer:
            await _read(book, consumer, window, heard, planted)
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unseen(f"Kafka: {type(error).__name__}: {error}") from error
    if heard.oldest > (window.since or 0):
        raise Unseen(f"the topics go back to {instant(heard.oldest).isoformat()} only: look at tickets since then")
    return heard


@contextlib.asynccontextmanager
async def reading(kafka: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group."""
    consumer = AIOKafkaConsumer(
        **kafka, enable_auto_commit=False, max_partition_fetch_bytes=FETCH_BYTES, auto_offset_reset="none"
    )
    await asyncio.wait_for(consumer.start(), PATIENCE)
    try:
        yield consumer
    finally:
        await consumer.stop()


async def partitions(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    """Every partition of Zhida's topics. Raises TimeoutError where the brokers do not know them all."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await consumer._client.force_metadata_update()
            found = {topic: consumer.partitions_for_topic(topic) for topic in TOPICS}
            if all(found.values()):
                return [TopicPartition(topic, number) for topic in TOPICS for number in sorted(found[topic] or ())]
            await asyncio.sleep(0.1)


async def _read(book: Book, consumer: AIOKafkaConsumer, window: Window, heard: Heard, planted: set[Any]) -> None:
    found = await partitions(consumer)
    starts, ends = await consumer.beginning_offsets(found), await consumer.end_offsets(found)
    open_ = {part for part in found if ends[part] > starts[part]}
    consumer.assign(sorted(open_))
    for part in found:
        heard.parts[part.topic, part.partition] = starts[part], ends[part]
        if part in open_:
            consumer.seek(part, starts[part])
    book.add("log", [(TOPIC_CODES[p.topic], p.partition, starts[p], ends[p]) for p in found])
    while open_:
        batch = await asyncio.wait_for(consumer.getmany(timeout_ms=1000, max_records=20_000), PATIENCE)
        for part, records in batch.items():
            if records[0].offset == starts[part] > 0 and part.topic in KEPT:
                heard.oldest = max(heard.oldest, records[0].timestamp * 1000)
            if part.topic == INBOUND:
                book.add("inbound", (_inbound(record, window) for record in records))
            else:
                book.database.executemany(HEAR, _rows(book, part, records, window, heard=heard, planted=planted))
        for part in list(open_):
            if await consumer.position(part) >= ends[part]:  # also past what was compacted or aborted
                open_.discard(part)


def _inbound(record: Any, window: Window) -> tuple[int, int, str, bool]:
    key = (record.key or b"").decode(errors="replace")
    return record.partition, record.offset, key, window.covers(record.timestamp * 1000)


def _rows(
    book: Book, part: TopicPartition, records: Sequence[Any], window: Window, *, heard: Heard, planted: set[Any]
) -> Iterator[tuple[Any, ...]]:
    end = heard.parts[part.topic, part.partition][1]
    for record in records:
        if record.offset >= end or (part.topic, part.partition, record.offset) in planted:
            continue
        try:
            yield from rows(record, window, heard)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            book.add("strange", [(TOPIC_CODES[part.topic], part.partition, record.offset, why)])


def rows(record: Any, window: Window, heard: Heard) -> Iterator[tuple[Any, ...]]:
    """The rows of `said` for one record. Raises KeyError, ValueError, TypeError where it is no event of ours."""
    headers = dict(record.headers)
    kind, id_ = headers["ce_type"].decode(), packed(headers["ce_id"].decode())
    assert id_ is not None
    key = keyed(record.key.decode())
    if not window.holds(key):
        return
    at = (datetime.fromisoformat(headers["ce_time"].decode()) - EPOCH) // MICROSECOND
    source = SERVICE_CODES[headers["ce_source"].decode().removeprefix("zhida/")]
    version, code, topic = int(headers["ce_sequence"]), TYPES[kind], TOPIC_CODES[record.topic]
    read = READERS.get(kind.split(".")[1])
    lines: Sequence[Line] = read(orjson.loads(record.value)) if read else NOTHING
    digest = hash((id_, code, record.value))
    heard.count(record.topic, kind, id_)
    for number, (subject, detail, more) in enumerate(lines or NOTHING):
        yield (
            key, source, version, number, code, subject, detail, more,
            topic, record.partition, record.offset, at, id_, digest,
        )  # fmt: skip


NOTHING: Sequence[Line] = ((None, None, None),)


def _order(detail: str | None = None, more: str | None = None) -> Callable[[Body], Sequence[Line]]:
    """About one work order; `detail` and `more` name fields, a department's by its code."""

    def value(body: Body, name: str | None) -> Any:
        found = body.get(name) if name else None
        return found["code"] if isinstance(found, dict) else found

    return lambda body: ((packed(body["work_order_id"]), value(body, detail), value(body, more)),)


def _classified(body: Body) -> Sequence[Line]:
    by = body["decided_by"]
    return [(None, each["code"], by) for each in body["executing_departments"]]


def _question(body: Body) -> Sequence[Line]:
    """More: the question. Detail: the party that hears of it, for an agent with the desk's name where it has one."""
    party = body["asked_by"]
    return ((packed(body["work_order_id"]), f"{party}:{body['agent_id'] or ''}", packed(body["question_id"])),)


def _answered(body: Body) -> Sequence[Line]:
    agent, hops = body["agent_id"], body["measures"]["hops"]
    return [(packed(each["work_order_id"]), agent, hops) for each in body["answers"]]


def _clock(percent: Callable[[Body], int]) -> Callable[[Body], Sequence[Line]]:
    """Detail: the point in per cent; more: when it was due."""

    def read(body: Body) -> Sequence[Line]:
        clock, point = body["clock"], percent(body)
        started = micros(datetime.fromisoformat(clock["started_at"]).astimezone(UTC)) or 0
        return ((packed(clock["clock_id"]), point, started + clock["limit_seconds"] * point * 10_000),)

    return read


def _sent(body: Body) -> Sequence[Line]:
    caused = micros(datetime.fromisoformat(body["caused_at"]))
    return ((packed(body["notification_id"]), body["number"], caused),)


READERS: Mapping[str, Callable[[Body], Sequence[Line]]] = {
    "TicketSplit": lambda body: [(packed(each["ticket_id"]), each["situation"], None) for each in body["parts"]],
    "TicketClassified": _classified,
    "WorkOrderAssigned": lambda body: (
        (packed(body["work_order_id"]), body["department"]["code"], packed(body.get("reassigned_from"))),
    ),
    "WorkOrderDelivered": lambda body: (
        (packed(body["work_order_id"]), body["department"], packed(body["delivery_id"])),
    ),
    "DeliveryFailed": _order("department"),
    "WorkOrderAccepted": _order("department"),
    "WorkOrderContacted": _order("department"),
    "WorkOrderReturned": _order("department"),
    "ReturnRuled": _order("by", "decision"),
    "WorkOrderCancelled": _order("department", "reason"),
    "EvidenceAdded": _order("kind"),
    "WorkOrderAnswered": _order("department"),
    "QuestionAsked": _question,
    "QuestionAnswered": _question,
    "TicketAnswered": _answered,
    "TicketReopened": lambda body: ((packed(body.get("master_id")), None, None),),
    "TicketMerged": lambda body: ((packed(body["master_id"]), body["agent_id"], body["hot_event"]),),
    "TicketReleased": lambda body: ((packed(body["master_id"]), body["agent_id"], None),),
    "MasterJoined": lambda body: [(packed(each), None, None) for each in body["tickets"]],
    "ClocksStarted": lambda body: [(packed(each["clock_id"]), each["kind"], None) for each in body["clocks"]],
    "ClocksStopped": lambda body: [(packed(each["clock_id"]), each["outcome"], None) for each in body["clocks"]],
    "ClockWarned": _clock(lambda body: int(body["percent"])),
    "ClockBreached": _clock(lambda body: 100),
    "Escalated": _clock(lambda body: int(body["percent"])),
    "NotificationSent": _sent,
    "NotificationFailed": lambda body: ((packed(body["notification_id"]), None, None),),
    "TicketRejected": lambda body: ((None, body["partition"], body["offset"]),),
}


async def bodies(kafka: Mapping[str, Any], places: Sequence[tuple[str, int, int]]) -> dict[tuple[str, int, int], Any]:
    """The JSON of single records (topic, partition, offset), fetched again for stories; those gone are left out."""
    found: dict[tuple[str, int, int], Any] = {}
    async with reading(kafka) as consumer:
        await partitions(consumer)
        parts: dict[TopicPartition, list[int]] = defaultdict(list)
        for topic, partition, place in places:
            parts[TopicPartition(topic, partition)].append(place)
        for part, wanted in parts.items():
            consumer.assign([part])
            for place in sorted(wanted):
                if (part.topic, part.partition, place) in found:
                    continue
                consumer.seek(part, place)
                batch = await consumer.getmany(part, timeout_ms=2000, max_records=500)
                for record in batch.get(part, ()):
                    if record.offset in wanted:
                        found[part.topic, part.partition, record.offset] = orjson.loads(record.value)
    return found
