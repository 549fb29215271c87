"""Returns and their rulings."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.dispatch.domain.court import Decision, ReturnCase
from services.dispatch.domain.order import Judge, WorkOrder

OPEN_CASE = text("""
    INSERT INTO return_case (return_id, work_order_id, ticket_id, situation, department, reason_code, reason,
        suggested_department, judge_kind, judge, opened_at)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:ticket_ids AS uuid[]),
        CAST(:situations AS text[]), CAST(:departments AS text[]), CAST(:codes AS text[]),
        CAST(:reasons AS text[]), CAST(:suggested AS text[]), CAST(:kinds AS text[]), CAST(:judges AS text[]),
        CAST(:ats AS timestamptz[]))""")
PENDING = text("""
    SELECT * FROM return_case
    WHERE ticket_id = :ticket_id AND work_order_id = :work_order_id AND decision IS NULL""")
OF_ORDER = text("""
    SELECT * FROM return_case WHERE ticket_id = :ticket_id AND work_order_id = :work_order_id ORDER BY return_id""")
RULE = text("""
    UPDATE return_case SET decision = :decision, ruled_by = :by, ruled_at = :now, note = :note,
        reassigned_to = :reassigned_to, matrix_wrong = :matrix_wrong, situation = :situation
    WHERE ticket_id = :ticket_id AND return_id = :return_id""")
VOID = text("""
    UPDATE return_case c SET decision = 'void', ruled_by = n.by, ruled_at = :now
    FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:bys AS text[]))
        AS n(ticket_id, work_order_id, by)
    WHERE c.ticket_id = n.ticket_id AND c.work_order_id = n.work_order_id AND c.decision IS NULL""")
# Heard late, a breach finds its return ruled on, or before the supervisor already.
OVERDUE = text("""
    UPDATE return_case c SET judge_kind = 'supervisor', judge = t.supervisor
    FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[])) AS n(ticket_id, work_order_id)
        JOIN ticket t USING (ticket_id)
    WHERE c.ticket_id = n.ticket_id AND c.work_order_id = n.work_order_id AND c.decision IS NULL
        AND c.judge_kind = 'lead'
    RETURNING c.ticket_id, c.work_order_id, c.return_id, c.judge, t.lead""")
OF_CELL = text("""
    SELECT c.* FROM return_case c JOIN ticket t USING (ticket_id)
    WHERE c.situation = :situation AND c.department = :department AND c.return_id < :before
        AND (CAST(:lead AS text) IS NULL OR t.lead = :lead)
    ORDER BY c.return_id DESC LIMIT :limit""")
BEFORE_JUDGE = text("""
    SELECT * FROM return_case
    WHERE judge_kind = :judge_kind AND judge = :judge AND decision IS NULL AND return_id > :after
    ORDER BY return_id LIMIT :limit""")
BEFORE_SUPERVISORS = text("""
    SELECT * FROM return_case WHERE judge_kind = 'supervisor' AND decision IS NULL AND return_id > :after
    ORDER BY return_id LIMIT :limit""")


async def open(tx: Transaction, cases: Sequence[ReturnCase]) -> None:
    """Returns that wait for their ruling."""
    if cases:
        await tx.run(
            OPEN_CASE,
            ids=[case.return_id for case in cases],
            order_ids=[case.work_order_id for case in cases],
            ticket_ids=[case.ticket_id for case in cases],
            situations=[case.situation for case in cases],
            departments=[case.department for case in cases],
            codes=[case.reason_code for case in cases],
            reasons=[case.reason for case in cases],
            suggested=[case.suggested_department for case in cases],
            kinds=[case.judge_kind for case in cases],
            judges=[case.judge for case in cases],
            ats=[case.opened_at for case in cases],
        )


async def pending(source: Transaction | Running, order: WorkOrder) -> ReturnCase | None:
    """The return of a work order that waits for its ruling."""
    found = await rows(source, PENDING, ticket_id=order.ticket_id, work_order_id=order.work_order_id)
    return _case(found[0]) if found else None


async def of_order(running: Running, order: WorkOrder) -> list[ReturnCase]:
    """All returns of a work order, in order."""
    found = await running.read(OF_ORDER, ticket_id=order.ticket_id, work_order_id=order.work_order_id)
    return [_case(row) for row in found]


async def rule(
    tx: Transaction,
    case: ReturnCase,
    decision: Decision,
    *,
    by: str,
    note: str | None,
    reassigned_to: str | None,
    matrix_wrong: bool,
    situation: str,
) -> None:
    """Write the ruling down, under the situation that the ticket has now; the ticket is locked."""
    await tx.run(
        RULE,
        ticket_id=case.ticket_id,
        return_id=case.return_id,
        decision=decision,
        by=by,
        note=note,
        reassigned_to=reassigned_to,
        matrix_wrong=matrix_wrong,
        situation=situation,
        now=tx.now,
    )


async def overdue(tx: Transaction, orders: Sequence[tuple[UUID, UUID]]) -> Sequence[Row[Any]]:
    """Bring returns of (ticket, work order) that the lead department has not ruled on before the supervisor.

    Gives ticket_id, work_order_id, return_id, judge (the supervisor) and lead of each that was.
    """
    if not orders:
        return []
    return await tx.rows(OVERDUE, ticket_ids=[order[0] for order in orders], order_ids=[order[1] for order in orders])


async def void(tx: Transaction, settled: Sequence[tuple[WorkOrder, str]]) -> None:
    """(work order, by whom): its return needs no ruling any more: closed, classified again, or moved with others."""
    if settled:
        await tx.run(
            VOID,
            ticket_ids=[order.ticket_id for order, _ in settled],
            order_ids=[order.work_order_id for order, _ in settled],
            bys=[by for _, by in settled],
            now=tx.now,
        )


async def before(running: Running, kind: Judge, judge: str, after: UUID, limit: int) -> list[ReturnCase]:
    """Returns that wait for this lead department, or for any supervisor, oldest first."""
    if kind == "lead":
        found = await running.read(BEFORE_JUDGE, judge_kind=kind, judge=judge, after=after, limit=limit)
    else:
        found = await running.read(BEFORE_SUPERVISORS, after=after, limit=limit)
    return [_case(row) for row in found]


async def of_cell(
    running: Running, situation: str, department: str, *, lead: str | None, before: UUID, limit: int
) -> list[ReturnCase]:
    """Returns of a cell of the matrix, newest first; `lead`: only on tickets that this department leads."""
    found = await running.read(
        OF_CELL, situation=situation, department=department, lead=lead, before=before, limit=limit
    )
    return [_case(row) for row in found]


def _case(row: Row[Any]) -> ReturnCase:
    return ReturnCase(
        return_id=row.return_id,
        work_order_id=row.work_order_id,
        ticket_id=row.ticket_id,
        situation=row.situation,
        department=row.department,
        reason_code=row.reason_code,
        reason=row.reason,
        suggested_department=row.suggested_department,
        judge_kind=row.judge_kind,
        judge=row.judge,
        opened_at=row.opened_at,
        decision=row.decision,
        ruled_by=row.ruled_by,
        ruled_at=row.ruled_at,
        note=row.note,
        reassigned_to=row.reassigned_to,
        matrix_wrong=row.matrix_wrong,
    )
