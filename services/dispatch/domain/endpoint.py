"""Where a department's webhooks go, and one webhook on its way there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from services.dispatch.delivery.breaker import Breaker
from services.dispatch.domain.payload import Kind

State: TypeAlias = Literal["active", "disabled", "deleted"]
DeliveryState: TypeAlias = Literal[
    "pending",  # to be sent, or being sent
    "waiting",  # behind another one of the same department and ticket
    "delivered",
    "inbox",  # could not be sent in time: the department finds it in its list
    "cancelled",  # overtaken before it could be sent
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A department's webhook endpoint. `version` grows with each change an administrator makes."""

    department: str
    url: str
    networks: tuple[str, ...]  # CIDR; allowed besides the public internet
    concurrency: int  # requests at a time
    timeout_seconds: int
    state: State
    reason: str | None
    version: int
    breaker: Breaker
    delivered: int
    failed: int  # attempts
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An endpoint's key at rest."""

    key_id: UUID
    department: str
    sealed: bytes
    public: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a department is to be told."""

    department: str
    kind: Kind
    data: Mapping[str, Any]
    ticket_id: UUID | None = None
    work_order_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """For how many due deliveries of a department somebody looks, due since `floor`, at what time."""

    room: int
    floor: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook whose turn has come."""

    delivery_id: UUID  # the webhook-id
    department: str
    ticket_id: UUID | None
    body: bytes
    traceparent: str
    attempts: int  # made so far
    due_at: datetime
    give_up_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt went. `number` is 1 for the first."""

    delivery: Delivery
    number: int
    at: datetime
    ms: int
    ok: bool
    status: int | None
    error: str | None
    answer: str | None  # the beginning of a refusing answer's body
    next_at: datetime | None  # None: no further one before it is given up
    gone: bool = False  # 410: the department has taken the endpoint away
