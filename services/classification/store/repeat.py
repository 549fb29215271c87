"""Tickets that a ticket may repeat, and the chains of those that do."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.service import Running
from services.classification.domain import repeat, sketch
from services.classification.domain.repeat import Chains, Mark, Past
from services.classification.domain.rule import RepeatRule

# One batch at a time looks for repeats and adds its tickets: what another process has just read is found. Held until
# the transaction ends; its statements are few. Not a row: a row written that often would be slow to find again while
# anybody holds a snapshot open.
ALONE = text("SELECT pg_advisory_xact_lock(CAST(8747502867563636084 AS bigint))")

# Stored tickets under the keys of new ones, the latest of each key first; and (key null) which of them are known.
EARLIER = text("""
    SELECT n.id, n.key, coalesce(t.repeat_of, t.id) AS first, t.sketch, greatest(t.repeats, c.repeats) AS latest
    FROM unnest(CAST(:key_ids AS uuid[]), CAST(:keys AS bigint[]), CAST(:knowns AS smallint[]),
        CAST(:mosts AS int[]), CAST(:lows AS uuid[]), CAST(:highs AS uuid[])) AS n(id, key, known, most, low, high)
    CROSS JOIN LATERAL (
        SELECT x.ticket_id FROM trace x
        WHERE x.key = n.key AND x.ticket_id >= n.low AND x.ticket_id <= n.high AND x.known & n.known = 0
        ORDER BY x.ticket_id DESC LIMIT n.most) f
    JOIN ticket t ON t.id = f.ticket_id
    LEFT JOIN LATERAL (
        SELECT r.repeats FROM ticket r
        WHERE r.repeat_of = coalesce(t.repeat_of, t.id) AND r.id >= n.low AND r.id <= n.high
        ORDER BY r.repeats DESC LIMIT 1) c ON true
    UNION ALL
    SELECT n.id, NULL, NULL, NULL, NULL FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.id = n.id""")

CHAIN = text("""
    SELECT id, situation, state, repeats, received_at, ticket->>'title' AS title, ticket->>'channel' AS channel
    FROM ticket WHERE repeat_of = :first AND repeats > :after ORDER BY repeats, id LIMIT :limit""")
FIRST = text("""
    SELECT id, situation, state, repeats, received_at, ticket->>'title' AS title, ticket->>'channel' AS channel
    FROM ticket WHERE id = :first""")


async def earlier(tx: Transaction, rule: RepeatRule, marks: Sequence[tuple[UUID, Mark]]) -> tuple[Chains, set[UUID]]:
    """The chains that these tickets may belong to, and which of them are known already. Waits for other batches."""
    await tx.rows(ALONE)
    windows = [(ticket_id, mark, repeat.around(rule, ticket_id)) for ticket_id, mark in marks]
    keys = [(ticket_id, key, window) for ticket_id, mark, window in windows for key in mark.keys]
    rows = await tx.rows(
        EARLIER,
        key_ids=[ticket_id for ticket_id, _, _ in keys],
        keys=[key.value for _, key, _ in keys],
        knowns=[key.known for _, key, _ in keys],
        mosts=[key.most for _, key, _ in keys],
        lows=[low for _, _, (low, _) in keys],
        highs=[high for _, _, (_, high) in keys],
        ids=[ticket_id for ticket_id, _ in marks],
    )
    found = [(row.id, Past(row.key, row.first, row.latest, sketch.load(row.sketch))) for row in rows if row.first]
    return Chains(rule, found), {row.id for row in rows if row.first is None}


async def chain(running: Running, first: UUID, after: int, limit: int) -> Sequence[Row[Any]]:
    """The tickets of a chain in their order, the first one only where `after` is below 0."""
    rows = await running.read(CHAIN, first=first, after=max(after, 0), limit=limit)
    return rows if after >= 0 else [*await running.read(FIRST, first=first), *rows][:limit]
