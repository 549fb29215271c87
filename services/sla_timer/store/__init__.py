"""Clocks and what is known of their subjects. Whoever changes them holds the ticket's stream lock."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from libs.shared.contracts.dispatch import WorkOrderAssigned
from libs.shared.contracts.sla_timer import ClockKind, StoppedClock
from libs.shared.db import Transaction
from libs.shared.service import Running
from services.sla_timer.domain.clock import Joined, Known, Promise, State, Timer, WorkOrder
from services.sla_timer.store import timer
from services.sla_timer.store.row import CLOCK, promised

ASSIGN = text("""
    WITH new AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[]), CAST(:departments AS text[]))
            AS n(id, ticket_id, department)),
    t AS (
        INSERT INTO ticket (id) SELECT DISTINCT ticket_id FROM new
        ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING id, ended, joined)
    INSERT INTO work_order AS w (id, ticket_id, department) SELECT id, ticket_id, department FROM new
    ON CONFLICT (ticket_id, id) DO UPDATE SET department = excluded.department
    RETURNING w.id, w.ticket_id, w.accepted, w.contacted, w.ended,
        (SELECT t.ended FROM t WHERE t.id = w.ticket_id) AS ticket_ended,
        (SELECT t.joined FROM t WHERE t.id = w.ticket_id) AS joined""")

MARK = text("""
    INSERT INTO work_order AS w (id, ticket_id, accepted, contacted, ended)
    SELECT n.id, n.ticket_id, :accepted, :contacted, :ended
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[])) AS n(id, ticket_id)
    ON CONFLICT (ticket_id, id) DO UPDATE SET accepted = w.accepted OR excluded.accepted,
        contacted = w.contacted OR excluded.contacted, ended = w.ended OR excluded.ended""")

END = text("""
    INSERT INTO ticket AS t (id, ended, closed_at)
    SELECT id, true, closed_at FROM unnest(CAST(:tickets AS uuid[]), CAST(:closed AS timestamptz[])) AS n(id, closed_at)
    ON CONFLICT (id) DO UPDATE SET ended = true, closed_at = coalesce(excluded.closed_at, t.closed_at)""")

REOPEN = text("""
    WITH t AS (
        INSERT INTO ticket (id) SELECT id FROM unnest(CAST(:reopened AS uuid[])) AS n(id)
        ON CONFLICT (id) DO UPDATE SET ended = false, closed_at = NULL, joined = NULL)
    INSERT INTO work_order AS w (id, ticket_id)
    SELECT id, ticket_id FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[])) AS n(id, ticket_id)
    ON CONFLICT (ticket_id, id) DO UPDATE SET accepted = false, contacted = false, ended = false""")

JOINED = text("""
    SELECT t.id, t.joined FROM unnest(CAST(:tickets AS uuid[])) AS n(id) JOIN ticket t ON t.id = n.id
    WHERE t.joined IS NOT NULL""")
JOIN = text("""
    INSERT INTO ticket (id, joined)
    SELECT id, CAST(joined AS jsonb) FROM unnest(CAST(:tickets AS uuid[]), CAST(:joined AS text[])) AS n(id, joined)
    ON CONFLICT (id) DO UPDATE SET joined = excluded.joined""")

ORDERS = text("""
    SELECT w.id, w.ticket_id, w.accepted, w.contacted, w.ended, coalesce(t.ended, false) AS ticket_ended,
        t.closed_at IS NOT NULL AS ticket_closed
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[])) AS n(id, ticket_id)
    JOIN work_order w ON w.ticket_id = n.ticket_id AND w.id = n.id LEFT JOIN ticket t ON t.id = n.ticket_id""")

# Joined with the ids, not compared with their array: so each is looked for in its own month alone.
CLOCKS = text(f"""
    SELECT {CLOCK} FROM unnest(CAST(:tickets AS uuid[])) AS n(ticket_id) JOIN clock USING (ticket_id)
    ORDER BY started_at, id""")
KNOWN = text("SELECT n.id AS ticket_id FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.id = n.id")

START = text("""
    INSERT INTO clock (id, ticket_id, work_order_id, kind, department, department_name, lead, lead_name, supervisor,
        started_at, due_at, limit_seconds, rule, sla_class, star)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[]), CAST(:work_orders AS uuid[]),
        CAST(:kinds AS text[]), CAST(:departments AS text[]), CAST(:department_names AS text[]), CAST(:leads AS text[]),
        CAST(:lead_names AS text[]), CAST(:supervisors AS text[]), CAST(:starts AS timestamptz[]),
        CAST(:dues AS timestamptz[]), CAST(:limits AS bigint[]), CAST(:rules AS text[]),
        CAST(:classes AS text[]), CAST(:stars AS int[]))""")

# A late end is missed, whatever it is; an end in time is met where it keeps the promise, else nobody needs it any more.
STOP = text("""
    UPDATE clock c SET stopped_at = s.at, generation = c.generation + 1, state = CASE
        WHEN s.at > c.due_at THEN 'missed' WHEN c.kind = ANY(CAST(:kept AS text[])) THEN 'met' ELSE 'cancelled' END
    FROM unnest(CAST(:tickets AS uuid[]), CAST(:work_orders AS uuid[]), CAST(:ats AS timestamptz[]))
        AS s(ticket_id, work_order_id, at)
    WHERE c.ticket_id = s.ticket_id AND c.state = 'running' AND c.kind = ANY(CAST(:kinds AS text[]))
        AND (s.work_order_id IS NULL OR c.work_order_id = s.work_order_id)
    RETURNING c.id, c.ticket_id, c.kind, c.work_order_id, c.state""")

REPLACE = text("""
    UPDATE clock c SET stopped_at = :now, generation = c.generation + 1, state = 'cancelled'
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[])) AS n(id, ticket_id)
    WHERE c.ticket_id = n.ticket_id AND c.id = n.id AND c.state = 'running'
    RETURNING c.id, c.ticket_id, c.kind, c.work_order_id, c.state""")

_PAGE = """AND due_at < CAST(:before AS timestamptz)
    AND (due_at, id) > (CAST(:after_due AS timestamptz), CAST(:after_id AS uuid)) ORDER BY due_at, id LIMIT :count"""
PAGE = text(f"SELECT {CLOCK}, clock_timestamp() AS now FROM clock WHERE state = :state {_PAGE}")
PAGE_OF = text(
    f"SELECT {CLOCK}, clock_timestamp() AS now FROM clock WHERE department = :department AND state = :state {_PAGE}"
)
OF_TICKET = text(
    f"SELECT {CLOCK}, clock_timestamp() AS now FROM clock WHERE ticket_id = :ticket ORDER BY started_at, id"
)


async def assign(tx: Transaction, events: Sequence[WorkOrderAssigned]) -> dict[UUID, WorkOrder]:
    """Record the work orders; what had been heard of them before stays."""
    rows = await tx.rows(
        ASSIGN,
        ids=[event.work_order_id for event in events],
        tickets=[event.ticket_id for event in events],
        departments=[event.department.code for event in events],
    )
    return {row.id: WorkOrder(**{**row._mapping, "joined": _joined(row.joined)}) for row in rows}


async def joined(tx: Transaction, tickets: Iterable[UUID]) -> dict[UUID, Joined]:
    """The strictest promise of what was merged into these tickets; those that have none are missing."""
    found = ((row.id, _joined(row.joined)) for row in await tx.rows(JOINED, tickets=list(set(tickets))))
    return {id_: each for id_, each in found if each}


async def join(tx: Transaction, joined: dict[UUID, Joined]) -> None:
    """Remember the strictest promise of what was merged into these tickets, known or not."""
    if joined:
        await tx.run(JOIN, tickets=list(joined), joined=[orjson.dumps(each).decode() for each in joined.values()])


def _joined(value: str | dict[str, Any] | None) -> Joined | None:
    """A jsonb column: the driver gives it as text, or read already."""
    if value is None:
        return None
    fields = orjson.loads(value) if isinstance(value, str) else value
    return Joined(**{**fields, "started_at": datetime.fromisoformat(fields["started_at"])})


async def mark(
    tx: Transaction,
    pairs: Sequence[tuple[UUID, UUID]],
    *,
    accepted: bool = False,
    contacted: bool = False,
    ended: bool = False,
) -> None:
    """Remember what happened to (work order, ticket) pairs, known or not."""
    await tx.run(
        MARK,
        ids=[pair[0] for pair in pairs],
        tickets=[pair[1] for pair in pairs],
        accepted=accepted,
        contacted=contacted,
        ended=ended,
    )


async def end(tx: Transaction, tickets: Sequence[tuple[UUID, datetime | None]]) -> None:
    """Remember that these tickets (with the time of their close, or None) need no clocks any more."""
    await tx.run(END, tickets=[ticket_id for ticket_id, _ in tickets], closed=[closed for _, closed in tickets])


async def reopen(tx: Transaction, orders: dict[UUID, Sequence[UUID]]) -> None:
    """Forget the end of these tickets (ticket → its reopened work orders) and what their work orders went through."""
    pairs = [(order, ticket) for ticket, ids in orders.items() for order in ids]
    await tx.run(
        REOPEN, reopened=list(orders), ids=[order for order, _ in pairs], tickets=[ticket for _, ticket in pairs]
    )


async def orders(tx: Transaction, pairs: Iterable[tuple[UUID, UUID]]) -> dict[UUID, WorkOrder]:
    """These (work order, ticket) as far as they are known, by work order."""
    asked = list(pairs)
    rows = await tx.rows(ORDERS, ids=[pair[0] for pair in asked], tickets=[pair[1] for pair in asked])
    return {row.id: WorkOrder(**row._mapping) for row in rows}


async def clocks(tx: Transaction, tickets: Iterable[UUID]) -> dict[UUID, list[Known]]:
    """Every clock of these tickets, oldest first."""
    known: dict[UUID, list[Known]] = defaultdict(list)
    for row in await tx.rows(CLOCKS, tickets=list(set(tickets))):
        known[row.ticket_id].append(Known(promised(row), row.state))
    return known


async def start(tx: Transaction, promises: Sequence[Promise], timers: Sequence[Timer]) -> None:
    """Add running clocks and their first timers."""
    await tx.run(
        START,
        ids=[each.id for each in promises],
        tickets=[each.ticket_id for each in promises],
        work_orders=[each.work_order_id for each in promises],
        kinds=[each.kind for each in promises],
        departments=[each.department and each.department.code for each in promises],
        department_names=[each.department and each.department.name for each in promises],
        leads=[each.lead_department.code for each in promises],
        lead_names=[each.lead_department.name for each in promises],
        supervisors=[each.supervisor for each in promises],
        starts=[each.started_at for each in promises],
        dues=[each.due_at for each in promises],
        limits=[each.limit_seconds for each in promises],
        rules=[each.rule for each in promises],
        classes=[each.sla_class for each in promises],
        stars=[each.star for each in promises],
    )
    await timer.add(tx, timers)


async def stop(
    tx: Transaction,
    subjects: Sequence[tuple[UUID, UUID | None, datetime]],
    kinds: Sequence[ClockKind],
    kept: Sequence[ClockKind],
) -> dict[UUID, list[StoppedClock]]:
    """Stop the running clocks of these kinds; (ticket, work order or None for all of the ticket's, when) each.

    `kept`: the kinds whose promise the fact keeps. Answers what was stopped, by ticket.
    """
    rows = await tx.rows(
        STOP,
        tickets=[subject[0] for subject in subjects],
        work_orders=[subject[1] for subject in subjects],
        ats=[subject[2] for subject in subjects],
        kinds=list(kinds),
        kept=list(kept),
    )
    return _stopped(rows)


async def replace(tx: Transaction, pairs: Sequence[tuple[UUID, UUID]]) -> dict[UUID, list[StoppedClock]]:
    """Cancel clocks, as (clock, ticket), whose place another one takes."""
    if not pairs:
        return {}
    ids, tickets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return _stopped(await tx.rows(REPLACE, ids=ids, tickets=tickets, now=tx.now))


def _stopped(rows: Sequence[Row[Any]]) -> dict[UUID, list[StoppedClock]]:
    stopped: dict[UUID, list[StoppedClock]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.kind, str(row.id))):
        stopped[row.ticket_id].append(
            StoppedClock(clock_id=row.id, kind=row.kind, work_order_id=row.work_order_id, outcome=row.state)
        )
    return stopped


async def of_ticket(running: Running, ticket_id: UUID) -> Sequence[Row[Any]]:
    """Rows of every clock of a ticket, oldest first, with the database's `now`."""
    return await running.read(OF_TICKET, ticket=ticket_id)


async def page(
    running: Running,
    state: State,
    department: str | None,
    *,
    before: datetime,
    after: tuple[datetime, UUID],
    count: int,
) -> Sequence[Row[Any]]:
    """Rows of clocks in that state due before `before`, after the place (due_at, id), with the database's `now`."""
    place = {"state": state, "before": before, "after_due": after[0], "after_id": after[1], "count": count}
    if department is None:
        return await running.read(PAGE, **place)
    return await running.read(PAGE_OF, department=department, **place)
