"""The timers of clocks: set, looked for, fired. Whoever sets or fires one holds its ticket's stream lock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from libs.shared.db import Transaction
from libs.shared.service import Running
from services.sla_timer.domain.clock import Promise, Timer
from services.sla_timer.store.row import CLOCK, promised

SET = text("""
    INSERT INTO timer (fire_at, id, ticket_id, generation, percent)
    SELECT * FROM unnest(CAST(:fires AS timestamptz[]), CAST(:ids AS uuid[]), CAST(:tickets AS uuid[]),
        CAST(:generations AS int[]), CAST(:percents AS int[]))""")

HEAD = text("""
    SELECT fire_at, clock_timestamp() AS now FROM timer
    WHERE fire_at <= now() + make_interval(secs => :seconds) ORDER BY fire_at LIMIT 1""")

DUE = text("""
    SELECT fire_at, id, ticket_id FROM timer WHERE fire_at <= CAST(:now AS timestamptz)
    ORDER BY fire_at, id LIMIT :count""")

# Deleting the timer and finding its generation unchanged is what makes a point pass, once, for whoever does it.
FIRE = text(f"""
    WITH gone AS (
        DELETE FROM timer WHERE fire_at BETWEEN CAST(:first AS timestamptz) AND CAST(:last AS timestamptz)
            AND id = ANY(CAST(:ids AS uuid[])) RETURNING id AS timer_id, fire_at, generation AS set_at, percent),
    hit AS (
        UPDATE clock c SET passed = g.percent, generation = c.generation + 1 FROM gone g
        WHERE c.id = g.timer_id AND c.generation = g.set_at AND c.state = 'running'
        RETURNING {", ".join("c." + name.strip() for name in CLOCK.split(","))}, g.fire_at, g.percent)
    SELECT * FROM hit ORDER BY fire_at, id""")

EXECUTING = text("""
    SELECT ticket_id, array_agg(DISTINCT department) AS departments FROM work_order
    WHERE ticket_id = ANY(CAST(:tickets AS uuid[])) AND NOT ended AND department IS NOT NULL GROUP BY ticket_id""")

DAYS = text("SELECT made, dropped FROM timer_days(:ahead)")


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer that was due and still valid."""

    promise: Promise
    fire_at: datetime
    percent: int
    generation: int  # of the clock from now on


async def add(tx: Transaction, timers: Sequence[Timer]) -> None:
    """Add pending timers."""
    await tx.run(
        SET,
        fires=[timer.fire_at for timer in timers],
        ids=[timer.promise_id for timer in timers],
        tickets=[timer.ticket_id for timer in timers],
        generations=[timer.generation for timer in timers],
        percents=[timer.percent for timer in timers],
    )


async def head(running: Running, within_seconds: float) -> float | None:
    """Seconds until the earliest timer (at most 0 when it is due), None when there is none that soon."""
    rows = await running.read(HEAD, seconds=within_seconds)
    return (rows[0].fire_at - rows[0].now).total_seconds() if rows else None


async def fire(tx: Transaction, count: int) -> tuple[int, list[Fired]]:
    """Take up to `count` timers that are due by the database's clock, earliest first; locks their tickets.

    Answers how many were due, and those whose clocks still run as they did when the timer was set.
    """
    due = await tx.rows(DUE, now=tx.now, count=count)
    if not due:
        return 0, []
    await tx.lock({str(row.ticket_id) for row in due})
    rows = await tx.rows(FIRE, first=due[0].fire_at, last=due[-1].fire_at, ids=[row.id for row in due])
    return len(due), [Fired(promised(row), row.fire_at, row.percent, row.generation) for row in rows]


async def executing(tx: Transaction, tickets: Iterable[UUID]) -> dict[UUID, list[str]]:
    """Codes of the departments that still work on each of these tickets."""
    return {row.ticket_id: row.departments for row in await tx.rows(EXECUTING, tickets=list(tickets))}


async def keep_days(running: Running, ahead: int) -> tuple[int, int]:
    """Make the partitions of the coming days and drop past ones that are empty; answers how many of each."""
    row = (await running.read(DAYS, ahead=ahead))[0]
    return row.made, row.dropped
