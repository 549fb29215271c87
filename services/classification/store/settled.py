"""What fixed answered tickets, and the settled tickets that a ticket may be like."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from libs.shared.contracts.dispatch import TicketAnswered
from libs.shared.db import Transaction
from libs.shared.service import Running
from services.classification.domain import similar

# A member of a folded hot event has its master's answer: the master, a ticket under the event's id, is kept for all.
ADD = text("""
    INSERT INTO settled (ticket_id, situation, answers, answered_at)
    SELECT n.ticket_id, t.situation, CAST(n.answers AS jsonb), n.answered_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:answers AS text[]), CAST(:times AS timestamptz[]))
        AS n(ticket_id, answers, answered_at)
    JOIN ticket t ON t.id = n.ticket_id
    WHERE NOT EXISTS (SELECT FROM hot_member m JOIN hot_event e ON e.hot_event_id = m.hot_event_id
        WHERE m.ticket_id = n.ticket_id AND m.left_at IS NULL AND e.folded_at IS NOT NULL AND e.dissolved_at IS NULL)
    ON CONFLICT (ticket_id) DO UPDATE SET answers = excluded.answers, answered_at = excluded.answered_at,
        reopened_at = NULL""")
REOPEN = text("""
    UPDATE settled s SET reopened_at = :now FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id)
    WHERE s.ticket_id = n.ticket_id""")
LATELY = text("""
    SELECT s.ticket_id, s.answered_at, t.sketch FROM (
        SELECT ticket_id, answered_at FROM settled
        WHERE situation = :situation AND reopened_at IS NULL ORDER BY answered_at DESC LIMIT :most) s
    JOIN ticket t ON t.id = s.ticket_id WHERE s.ticket_id <> :ticket_id""")
SHOWN = text("""
    SELECT s.*, t.ticket->>'title' AS title FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id)
    JOIN settled s ON s.ticket_id = n.ticket_id JOIN ticket t ON t.id = n.ticket_id""")


async def add(tx: Transaction, events: Sequence[TicketAnswered]) -> None:
    """Keep the answers of tickets that are known; an answer after a reopening takes the place of the one before."""
    answers = [
        [
            {
                "work_order_id": each.work_order_id,
                "department": each.department.model_dump(),
                "text": similar.hide(each.text),
            }
            for each in event.answers
        ]
        for event in events
    ]
    await tx.run(
        ADD,
        ids=[event.ticket_id for event in events],
        answers=[orjson.dumps(each).decode() for each in answers],
        times=[max((each.answered_at for each in event.answers), default=event.occurred_at) for event in events],
    )


async def reopen(tx: Transaction, ids: Sequence[UUID]) -> None:
    """These were answered, and it was not fixed by that."""
    await tx.run(REOPEN, ids=list(ids), now=tx.now)


async def lately(running: Running, situation: str, ticket_id: UUID, most: int) -> Sequence[Row[Any]]:
    """The sketches of settled tickets of a situation, the latest ones, but for that ticket."""
    return await running.read(LATELY, situation=situation, ticket_id=ticket_id, most=most)


async def shown(running: Running, ids: Sequence[UUID]) -> Mapping[UUID, Row[Any]]:
    """Settled tickets with their answers."""
    return {row.ticket_id: row for row in await running.read(SHOWN, ids=list(ids))}
