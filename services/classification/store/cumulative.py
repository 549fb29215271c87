"""What has been counted: occasions, problems found, requests by day and situation, and up to where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.keep import first_id
from libs.shared.service import Running
from services.classification.domain.cumulative import Occasion

MOST = 200  # occasions of one key that are looked at, the latest

COUNTED = text("SELECT until FROM counted")
COUNT_UNTIL = text("""
    INSERT INTO counted (single, until) VALUES (true, :until) ON CONFLICT (single) DO UPDATE SET until = :until""")
# Whatever was classified at one instant comes together: a batch, or what a person decided at once.
CLASSIFIED = text("""
    SELECT id, state, situation, business_type, repeat_of, classified_at,
        decided_by = 'cumulative' OR EXISTS (SELECT FROM hot_event e WHERE e.hot_event_id = ticket.id) AS own
    FROM ticket
    WHERE classified_at > :since AND classified_at <= :until
    ORDER BY classified_at FETCH FIRST (CAST(:most AS bigint)) ROWS WITH TIES""")
TICKETS = text("""
    SELECT t.id, t.ticket, m.hot_event_id FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.id = n.id
    LEFT JOIN LATERAL (SELECT hot_event_id FROM hot_member m WHERE m.ticket_id = n.id AND m.left_at IS NULL
        ORDER BY m.joined_at LIMIT 1) m ON true""")
OCCASIONS = text("""
    SELECT o.* FROM unnest(CAST(:keys AS bigint[])) AS k(key) CROSS JOIN LATERAL (
        SELECT * FROM occasion o WHERE o.key = k.key AND o.began >= :low ORDER BY o.began DESC LIMIT :most) o""")
KEEP = text("""
    INSERT INTO occasion (key, began, at, situation, hot_event, tickets, requests)
    SELECT key, began, at, situation, hot_event, CAST(string_to_array(tickets, ' ') AS uuid[]), requests
    FROM unnest(CAST(:keys AS bigint[]), CAST(:began AS uuid[]), CAST(:times AS timestamptz[]),
        CAST(:situations AS text[]), CAST(:hot_events AS uuid[]), CAST(:tickets AS text[]), CAST(:counts AS int[]))
        AS n(key, began, at, situation, hot_event, tickets, requests)
    ON CONFLICT (key, began) DO UPDATE SET hot_event = excluded.hot_event, tickets = excluded.tickets,
        requests = excluded.requests""")
OPEN = text("""
    SELECT k.key FROM unnest(CAST(:keys AS bigint[])) AS k(key)
    WHERE EXISTS (SELECT FROM cumulative_problem p WHERE p.key = k.key AND p.over_at > :now)""")
GRADES = text("""
    SELECT n.id, t.ticket->'customer' AS customer FROM unnest(CAST(:ids AS uuid[])) AS n(id)
    JOIN ticket t ON t.id = n.id""")
ADD = text("""
    INSERT INTO cumulative_problem (problem_id, key, rule, name, situation, matrix_version, area_code, address,
        customer_id, title, text, tickets, count, times, days, found_at, over_at)
    SELECT problem_id, key, rule, name, situation, matrix_version, area_code, address, customer_id, title, text,
        tickets, count, times, days, :now, CAST(:now AS timestamptz) + make_interval(days => days)
    FROM jsonb_to_recordset(CAST(:problems AS jsonb)) AS p(problem_id uuid, key bigint, rule text, name text,
        situation text, matrix_version text, area_code text, address text, customer_id text, title text, text text,
        tickets uuid[], count int, times int, days int)""")
PAGE = text("""
    SELECT * FROM cumulative_problem WHERE problem_id < :before ORDER BY problem_id DESC LIMIT :limit""")
FOUND = text("""
    SELECT p.problem_id, p.situation, p.matrix_version FROM unnest(CAST(:ids AS uuid[])) AS n(id)
    JOIN cumulative_problem p ON p.problem_id = n.id""")
DAYS = text("""
    INSERT INTO daily (day, situation, tickets, grievances)
    SELECT day, situation, tickets, grievances FROM unnest(CAST(:days AS date[]), CAST(:situations AS text[]),
        CAST(:tickets AS int[]), CAST(:grievances AS int[])) AS n(day, situation, tickets, grievances)
    ON CONFLICT (day, situation) DO UPDATE SET tickets = daily.tickets + excluded.tickets,
        grievances = daily.grievances + excluded.grievances""")
FORGET = text("""
    DELETE FROM daily WHERE ctid = ANY(ARRAY(SELECT ctid FROM daily WHERE day < :day ORDER BY day LIMIT :limit))""")


@dataclass(frozen=True, slots=True)
class Kept:
    """An occasion under the key it is counted by."""

    key: int
    occasion: Occasion


async def counted(tx: Transaction) -> datetime | None:
    """Up to when what was classified is counted; None: nothing is."""
    found = await tx.rows(COUNTED)
    return found[0].until if found else None


async def count_until(tx: Transaction, until: datetime) -> None:
    """What was classified up to then is counted."""
    await tx.run(COUNT_UNTIL, until=until)


async def classified(tx: Transaction, since: datetime, until: datetime, most: int) -> Sequence[Row[Any]]:
    """Tickets by when they got their situation, in (since, until]; more than `most` where the last came together.

    `own`: made by Zhida itself, a master of a hot event or about a cumulative problem.
    """
    return await tx.rows(CLASSIFIED, since=since, until=until, most=most)


async def tickets(tx: Transaction, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Tickets as received, and the hot events that they are members of."""
    return await tx.rows(TICKETS, ids=list(ids))


