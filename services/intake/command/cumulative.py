"""Registers the proactive tickets of cumulative problems: what happened so often that nobody need complain first."""

from collections.abc import Sequence

from libs.shared.contracts.classification import CumulativeProblemFound
from libs.shared.contracts.intake import Customer, Place, Ticket, TicketReceived
from libs.shared.db import Transaction
from services.intake import store
from services.intake.command.reception import RECEIVED
from services.intake.domain.masking import mask


async def register(events: Sequence[CumulativeProblemFound], tx: Transaction) -> None:
    """A ticket per problem, under the problem's id, said like any other; one that stands stays as it is."""
    tickets = {event.problem_id: (event, _ticket(event)) for event in events}
    new = await store.accept(tx, [(id_, ticket, event.envelope.source) for id_, (event, ticket) in tickets.items()])
    for ticket_id, (event, ticket) in tickets.items():
        if ticket_id in new:
            if cause := tx.causes.get(event.key):
                tx.causes[str(ticket_id)] = cause
            tx.publish(TicketReceived(ticket_id=ticket_id, ticket=ticket))
            tx.after_commit(RECEIVED.labels(ticket.channel, "cumulative").inc)


def _ticket(event: CumulativeProblemFound) -> Ticket:
    return Ticket(
        channel="proactive",
        external_ref=f"cumulative-{event.problem_id}",
        title=mask(event.title),
        text=mask(event.text),
        place=Place(area_code=event.area_code, address=event.address),
        customer=Customer(customer_id=event.customer_id, star=event.star, sensitive=event.sensitive),
        opened_at=event.occurred_at,
        cumulative=event.problem_id,
    )
