"""Deliveries: webhooks as rows, from the fact that causes them to the attempt that settles them.

Whoever writes here holds the locks of the tickets concerned.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import DeliveryFailed
from libs.shared.db import Transaction
from libs.shared.service import Running
from libs.shared.telemetry import new_traceparent
from services.dispatch.delivery.backoff import GIVE_UP, LAST_CALL
from services.dispatch.domain import payload
from services.dispatch.domain.endpoint import Attempt, Delivery, Look, Webhook
from services.dispatch.domain.order import WorkOrder
from services.dispatch.store.held import json

# `state || ''`: statistics of states are no guide (an empty queue may hold ten thousand rows a second later), and
# an index of what waits would be read from end to end where a ticket's few rows are meant.

# A department without an endpoint has no deliveries: its list of work orders is all it needs.
# A test event's own id stands for its ticket: `nullif(ticket_id, delivery_id)`.
ADD = text("""
    INSERT INTO delivery (delivery_id, department, ticket_id, work_order_id, type, body, traceparent, state, reason,
        created_at, due_at, give_up_at)
    SELECT n.id, n.department, coalesce(n.ticket_id, n.id), n.work_order_id, n.type, n.body, n.traceparent,
        CASE WHEN e.state <> 'active' OR v.reason IS NOT NULL THEN 'inbox'
            WHEN n.turn > 1 AND n.ticket_id IS NOT NULL OR EXISTS (
                SELECT FROM delivery b WHERE b.ticket_id = n.ticket_id AND b.department || '' = n.department
                    AND b.state || '' IN ('pending', 'waiting'))
            THEN 'waiting' ELSE 'pending' END,
        coalesce(v.reason, CASE WHEN e.state <> 'active' THEN 'endpoint_disabled' END),
        :now, :now, :give_up_at
    FROM (SELECT *, row_number() OVER (PARTITION BY department, ticket_id ORDER BY place) AS turn
        FROM unnest(CAST(:ids AS uuid[]), CAST(:departments AS text[]), CAST(:ticket_ids AS uuid[]),
            CAST(:order_ids AS uuid[]), CAST(:types AS text[]), CAST(:bodies AS text[]), CAST(:parents AS text[]))
            WITH ORDINALITY AS u(id, department, ticket_id, work_order_id, type, body, traceparent, place)) n
    JOIN endpoint e ON e.department = n.department AND e.state <> 'deleted'
    LEFT JOIN diversion v ON v.ticket_id = n.ticket_id AND v.department = n.department
    ORDER BY n.place""")

DUE = text("""
    SELECT d.* FROM unnest(CAST(:departments AS text[]), CAST(:rooms AS int[]), CAST(:floors AS timestamptz[]))
        AS lane(department, room, floor)
    CROSS JOIN LATERAL (
        SELECT delivery_id, department, nullif(ticket_id, delivery_id) AS ticket_id, body, traceparent, attempts,
            due_at, give_up_at FROM delivery
        WHERE department = lane.department AND state = 'pending' AND due_at BETWEEN lane.floor AND now()
            AND delivery_id <> ALL (CAST(:held AS uuid[]))
        ORDER BY due_at, seq LIMIT lane.room) d""")

# A late result may only mark success.
RECORD = text("""
    UPDATE delivery d SET attempts = greatest(d.attempts, n.number), last_status = n.status, last_error = n.error,
        due_at = coalesce(n.next_at, d.due_at),
        state = CASE WHEN n.ok THEN 'delivered' ELSE d.state END,
        reason = CASE WHEN n.ok THEN NULL ELSE d.reason END,
        settled_at = CASE WHEN n.ok THEN :now ELSE d.settled_at END
    FROM jsonb_to_recordset(CAST(:attempts AS jsonb)) AS n(delivery_id uuid, ticket_id uuid, number int, ok boolean,
        status int, error text, next_at timestamptz)
    WHERE d.delivery_id = n.delivery_id AND d.ticket_id = n.ticket_id
        AND (d.state || '' = 'pending' AND d.attempts = n.number - 1 OR n.ok AND d.state || '' <> 'delivered')
    RETURNING d.delivery_id, d.department, nullif(d.ticket_id, d.delivery_id) AS ticket_id, d.work_order_id, d.type,
        d.state, d.attempts,
        n.ok OR n.next_at + CAST(:last_call AS interval) < d.give_up_at AS in_time,
        CASE WHEN d.give_up_at < d.created_at + CAST(:full AS interval) THEN 'accept_clock' ELSE 'exhausted' END
            AS reason""")
LOG = text("""
    INSERT INTO attempt (delivery_id, number, at, ms, status, error, answer)
    SELECT * FROM jsonb_to_recordset(CAST(:attempts AS jsonb)) AS n(delivery_id uuid, number int, at timestamptz,
        ms int, status int, error text, answer text)""")
MARK_DELIVERED = text("""
    UPDATE work_order o SET delivered_at = :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[])) AS n(delivery_id, ticket_id)
        JOIN delivery d ON d.delivery_id = n.delivery_id AND d.ticket_id = n.ticket_id
    WHERE o.ticket_id = n.ticket_id AND o.work_order_id = d.work_order_id AND o.delivered_at IS NULL
        AND d.type IN ('work_order.assigned', 'work_order.reopened')
    RETURNING o.ticket_id, o.work_order_id, o.department, d.delivery_id, d.attempts, d.created_at""")
# The next of each (department, ticket) whose turn it is.
PROMOTE = text("""
    UPDATE delivery d SET state = 'pending', due_at = :now
    FROM (SELECT DISTINCT ON (w.ticket_id, w.department) w.delivery_id, w.ticket_id
        FROM delivery w JOIN (SELECT DISTINCT * FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:departments AS text[])))
            AS p(ticket_id, department) ON w.ticket_id = p.ticket_id AND w.department || '' = p.department
        WHERE w.state || '' = 'waiting' AND NOT EXISTS (SELECT FROM delivery b WHERE b.ticket_id = w.ticket_id
            AND b.department || '' = w.department AND b.state || '' = 'pending')
        ORDER BY w.ticket_id, w.department, w.seq) AS next
    WHERE d.delivery_id = next.delivery_id AND d.ticket_id = next.ticket_id""")

DIVERT = text("""
    WITH pair AS (
        SELECT DISTINCT * FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:departments AS text[]))
            AS p(ticket_id, department)),
    moved AS (
        UPDATE delivery d SET state = 'inbox', reason = :reason, settled_at = :now FROM pair p
        WHERE d.ticket_id = p.ticket_id AND d.department || '' = p.department
            AND d.state || '' IN ('pending', 'waiting')
        RETURNING d.delivery_id, d.seq, d.ticket_id, d.department, d.work_order_id, d.attempts),
    noted AS (
        INSERT INTO diversion (ticket_id, department, reason, at)
        SELECT DISTINCT ticket_id, department, :reason, CAST(:now AS timestamptz) FROM moved ON CONFLICT DO NOTHING)
    SELECT DISTINCT ON (m.department, m.work_order_id) m.*, coalesce(k.name, m.department) AS name, t.supervisor
    FROM moved m JOIN ticket t USING (ticket_id) LEFT JOIN department k ON k.code = m.department
    ORDER BY m.department, m.work_order_id, m.seq""")
SETTLE_TESTS = text("""
    UPDATE delivery d SET state = 'inbox', reason = :reason, settled_at = :now
    FROM unnest(CAST(:ids AS uuid[])) AS n(id)
    WHERE d.delivery_id = n.id AND d.ticket_id = n.id AND d.state = 'pending'""")
HURRY = text("""
    UPDATE delivery d SET due_at = least(d.due_at, :now), give_up_at = least(d.give_up_at, n.until)
    FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:untils AS timestamptz[]))
        AS n(ticket_id, work_order_id, until)
    WHERE d.ticket_id = n.ticket_id AND d.work_order_id = n.work_order_id AND d.state || '' = 'pending'
        AND d.type IN ('work_order.assigned', 'work_order.reopened')""")
UNDELIVERED = text("""
    SELECT DISTINCT d.ticket_id, d.department
    FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[])) AS n(ticket_id, work_order_id)
    JOIN delivery d ON d.ticket_id = n.ticket_id AND d.work_order_id = n.work_order_id
    WHERE d.state || '' IN ('pending', 'waiting') AND d.type IN ('work_order.assigned', 'work_order.reopened')""")
CANCEL = text("""
    UPDATE delivery d SET state = 'cancelled', settled_at = :now
    FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[])) AS n(ticket_id, work_order_id)
    WHERE d.ticket_id = n.ticket_id AND d.work_order_id = n.work_order_id AND d.state || '' IN ('pending', 'waiting')
    RETURNING d.ticket_id, d.department""")
# Given up by time, or their endpoint is not active any more; whoever finds them locks their tickets next.
OVERDUE = text("""
    (SELECT delivery_id, nullif(ticket_id, delivery_id) AS ticket_id, department,
            CASE WHEN give_up_at < created_at + CAST(:full AS interval) THEN 'accept_clock' ELSE 'exhausted' END
                AS reason
        FROM delivery WHERE state IN ('pending', 'waiting') AND give_up_at <= now() ORDER BY give_up_at LIMIT 500)
    UNION ALL
    (SELECT d.delivery_id, nullif(d.ticket_id, d.delivery_id), d.department, 'endpoint_disabled' FROM endpoint e
        CROSS JOIN LATERAL (SELECT * FROM delivery WHERE department = e.department AND state = 'pending' LIMIT 500) d
        WHERE e.state <> 'active' LIMIT 500)""")


async def add(tx: Transaction, webhooks: Sequence[Webhook], give_up: timedelta = GIVE_UP) -> list[UUID]:
    """Put webhooks on their way, in this order; gives their ids. The sender is woken after the commit."""
    if not webhooks:
        return []
    ids = [tx.new_id() for _ in webhooks]
    keys = [str(webhook.ticket_id) for webhook in webhooks]
    await tx.run(
        ADD,
        now=tx.now,
        give_up_at=tx.now + give_up,
        ids=ids,
        departments=[webhook.department for webhook in webhooks],
        ticket_ids=[webhook.ticket_id for webhook in webhooks],
        order_ids=[webhook.work_order_id for webhook in webhooks],
        types=[webhook.kind for webhook in webhooks],
        bodies=[payload.body(webhook.kind, tx.now, webhook.data) for webhook in webhooks],
        parents=[tx.causes.get(key) or tx.causes.setdefault(key, new_traceparent()) for key in keys],
    )
    tx.after_commit(lambda: tx.running.wake("sender"))
    return ids


async def due(running: Running, looks: Mapping[str, Look], held: Iterable[UUID]) -> list[Delivery]:
    """Deliveries whose time has come, as each department's look wants them, the longest due first; without those the
    caller already holds.
    """
    found = await running.read(
        DUE,
        departments=list(looks),
        rooms=[look.room for look in looks.values()],
        floors=[look.floor for look in looks.values()],
        held=list(held),
    )
    return [
        Delivery(
            delivery_id=row.delivery_id,
            department=row.department,
            ticket_id=row.ticket_id,
            body=row.body.encode(),
            traceparent=row.traceparent,
            attempts=row.attempts,
            due_at=row.due_at,
            give_up_at=row.give_up_at,
        )
        for row in found
    ]


async def record(tx: Transaction, attempts: Sequence[Attempt]) -> tuple[Sequence[Row[Any]], list[Row[Any]]]:
    """Write attempts down. Gives the work orders now delivered for the first time, and what cannot be sent in time."""
    flat = json([_flat(attempt) for attempt in attempts])
    changed = await tx.rows(RECORD, attempts=flat, now=tx.now, last_call=LAST_CALL, full=GIVE_UP)
    await tx.run(LOG, attempts=flat)
    settled = [row for row in changed if row.state == "delivered"]
    marked: Sequence[Row[Any]] = []
    if settled:
        about = [row for row in settled if row.ticket_id]
        marked = await tx.rows(
            MARK_DELIVERED,
            ids=[row.delivery_id for row in about],
            ticket_ids=[row.ticket_id for row in about],
            now=tx.now,
        )
        await promote(tx, [(row.ticket_id, row.department) for row in about])
    return marked, [row for row in changed if not row.in_time]


async def promote(tx: Transaction, pairs: Sequence[tuple[UUID, str]]) -> None:
    """Let the next delivery of these (ticket, department) go, where none is under way."""
    if pairs:
        await tx.run(
            PROMOTE, ticket_ids=[ticket for ticket, _ in pairs], departments=[code for _, code in pairs], now=tx.now
        )
        tx.after_commit(lambda: tx.running.wake("sender"))


async def divert(tx: Transaction, pairs: Sequence[tuple[UUID, str]], reason: str) -> None:
    """Everything for these (ticket, department), now and later, goes to the inbox; the supervisor hears of it."""
    if not pairs:
        return
    moved = await tx.rows(
        DIVERT,
        ticket_ids=[ticket for ticket, _ in pairs],
        departments=[code for _, code in pairs],
        reason=reason,
        now=tx.now,
    )
    for row in moved:
        tx.publish(
            DeliveryFailed(
                ticket_id=row.ticket_id,
                work_order_id=row.work_order_id,
                department=Department(code=row.department, name=row.name),
                delivery_id=row.delivery_id,
                supervisor=row.supervisor,
                attempts=row.attempts,
                reason=reason,
            )
        )


async def settle_tests(tx: Transaction, ids: Sequence[UUID], reason: str) -> None:
    """Test events are not kept for an inbox: they have simply failed."""
    if ids:
        await tx.run(SETTLE_TESTS, ids=list(ids), reason=reason, now=tx.now)


async def hurry(tx: Transaction, orders: Sequence[tuple[UUID, UUID, datetime]]) -> None:
    """(ticket, work order, deadline): try once more at once, and not beyond the deadline."""
    if orders:
        await tx.run(
            HURRY,
            now=tx.now,
            ticket_ids=[ticket for ticket, _, _ in orders],
            order_ids=[order for _, order, _ in orders],
            untils=[until for _, _, until in orders],
        )
        tx.after_commit(lambda: tx.running.wake("sender"))


async def undelivered(tx: Transaction, orders: Sequence[tuple[UUID, UUID]]) -> list[tuple[UUID, str]]:
    """Of these (ticket, work order), the (ticket, department) whose webhook has not arrived."""
    if not orders:
        return []
    found = await tx.rows(
        UNDELIVERED, ticket_ids=[ticket for ticket, _ in orders], order_ids=[order for _, order in orders]
    )
    return [(row.ticket_id, row.department) for row in found]


async def cancel(tx: Transaction, orders: Sequence[WorkOrder]) -> None:
    """What was still to be sent about these work orders has been overtaken."""
    if orders:
        found = await tx.rows(
            CANCEL,
            ticket_ids=[order.ticket_id for order in orders],
            order_ids=[order.work_order_id for order in orders],
            now=tx.now,
        )
        await promote(tx, [(row.ticket_id, row.department) for row in found])


async def overdue(running: Running) -> Sequence[Row[Any]]:
    """Some of the deliveries that must be given up: delivery_id, ticket_id, department, reason."""
    return await running.read(OVERDUE, full=GIVE_UP)


def _flat(attempt: Attempt) -> dict[str, Any]:
    return {
        "delivery_id": attempt.delivery.delivery_id,
        "ticket_id": attempt.delivery.ticket_id or attempt.delivery.delivery_id,
        "number": attempt.number,
        "at": attempt.at,
        "ms": attempt.ms,
        "ok": attempt.ok,
        "status": attempt.status,
        "error": attempt.error,
        "answer": attempt.answer,
        "next_at": attempt.next_at,
    }