async def occasions(tx: Transaction, keys: Sequence[int], since: datetime) -> list[Kept]:
    """The occasions under these keys of tickets that came since."""
    rows = await tx.rows(OCCASIONS, keys=list(keys), low=first_id(since), most=MOST)
    return [
        Kept(row.key, Occasion(row.began, row.at, row.situation, row.hot_event, list(row.tickets), row.requests))
        for row in rows
    ]


async def keep(tx: Transaction, items: Sequence[Kept]) -> None:
    """Write occasions."""
    await tx.run(
        KEEP,
        keys=[each.key for each in items],
        began=[each.occasion.began for each in items],
        times=[each.occasion.at for each in items],
        situations=[each.occasion.situation for each in items],
        hot_events=[each.occasion.hot_event for each in items],
        tickets=[" ".join(map(str, each.occasion.tickets)) for each in items],
        counts=[each.occasion.count for each in items],
    )


async def open_keys(tx: Transaction, keys: Sequence[int]) -> set[int]:
    """Of these keys those with a problem that is not over."""
    return {row.key for row in await tx.rows(OPEN, keys=list(keys), now=tx.now)}


async def customers(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Who made these requests, without anything that names the person."""
    return {row.id: row.customer for row in await tx.rows(GRADES, ids=list(ids))}


async def add(tx: Transaction, problems: Sequence[Mapping[str, Any]]) -> None:
    """Keep problems that were found now."""
    await tx.run(ADD, problems=orjson.dumps(problems, default=str).decode(), now=tx.now)


async def page(running: Running, before: UUID, limit: int) -> Sequence[Row[Any]]:
    """Problems, the latest first."""
    return await running.read(PAGE, before=before, limit=limit)


async def found(running: Running, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """What the proactive tickets with these ids are, and by which matrix."""
    return {row.problem_id: row for row in await running.read(FOUND, ids=list(ids))}


async def add_days(tx: Transaction, counts: Mapping[tuple[date, str], tuple[int, int]]) -> None:
    """Add to the requests of days. Args: `counts`: day and situation → requests, and how many were grievances."""
    names = sorted(counts)
    await tx.run(
        DAYS,
        days=[day for day, _ in names],
        situations=[situation for _, situation in names],
        tickets=[counts[each][0] for each in names],
        grievances=[counts[each][1] for each in names],
    )


async def forget(running: Running, day: date, limit: int = 5000) -> None:
    """Delete what came on days before that one."""
    await running.read(FORGET, day=day, limit=limit)
