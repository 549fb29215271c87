"""What fixed the tickets before: heard of dispatch, and found for a department that has one like them.

Looked for among the latest settled tickets of the same situation, each compared with the ticket by its sketch: at the
likeness that two requests about one thing have (0.1-0.3) bands find few of them, and a thousand comparisons take some
milliseconds. The sketches lie with the tickets in the database; no process remembers anything.
"""

import asyncio
from typing import Any

from sqlalchemy import Row

from libs.shared.contracts.dispatch import TicketAnswered, TicketReopened
from libs.shared.db import Transaction
from libs.shared.service import Running
from services.classification import store
from services.classification.domain import similar as alike

MOST_SHOWN = 100  # asked for at once, and those that one answer settled with them
COMPARED = 1000  # settled tickets of the situation, the latest


async def keep(events: list[TicketAnswered], tx: Transaction) -> None:
    """Keep what the departments answered, in one statement."""
    await store.settled.add(tx, events)


async def reopen(events: list[TicketReopened], tx: Transaction) -> None:
    """It did not fix these: their answers are shown no more, until they have others."""
    await store.settled.reopen(tx, [event.ticket_id for event in events])


async def similar(running: Running, ticket: Row[Any], limit: int) -> list[tuple[Row[Any], float]]:
    """The settled tickets of the same situation that are most like it, with their likeness, 0-1."""
    rows = await store.settled.lately(running, ticket.situation, ticket.id, COMPARED)
    settled = [(row.ticket_id, row.answered_at, row.sketch) for row in rows]
    best = (await asyncio.to_thread(alike.most_alike, ticket.sketch, settled))[:MOST_SHOWN]
    shown = await store.settled.shown(running, [ticket_id for ticket_id, _ in best])
    found: dict[Any, tuple[Row[Any], float]] = {}  # by what answered them: merged tickets have one answer
    for ticket_id, likeness in best:
        if row := shown.get(ticket_id):
            found.setdefault(tuple(each["work_order_id"] for each in row.answers), (row, likeness))
    return list(found.values())[:limit]
