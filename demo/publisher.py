"""The call-centre platform: publishes tickets to the inbound topic at a steady pace, and some nuisance on purpose."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from aiokafka import AIOKafkaProducer

from libs.shared.events import INBOUND
from reconcile import Ledger
from reconcile.ledger import Expected

REPEATS = 50  # one ticket in so many is published a second time, a while later
CONFLICTS = 150  # one in so many comes again with another text
LATER = 7  # records between the two

Kind: TypeAlias = Literal[
    "ticket",
    "repeat",  # the same content once more
    "conflict",  # the same reference, another content
    "bad",  # cannot be a ticket
]


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be published."""

    kind: Kind
    reference: str
    value: bytes


def records(tickets: Sequence[dict[str, Any]], seed: int) -> list[Record]:
    """The tickets in their order, with repeats, contradictions and records that are no tickets strewn among them."""
    planned = [Record("ticket", _reference(ticket), _encoded(ticket)) for ticket in tickets]
    extra: list[tuple[int, Record]] = []
    for number in range(0, len(tickets), REPEATS):
        extra.append((number + LATER, Record("repeat", planned[number].reference, planned[number].value)))
    for number in range(1, len(tickets), CONFLICTS):
        other = _encoded({**tickets[number], "text": "同一编号，却是另一件事。"})
        extra.append((number + LATER, Record("conflict", planned[number].reference, other)))
    draw = random.Random(seed)
    extra += [(draw.randrange(len(tickets)), record) for record in _bad(tickets[0])]
    for place, record in sorted(extra, key=lambda each: each[0], reverse=True):
        planned.insert(place, record)
    return planned


@dataclass
class Publisher:
    """Publishes records in order, `rate` a second, as long as there is room for more open tickets."""

    kafka: str
    planned: Sequence[Record]
    rate: float
    ledger: Ledger
    count: int = 0  # published so far
    stopped: bool = False  # set to let it end where it is
    room: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until the broker has confirmed the last record; where each lies is in the ledger."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            waiting = []
            pace = 1 / self.rate
            due = asyncio.get_running_loop().time()
            for record in self.planned:
                await self.room.wait()
                if self.stopped:
                    break
                now = asyncio.get_running_loop().time()
                due = max(due + pace, now - 1)  # what was held back for long is not made up for
                if due > now + 0.02:
                    await asyncio.sleep(due - now)
                expect: Expected = "ticket" if record.kind in ("ticket", "repeat") else "refused"
                offer = self.ledger.offered(record.reference, expect=expect)
                key = record.reference.encode() or None
                waiting.append((offer, await producer.send(INBOUND, record.value, key=key)))
                self.count += 1
            for offer, confirmed in waiting:
                place = await confirmed
                self.ledger.published(offer, place.partition, place.offset)
        finally:
            await producer.stop()

    def open(self, closed: int, refused: int) -> int:
        """How many tickets are open, of those that were published."""
        repeats = sum(record.kind == "repeat" for record in self.planned[: self.count])
        return self.count - repeats - closed - refused


def _bad(ticket: dict[str, Any]) -> list[Record]:
    """One of each kind of record that intake must refuse by name."""
    plain = {"channel": "12345", "title": "路灯不亮", "text": "小区门口路灯三天不亮。"}
    wrong: list[tuple[str, bytes]] = [
        ("12345|BAD-1", b'{"channel": "12345", '),
        ("12345|BAD-2", _encoded({**plain, "external_ref": "BAD-2"}).replace("路灯".encode(), "路灯".encode("gbk"))),
        ("12345|BAD-3", _encoded({**plain, "external_ref": "BAD-3", "priority": "high"})),
        ("12345|BAD-4", _encoded({**plain, "external_ref": "BAD-4", "customer": {"star": 9}})),
        ("12345|BAD-5", _encoded({"channel": "12345", "external_ref": "BAD-5", "text": "没有标题。"})),
        ("", b"[]"),
    ]
    return [Record("bad", reference, value) for reference, value in wrong]


def _reference(ticket: dict[str, Any]) -> str:
    return f"{ticket.get('channel')}|{str(ticket.get('external_ref')).strip()}"


def _encoded(ticket: dict[str, Any]) -> bytes:
    try:
        return json.dumps(ticket, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate: intake refuses it by name
        return json.dumps(ticket).encode()
