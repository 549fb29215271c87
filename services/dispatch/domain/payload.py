"""What a webhook says, and how a work order looks in the API: the same fields under the same names."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

import orjson

from services.dispatch.domain.order import OPEN, State, WorkOrder, allowed
from services.dispatch.domain.ticket import Brief

Kind: TypeAlias = Literal[
    "work_order.assigned",
    "work_order.reopened",
    "work_order.cancelled",
    "work_order.joined",  # tickets were merged into its ticket
    "ticket.amended",
    "question.asked",  # by the agent
    "question.answered",  # by the agent
    "return.opened",  # to the lead department
    "return.ruled",
    "test",
]
Filter: TypeAlias = Literal[
    "open",  # something is still to be done
    "contacted",  # accepted, and the customer was spoken to
    "all", "assigned", "accepted", "reopened", "returned", "answered", "reassigned", "cancelled", "closed",
]  # fmt: skip
DEPARTMENT_MOVES = ("accept", "contacted", "questions", "evidence", "return", "answer")


def body(kind: Kind, at: datetime, data: Mapping[str, Any]) -> str:
    """A webhook's body; `at` is when the fact happened (aware)."""
    return orjson.dumps({"type": kind, "timestamp": at.isoformat(), "data": data}, default=str).decode()


def assigned(brief: Brief, order: WorkOrder, amendments: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """All a department needs to begin. `amendments`: what the customer added before the ticket was classified."""
    return {
        "work_order_id": str(order.work_order_id),
        "ticket_id": str(order.ticket_id),
        "department": order.department,
        "lead_department": brief.lead,
        "situation": {"code": brief.situation_code, "name": brief.situation_name},
        "category_path": list(brief.category_path),
        "title": brief.title,
        "text": brief.text,
        "place": {"area_code": brief.area_code, "address": brief.address},
        "star": brief.star,
        "urgency": brief.urgency,
        "sensitive": brief.sensitive,
        "join_policy": brief.join_policy,
        "agent_id": brief.agent_id,
        "channel": brief.channel,
        "opened_at": brief.opened_at.isoformat(),
        "reassigned_from": None if order.reassigned_from is None else str(order.reassigned_from),
        "amendments": [dict(each) for each in amendments],
    }


def about(order: WorkOrder, **fields: Any) -> dict[str, Any]:
    """The data of every other webhook about a work order: its ids and what happened."""
    plain = {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items()}
    return {
        "work_order_id": str(order.work_order_id),
        "ticket_id": str(order.ticket_id),
        "department": order.department,
        **plain,
    }


def member(brief: Brief) -> dict[str, Any]:
    """A ticket that was merged into another one, to the departments that work for it now."""
    return {
        "ticket_id": str(brief.ticket_id),
        "title": brief.title,
        "place": {"area_code": brief.area_code, "address": brief.address},
        "star": brief.star,
        "urgency": brief.urgency,
        "sensitive": brief.sensitive,
        "agent_id": brief.agent_id,
        "channel": brief.channel,
        "external_ref": brief.external_ref,
        "opened_at": brief.opened_at.isoformat(),
    }


def shown(brief: Brief, order: WorkOrder, amendments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A work order in the API."""
    return {
        **assigned(brief, order, amendments),
        "department_name": order.department_name,
        "state": order.state,
        "allowed": [move for move in allowed(order) if move in DEPARTMENT_MOVES],
        "returns": order.returns,
        "assigned_at": order.created_at,
        "delivered_at": order.delivered_at,
        "accepted_at": order.accepted_at,
        "contacted_at": order.contacted_at,
        "answered_at": order.answered_at,
        "answer": order.answer,
        "resolution": order.resolution,
    }


def states(name: Filter) -> tuple[State, ...] | None:
    """The states that `?state=` asks for; None: all of them."""
    match name:
        case "all":
            return None
        case "open":
            return OPEN
        case "contacted":
            return ("accepted",)
        case _:
            return (name,)
