"""Events: frozen facts with a CloudEvents 1.0.2 envelope, and how they become Kafka records and back."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

FLOW = "zhida.tickets.v1"
CLOCKS = "zhida.clocks.v1"
NOTICES = "zhida.notices.v1"
REFERENCE = "zhida.reference.v1"
INBOUND = "zhida.tickets.inbound.v1"
REJECTED = "zhida.tickets.rejected.v1"

MAX_EVENT_BYTES = 512 * 1024

type_names: dict[str, type["Event"]] = {}  # ce_type → class; filled as contracts are defined, constant afterwards


class ContractError(ValueError):
    """A record that does not keep its contract: bad JSON, a missing field, an unknown shape."""


class Contract(BaseModel):
    """A part of an event. Readers ignore fields they do not know, so publishers may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="float")


class Envelope(NamedTuple):
    """The CloudEvents attributes of one event; travels as Kafka headers (`ce_…`)."""

    id: UUID  # UUIDv7: its first 48 bits are the time in ms
    source: str  # the service that says it
    time: datetime  # database time of the transaction that said it
    version: int  # gapless per (source, key), from 1
    traceparent: str  # W3C trace context


class Event(Contract):
    """A fact. Its Kafka key is the value of the field named `key` (class argument; default `ticket_id`)."""

    __slots__ = ("_envelope",)  # not a private attribute of pydantic: those cost 20 µs an event

    topic: ClassVar[str]
    key_field: ClassVar[str]
    type: ClassVar[str]

    def __init_subclass__(cls, topic: str = FLOW, key: str = "ticket_id", version: int = 1) -> None:
        cls.topic, cls.key_field, cls.type = topic, key, f"zhida.{cls.__name__}.v{version}"
        type_names[cls.type] = cls

    @property
    def key(self) -> str:
        """Kafka record key, and the name of the stream whose lock and version the event uses."""
        value = getattr(self, self.key_field)
        return orjson.dumps(value)[1:-1].decode() if type(value) is UUID else str(value)  # str takes four times as long

    @property
    def envelope(self) -> Envelope:
        """The envelope of an event that was received or published; an error before that."""
        try:
            return _envelope(self)
        except AttributeError:
            raise ContractError(f"{self.type} has no envelope yet: it was neither received nor published") from None

    @property
    def occurred_at(self) -> datetime:
        """Database time (UTC) of the transaction that said it."""
        return self.envelope.time

    def enveloped(self, envelope: Envelope) -> Self:
        """The same event with its envelope set."""
        object.__setattr__(self, "_envelope", envelope)
        return self


_envelope: Callable[[Event], Envelope] = attrgetter("_envelope")


_uuid: Callable[[Any], UUID] = TypeAdapter(UUID).validator.validate_python  # a tenth of UUID(…)'s time


def uuid7(at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562) for that instant: 48 bits of Unix milliseconds, 74 random bits."""
    return uuid7s(at, 1)[0]


def uuid7s(at: datetime, count: int) -> list[UUID]:
    """So many of them."""
    head = (int(at.timestamp() * 1000) & 0xFFFF_FFFF_FFFF).to_bytes(6, "big")
    drawn = os.urandom(10 * count)
    return [
        _uuid(head + bytes((0x70 | drawn[n] & 0x0F, drawn[n + 1], 0x80 | drawn[n + 2] & 0x3F)) + drawn[n + 3 : n + 10])
        for n in range(0, 10 * count, 10)
    ]


def header_pairs(type_name: str, envelope: Envelope) -> list[tuple[str, bytes]]:
    """CloudEvents binary mode for Kafka: one header per attribute."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(envelope.id).encode()),
        ("ce_source", f"zhida/{envelope.source}".encode()),
        ("ce_type", type_name.encode()),
        ("ce_time", envelope.time.isoformat().encode()),
        ("ce_sequence", str(envelope.version).encode()),
        ("traceparent", envelope.traceparent.encode()),
        ("content-type", b"application/json"),
    ]


def encode(event: Event) -> bytes:
    """The event's JSON body; refused at its source when over 512 kB (it would stop its partition for good)."""
    body = event.__pydantic_serializer__.to_json(event)
    if len(body) > MAX_EVENT_BYTES:
        raise ContractError(f"{event.type} is {len(body)} bytes; the limit is {MAX_EVENT_BYTES}")
    return body


def decode(kind: type[Event], attributes: Mapping[str, bytes], body: bytes | None) -> Event:
    """The event behind a record's headers and body, or ContractError with the fields that are wrong (no values)."""
    try:
        event: Event = kind.__pydantic_validator__.validate_json(body or b"")
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors()[:20])
        raise ContractError(f"{kind.type}: {wrong}") from None
    try:
        envelope = Envelope(
            _uuid(attributes["ce_id"].decode()),
            attributes["ce_source"].decode().removeprefix("zhida/"),
            datetime.fromisoformat(attributes["ce_time"].decode()).astimezone(UTC),
            int(attributes["ce_sequence"]),
            attributes.get("traceparent", b"").decode(),
        )
    except ValidationError:
        raise ContractError(f"{kind.type}: bad CloudEvents headers: ce_id is no UUID") from None
    except (KeyError, ValueError) as error:
        raise ContractError(f"{kind.type}: bad CloudEvents headers: {error}") from None
    return event.enveloped(envelope)


def json_bytes(value: Any) -> bytes:
    """Compact JSON of plain values, UUIDs and datetimes."""
    return orjson.dumps(value, default=str)
