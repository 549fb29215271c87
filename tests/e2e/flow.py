"""What stands on Zhida's topics: read from the beginning and kept, for tests to ask what was said."""

import asyncio
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.shared.events import CLOCKS, FLOW, NOTICES, REJECTED, ContractError, Event, decode, type_names

TOPICS = (FLOW, CLOCKS, NOTICES, REJECTED)
for publisher in ("intake", "classification", "dispatch", "sla_timer", "notification"):
    importlib.import_module(f"libs.shared.contracts.{publisher}")

Kind = TypeVar("Kind", bound=Event)


@dataclass(frozen=True, slots=True)
class Said:
    """An event where it stands on its topic first; where its publisher was killed, it may stand there twice."""

    topic: str
    partition: int
    offset: int
    key: str
    event: Event

    @property
    def trace(self) -> str:
        """The trace it belongs to: 32 hex digits."""
        return self.event.envelope.traceparent.split("-")[1]


@dataclass
class Flow:
    """All events so far.

    `copies` are those that stand there again; `strange` counts what is no event: a test put it there on purpose.
    """

    bootstrap: str
    said: list[Said] = field(default_factory=list)
    copies: list[Said] = field(default_factory=list)
    strange: int = 0
    _known: set[UUID] = field(default_factory=set)
    _next: dict[TopicPartition, int] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self) -> list[Said]:
        """Everything said until now, in order within each partition."""
        async with self._reading:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
            )
            await consumer.start()
            try:
                await self._read(consumer)
            finally:
                await consumer.stop()
            return self.said

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        numbers = [await self._partitions(consumer, topic) for topic in TOPICS]
        parts = [TopicPartition(topic, n) for topic, found in zip(TOPICS, numbers, strict=True) for n in found]
        ends = await consumer.end_offsets(parts)
        behind = {tp for tp in parts if self._next.get(tp, 0) < ends[tp]}
        if not behind:
            return
        consumer.assign(sorted(behind))
        for tp in behind:
            consumer.seek(tp, self._next.get(tp, 0))
        while behind:
            for tp, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    self._take(tp, record)
                self._next[tp] = records[-1].offset + 1
            behind = {tp for tp in behind if self._next.get(tp, 0) < ends[tp]}

    async def _partitions(self, consumer: AIOKafkaConsumer, topic: str) -> list[int]:
        await consumer._client.force_metadata_update()
        return sorted(consumer.partitions_for_topic(topic) or ())

    def _take(self, tp: TopicPartition, record: Any) -> None:
        headers = dict(record.headers)
        kind = type_names.get(headers.get("ce_type", b"").decode(errors="replace"))
        try:
            event = decode(kind or Event, headers, record.value)
        except ContractError:
            self.strange += 1
            return
        said = Said(tp.topic, tp.partition, record.offset, record.key.decode(), event)
        if event.envelope.id in self._known:
            self.copies.append(said)
        else:
            self._known.add(event.envelope.id)
            self.said.append(said)

    def of(self, ticket_id: str | UUID) -> list[Said]:
        """What is known to be said about a ticket."""
        return [said for said in self.said if said.key == str(ticket_id)]

    def all(self, kind: type[Kind], ticket_id: str | UUID) -> list[Kind]:
        """Known events of one kind about a ticket."""
        return [said.event for said in self.of(ticket_id) if isinstance(said.event, kind)]

    async def until(
        self, kind: type[Kind], ticket_id: str | UUID, check: Callable[[Kind], bool] = lambda _: True, count: int = 1
    ) -> list[Kind]:
        """At least `count` events of a kind about a ticket for which `check` holds; an error after a minute."""
        deadline = time.monotonic() + 60
        while True:
            await self.read()
            found = [event for event in self.all(kind, ticket_id) if check(event)]
            if len(found) >= count:
                return found
            heard = [type(said.event).__name__ for said in self.of(ticket_id)]
            assert time.monotonic() < deadline, f"no {count} {kind.__name__} of {ticket_id}; only {heard}"
            await asyncio.sleep(0.1)
