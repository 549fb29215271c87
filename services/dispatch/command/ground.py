"""What all moves stand on: refusals with the state and the legal moves, and the join of a ticket's answers.

Moves are made for a whole batch: each one decides on what it finds in memory, then all that changes is written at once.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, ParamSpec, TypeVar
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.contracts.classification import Department
from libs.shared.db import Transaction
from libs.shared.events import Event
from services.dispatch import store
from services.dispatch.domain import order as orders
from services.dispatch.domain import payload
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.cell import Tally
from services.dispatch.domain.court import ReturnCase
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.order import Illegal, Move, State, WorkOrder
from services.dispatch.domain.question import Evidence, Question
from services.dispatch.domain.ticket import Entry, Ticket

Parameters = ParamSpec("Parameters")
Args = TypeVar("Args")


@dataclass(slots=True)
class Step:
    """What one command answers and changes."""

    answer: Answer | Refused
    changes: Sequence[Ticket | WorkOrder | Entry] = ()
    events: Sequence[Event] = ()
    webhooks: Sequence[Webhook] = ()
    overtaken: Sequence[WorkOrder] = ()  # what was still to be sent about them is not sent any more, before `webhooks`
    settled: Sequence[WorkOrder] = ()  # work orders whose returns need no ruling any more
    by: str = ""  # who settled them
    questions: Sequence[Question] = ()
    replies: Sequence[Question] = ()  # with their reply
    evidence: Sequence[Evidence] = ()
    cases: Sequence[ReturnCase] = ()
    orders: Sequence[WorkOrder] = ()  # new ones
    tallies: Sequence[Tally] = ()


async def each(tx: Transaction, args: Sequence[Args], work: Callable[[Args], Step]) -> list[Answer | Refused]:
    """Make a batch of moves (no ticket twice) as `store.order.load` has found everything: one refused hinders none."""
    steps = [_step(one, work) for one in args]
    store.held.write(tx, [change for step in steps for change in step.changes])
    new = [order for step in steps for order in step.orders]
    await store.order.add(tx, new)
    if new:
        tx.after_commit(lambda: tx.running.resources.owners.remember(new))
    store.cell.count(tx, [tally for step in steps for tally in step.tallies])
    await store.court.void(tx, [(order, step.by) for step in steps for order in step.settled])
    await store.question.add(tx, [question for step in steps for question in step.questions])
    await store.question.reply(tx, [question for step in steps for question in step.replies])
    await store.question.add_evidence(tx, [evidence for step in steps for evidence in step.evidence])
    await store.court.open(tx, [case for step in steps for case in step.cases])
    await store.delivery.cancel(tx, [order for step in steps for order in step.overtaken])
    await store.delivery.add(tx, [webhook for step in steps for webhook in step.webhooks])
    for step in steps:
        for event in step.events:
            tx.publish(event)
    return [step.answer for step in steps]


def _step(args: Args, work: Callable[[Args], Step]) -> Step:
    try:
        return work(args)
    except Illegal as error:
        return Step(refusal(error))
    except Refused as error:
        return Step(error)


def order_in(tx: Transaction, work_order_id: UUID) -> tuple[Ticket, WorkOrder]:
    """The work order and its ticket as they stand, out of what is loaded. Raises Refused."""
    here = store.held.held(tx)
    order = here.orders.get(work_order_id)
    if order is None:
        raise Refused(404, "Not found", "there is no such work order")
    return here.tickets[order.ticket_id], order


def ticket_in(tx: Transaction, ticket_id: UUID) -> tuple[Ticket, list[WorkOrder]]:
    """The ticket and all its work orders as they stand, out of what is loaded. Raises Refused."""
    here = store.held.held(tx)
    ticket = here.tickets.get(ticket_id)
    if ticket is None:
        raise Refused(404, "Not found", "there is no such ticket, or it has not been classified yet")
    return ticket, [here.orders[id_] for id_ in here.shares.get(ticket_id, ())]


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


def bad(field: str, reason: str, **more: Any) -> Refused:
    """A field that is wrong."""
    return Refused(422, "Bad request", f"{field}: {reason}", errors=[{"field": field, "reason": reason}], **more)


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


def successor(tx: Transaction, order: WorkOrder, target: Department, returns: int) -> WorkOrder:
    """The work order of another department that takes this one's place; `returns` count against it as well."""
    return WorkOrder(
        work_order_id=tx.new_id(),
        ticket_id=order.ticket_id,
        department=target.code,
        department_name=target.name,
        state="assigned",
        created_at=tx.now,
        returns=returns,
        reassigned_from=order.work_order_id,
    )


