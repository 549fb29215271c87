"""Where a ticket stands, told from what the services say about it.

    received → in_review → classified → assigned → delivered → accepted → contacted → answered → told → closed
                                            ↑____________ returned ___|                            |
                                            ↑__________________________ reopened __________________|
    in_review → split: its parts are tickets of their own
    any of them before the answer → merged: another ticket, its master, works for it → answered → told → closed
                                    ↑  ↓_____ released: classified, until it has a work order again  |
                                    ↑___________________________ reopened ___________________________|

With several departments the ticket stands where the furthest of them stands; an open return comes first. An end stays:
what is heard of a closed ticket changes nothing until it is reopened, only the moment the agent was told is still noted
(it comes on another topic and may be heard after the close it preceded). A merged ticket stands there whatever becomes
of its own work orders, which end. A ticket that has its answer keeps its stage when it is merged or released. Reopened
with its master, it stands as merged again, for the master is who must move; `reached` says when it was reopened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, assert_never, get_args
from uuid import UUID

from libs.shared.contracts.classification import Department, ReviewRequested, TicketClassified, TicketSplit
from libs.shared.contracts.dispatch import (
    ReturnRuled,
    TicketAnswered,
    TicketClosed,
    TicketMerged,
    TicketReleased,
    TicketReopened,
    WorkOrderAccepted,
    WorkOrderAnswered,
    WorkOrderAssigned,
    WorkOrderCancelled,
    WorkOrderContacted,
    WorkOrderDelivered,
    WorkOrderReturned,
)
from libs.shared.contracts.notification import NotificationSent

Stage = Literal[
    "received", "in_review", "classified", "assigned", "delivered", "accepted", "contacted", "returned",
    "answered", "told", "closed", "reopened", "split", "merged",
]  # fmt: skip
OrderState = Literal[
    "reopened", "assigned", "delivered", "accepted", "contacted", "returned", "answered", "reassigned", "cancelled"
]
Fact = (
    ReviewRequested
    | TicketSplit
    | TicketClassified
    | WorkOrderAssigned
    | WorkOrderDelivered
    | WorkOrderAccepted
    | WorkOrderContacted
    | WorkOrderReturned
    | ReturnRuled
    | WorkOrderCancelled
    | WorkOrderAnswered
    | TicketAnswered
    | TicketClosed
    | TicketReopened
    | TicketMerged
    | TicketReleased
    | NotificationSent
)

_RANK: Mapping[OrderState, int] = {state: rank for rank, state in enumerate(get_args(OrderState))}  # the way forward
_GONE: frozenset[OrderState] = frozenset({"reassigned", "cancelled"})  # no longer this department's
_STAGE_OF: Mapping[OrderState, Stage] = {
    "reopened": "reopened", "assigned": "assigned", "delivered": "delivered", "accepted": "accepted",
    "contacted": "contacted",
}  # fmt: skip
ENDS: frozenset[Stage] = frozenset({"closed", "split"})
_SETTLED: frozenset[Stage] = frozenset({"answered", "told", "closed"})  # forgotten when a ticket is reopened


@dataclass(frozen=True, slots=True)
class Order:
    """One department's share of a ticket."""

    department: str  # code
    name: str | None
    state: OrderState
    since: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one ticket stands."""

    ticket_id: UUID
    stage: Stage
    since: datetime
    reached: Mapping[Stage, datetime]  # first time of each stage; of the last round for answered, told, closed
    orders: Mapping[UUID, Order] = field(default_factory=dict)
    situation: str | None = None
    lead_department: str | None = None
    hops: int | None = None
    transfers: int = 0
    first_contact_minutes: float | None = None  # received → first department contact
    resolve_minutes: float | None = None  # received → answered
    told_minutes: float | None = None  # answered → on the agent's screen
    parts: tuple[UUID, ...] = ()  # the tickets that it was split into
    master_id: UUID | None = None  # the ticket it is merged into


def about_stages(fact: Fact) -> bool:
    """Whether a fact says anything about stages: of all notices only an agent's answer does."""
    if isinstance(fact, NotificationSent):
        return fact.kind == "ticket_answered" and fact.recipient_kind == "agent"
    return True


def hear(standing: Standing, fact: Fact) -> Standing | None:
    """Where the ticket stands after a fact; the same object where nothing changes, None where the fact is late."""
    if standing.stage in ENDS and not isinstance(fact, TicketReopened | NotificationSent):
        return None
    at = fact.occurred_at
    match fact:
        case ReviewRequested():
            return _enter(standing, "in_review", at) if standing.stage == "received" else standing
        case TicketSplit():
            return _enter(replace(standing, parts=tuple(part.ticket_id for part in fact.parts)), "split", at)
        case TicketClassified():
            return _classify(standing, fact)
        case WorkOrderAssigned():
            return _assign(standing, fact)
        case WorkOrderDelivered():
            return _advance(standing, fact.work_order_id, fact.department, "delivered", at)
        case WorkOrderAccepted():
            return _advance(standing, fact.work_order_id, fact.department, "accepted", at)
        case WorkOrderContacted():
            if standing.first_contact_minutes is None:
                minutes = _minutes(standing.reached["received"], at)
                standing = replace(standing, first_contact_minutes=minutes)
            return _advance(standing, fact.work_order_id, fact.department, "contacted", at)
        case WorkOrderReturned():
            return _advance(standing, fact.work_order_id, fact.department, "returned", at)
        case ReturnRuled():
            state: OrderState = "reassigned" if fact.decision == "uphold" else "assigned"
            return _set(standing, fact.work_order_id, fact.department, state, at)
        case WorkOrderCancelled():
            return _set(standing, fact.work_order_id, fact.department, "cancelled", at)
        case WorkOrderAnswered():
            return _advance(standing, fact.work_order_id, fact.department, "answered", at)
        case TicketAnswered():
            return _answer(standing, fact)
        case NotificationSent():
            return _tell(standing, fact)
        case TicketClosed():
            return _enter(standing, "closed", at)
        case TicketReopened():
            return _reopen(standing, fact)
        case TicketMerged():
            merged = replace(standing, master_id=fact.master_id)
            return merged if standing.stage in _SETTLED else _enter(merged, "merged", at)
        case TicketReleased():
            released = replace(standing, master_id=None)
            return _enter(released, "classified", at) if standing.stage == "merged" else released
        case _:
            assert_never(fact)


