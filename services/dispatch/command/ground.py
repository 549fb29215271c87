"""What all moves stand on: refusals with the state and the legal moves, and the join of a ticket's answers."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ParamSpec
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.contracts.classification import Department
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.domain import order as orders
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.order import Illegal, Move, State, WorkOrder
from services.dispatch.domain.ticket import Entry, Ticket

Parameters = ParamSpec("Parameters")


def refusing(
    move: Callable[Parameters, Awaitable[Answer]],
) -> Callable[Parameters, Awaitable[Answer | Refused]]:
    """Give a refusal back instead of raising it, so that the other commands of its batch need not be run again.

    The move must refuse before it writes.
    """

    @functools.wraps(move)
    async def moved(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer | Refused:
        try:
            return await move(*args, **kwargs)
        except Illegal as error:
            return refusal(error)
        except Refused as error:
            return error

    return moved


def refusal(error: Illegal) -> Refused:
    """An illegal move: 409 with the state and the moves that are legal."""
    return Refused(409, "Not possible in this state", str(error), state=error.state, allowed=list(error.allowed))


def bad(field: str, reason: str) -> Refused:
    """A field that is wrong."""
    return Refused(422, "Bad request", f"{field}: {reason}", errors=[{"field": field, "reason": reason}])


def standing(order: WorkOrder, **more: Any) -> dict[str, Any]:
    """Where a work order stands after a move."""
    return {
        "work_order_id": order.work_order_id,
        "ticket_id": order.ticket_id,
        "department": order.department,
        "state": order.state,
        "allowed": list(orders.allowed(order)),
        **more,
    }


async def the_order(tx: Transaction, work_order_id: UUID) -> tuple[Ticket, WorkOrder]:
    """The work order and its ticket as they stand under the lock."""
    found = await store.order.find(tx, work_order_id)
    if found is None:
        raise Refused(404, "Not found", "there is no such work order")
    return found


async def the_ticket(tx: Transaction, ticket_id: UUID) -> tuple[Ticket, list[WorkOrder]]:
    """The ticket and all its work orders as they stand under the lock."""
    found = (await store.ticket.tickets(tx, [ticket_id])).get(ticket_id)
    if found is None:
        raise Refused(404, "Not found", "there is no such ticket, or it has not been classified yet")
    return found, (await store.order.of_tickets(tx, [ticket_id])).get(ticket_id, [])


def department_of(order: WorkOrder) -> Department:
    """The work order's department."""
    return Department(code=order.department, name=order.department_name)


def entry(order: WorkOrder, what: str, by: str, **detail: Any) -> Entry:
    """A line of history about a work order."""
    return Entry(order.ticket_id, order.work_order_id, what, by, detail)


def step(order: WorkOrder, move: Move, **changes: Any) -> WorkOrder:
    """The work order after a move. Raises Illegal."""
    state: State = orders.after(order, move)
    return replace(order, state=state, **changes)


def put(changed: WorkOrder, among: Sequence[WorkOrder]) -> list[WorkOrder]:
    """The work orders with one of them in its new state."""
    return [changed if each.work_order_id == changed.work_order_id else each for each in among]


def assigned(brief: tickets.Brief, order: WorkOrder) -> says.WorkOrderAssigned:
    """What is said of a new work order."""
    return says.WorkOrderAssigned(
        ticket_id=order.ticket_id,
        work_order_id=order.work_order_id,
        department=department_of(order),
        lead_department=brief.lead_department,
        supervisor=brief.supervisor,
        agent_id=brief.agent_id,
        sla_class=brief.sla_class,
        star=brief.star,
        urgency=brief.urgency,
        opened_at=brief.opened_at,
        situation=brief.situation_name,
        reassigned_from=order.reassigned_from,
    )


def concluded(ticket: Ticket, shares: Sequence[WorkOrder], now: datetime) -> tuple[Ticket, list[says.TicketAnswered]]:
    """The ticket as it stands now; with TicketAnswered if the join policy is met just now: once per round."""
    brief = ticket.brief
    if ticket.state != "open" or not tickets.joined(brief.join_policy, brief.lead, shares):
        return ticket, []
    measures = tickets.measure(ticket, now)
    answered = replace(ticket, state=tickets.after(ticket, "answer"), answered_at=now, measures=measures)
    event = says.TicketAnswered(
        ticket_id=brief.ticket_id,
        agent_id=brief.agent_id,
        channel=brief.channel,
        external_ref=brief.external_ref,
        title=brief.title,
        answers=tuple(
            says.Answer(
                work_order_id=order.work_order_id,
                department=department_of(order),
                text=order.answer or "",
                answered_at=order.answered_at or now,
            )
            for order in shares
            if order.state == "answered"
        ),
        join_policy=brief.join_policy,
        measures=measures,
    )
    return answered, [event]


async def conclude(tx: Transaction, ticket: Ticket, shares: Sequence[WorkOrder]) -> None:
    """Save the ticket, answered if the join policy is met now."""
    standing_now, said = concluded(ticket, shares, tx.now)
    await store.ticket.save(tx, [standing_now])
    for event in said:
        tx.publish(event)
