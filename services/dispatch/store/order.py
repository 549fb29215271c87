"""Work orders."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.service import Running
from services.dispatch.domain.order import OPEN, WorkOrder
from services.dispatch.domain.ticket import Ticket
from services.dispatch.store.held import held
from services.dispatch.store.ticket import ticket

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
LOCKED = text(f"""
    SELECT {ORDER}, t.* FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.ticket_id = n.id
    LEFT JOIN work_order o ON o.ticket_id = n.id ORDER BY o.work_order_id""")


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
        here = held(tx)
        here.change(orders)
        for order in orders:
            if order.ticket_id in here.shares:
                here.shares[order.ticket_id].append(order.work_order_id)


async def load(tx: Transaction) -> None:
    """Read every ticket that the transaction has locked, with its work orders: one statement for a whole batch."""
    here = held(tx)
    if here.loaded:
        return
    here.loaded = True
    ids = [id_ for id_ in map(_ticket_id, tx.keys) if id_ and id_ not in here.looked]
    for row in await tx.rows(LOCKED, ids=ids) if ids else ():
        if row.ticket_id not in here.tickets:
            here.change([ticket(row)])
        shares = here.shares.setdefault(row.ticket_id, [])
        if row.work_order_id:
            shares.append(row.work_order_id)
            here.orders.setdefault(row.work_order_id, _order(row))
    here.looked.update(ids)


async def of_tickets(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, list[WorkOrder]]:
    """All work orders of these tickets, by ticket, oldest first; a ticket without any is missing."""
    wanted, found = list(set(ids)), dict[UUID, list[WorkOrder]]()
    if not isinstance(source, Transaction):
        for row in await source.read(ORDERS, ids=wanted):
            found.setdefault(row.ticket_id, []).append(_order(row))
        return found
    here = held(source)
    missing = [id_ for id_ in wanted if id_ not in here.shares and id_ not in here.looked]
    for row in await source.rows(ORDERS, ids=missing) if missing else ():
        here.shares.setdefault(row.ticket_id, []).append(row.work_order_id)
        here.orders.setdefault(row.work_order_id, _order(row))
    return {id_: [here.orders[each] for each in here.shares[id_]] for id_ in wanted if here.shares.get(id_)}


async def some(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, tuple[Ticket, WorkOrder]]:
    """These work orders, each with its ticket; in a transaction as they stand there."""
    wanted = list(ids)
    if not isinstance(source, Transaction):
        return {row.work_order_id: (ticket(row), _order(row)) for row in await source.read(SOME, ids=wanted)}
    here = held(source)
    missing = [id_ for id_ in wanted if id_ not in here.orders or here.orders[id_].ticket_id not in here.tickets]
    for row in await source.rows(SOME, ids=missing) if missing else ():
        here.tickets.setdefault(row.ticket_id, ticket(row))
        here.orders.setdefault(row.work_order_id, _order(row))
    known = [here.orders[id_] for id_ in wanted if id_ in here.orders]
    return {order.work_order_id: (here.tickets[order.ticket_id], order) for order in known}


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


def _ticket_id(key: str) -> UUID | None:
    """The ticket of a stream; None: it is another's, such as an endpoint's."""
    try:
        return UUID(key)
    except ValueError:
        return None


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