def _classify(standing: Standing, fact: TicketClassified) -> Standing:
    situation, lead, at = fact.situation.name, fact.lead_department.name, fact.occurred_at
    if standing.stage not in ("received", "in_review"):
        return replace(standing, situation=situation, lead_department=lead)
    reached: dict[Stage, datetime] = {"classified": at, **standing.reached}
    return replace(standing, situation=situation, lead_department=lead, stage="classified", since=at, reached=reached)


def _assign(standing: Standing, fact: WorkOrderAssigned) -> Standing:
    if fact.work_order_id in standing.orders:
        return standing
    if fact.reassigned_from:
        standing = replace(standing, transfers=standing.transfers + 1)
        if former := standing.orders.get(fact.reassigned_from):
            left = replace(former, state="reassigned", since=fact.occurred_at)
            standing = replace(standing, orders={**standing.orders, fact.reassigned_from: left})
    return _set(standing, fact.work_order_id, fact.department, "assigned", fact.occurred_at)


def _answer(standing: Standing, fact: TicketAnswered) -> Standing:
    measured = replace(
        standing,
        hops=fact.measures.hops,
        transfers=fact.measures.transfers,
        first_contact_minutes=fact.measures.first_contact_minutes,
        resolve_minutes=fact.measures.resolve_minutes,
        reached={**standing.reached, "answered": fact.occurred_at},
    )
    return measured if standing.stage == "told" else _enter(measured, "answered", fact.occurred_at)


def _tell(standing: Standing, fact: NotificationSent) -> Standing:
    of_an_earlier_round = fact.caused_at < standing.reached.get("reopened", fact.caused_at)
    if not about_stages(fact) or of_an_earlier_round or "told" in standing.reached:
        return standing
    told = replace(standing, told_minutes=_minutes(fact.caused_at, fact.occurred_at))
    if standing.stage == "closed":
        return replace(told, reached={**told.reached, "told": fact.occurred_at})
    return _enter(told, "told", fact.occurred_at)


def _reopen(standing: Standing, fact: TicketReopened) -> Standing:
    again = {
        order_id: replace(order, state="reopened", since=fact.occurred_at) if order_id in fact.work_order_ids else order
        for order_id, order in standing.orders.items()
    }
    reached: dict[Stage, datetime] = {s: at for s, at in standing.reached.items() if s not in _SETTLED}
    reached["reopened"] = fact.occurred_at
    fresh = replace(standing, orders=again, reached=reached, resolve_minutes=None, told_minutes=None)
    if fact.master_id:
        return _enter(replace(fresh, master_id=fact.master_id), "merged", fact.occurred_at)
    return replace(fresh, stage="reopened", since=fact.occurred_at)


def _advance(
    standing: Standing, order_id: UUID, department: Department | str, state: OrderState, at: datetime
) -> Standing:
    """Move a work order forward; a fact it has already passed changes nothing."""
    order = standing.orders.get(order_id)
    if order and _RANK[state] <= _RANK[order.state]:
        return standing
    return _set(standing, order_id, department, state, at)


def _set(standing: Standing, order_id: UUID, department: Department | str, state: OrderState, at: datetime) -> Standing:
    """Put a work order into a state, and the ticket where its furthest department now stands."""
    known = standing.orders.get(order_id)
    code = department if isinstance(department, str) else department.code
    name = department.name if isinstance(department, Department) else (known.name if known else None)
    orders = {**standing.orders, order_id: Order(code, name, state, at)}
    stays = standing.stage in _SETTLED or standing.stage == "merged"
    stage = standing.stage if stays else _furthest(orders, standing.reached)
    if stage == standing.stage:
        return replace(standing, orders=orders)
    return replace(standing, orders=orders, stage=stage, since=at, reached={stage: at, **standing.reached})


def _furthest(orders: Mapping[UUID, Order], reached: Mapping[Stage, datetime]) -> Stage:
    states = {order.state for order in orders.values()}
    if "returned" in states:
        return "returned"
    furthest = max(states - _GONE, key=_RANK.__getitem__, default=None)
    if furthest is None:  # until the next work order
        return "returned" if "reassigned" in states else "classified"
    if furthest == "answered":
        return "contacted" if "contacted" in reached else "accepted"
    return _STAGE_OF[furthest]


def _enter(standing: Standing, stage: Stage, at: datetime) -> Standing:
    if stage == standing.stage:
        return standing
    return replace(standing, stage=stage, since=at, reached={stage: at, **standing.reached})


def _minutes(begin: datetime, end: datetime) -> float:
    return max((end - begin).total_seconds() / 60, 0.0)
