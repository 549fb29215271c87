"""The review queue and what people decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from libs.shared.contracts.classification import Candidate
from libs.shared.db import Transaction
from libs.shared.service import Running

Place = tuple[bool, datetime, UUID]  # in the queue: not urgent, opened at, ticket
BEFORE_ALL: Place = (False, datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))

ADD = text("""
    INSERT INTO review (ticket_id, urgent, opened_at, candidates)
    SELECT id, urgent, :now, CAST(candidates AS jsonb)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:urgent AS boolean[]), CAST(:candidates AS text[])) 
        AS n(id, urgent, candidates)
    ON CONFLICT DO NOTHING""")
COLUMNS = """
    r.ticket_id, r.urgent, r.opened_at, r.candidates, t.risk, t.ticket->>'title' AS title,
    t.ticket->>'channel' AS channel, CASE WHEN r.claimed_until > clock_timestamp() THEN r.claimed_by END AS claimed_by,
    CASE WHEN r.claimed_until > clock_timestamp() THEN r.claimed_until END AS claimed_until"""
PAGE = text(f"""
    SELECT {COLUMNS} FROM review r JOIN ticket t ON t.id = r.ticket_id
    WHERE (NOT r.urgent, r.opened_at, r.ticket_id)
        > (CAST(:calm AS boolean), CAST(:opened_at AS timestamptz), CAST(:ticket_id AS uuid))
    ORDER BY NOT r.urgent, r.opened_at, r.ticket_id LIMIT :limit""")
ONE = text(f"""
    SELECT {COLUMNS}, t.ticket FROM review r JOIN ticket t ON t.id = r.ticket_id WHERE r.ticket_id = :ticket_id""")
CLAIM = text("UPDATE review SET claimed_by = :by, claimed_until = :until WHERE ticket_id = :ticket_id")
REMOVE = text("DELETE FROM review WHERE ticket_id = :ticket_id")
DECIDED = text("SELECT * FROM decision WHERE ticket_id = :ticket_id")
DECIDE = text("""
    INSERT INTO decision (ticket_id, situation, matrix_version, by, note, at)
    VALUES (:ticket_id, :situation, :matrix_version, :by, :note, :now)""")
LEARNABLE = text("""
    SELECT t.ticket->>'title' AS title, t.ticket->>'text' AS text, d.situation
    FROM decision d JOIN ticket t ON t.id = d.ticket_id ORDER BY d.at DESC LIMIT :limit""")


@dataclass(frozen=True, slots=True)
class Opened:
    """A new review."""

    ticket_id: UUID
    urgent: bool
    candidates: tuple[Candidate, ...]


async def add(tx: Transaction, items: Sequence[Opened]) -> None:
    """Open reviews."""
    await tx.run(
        ADD,
        ids=[item.ticket_id for item in items],
        urgent=[item.urgent for item in items],
        candidates=[orjson.dumps([each.model_dump() for each in item.candidates]).decode() for item in items],
        now=tx.now,
    )


async def page(running: Running, after: Place | None, limit: int) -> Sequence[Row[Any]]:
    """Open reviews behind a place, urgent ones first, then by age."""
    calm, opened_at, ticket_id = after or BEFORE_ALL
    return await running.read(PAGE, calm=calm, opened_at=opened_at, ticket_id=ticket_id, limit=limit)


async def one(source: Transaction | Running, ticket_id: UUID) -> Row[Any] | None:
    """An open review; a claim whose time is over is not shown."""
    found = await (
        source.rows(ONE, ticket_id=ticket_id)
        if isinstance(source, Transaction)
        else source.read(ONE, ticket_id=ticket_id)
    )
    return found[0] if found else None


async def claim(tx: Transaction, ticket_id: UUID, by: str | None, until: datetime | None) -> None:
    """Give a review to someone until then, or (None) to nobody."""
    await tx.run(CLAIM, ticket_id=ticket_id, by=by, until=until)


async def decided(source: Transaction | Running, ticket_id: UUID) -> Row[Any] | None:
    """What was decided on a ticket, by whom."""
    found = await (
        source.rows(DECIDED, ticket_id=ticket_id)
        if isinstance(source, Transaction)
        else source.read(DECIDED, ticket_id=ticket_id)
    )
    return found[0] if found else None


async def decide(
    tx: Transaction, ticket_id: UUID, *, situation: str, matrix_version: str, by: str, note: str | None
) -> None:
    """Close a review with a decision; it is training data from now on."""
    await tx.run(REMOVE, ticket_id=ticket_id)
    await tx.run(
        DECIDE, ticket_id=ticket_id, situation=situation, matrix_version=matrix_version, by=by, note=note, now=tx.now
    )


async def learnable(running: Running, limit: int = 100_000) -> Sequence[Row[Any]]:
    """Title, text and situation of decided tickets, the latest first."""
    return await running.read(LEARNABLE, limit=limit)
