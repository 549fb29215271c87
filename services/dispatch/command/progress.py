"""The three moves every work order makes: accepted, contacted, answered. Set-based: they are most of the traffic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.db import Transaction
from libs.shared.events import Event
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import entry, refusal, standing, step
from services.dispatch.domain.order import Illegal, WorkOrder
from services.dispatch.domain.ticket import Entry, Ticket


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


class _OnOrder(Protocol):
    @property
    def work_order_id(self) -> UUID: ...


@dataclass(slots=True)
class _Step:
    """What one command changes; `order` and `ticket` None: nothing about it."""

    answer: Answer | Refused
    order: WorkOrder | None = None
    ticket: Ticket | None = None
    history: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


Args = TypeVar("Args", bound=_OnOrder)
Work = Callable[[Args, Ticket, WorkOrder], _Step]


async def accept(args: list[Accept], tx: Transaction) -> list[Answer | Refused]:
    """The department takes the work order on; accepting twice changes nothing."""

    def one(each: Accept, _: Ticket, order: WorkOrder) -> _Step:
        accepted = step(order, "accept", accepted_at=tx.now)
        if order.state == "accepted":
            return _Step(Answer(200, standing(order)))
        event = says.WorkOrderAccepted(
            ticket_id=order.ticket_id, work_order_id=order.work_order_id, department=order.department
        )
        return _Step(
            Answer(200, standing(accepted)), accepted, history=[entry(order, "accepted", each.by)], events=[event]
        )

    return await _all(tx, args, one)


async def contact(args: list[Contact], tx: Transaction) -> list[Answer | Refused]:
    """The department has spoken with the customer; only the first time is an event, each is in the history."""

    def one(each: Contact, ticket: Ticket, order: WorkOrder) -> _Step:
        contacted = step(order, "contacted", contacted_at=order.contacted_at or tx.now)
        note = entry(order, "contacted", each.by, **({"note": each.note} if each.note else {}))
        done = _Step(Answer(200, standing(contacted, contacted_at=contacted.contacted_at)), history=[note])
        if order.contacted_at is None:
            done.order = contacted
            done.events.append(
                says.WorkOrderContacted(
                    ticket_id=order.ticket_id, work_order_id=order.work_order_id, department=order.department
                )
            )
        if ticket.first_contact_at is None:
            done.ticket = replace(ticket, first_contact_at=tx.now)
        return done

    return await _all(tx, args, one)


async def answer(args: list[AnswerOrder], tx: Transaction) -> list[Answer | Refused]:
    """The answer; when it meets the join policy, the ticket's answer goes straight to the agent."""
    known = await store.order.some(tx, [each.work_order_id for each in args])
    shares = await store.order.of_tickets(tx, [order.ticket_id for _, order in known.values()])

    def one(each: AnswerOrder, ticket: Ticket, order: WorkOrder) -> _Step:
        if order.state == "answered" and order.answer == each.text:
            return _Step(Answer(200, standing(order, ticket_state=ticket.state)))
        answered = step(order, "answer", answer=each.text, resolution=each.resolution, answered_at=tx.now)
        event = says.WorkOrderAnswered(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            department=ground.department_of(order),
            text=each.text,
        )
        concluded, said = ground.concluded(ticket, ground.put(answered, shares[order.ticket_id]), tx.now)
        return _Step(
            Answer(200, standing(answered, ticket_state=concluded.state)),
            answered,
            concluded if said else None,
            [entry(order, "answered", each.by)],
            [event, *said],
        )

    return await _all(tx, args, one, known)


async def _all(
    tx: Transaction,
    args: Sequence[Args],
    work: Work[Args],
    known: dict[UUID, tuple[Ticket, WorkOrder]] | None = None,
) -> list[Answer | Refused]:
    """Each command on its work order as it stands under the lock, then all changes at once."""
    found = await store.order.some(tx, [each.work_order_id for each in args]) if known is None else known
    done = [_one(each, found, work) for each in args]
    await store.order.save(tx, [each.order for each in done if each.order])
    await store.ticket.save(tx, [each.ticket for each in done if each.ticket])
    store.ticket.note(tx, [line for each in done for line in each.history])
    for each in done:
        for event in each.events:
            tx.publish(event)
    return [each.answer for each in done]


def _one(args: Args, found: dict[UUID, tuple[Ticket, WorkOrder]], work: Work[Args]) -> _Step:
    if args.work_order_id not in found:
        return _Step(Refused(404, "Not found", "there is no such work order"))
    ticket, order = found[args.work_order_id]
    try:
        return work(args, ticket, order)
    except Illegal as error:
        return _Step(refusal(error))
