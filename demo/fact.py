"""What a run left behind, as plain values: published records, topics, tables, the receivers' logs, agents' streams."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias
from uuid import UUID

Kind: TypeAlias = Literal[
    "ticket",
    "repeat",  # the same content once more
    "conflict",  # the same reference, another content
    "bad",  # cannot be a ticket
]


@dataclass(frozen=True, slots=True)
class Sent:
    """One record published to the inbound topic."""

    kind: Kind
    reference: str  # channel|external_ref; empty where the record has none
    partition: int
    offset: int
    at: datetime  # when it was handed to the producer


@dataclass(frozen=True, slots=True)
class Said:
    """One record of one of Zhida's own topics. The same event may stand there twice: its readers drop the second."""

    topic: str
    partition: int
    offset: int
    key: str
    id: UUID
    type: str  # the contract's name, such as TicketReceived
    source: str  # the service
    version: int  # per (source, key), from 1
    at: datetime  # database time of the transaction that said it
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """A ticket in intake's tables."""

    ticket_id: UUID
    reference: str
    agent_id: str | None
    channel: str
    at: datetime
    stage: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A record of the inbound topic in intake's table of refusals."""

    partition: int
    offset: int
    reference: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A ticket in classification's table."""

    ticket_id: UUID
    state: str  # classified, review
    decided_by: str
    waiting: bool  # stands in the review queue
    by_person: bool


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A ticket in dispatch's table."""

    ticket_id: UUID
    state: str  # open, answered, closed
    round: int
    agent_id: str | None
    rulings: int


@dataclass(frozen=True, slots=True)
class Order:
    """A work order in dispatch's table."""

    work_order_id: UUID
    ticket_id: UUID
    department: str
    state: str
    reassigned_from: UUID | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook in dispatch's table."""

    delivery_id: UUID
    ticket_id: UUID | None
    work_order_id: UUID | None
    department: str
    type: str
    state: str  # pending, waiting, delivered, inbox, cancelled
    attempts: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question in dispatch's table."""

    question_id: UUID
    ticket_id: UUID
    asked_by: str  # agent, department
    answered: bool


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock in sla_timer's table."""

    clock_id: UUID
    ticket_id: UUID
    kind: str
    state: str  # running, met, missed, cancelled


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice in somebody's inbox."""

    id: UUID
    recipient: str  # agent:…, department:…, supervisor:…
    number: int
    ticket_id: UUID
    kind: str
    fact: str  # the event's id, or what stands for it


@dataclass(frozen=True, slots=True)
class Engine:
    """The kernel's tables of one service."""

    service: str
    buried: int
    parked: int
    halted: bool
    unsent: int  # rows in the outbox
    versions: Mapping[str, int]  # key → the last version drawn
    behind: Mapping[str, int]  # topic/partition → records not handled yet
    stopped: tuple[str, ...]  # partitions that wait for a person


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as a department's receiver logged it."""

    department: str
    id: str  # webhook-id
    type: str
    ticket_id: str | None
    work_order_id: str | None
    at: datetime
    status: int  # answered
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A command of a department as its receiver logged it."""

    department: str
    name: str
    ticket_id: str | None
    work_order_id: str | None
    at: datetime  # when it was sent
    status: int | None  # None: no answer at all
    key: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A notice that arrived on an agent's stream."""

    agent: str
    number: int
    id: UUID
    kind: str
    ticket_id: UUID
    at: datetime  # on our clock


@dataclass(frozen=True)
class Facts:
    """Everything known of one run."""

    sent: tuple[Sent, ...] = ()
    inbound: frozenset[tuple[int, int]] = frozenset()  # partition and offset of every record on the inbound topic
    said: tuple[Said, ...] = ()  # of all topics, in the order of offsets within each partition
    received: tuple[Received, ...] = ()
    refused: tuple[Refused, ...] = ()
    judged: tuple[Judged, ...] = ()
    dispatched: tuple[Dispatched, ...] = ()
    orders: tuple[Order, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    questions: tuple[Question, ...] = ()
    clocks: tuple[Clock, ...] = ()
    notices: tuple[Notice, ...] = ()
    engines: tuple[Engine, ...] = ()
    hooks: tuple[Hook, ...] = ()
    calls: tuple[Call, ...] = ()
    seen: tuple[Seen, ...] = ()
    followed: frozenset[str] = frozenset()  # agents whose streams we read

    @cached_property
    def events(self) -> tuple[Said, ...]:
        """What was said, each event once, as it was said first."""
        first: dict[UUID, Said] = {}
        for said in self.said:
            first.setdefault(said.id, said)
        return tuple(first.values())

    @cached_property
    def by_type(self) -> Mapping[str, list[Said]]:
        """The events of each type."""
        return grouped(self.events, "type")

    @cached_property
    def by_key(self) -> Mapping[str, list[Said]]:
        """The events of each ticket, by the ticket's id in text."""
        return grouped(self.events, "key")

    def of(self, type_name: str) -> list[Said]:
        """The events of one type."""
        return self.by_type.get(type_name, [])

    @cached_property
    def screens(self) -> tuple[Seen, ...]:
        """What agents saw, each number once: a stream that was resumed may repeat itself."""
        first: dict[tuple[str, int], Seen] = {}
        for seen in self.seen:
            first.setdefault((seen.agent, seen.number), seen)
        return tuple(first.values())


def grouped(items: Iterable[Any], field: str) -> dict[Any, list[Any]]:
    """Items by the value of one of their fields."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    for item in items:
        groups[getattr(item, field)].append(item)
    return dict(groups)
