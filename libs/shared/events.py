"""Events: frozen facts with a CloudEvents 1.0.2 envelope, and how they become Kafka records and back."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, ClassVar, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

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


@dataclass(frozen=True, slots=True)
class Envelope:
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
        return str(getattr(self, self.key_field))

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


def uuid7(at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562) for that instant: 48 bits of Unix milliseconds, 74 random bits."""
    milliseconds = int(at.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    random = secrets.randbits(74)
    high = milliseconds << 16 | 0x7000 | random >> 62
    return UUID(int=high << 64 | 0b10 << 62 | random & (1 << 62) - 1)


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


def decode(kind: type[Event], attributes: dict[str, bytes], body: bytes | None) -> Event:
    """The event behind a record's headers and body, or ContractError with the fields that are wrong (no values)."""
    try:
        event = kind.model_validate_json(body or b"")
        return event.enveloped(
            Envelope(
                id=UUID(attributes["ce_id"].decode()),
                source=attributes["ce_source"].decode().removeprefix("zhida/"),
                time=datetime.fromisoformat(attributes["ce_time"].decode()).astimezone(UTC),
                version=int(attributes["ce_sequence"]),
                traceparent=attributes.get("traceparent", b"").decode(),
            )
        )
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors()[:20])
        raise ContractError(f"{kind.type}: {wrong}") from None
    except (KeyError, ValueError) as error:
        raise ContractError(f"{kind.type}: bad CloudEvents headers: {error}") from None


def json_bytes(value: Any) -> bytes:
    """Compact JSON of plain values, UUIDs and datetimes."""
    return orjson.dumps(value, default=str)
