"""A service of one hop: for each ticket a row, and an event that says so. Run as a real one: HTTP, consumer, relay."""

from uuid import UUID

import uvloop
from sqlalchemy import text

from deploy.local.leash import leash
from libs.shared import run, settings, telemetry
from libs.shared.contracts.intake import TicketReceived
from libs.shared.db import Transaction
from libs.shared.events import Event
from libs.shared.service import Service

ADD = text("""
    INSERT INTO effect (ticket_id, title, star) SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:titles AS text[]), CAST(:stars AS int[])) AS n(ticket_id, title, star)""")


class Hopped(Event, topic="zhida.hop.v1"):
    """What the hop says of a ticket."""

    ticket_id: UUID
    title: str
    star: int


async def add(events: list[TicketReceived], tx: Transaction) -> None:
    """One row and one event for each."""
    titles = [event.ticket.title for event in events]
    stars = [event.ticket.customer.star for event in events]
    await tx.run(ADD, ids=[event.ticket_id for event in events], titles=titles, stars=stars)
    for event, title, star in zip(events, titles, stars, strict=True):
        tx.publish(Hopped(ticket_id=event.ticket_id, title=title, star=star))


hop = Service(name="hop", hears={TicketReceived: add}, says=(Hopped,))


if __name__ == "__main__":
    leash()
    found = settings.read(settings.Settings)
    telemetry.start(found, hop.name)
    uvloop.run(run.serve(hop, found))
