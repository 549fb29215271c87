"""Suggestions to change a cell of the matrix, from the returns court's counts."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Row, text

from libs.shared.contracts.dispatch import CellDisputed
from libs.shared.db import Transaction, rows
from libs.shared.service import Running

# Said again in the same month: the newer counts, unless somebody has settled it.
ADD = text("""
    INSERT INTO suggestion (cell, month, evidence, state, said_at)
    SELECT cell, month, CAST(evidence AS jsonb), 'open', :now
    FROM unnest(CAST(:cells AS text[]), CAST(:months AS text[]), CAST(:evidence AS text[])) AS n(cell, month, evidence)
    ORDER BY cell, month
    ON CONFLICT (cell, month) DO UPDATE SET evidence = excluded.evidence, said_at = excluded.said_at
    WHERE suggestion.state = 'open'""")
ONE = text("SELECT * FROM suggestion WHERE suggestion_id = :id")
PAGE = text("""
    SELECT * FROM suggestion WHERE (CAST(:state AS text) IS NULL OR state = :state)
    AND (CAST(:before AS int) IS NULL OR suggestion_id < :before) ORDER BY suggestion_id DESC LIMIT :limit""")
SETTLE = text("""
    UPDATE suggestion SET state = :state, settled_by = :by, settled_at = :now, reason = :reason, draft_id = :draft_id
    WHERE suggestion_id = :id""")


async def add(tx: Transaction, events: Sequence[CellDisputed]) -> None:
    """Keep them; of several about one cell and month the last."""
    last = {(event.cell, event.month): event for event in events}
    await tx.run(
        ADD,
        cells=[cell for cell, _ in last],
        months=[month for _, month in last],
        evidence=[orjson.dumps(event.model_dump(mode="json")).decode() for event in last.values()],
        now=tx.now,
    )


async def one(source: Transaction | Running, id_: int) -> Row[Any] | None:
    """One of them."""
    found = await rows(source, ONE, id=id_)
    return found[0] if found else None


async def page(running: Running, state: str | None, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """The latest first."""
    return await running.read(PAGE, state=state, before=before, limit=limit)


async def settle(tx: Transaction, id_: int, state: str, *, by: str, reason: str, draft_id: int | None = None) -> None:
    """It was accepted, as that draft, or dismissed."""
    await tx.run(SETTLE, id=id_, state=state, by=by, reason=reason, draft_id=draft_id, now=tx.now)
