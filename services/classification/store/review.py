"""The review queue and what people decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from libs.shared.contracts.classification import Candidate
from libs.shared.db import Transaction, rows
from libs.shared.service import Running

Place = tuple[datetime, UUID]  # in the queue: due at, ticket
BEFORE_ALL: Place = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
MOST_COUNTED = 100_000  # open reviews; figures stop there
MOST_NAMED = 200  # reviewers in the figures

ADD = text("""
    INSERT INTO review (ticket_id, opened_at, due_at, candidates)
    SELECT id, :now, due_at, CAST(candidates AS jsonb)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:dues AS timestamptz[]), CAST(:candidates AS text[]))
        AS n(id, due_at, candidates)
    ON CONFLICT DO NOTHING""")
_CLAIM = """
    CASE WHEN r.claimed_until > clock_timestamp() THEN r.claimed_by END AS claimed_by,
    CASE WHEN r.claimed_until > clock_timestamp() THEN r.claimed_until END AS claimed_until"""
COLUMNS = f"""
    r.ticket_id, r.opened_at, r.due_at, r.due_at < clock_timestamp() AS overdue, r.candidates, t.urgency, t.risk,
    t.ticket->>'title' AS title, t.ticket->>'channel' AS channel, {_CLAIM}"""
_FOLDED = """
    (SELECT e.hot_event_id FROM hot_member m JOIN hot_event e USING (hot_event_id)
        WHERE m.ticket_id = r.ticket_id AND m.left_at IS NULL AND e.folded_at IS NOT NULL AND e.dissolved_at IS NULL
        ORDER BY m.joined_at LIMIT 1) AS hot_event"""
_BEHIND = """
    WHERE (r.due_at, r.ticket_id) > (CAST(:due_at AS timestamptz), CAST(:ticket_id AS uuid))
    ORDER BY r.due_at, r.ticket_id LIMIT :limit"""
PAGE = text(f"SELECT {COLUMNS} FROM review r JOIN ticket t ON t.id = r.ticket_id {_BEHIND}")
FIRST = text(f"""
    SELECT {COLUMNS}, left(t.ticket->>'text', :characters) AS text
    FROM review r JOIN ticket t ON t.id = r.ticket_id {_BEHIND}""")
ONE = text(f"""
    SELECT {COLUMNS}, t.ticket, t.repeat_of, t.repeats, {_FOLDED} FROM review r JOIN ticket t ON t.id = r.ticket_id
    WHERE r.ticket_id = :ticket_id""")
SEVERAL = text(f"""
    SELECT n.ticket_id, r.ticket_id IS NOT NULL AS waits, {_CLAIM}, t.ticket, t.risk, t.repeat_of, t.repeats, d.by,
        d.at, d.situation, {_FOLDED}
    FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id) LEFT JOIN review r ON r.ticket_id = n.ticket_id
    LEFT JOIN ticket t ON t.id = r.ticket_id LEFT JOIN decision d ON d.ticket_id = n.ticket_id""")
CLAIM = text("""
    UPDATE review SET claimed_by = :by, claimed_until = :until, claimed_at = CASE
        WHEN CAST(:by AS text) IS NULL THEN NULL
        WHEN claimed_by = :by AND claimed_until > :now THEN claimed_at ELSE CAST(:now AS timestamptz) END
    WHERE ticket_id = :ticket_id""")
DECIDED = text("SELECT * FROM decision WHERE ticket_id = :ticket_id")
DECIDE = text("""
    WITH gone AS (
        DELETE FROM review r USING unnest(CAST(:ids AS uuid[])) AS n(ticket_id) WHERE r.ticket_id = n.ticket_id
        RETURNING r.ticket_id, r.opened_at, r.claimed_by, r.claimed_at)
    INSERT INTO decision (ticket_id, situation, matrix_version, by, note, at, waited, deciding)
    SELECT ticket_id, :situation, :matrix_version, :by, :note, :now,
        extract(epoch FROM CAST(:now AS timestamptz) - opened_at),
        CASE WHEN claimed_by = :by THEN extract(epoch FROM CAST(:now AS timestamptz) - claimed_at) END
    FROM gone""")
DROP = text("DELETE FROM review r USING unnest(CAST(:ids AS uuid[])) AS n(ticket_id) WHERE r.ticket_id = n.ticket_id")
LABEL = text("""
    INSERT INTO decision (ticket_id, situation, matrix_version, by, at)
    SELECT ticket_id, situation, :matrix_version, :by, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:situations AS text[])) AS n(ticket_id, situation)""")
LABELS = text("""
    SELECT d.ticket_id, d.situation, d.matrix_version, d.by
    FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id) JOIN decision d ON d.ticket_id = n.ticket_id""")
LEARNABLE = text("""
    SELECT t.ticket->>'title' AS title, t.ticket->>'text' AS text, d.situation
    FROM decision d JOIN ticket t ON t.id = d.ticket_id WHERE d.situation IS NOT NULL
    ORDER BY d.at DESC LIMIT :limit""")
WAITING = text("""
    SELECT (SELECT count(*) FROM (SELECT 1 FROM review ORDER BY due_at LIMIT :limit) AS w) AS waiting,
        (SELECT count(*) FROM (SELECT 1 FROM review WHERE due_at < clock_timestamp() ORDER BY due_at LIMIT :limit) AS o)
            AS overdue""")
FIGURES = text("""
    SELECT by, count(*) AS decided, count(*) FILTER (WHERE situation IS NULL) AS split,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY waited) AS waited,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY deciding) AS deciding
    FROM decision WHERE at > :since AND waited IS NOT NULL GROUP BY GROUPING SETS ((), (by))
    HAVING GROUPING(by) = 1 OR CAST(:by AS text) IS NULL OR by = :by ORDER BY GROUPING(by) DESC, by LIMIT :limit""")


@dataclass(frozen=True, slots=True)
class Opened:
    """A new review."""

    ticket_id: UUID
    due_at: datetime
    candidates: tuple[Candidate, ...]


async def add(tx: Transaction, items: Sequence[Opened]) -> None:
    """Open reviews."""
    await tx.run(
        ADD,
        ids=[item.ticket_id for item in items],
        dues=[item.due_at for item in items],
        candidates=[orjson.dumps([each.model_dump() for each in item.candidates]).decode() for item in items],
        now=tx.now,
    )


async def page(running: Running, after: Place | None, limit: int) -> Sequence[Row[Any]]:
    """Open reviews behind a place, the next due first."""
    due_at, ticket_id = after or BEFORE_ALL
    return await running.read(PAGE, due_at=due_at, ticket_id=ticket_id, limit=limit)


async def first(running: Running, limit: int, characters: int) -> Sequence[Row[Any]]:
    """The open reviews that are due next, with so many characters of their tickets' texts."""
    due_at, ticket_id = BEFORE_ALL
    return await running.read(FIRST, due_at=due_at, ticket_id=ticket_id, limit=limit, characters=characters)


