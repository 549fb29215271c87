"""Reassignments: what was ordered, how far it has come, and what became of each work order."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.dispatch.domain.reassignment import Item, Reassignment, Scope

# Open work orders of the scope that are not younger than the reassignment.
_FOUND = """FROM work_order o JOIN ticket t USING (ticket_id)
    WHERE o.department = :source AND o.work_order_id > :after AND o.work_order_id < :until
        AND o.state IN ('assigned', 'accepted', 'reopened', 'returned')
        AND (CAST(:situations AS text[]) IS NULL OR t.situation_code = ANY(CAST(:situations AS text[])))
        AND (CAST(:category AS text) IS NULL OR t.situation_name = :category
            OR jsonb_exists(t.category_path, :category))"""

PREVIEW = text(f"""
    SELECT t.situation_code AS code, max(t.situation_name) AS name, count(*) AS total,
        count(*) FILTER (WHERE EXISTS (SELECT FROM work_order x WHERE x.ticket_id = o.ticket_id
            AND x.department || '' = :target AND x.state NOT IN ('reassigned', 'cancelled'))) AS skipped
    {_FOUND} GROUP BY t.situation_code ORDER BY count(*) DESC, t.situation_code""")
ADD = text("""
    INSERT INTO reassignment (reassignment_id, source, target, target_name, situations, category, reason, by, state,
        created_at, after_id)
    VALUES (:id, :source, :target, :target_name, CAST(:situations AS text[]), :category, :reason, :by, 'listing', :now,
        '00000000-0000-0000-0000-000000000000')""")
LIST = text(f"""
    WITH found AS (SELECT o.work_order_id, o.ticket_id {_FOUND} ORDER BY o.work_order_id LIMIT :limit),
    put AS (
        INSERT INTO reassignment_item (reassignment_id, work_order_id, ticket_id)
        SELECT :until, work_order_id, ticket_id FROM found ON CONFLICT DO NOTHING)
    SELECT work_order_id FROM found ORDER BY work_order_id DESC""")
# Only from where this process found it: who was overtaken changes nothing.
ADVANCE = text("""
    UPDATE reassignment SET state = :state, after_id = :after_id, total = :total, moved = :moved, skipped = :skipped,
        finished_at = :finished_at
    WHERE reassignment_id = :id AND state = :before AND after_id = :before_id""")
ITEMS = text("""
    SELECT * FROM reassignment_item WHERE reassignment_id = :id AND work_order_id > :after
        AND (CAST(:result AS text) IS NULL OR coalesce(result, 'left') = :result)
    ORDER BY work_order_id LIMIT :limit""")
RECORD = text("""
    UPDATE reassignment_item i SET result = n.result, reason = n.reason, successor = n.successor, at = :now
    FROM unnest(CAST(:orders AS uuid[]), CAST(:results AS text[]), CAST(:reasons AS text[]),
        CAST(:successors AS uuid[])) AS n(work_order_id, result, reason, successor)
    WHERE i.reassignment_id = :id AND i.work_order_id = n.work_order_id""")
FIND = text("SELECT * FROM reassignment WHERE reassignment_id = :id")
UNFINISHED = text("SELECT * FROM reassignment WHERE state <> 'done' ORDER BY reassignment_id LIMIT 1")
PAGE = text("""
    SELECT * FROM reassignment WHERE reassignment_id < :before ORDER BY reassignment_id DESC LIMIT :limit""")


class Overtaken(Exception):
    """Another process has carried it on meanwhile: nothing was changed."""


async def preview(tx: Transaction, scope: Scope) -> list[dict[str, Any]]:
    """code, name, total, skipped of each situation in the scope as it stands now."""
    found = await tx.rows(PREVIEW, **_scope(scope), target=scope.target, after=UUID(int=0), until=tx.new_id())
    return [dict(row._mapping) for row in found]


async def add(tx: Transaction, job: Reassignment) -> None:
    """A new one, whose work orders are still to be listed."""
    await tx.run(
        ADD,
        id=job.reassignment_id,
        source=job.scope.source,
        target=job.scope.target,
        target_name=job.target_name,
        situations=None if job.scope.situations is None else list(job.scope.situations),
        category=job.scope.category,
        reason=job.reason,
        by=job.by,
        now=job.created_at,
    )


async def list_items(tx: Transaction, job: Reassignment, limit: int) -> list[UUID]:
    """List the next open work orders, at most so many; gives their ids, the last first."""
    found = await tx.rows(LIST, **_scope(job.scope), after=job.after_id, until=job.reassignment_id, limit=limit)
    return [row.work_order_id for row in found]


async def advance(tx: Transaction, before: Reassignment, job: Reassignment) -> None:
    """Note how far it has come. Raises Overtaken: the caller's transaction must not be committed."""
    changed = await tx.run(
        ADVANCE,
        id=job.reassignment_id,
        before=before.state,
        before_id=before.after_id,
        state=job.state,
        after_id=job.after_id,
        total=job.total,
        moved=job.moved,
        skipped=job.skipped,
        finished_at=job.finished_at,
    )
    if not changed:
        raise Overtaken


async def record(tx: Transaction, job: Reassignment, items: Sequence[Item]) -> None:
    """What became of these."""
    await tx.run(
        RECORD,
        id=job.reassignment_id,
        orders=[item.work_order_id for item in items],
        results=[item.result for item in items],
        reasons=[item.reason for item in items],
        successors=[item.successor for item in items],
        now=tx.now,
    )


async def items(running: Running, id_: UUID, after: UUID, limit: int, result: str | None = None) -> list[Item]:
    """Its work orders after that one; `result`: moved, skipped, or left for those not yet looked at."""
    found = await running.read(ITEMS, id=id_, after=after, limit=limit, result=result)
    return [Item(row.work_order_id, row.ticket_id, row.result, row.reason, row.successor, row.at) for row in found]


async def find(source: Transaction | Running, id_: UUID) -> Reassignment | None:
    """One of them."""
    found = await rows(source, FIND, id=id_)
    return _job(found[0]) if found else None


async def unfinished(running: Running) -> Reassignment | None:
    """The oldest that is not done."""
    found = await running.read(UNFINISHED)
    return _job(found[0]) if found else None


async def page(running: Running, before: UUID, limit: int) -> list[Reassignment]:
    """All of them, newest first."""
    return [_job(row) for row in await running.read(PAGE, before=before, limit=limit)]


def _scope(scope: Scope) -> dict[str, Any]:
    situations = None if scope.situations is None else list(scope.situations)
    return {"source": scope.source, "situations": situations, "category": scope.category}


def _job(row: Row[Any]) -> Reassignment:
    situations = None if row.situations is None else tuple(row.situations)
    return Reassignment(
        reassignment_id=row.reassignment_id,
        scope=Scope(row.source, row.target, situations, row.category),
        target_name=row.target_name,
        reason=row.reason,
        by=row.by,
        state=row.state,
        created_at=row.created_at,
        finished_at=row.finished_at,
        after_id=row.after_id,
        total=row.total,
        moved=row.moved,
        skipped=row.skipped,
    )
