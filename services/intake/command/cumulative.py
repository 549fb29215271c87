"""Registers the proactive tickets of cumulative problems: what happened so often that nobody need complain first."""

from collections.abc import Sequence

from libs.shared.contracts.classification import CumulativeProblemFound
from libs.shared.contracts.intake import Customer, Place, Ticket, TicketReceived
from libs.shared.db import Transaction
from services.intake.command import reception
from services.intake.command.reception import RECEIVED


async def register(events: Sequence[CumulativeProblemFound], tx: Transaction) -> None:
    """A ticket per problem, under the problem's id, said like any other; one that stands stays as it is."""
    tickets = {event.problem_id: (_ticket(event), event.envelope.source) for event in events}
    for ticket_id, ticket in (await reception.register(tickets, tx)).items():
        tx.publish(TicketReceived(ticket_id=ticket_id, ticket=ticket))
        tx.after_commit(RECEIVED.labels(ticket.channel, "cumulative").inc)


def _ticket(event: CumulativeProblemFound) -> Ticket:
    """Its address is masked already, and its text holds no word of a customer's."""
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