def work_orders(tx: Transaction, ticket_id: UUID, departments: Sequence[Department]) -> list[WorkOrder]:
    """A new work order for each, whose ids stand in the order of the departments."""
    ids = sorted(tx.new_id() for _ in departments)
    return [
        WorkOrder(id_, ticket_id, department.code, department.name, "assigned", created_at=tx.now)
        for id_, department in zip(ids, departments, strict=True)
    ]


async def send_out(tx: Transaction, briefs: Mapping[UUID, tickets.Brief], orders: Sequence[WorkOrder]) -> None:
    """Keep new work orders, tell their departments and everybody."""
    if not orders:
        return
    amendments = await store.ticket.amendments(tx, briefs)
    await store.order.add(tx, orders)
    tx.after_commit(lambda: tx.running.resources.owners.remember(orders))
    store.cell.count(tx, [Tally(briefs[order.ticket_id], order, assigned=1) for order in orders])
    webhooks = []
    for order in orders:
        brief = briefs[order.ticket_id]
        webhooks.append(announced(brief, order, amendments.get(order.ticket_id, [])))
        tx.publish(assigned(brief, order))
    await store.delivery.add(tx, webhooks)


def announced(brief: tickets.Brief, order: WorkOrder, amendments: Sequence[Mapping[str, Any]]) -> Webhook:
    """What its department is told of a new work order."""
    data = payload.assigned(brief, order, amendments)
    return Webhook(order.department, "work_order.assigned", data, order.ticket_id, order.work_order_id)


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
        repeats=brief.repeats,
        channel=brief.channel,
    )


def asked(ticket: Ticket, order: WorkOrder, question: Question) -> says.QuestionAsked:
    """What is said of a question."""
    return says.QuestionAsked(
        ticket_id=order.ticket_id,
        work_order_id=order.work_order_id,
        question_id=question.question_id,
        asked_by=question.asked_by,
        asker=question.asker,
        department=department_of(order),
        agent_id=question.asker if question.asked_by == "agent" else ticket.brief.agent_id,
        channel=ticket.brief.channel,
        text=question.text,
    )


def concluded(ticket: Ticket, shares: Sequence[WorkOrder], now: datetime) -> tuple[Ticket, list[says.TicketAnswered]]:
    """The ticket as it stands now; with TicketAnswered if the join policy is met just now: once per round.

    A ticket that follows a master is answered with it.
    """
    brief = ticket.brief
    if ticket.is_member or ticket.state != "open" or not tickets.joined(brief.join_policy, brief.lead, shares):
        return ticket, []
    answered, event = with_answers(replace(ticket, state=tickets.after(ticket, "answer")), shares, now)
    return answered, [event]


def with_answers(ticket: Ticket, shares: Sequence[WorkOrder], now: datetime) -> tuple[Ticket, says.TicketAnswered]:
    """The ticket with the answers that are among these work orders, and what is said of it."""
    brief = ticket.brief
    measures = tickets.measure(ticket, now)
    answered = replace(ticket, answered_at=now, measures=measures)
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
    return answered, event


def conclude(tx: Transaction, ticket: Ticket, shares: Sequence[WorkOrder]) -> None:
    """Save the ticket, answered if the join policy is met now."""
    standing_now, said = concluded(ticket, shares, tx.now)
    store.held.write(tx, [standing_now])
    for event in said:
        tx.publish(event)


def cancelled(
    order: WorkOrder,
    reason: Literal["classified_again", "reassigned", "merged"],
    reassigned_to: Department | None = None,
) -> says.WorkOrderCancelled:
    """What is said of a work order that its department has no more."""
    return says.WorkOrderCancelled(
        ticket_id=order.ticket_id,
        work_order_id=order.work_order_id,
        department=order.department,
        reason=reason,
        reassigned_to=reassigned_to,
    )


def stopped(working: Sequence[WorkOrder], reason: str, **more: Any) -> list[Webhook]:
    """Departments are told to stop their work."""
    return [
        Webhook(
            order.department,
            "work_order.cancelled",
            payload.about(order, reason=reason, **more),
            order.ticket_id,
            order.work_order_id,
        )
        for order in working
    ]
