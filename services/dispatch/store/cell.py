"""How often the work orders of each cell of the matrix come back, by month; and saying so where it is too often."""

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import add, attrgetter
from typing import Any, TypeAlias, cast
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import CellDisputed
from libs.shared.db import Transaction
from libs.shared.keep import born, first_id, midnight, start
from libs.shared.service import Running
from services.dispatch.domain import cell
from services.dispatch.domain.cell import Counts, Tally
from services.dispatch.settings import DispatchSettings

COURT = 0  # slot of what the court adds: one row a cell, whose lock orders those who rule on it
SLOTS = 16  # of assignments, beside it: they are most of the traffic, and processes must not wait for each other
TICKETS = 20  # of evidence

FIGURES = ("assigned", "returned", "upheld", "rejected", "matrix_wrong")  # of a tally, added up in its cell
UPHELD = FIGURES.index("upheld")
_figures = attrgetter(*FIGURES)

Key: TypeAlias = tuple[UUID, str, str, int]  # month, situation, department, slot

COUNT = text("""
    INSERT INTO cell AS c (month, situation, department, slot, situation_name, lead, assigned, returned, upheld,
        rejected, matrix_wrong)
    SELECT * FROM unnest(CAST(:months AS uuid[]), CAST(:situations AS text[]), CAST(:departments AS text[]),
        CAST(:slots AS smallint[]), CAST(:names AS text[]), CAST(:leads AS text[]), CAST(:assigned AS int[]),
        CAST(:returned AS int[]), CAST(:upheld AS int[]), CAST(:rejected AS int[]), CAST(:matrix_wrong AS int[]))
    ON CONFLICT (month, situation, department, slot) DO UPDATE SET situation_name = excluded.situation_name,
        lead = excluded.lead, assigned = c.assigned + excluded.assigned, returned = c.returned + excluded.returned,
        upheld = c.upheld + excluded.upheld, rejected = c.rejected + excluded.rejected,
        matrix_wrong = c.matrix_wrong + excluded.matrix_wrong""")
STANDING = text("""
    SELECT n.month, n.situation, n.department, sum(c.assigned) AS assigned, sum(c.returned) AS returned,
        sum(c.upheld) AS upheld, sum(c.matrix_wrong) AS matrix_wrong, bool_or(c.disputed_at IS NOT NULL) AS disputed
    FROM unnest(CAST(:months AS uuid[]), CAST(:situations AS text[]), CAST(:departments AS text[]))
        AS n(month, situation, department)
    JOIN cell c ON c.month = n.month AND c.situation = n.situation AND c.department = n.department
    GROUP BY n.month, n.situation, n.department""")
DISPUTE = text("""
    UPDATE cell SET disputed_at = :now
    WHERE month = :month AND situation = :situation AND department = :department AND slot = 0""")
EVIDENCE = text("""
    WITH upheld AS (
        SELECT return_id, ticket_id, reassigned_to FROM return_case
        WHERE situation = :situation AND department = :department AND return_id >= :month AND decision = 'uphold')
    SELECT (SELECT array_agg(ticket_id ORDER BY return_id DESC)
            FROM (SELECT * FROM upheld ORDER BY return_id DESC LIMIT :tickets) AS last) AS tickets,
        d.code, d.name
    FROM (SELECT reassigned_to, count(*) AS often FROM upheld GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1) AS most
        LEFT JOIN department d ON d.code = most.reassigned_to""")
# By rate, the highest first; of all its months together.
PAGE = text("""
    SELECT * FROM (
        SELECT situation, department, (array_agg(situation_name ORDER BY month DESC))[1] AS situation_name,
            (array_agg(lead ORDER BY month DESC))[1] AS lead_department, sum(assigned) AS assigned,
            sum(returned) AS returned, sum(upheld) AS upheld, sum(rejected) AS rejected,
            sum(matrix_wrong) AS matrix_wrong,
            CAST(sum(upheld) AS float8) / greatest(sum(assigned), 1) AS rate, max(disputed_at) AS disputed_at
        FROM cell WHERE month >= :first AND (CAST(:department AS text) IS NULL OR department = :department)
            AND (CAST(:lead AS text) IS NULL OR lead = :lead)
        GROUP BY situation, department) AS c
    WHERE (CAST(:above AS float8) IS NULL OR rate > :above)
        AND (CAST(:rate AS float8) IS NULL OR rate < :rate
            OR rate = :rate AND (situation, department) > (:after_situation, :after_department))
    ORDER BY rate DESC, situation, department LIMIT :limit""")