async def one(source: Transaction | Running, ticket_id: UUID) -> Row[Any] | None:
    """An open review, with the folded hot event that its ticket belongs to; a claim whose time is over is not shown."""
    found = await rows(source, ONE, ticket_id=ticket_id)
    return found[0] if found else None


async def several(tx: Transaction, tickets: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Of each ticket: whether it waits, who has it until when, the ticket where it waits; else what was decided."""
    return {row.ticket_id: row for row in await tx.rows(SEVERAL, ids=list(tickets))}


async def claim(tx: Transaction, ticket_id: UUID, by: str | None, until: datetime | None) -> None:
    """Give a review to someone until then, or (None) to nobody."""
    await tx.run(CLAIM, ticket_id=ticket_id, by=by, until=until, now=tx.now)


async def decided(source: Transaction | Running, ticket_id: UUID) -> Row[Any] | None:
    """What was decided on a ticket, by whom."""
    found = await rows(source, DECIDED, ticket_id=ticket_id)
    return found[0] if found else None


async def decide(
    tx: Transaction, tickets: Iterable[UUID], *, situation: str | None, matrix_version: str, by: str, note: str | None
) -> None:
    """Close reviews with a decision, which is training data from now on; None: the ticket was split."""
    await tx.run(
        DECIDE, ids=list(tickets), situation=situation, matrix_version=matrix_version, by=by, note=note, now=tx.now
    )


async def drop(tx: Transaction, tickets: Iterable[UUID]) -> None:
    """Close reviews without a decision."""
    await tx.run(DROP, ids=list(tickets))


async def label(tx: Transaction, situations: Sequence[tuple[UUID, str]], *, matrix_version: str, by: str) -> None:
    """Keep what a reviewer said tickets are that are still to come: parts of a split one."""
    await tx.run(
        LABEL,
        ids=[ticket_id for ticket_id, _ in situations],
        situations=[situation for _, situation in situations],
        matrix_version=matrix_version,
        by=by,
        now=tx.now,
    )


async def labels(running: Running, tickets: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """What `label` kept of these tickets."""
    return {row.ticket_id: row for row in await running.read(LABELS, ids=list(tickets))}


async def learnable(running: Running, limit: int = 100_000) -> Sequence[Row[Any]]:
    """Title, text and situation of decided tickets, the latest first."""
    return await running.read(LEARNABLE, limit=limit)


async def waiting(running: Running) -> tuple[int, int]:
    """How many reviews are open, and how many of them are overdue; at most MOST_COUNTED."""
    [row] = await running.read(WAITING, limit=MOST_COUNTED)
    return row.waiting, row.overdue


async def figures(running: Running, since: datetime, by: str | None) -> Sequence[Row[Any]]:
    """What was decided since then: all together (the first row), then by reviewer; `by`: that reviewer alone.

    `waited` and `deciding` are median and 90th percentile in seconds.
    """
    return await running.read(FIGURES, since=since, by=by, limit=MOST_NAMED + 1)
