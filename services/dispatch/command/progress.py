"""The three moves every work order makes: accepted, contacted, answered. Set-based: they are most of the traffic."""

from dataclasses import dataclass, replace
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import Step, entry, order_in, standing, step
from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.ticket import Ticket


@dataclass(frozen=True, slots=True)
class Accept:
    """`by` is the caller's principal, here and below."""

    work_order_id: UUID
    by: str


@dataclass(frozen=True, slots=True)
class Contact:
    """The customer was spoken to."""

    work_order_id: UUID
    by: str
    note: str | None


@dataclass(frozen=True, slots=True)
class AnswerOrder:
    """The department's answer."""

    work_order_id: UUID
    by: str
    text: str
    resolution: str | None


async def accept(args: list[Accept], tx: Transaction) -> list[Answer | Refused]:
    """The department takes the work order on; accepting twice changes nothing."""
    await store.order.load(tx)

    def one(each: Accept) -> Step:
        _, order = order_in(tx, each.work_order_id)
        accepted = step(order, "accept", accepted_at=tx.now)
        if order.state == "accepted":
            return Step(Answer(200, standing(order)))
        event = says.WorkOrderAccepted(
            ticket_id=order.ticket_id, work_order_id=order.work_order_id, department=order.department
        )
        return Step(Answer(200, standing(accepted)), [accepted, entry(order, "accepted", each.by)], [event])

    return await ground.each(tx, args, one)


async def contact(args: list[Contact], tx: Transaction) -> list[Answer | Refused]:
    """The department has spoken with the customer; only the first time is an event, each is in the history."""
    await store.order.load(tx)

    def one(each: Contact) -> Step:
        ticket, order = order_in(tx, each.work_order_id)
        contacted = step(order, "contacted", contacted_at=order.contacted_at or tx.now)
        note = entry(order, "contacted", each.by, **({"note": each.note} if each.note else {}))
        changed: list[Ticket | WorkOrder] = []
        if order.contacted_at is None:
            changed.append(contacted)
        if ticket.first_contact_at is None:
            changed.append(replace(ticket, first_contact_at=tx.now))
        event = says.WorkOrderContacted(
            ticket_id=order.ticket_id, work_order_id=order.work_order_id, department=order.department
        )
        return Step(
            Answer(200, standing(contacted, contacted_at=contacted.contacted_at)),
            [*changed, note],
            [event] if order.contacted_at is None else [],
        )

    return await ground.each(tx, args, one)


async def answer(args: list[AnswerOrder], tx: Transaction) -> list[Answer | Refused]:
    """The answer; when it meets the join policy, the ticket's answer goes straight to the agent."""
    await store.order.load(tx)

    def one(each: AnswerOrder) -> Step:
        ticket, order = order_in(tx, each.work_order_id)
        if order.state == "answered" and order.answer == each.text:
            return Step(Answer(200, standing(order, ticket_state=ticket.state)))
        answered = step(order, "answer", answer=each.text, resolution=each.resolution, answered_at=tx.now)
        event = says.WorkOrderAnswered(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            department=ground.department_of(order),
            text=each.text,
        )
        _, shares = ground.ticket_in(tx, order.ticket_id)
        concluded, said = ground.concluded(ticket, ground.put(answered, shares), tx.now)
        changed: list[Ticket | WorkOrder] = [answered, concluded] if said else [answered]
        return Step(
            Answer(200, standing(answered, ticket_state=concluded.state)),
            [*changed, entry(order, "answered", each.by)],
            [event, *said],
        )

    return await ground.each(tx, args, one)