def count(tx: Transaction, tallies: Iterable[Tally]) -> None:
    """Add these to their cells at the end of the transaction: one statement for a batch.

    A cell that is returned too often now is said to be disputed; that takes a few statements more.
    """
    tx.gather(_count, tallies)


async def _count(tx: Transaction, tallies: list[Tally]) -> None:
    if not tallies:
        return
    own = 1 + zlib.crc32(tx.running.owner.encode()) % SLOTS
    sums: dict[Key, list[int]] = {}
    named: dict[Key, Tally] = {}
    for each in tallies:
        slot = own if each.assigned else COURT
        key = _month(each.at), each.brief.situation_code, each.order.department, slot
        named[key] = each
        sums[key] = list(map(add, sums.get(key, [0] * len(FIGURES)), _figures(each)))
    keys = sorted(sums)  # so that two transactions never wait for each other crosswise
    await tx.run(
        COUNT,
        months=[key[0] for key in keys],
        situations=[key[1] for key in keys],
        departments=[key[2] for key in keys],
        slots=[key[3] for key in keys],
        names=[named[key].brief.situation_name for key in keys],
        leads=[named[key].brief.lead for key in keys],
        **{name: [sums[key][place] for key in keys] for place, name in enumerate(FIGURES)},
    )
    upheld = {key[:3]: (named[key], sums[key][UPHELD]) for key in keys if sums[key][UPHELD]}
    if upheld:
        await _judge(tx, upheld)


async def _judge(tx: Transaction, upheld: dict[tuple[UUID, str, str], tuple[Tally, int]]) -> None:
    """Say which of these cells are disputed now; their rows of the court are locked."""
    settings = cast(DispatchSettings, tx.running.settings)
    keys = list(upheld)
    for row in await tx.rows(
        STANDING,
        months=[key[0] for key in keys],
        situations=[key[1] for key in keys],
        departments=[key[2] for key in keys],
    ):
        tally, more = upheld[row.month, row.situation, row.department]
        counts = Counts(row.assigned, row.returned, row.upheld, row.matrix_wrong, row.disputed)
        if cell.passes(counts, more, work_orders=settings.dispute_work_orders, rate=settings.dispute_rate):
            place = {"month": row.month, "situation": row.situation, "department": row.department}
            await tx.run(DISPUTE, now=tx.now, **place)
            [evidence] = await tx.rows(EVIDENCE, tickets=TICKETS, **place)
            tx.publish(_disputed(tally, row.month, counts, evidence))


def _disputed(tally: Tally, month: UUID, counts: Counts, evidence: Row[Any]) -> CellDisputed:
    brief, order = tally.brief, tally.order
    suggested = Department(code=evidence.code, name=evidence.name) if evidence.code else None
    return CellDisputed(
        cell=f"{brief.situation_code}:{order.department}",
        month=f"{born(month):%Y-%m}",
        situation=brief.situation_code,
        situation_name=brief.situation_name,
        department=Department(code=order.department, name=order.department_name),
        lead_department=brief.lead_department,
        supervisor=brief.supervisor,
        assigned=counts.assigned,
        returned=counts.returned,
        upheld=counts.upheld,
        matrix_wrong=counts.matrix_wrong,
        tickets=tuple(evidence.tickets),
        suggested_department=suggested,
    )


async def page(
    running: Running,
    *,
    department: str | None,
    lead: str | None,
    above: float | None,
    months: int,
    after: tuple[float, str, str] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Cells of the last so many months, the running one included, by rate of upheld returns.

    Args: `lead`: only what that department leads; `after`: rate, situation and department of the last one seen.
    """
    rate, situation, executing = after or (None, None, None)
    return await running.read(
        PAGE,
        first=first_id(midnight(start(running.now(), "month", months - 1))),
        department=department,
        lead=lead,
        above=above,
        rate=rate,
        after_situation=situation,
        after_department=executing,
        limit=limit,
    )


def _month(at: datetime) -> UUID:
    """A month (UTC) as the smallest UUIDv7 of it, by which its partition goes like those of tickets."""
    return first_id(midnight(start(at, "month")))
