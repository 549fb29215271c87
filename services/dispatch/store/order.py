"""Work orders."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.service import Running
from services.dispatch.domain.order import OPEN, WorkOrder
from services.dispatch.domain.ticket import Ticket
from services.dispatch.store.ticket import json, rows, ticket

ORDER = """o.work_order_id, o.department, o.department_name, o.state AS order_state, o.created_at,
    o.returns, o.returned_from, o.reassigned_from, o.delivered_at, o.accepted_at, o.contacted_at,
    o.answered_at AS order_answered_at, o.answer, o.resolution"""

ADD_ORDERS = text("""
    INSERT INTO work_order (work_order_id, ticket_id, department, department_name, state, created_at, returns,
        reassigned_from)
    SELECT id, ticket_id, department, name, 'assigned', :now, returns, reassigned_from
    FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[]), CAST(:departments AS text[]),
        CAST(:names AS text[]), CAST(:returns AS int[]), CAST(:reassigned_from AS uuid[]))
        AS n(id, ticket_id, department, name, returns, reassigned_from)""")
ORDERS = text(f"""
    SELECT o.ticket_id, {ORDER} FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id) JOIN work_order o USING (ticket_id)
    ORDER BY work_order_id""")
SOME = text(f"""
    SELECT {ORDER}, t.* FROM work_order o JOIN ticket t USING (ticket_id)
    WHERE work_order_id = ANY(CAST(:ids AS uuid[]))""")
OF_DEPARTMENT = text(f"""
    SELECT {ORDER}, t.* FROM work_order o JOIN ticket t USING (ticket_id)
    WHERE o.department = :department AND o.work_order_id > :after AND (NOT :contacted OR o.contacted_at IS NOT NULL)
        AND (CAST(:states AS text[]) IS NULL OR o.state = ANY(CAST(:states AS text[])))
    ORDER BY o.work_order_id LIMIT :limit""")
# The same for the states in which something is to be done: this one can use the small index.
OPEN_OF_DEPARTMENT = text(f"""
    SELECT {ORDER}, t.* FROM work_order o JOIN ticket t USING (ticket_id)
    WHERE o.department = :department AND o.work_order_id > :after AND (NOT :contacted OR o.contacted_at IS NOT NULL)
        AND o.state IN ('assigned', 'accepted', 'reopened', 'returned') AND o.state = ANY(CAST(:states AS text[]))
    ORDER BY o.work_order_id LIMIT :limit""")
MOVE_ORDERS = text("""
    UPDATE work_order o SET state = n.state, returned_from = n.returned_from, returns = n.returns,
        delivered_at = n.delivered_at, accepted_at = n.accepted_at, contacted_at = n.contacted_at,
        answered_at = n.answered_at, answer = n.answer, resolution = n.resolution
    FROM jsonb_to_recordset(CAST(:orders AS jsonb)) AS n(work_order_id uuid, ticket_id uuid, state text,
        returned_from text, returns int, delivered_at timestamptz, accepted_at timestamptz, contacted_at timestamptz,
        answered_at timestamptz, answer text, resolution text)
    WHERE o.work_order_id = n.work_order_id AND o.ticket_id = n.ticket_id""")


async def add(tx: Transaction, orders: Sequence[WorkOrder]) -> None:
    """New work orders, assigned."""
    if orders:
        await tx.run(
            ADD_ORDERS,
            now=tx.now,
            ids=[order.work_order_id for order in orders],
            ticket_ids=[order.ticket_id for order in orders],
            departments=[order.department for order in orders],
            names=[order.department_name for order in orders],
            returns=[order.returns for order in orders],
            reassigned_from=[order.reassigned_from for order in orders],
        )


async def of_tickets(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, list[WorkOrder]]:
    """All work orders of these tickets, by ticket, oldest first; a ticket without any is missing."""
    found: dict[UUID, list[WorkOrder]] = {}
    for row in await rows(source, ORDERS, ids=list(set(ids))):
        found.setdefault(row.ticket_id, []).append(_order(row))
    return found


async def some(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, tuple[Ticket, WorkOrder]]:
    """These work orders, each with its ticket."""
    return {row.work_order_id: (ticket(row), _order(row)) for row in await rows(source, SOME, ids=list(ids))}


async def find(source: Transaction | Running, work_order_id: UUID) -> tuple[Ticket, WorkOrder] | None:
    """One work order with its ticket."""
    return (await some(source, [work_order_id])).get(work_order_id)


async def of_department(
    running: Running, department: str, states: Sequence[str] | None, *, contacted: bool, after: UUID, limit: int
) -> list[tuple[Ticket, WorkOrder]]:
    """A department's work orders after that id, in these states (None: all), oldest first.

    `contacted`: only those whose customer was spoken to.
    """
    wanted = None if states is None else list(states)
    statement = OPEN_OF_DEPARTMENT if wanted and set(wanted) <= set(OPEN) else OF_DEPARTMENT
    found = await running.read(
        statement, department=department, states=wanted, contacted=contacted, after=after, limit=limit
    )
    return [(ticket(row), _order(row)) for row in found]


async def save(tx: Transaction, changed: Sequence[WorkOrder]) -> None:
    """Write back work orders that moved. Their ticket is locked, so nobody else has changed them."""
    if changed:
        await tx.run(MOVE_ORDERS, orders=json([asdict(order) for order in changed]))


def _order(row: Row[Any]) -> WorkOrder:
    return WorkOrder(
        work_order_id=row.work_order_id,
        ticket_id=row.ticket_id,
        department=row.department,
        department_name=row.department_name,
        state=row.order_state,
        created_at=row.created_at,
        returns=row.returns,
        returned_from=row.returned_from,
        reassigned_from=row.reassigned_from,
        delivered_at=row.delivered_at,
        accepted_at=row.accepted_at,
        contacted_at=row.contacted_at,
        answered_at=row.order_answered_at,
        answer=row.answer,
        resolution=row.resolution,
    )
