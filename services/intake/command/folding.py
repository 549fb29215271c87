"""Registers the master of a hot event that was folded: a ticket of its own, under the event's id."""

from collections.abc import Sequence

from libs.shared.contracts.classification import HotEventFolded
from libs.shared.contracts.intake import Customer, Place, Ticket, TicketReceived
from libs.shared.db import Transaction
from services.intake.command import reception
from services.intake.command.reception import RECEIVED


async def register(events: Sequence[HotEventFolded], tx: Transaction) -> None:
    """A ticket per event, said like any other; one that stands stays as it is. Its texts are masked already."""
    tickets = {event.hot_event_id: (_ticket(event), event.by) for event in events}
    for ticket_id, ticket in (await reception.register(tickets, tx)).items():
        tx.publish(TicketReceived(ticket_id=ticket_id, ticket=ticket))
        tx.after_commit(RECEIVED.labels(ticket.channel, "hot_event").inc)


def _ticket(event: HotEventFolded) -> Ticket:
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
