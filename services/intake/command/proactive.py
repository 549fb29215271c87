"""Registers the tickets that Zhida makes itself: masters of folded hot events, and what cumulative problems ask for.

Each is a ticket of its own, under the id of what it is about. Their texts and addresses are masked already.
"""

from collections.abc import Sequence

from libs.shared.contracts.classification import CumulativeProblemFound, HotEventFolded
from libs.shared.contracts.intake import Customer, Place, Ticket, TicketReceived
from libs.shared.db import Transaction
from services.intake.command import reception
from services.intake.command.reception import RECEIVED


async def register(events: Sequence[HotEventFolded | CumulativeProblemFound], tx: Transaction) -> None:
    """A ticket per event, said like any other; one that stands stays as it is."""
    tickets = {}
    for event in events:
        match event:
            case HotEventFolded():
                tickets[event.hot_event_id] = _master(event), event.by
            case CumulativeProblemFound():
                tickets[event.problem_id] = _problem(event), event.envelope.source
    for ticket_id, ticket in (await reception.register(tickets, tx)).items():
        tx.publish(TicketReceived(ticket_id=ticket_id, ticket=ticket))
        tx.after_commit(RECEIVED.labels(ticket.channel, "hot_event" if ticket.hot_event else "cumulative").inc)


def _master(event: HotEventFolded) -> Ticket:
    return Ticket(
        channel="proactive",
        external_ref=f"hot-event-{event.hot_event_id}",
        title=event.title,
        text=event.text,
        place=Place(area_code=event.area_code or None),
        customer=Customer(star=event.star, sensitive=event.sensitive),
        opened_at=event.opened_at,
        hot_event=event.hot_event_id,
    )


def _problem(event: CumulativeProblemFound) -> Ticket:
    return Ticket(
        channel="proactive",
        external_ref=f"cumulative-{event.problem_id}",
        title=event.title,
        text=event.text,
        place=Place(area_code=event.area_code, address=event.address),
        customer=Customer(customer_id=event.customer_id, star=event.star, sensitive=event.sensitive),
        opened_at=event.occurred_at,
        cumulative=event.problem_id,
    )
