"""Looking at deliveries, and sending them again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.dispatch.delivery.backoff import GIVE_UP
from services.dispatch.store import delivery

DELIVERY = """delivery_id, department, nullif(ticket_id, delivery_id) AS ticket_id, work_order_id, type, body, state,
    reason, attempts, created_at, due_at, give_up_at, settled_at, last_status, last_error"""
FIND = text(f"SELECT {DELIVERY} FROM delivery WHERE delivery_id = :delivery_id")
ATTEMPTS = text("SELECT * FROM attempt WHERE delivery_id = :delivery_id ORDER BY at, number")
OF_TICKET = text(f"""
    SELECT {DELIVERY} FROM delivery WHERE ticket_id = :ticket_id AND delivery_id < :before
        AND (CAST(:department AS text) IS NULL OR department = :department)
        AND (CAST(:state AS text) IS NULL OR state = :state)
    ORDER BY delivery_id DESC LIMIT :limit""")
OF_DEPARTMENT = text(f"""
    SELECT {DELIVERY} FROM delivery WHERE department = :department AND delivery_id < :before
        AND (CAST(:state AS text) IS NULL OR state = :state)
    ORDER BY delivery_id DESC LIMIT :limit""")
NOT_DELIVERED = text(f"""
    SELECT {DELIVERY} FROM delivery WHERE department = :department AND delivery_id < :before
        AND state <> 'delivered' AND state = :state
    ORDER BY delivery_id DESC LIMIT :limit""")
RANGE = text("""
    SELECT delivery_id, nullif(ticket_id, delivery_id) AS ticket_id FROM delivery
    WHERE department = :department AND state = :state AND delivery_id > :after AND delivery_id >= :low
        AND delivery_id < :high
    ORDER BY delivery_id LIMIT :limit""")
# All of them wait first; of each (department, ticket) the first goes then.
AGAIN = text("""
    WITH again AS (
        UPDATE delivery d SET state = CASE WHEN d.ticket_id = d.delivery_id THEN 'pending' ELSE 'waiting' END,
            reason = NULL, due_at = :now, give_up_at = :give_up_at, settled_at = NULL
        FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[])) AS n(delivery_id, ticket_id)
        WHERE d.delivery_id = n.delivery_id AND d.ticket_id = coalesce(n.ticket_id, n.delivery_id)
            AND d.state NOT IN ('pending', 'waiting')
        RETURNING nullif(d.ticket_id, d.delivery_id) AS ticket_id, d.department),
    straight AS (
        DELETE FROM diversion v USING again a WHERE v.ticket_id = a.ticket_id AND v.department = a.department)
    SELECT ticket_id, department FROM again""")


async def find(source: Transaction | Running, delivery_id: UUID) -> Row[Any] | None:
    """One delivery."""
    found = await rows(source, FIND, delivery_id=delivery_id)
    return found[0] if found else None


async def attempts(running: Running, delivery_id: UUID) -> list[dict[str, Any]]:
    """The attempts of a delivery, in order."""
    return [dict(row._mapping) for row in await running.read(ATTEMPTS, delivery_id=delivery_id)]


async def page(
    running: Running, *, department: str | None, ticket_id: UUID | None, state: str | None, before: UUID, limit: int
) -> list[dict[str, Any]]:
    """Deliveries of a ticket or of a department, newest first; one of the two must be given."""
    if ticket_id is not None:
        found = await running.read(
            OF_TICKET, ticket_id=ticket_id, department=department, state=state, before=before, limit=limit
        )
    else:
        statement = OF_DEPARTMENT if state in (None, "delivered") else NOT_DELIVERED
        found = await running.read(statement, department=department, state=state, before=before, limit=limit)
    return [dict(row._mapping) for row in found]


async def between(
    running: Running, department: str, state: str, *, since: datetime, until: datetime, after: UUID, limit: int
) -> list[tuple[UUID, UUID | None]]:
    """(delivery, ticket) of a department's deliveries in that state made in [since, until), oldest first."""
    found = await running.read(
        RANGE, department=department, state=state, low=_bound(since), high=_bound(until), after=after, limit=limit
    )
    return [(row.delivery_id, row.ticket_id) for row in found]


async def again(tx: Transaction, pairs: Sequence[tuple[UUID, UUID | None]]) -> int:
    """Put these (delivery, ticket) on their way again, under their webhook-ids; gives how many. Tickets are locked."""
    found = await tx.rows(
        AGAIN,
        ids=[delivery_id for delivery_id, _ in pairs],
        ticket_ids=[ticket_id for _, ticket_id in pairs],
        now=tx.now,
        give_up_at=tx.now + GIVE_UP,
    )
    await delivery.promote(tx, [(row.ticket_id, row.department) for row in found if row.ticket_id])
    tx.after_commit(lambda: tx.running.wake("sender"))
    return len(found)


def _bound(at: datetime) -> UUID:
    """The lowest UUIDv7 of that instant."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)
