"""Arrivals that the watch has not seen, what is usual, hot events and their members."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.classification.domain import hot_event, sketch
from services.classification.domain.hot_event import KEEP, Arrival, Cell, Cluster, Event, Usual
from services.classification.domain.sketch import Sketch

RECALLED = 15  # members whose texts say what an event is about, the latest
WHOLE_MOST = 20_000  # members that are looked at when an event is folded
CROWD = 2000  # tickets of a place and window that are looked at, the latest

ARRIVED = text("SELECT first_id FROM arrival WHERE first_id > :floor ORDER BY first_id LIMIT 1")
# Whole transactions' arrivals, as long as fewer than `limit` stand before them; of the first fifty.
TAKE = text("""
    WITH taken AS (
        DELETE FROM arrival WHERE first_id = ANY(ARRAY(SELECT first_id FROM (
            SELECT first_id, sum(cardinality(ticket_ids)) OVER (ORDER BY first_id) - cardinality(ticket_ids) AS before
            FROM (SELECT * FROM arrival WHERE first_id > :floor ORDER BY first_id LIMIT 50) AS next) AS n
            WHERE before < :limit))
        RETURNING *)
    SELECT t.id AS ticket_id, t.place, t.situation, t.probability, t.sketch, a.first_id
    FROM taken a CROSS JOIN unnest(a.ticket_ids) AS n(id) JOIN ticket t ON t.id = n.id ORDER BY t.id""")
# Open events, and those that a person closed lately; of these places, or all.
NEAR = text(f"""
    SELECT e.hot_event_id, e.state, e.category, e.place, t.sketch
    FROM (SELECT * FROM hot_event WHERE state = 'open' UNION ALL
        SELECT * FROM hot_event WHERE state = 'closed' AND closed_at > :since AND closed_by <> '{hot_event.BY}') e
    CROSS JOIN LATERAL (
        SELECT ticket_id FROM hot_member m WHERE m.hot_event_id = e.hot_event_id AND m.left_at IS NULL
        ORDER BY m.ticket_id DESC LIMIT :most) m
    JOIN ticket t ON t.id = m.ticket_id
    WHERE CAST(:places AS text[]) IS NULL OR e.place = ANY(CAST(:places AS text[]))""")
# How many tickets of each situation came to these places in these windows.
COUNT = text("""
    SELECT w.place, t.situation, count(*) AS tickets
    FROM unnest(CAST(:places AS text[]), CAST(:lows AS uuid[]), CAST(:highs AS uuid[])) AS w(place, low, high)
    JOIN ticket t ON t.place = w.place AND t.id >= w.low AND t.id <= w.high GROUP BY w.place, t.situation""")
USUAL = text("""
    SELECT u.* FROM unnest(CAST(:categories AS text[]), CAST(:places AS text[])) AS c(category, place)
    JOIN usual u USING (category, place)""")
# Tickets of a place and window that were never a member of anything, the latest first.
CROWDS = text("""
    SELECT w.place, x.* FROM unnest(CAST(:places AS text[]), CAST(:lows AS uuid[]), CAST(:highs AS uuid[]))
        AS w(place, low, high)
    CROSS JOIN LATERAL (
        SELECT t.id AS ticket_id, t.situation, t.probability, t.sketch FROM ticket t
        WHERE t.place = w.place AND t.id >= w.low AND t.id <= w.high
            AND NOT EXISTS (SELECT FROM hot_member m WHERE m.ticket_id = t.id)
        ORDER BY t.id DESC LIMIT :most) x""")
LEARN = text("""
    INSERT INTO usual (category, place, hour, week, first_week, tickets, mean)
    SELECT category, place, hour, week, week, tickets, 0 FROM unnest(CAST(:categories AS text[]),
        CAST(:places AS text[]), CAST(:hours AS smallint[]), CAST(:weeks AS int[]), CAST(:counts AS float8[]))
        AS n(category, place, hour, week, tickets)
    ON CONFLICT (category, place, hour) DO UPDATE SET week = greatest(usual.week, excluded.week),
        tickets = CASE WHEN excluded.week > usual.week THEN 0 ELSE usual.tickets END + excluded.tickets,
        mean = CASE WHEN excluded.week > usual.week
            THEN (usual.mean * :keep + usual.tickets * (1 - :keep)) * power(:keep, excluded.week - usual.week - 1)
            ELSE usual.mean END""")
FORGET = text("""
    DELETE FROM usual WHERE ctid = ANY(ARRAY(SELECT ctid FROM usual WHERE week < :week ORDER BY week LIMIT :limit))""")
READ = text("""
    SELECT t.situation, t.matrix_version, t.ticket->>'title' AS title, t.ticket->>'text' AS text
    FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.id = n.id""")
ADD = text("""
    INSERT INTO hot_event (hot_event_id, state, category, place, situation, matrix_version, title, opened_with,
        usual, minutes, members, opened_at)
    VALUES (:hot_event_id, 'open', :category, :place, :situation, :matrix_version, :title, :opened_with, :usual,
        :minutes, 0, :now)""")
# Locks the events, so that who joins while one is closed or folded knows of it, and whoever folds it of the member.
JOIN = text("""
    WITH here AS (
        SELECT hot_event_id, folded_at IS NOT NULL AS folded, situation, matrix_version FROM hot_event
        WHERE hot_event_id = ANY(CAST(:events AS uuid[])) AND state = 'open' ORDER BY hot_event_id FOR NO KEY UPDATE),
    joined AS (
        INSERT INTO hot_member (ticket_id, hot_event_id, similarity, joined_at, joined_by, join_reason, late)
        SELECT ticket_id, hot_event_id, similarity, :now, :by, :reason, folded
        FROM unnest(CAST(:ids AS uuid[]), CAST(:events AS uuid[]), CAST(:similarities AS float4[]))
            AS n(ticket_id, hot_event_id, similarity) JOIN here USING (hot_event_id)
        WHERE :again OR NOT EXISTS (SELECT FROM hot_member o WHERE o.ticket_id = n.ticket_id AND o.left_at IS NULL)
        ON CONFLICT (ticket_id, hot_event_id) DO UPDATE SET left_at = NULL, left_by = NULL, leave_reason = NULL,
            joined_at = excluded.joined_at, joined_by = excluded.joined_by, join_reason = excluded.join_reason,
            late = excluded.late
        WHERE hot_member.left_at IS NOT NULL AND :again
        RETURNING ticket_id, hot_event_id, similarity, joined_by, late),
    counted AS (
        UPDATE hot_event e SET members = members + j.count
        FROM (SELECT hot_event_id, count(*) AS count FROM joined GROUP BY hot_event_id) j
        WHERE e.hot_event_id = j.hot_event_id)
    SELECT j.*, h.situation, h.matrix_version FROM joined j JOIN here h USING (hot_event_id)""")
LEAVE = text("""
    WITH gone AS (
        UPDATE hot_member SET left_at = :now, left_by = :by, leave_reason = :reason
        WHERE ticket_id = ANY(CAST(:ids AS uuid[])) AND hot_event_id = :hot_event_id AND left_at IS NULL
        RETURNING ticket_id),
    counted AS (
        UPDATE hot_event SET members = members - (SELECT count(*) FROM gone) WHERE hot_event_id = :hot_event_id)
    SELECT ticket_id FROM gone""")
MEMBERSHIPS = text("""
    SELECT n.id AS ticket_id, t.sketch, m.hot_event_id, m.left_at,
        e.state = 'open' OR e.folded_at IS NOT NULL AND e.dissolved_at IS NULL AS works
    FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.id = n.id
    LEFT JOIN hot_member m ON m.ticket_id = n.id LEFT JOIN hot_event e ON e.hot_event_id = m.hot_event_id""")
# Open events, with how many of their members came since.
LATELY = text("""
    SELECT e.hot_event_id, e.members, e.usual, e.minutes, e.opened_at, x.lately
    FROM hot_event e CROSS JOIN LATERAL (
        SELECT count(*) AS lately FROM hot_member m WHERE m.hot_event_id = e.hot_event_id AND m.ticket_id >= :since) x
    WHERE e.state = 'open'""")
CLOSE = text("""
    UPDATE hot_event SET state = 'closed', closed_at = :now, closed_by = :by, reason = :reason
    WHERE hot_event_id = ANY(CAST(:ids AS uuid[])) AND state = 'open' RETURNING hot_event_id, members""")
# Open events with so many members that are not folded, and folded ones that have members to be told so.
DUE = text("""
    SELECT hot_event_id, folded_at FROM hot_event
    WHERE state = 'open' AND folded_at IS NULL AND members >= CAST(:least AS int)
    UNION ALL SELECT hot_event_id, folded_at FROM hot_event WHERE told_to IS NOT NULL""")
FOLD = text("""
    UPDATE hot_event SET folded_at = :now, folded_by = :by, told_to = :start
    WHERE hot_event_id = :hot_event_id AND state = 'open' AND folded_at IS NULL AND members > 0 RETURNING *""")
# What a master is made of: of the first members by their ids.
WHOLE = text("""
    SELECT max(CAST(ticket->'customer'->>'star' AS int)) AS star,
        bool_or(CAST(ticket->'customer'->>'sensitive' AS boolean)) AS sensitive,
        min(CAST(ticket->>'opened_at' AS timestamptz)) AS opened_at,
        array_agg(ticket->>'title' ORDER BY id) FILTER (WHERE place <= :texts) AS titles,
        array_agg(left(ticket->>'text', :length) ORDER BY id) FILTER (WHERE place <= :texts) AS texts
    FROM (SELECT t.id, t.ticket, row_number() OVER (ORDER BY t.id) AS place
        FROM (SELECT ticket_id FROM hot_member WHERE hot_event_id = :hot_event_id AND left_at IS NULL
            ORDER BY ticket_id LIMIT :most) m
        JOIN ticket t ON t.id = m.ticket_id) AS first""")
# The next members that joined before their event was folded.
UNTOLD = text("""
    SELECT m.ticket_id, m.hot_event_id, m.similarity, m.joined_by, m.late
    FROM hot_member m WHERE m.hot_event_id = :hot_event_id AND m.left_at IS NULL AND NOT m.late
        AND m.ticket_id > (SELECT e.told_to FROM hot_event e WHERE e.hot_event_id = :hot_event_id)
    ORDER BY m.ticket_id LIMIT :limit""")
TELL = text("UPDATE hot_event SET told_to = :told_to WHERE hot_event_id = :hot_event_id")
DISSOLVE = text("""
    UPDATE hot_event SET dissolved_at = :now, dissolved_by = :by, dissolve_reason = :reason, told_to = NULL
    WHERE hot_event_id = :hot_event_id AND dissolved_at IS NULL""")
SEVERAL = text("""
    SELECT e.hot_event_id, e.situation, e.matrix_version
    FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN hot_event e ON e.hot_event_id = n.id""")
ONE = text("SELECT * FROM hot_event WHERE hot_event_id = :hot_event_id")
PAGE = text("""
    SELECT * FROM hot_event WHERE state = :state AND hot_event_id < :before ORDER BY hot_event_id DESC LIMIT :limit""")
MEMBERS = text("""
    SELECT m.*, t.ticket->>'title' AS title, t.situation FROM hot_member m JOIN ticket t ON t.id = m.ticket_id
    WHERE m.hot_event_id = :hot_event_id AND m.ticket_id > :after ORDER BY m.ticket_id LIMIT :limit""")


async def waiting(running: Running, floor: UUID) -> UUID | None:
    """The first of the arrivals behind that id; None where nothing waits."""
    found = await running.read(ARRIVED, floor=floor)
    return found[0].first_id if found else None


async def take(
    tx: Transaction, floor: UUID, limit: int, categories: Mapping[str, str]
) -> tuple[list[Arrival], UUID | None]:
    """The arrivals behind that id, out of the queue, by their ids; and the id behind which the others are.

    Args: `limit`: arrivals, beside those added together with the last; `categories`: as `_cell` takes them.
    """
    rows = await tx.rows(TAKE, floor=floor, limit=limit)
    return [_arrival(row, categories) for row in rows], max((row.first_id for row in rows), default=None)


def _arrival(row: Row[Any], categories: Mapping[str, str]) -> Arrival:
    return Arrival(row.ticket_id, _cell(row, categories), row.situation, row.probability, sketch.load(row.sketch))


def _cell(row: Row[Any], categories: Mapping[str, str]) -> Cell:
    """Args: `categories`: situation → category, by their codes; an unknown situation is a category of its own."""
    return Cell(categories.get(row.situation, row.situation), row.place)


async def near(source: Transaction | Running, places: Iterable[str] | None, since: datetime) -> list[Event]:
    """The events of these places (None: all) that are open, or that a person closed since; what their members say."""
    named = None if places is None else sorted(set(places))
    found: dict[UUID, tuple[Row[Any], list[Sketch]]] = {}
    for row in await rows(source, NEAR, places=named, most=RECALLED, since=since):
        found.setdefault(row.hot_event_id, (row, []))[1].append(sketch.load(row.sketch))
    return [
        Event(row.hot_event_id, Cell(row.category, row.place), Cluster.of(texts), row.state == "open")
        for row, texts in found.values()
    ]


Windows = Mapping[str, tuple[UUID, UUID]]  # place → lowest and highest id that counts


async def count(tx: Transaction, windows: Windows, categories: Mapping[str, str]) -> Counter[Cell]:
    """How many tickets the cells of these places have in their windows.

    Args: `categories`: as `_cell` takes them.
    """
    found: Counter[Cell] = Counter()
    for row in await tx.rows(COUNT, **_windows(windows)):
        for cell in _cell(row, categories).both:
            found[cell] += row.tickets
    return found


async def usual(tx: Transaction, cells: Sequence[Cell]) -> dict[Cell, list[Usual]]:
    """What is usual there, by hour of the week."""
    found: dict[Cell, list[Usual]] = defaultdict(list)
    categories, places = [cell.category for cell in cells], [cell.place for cell in cells]
    for row in await tx.rows(USUAL, categories=categories, places=places):
        found[Cell(row.category, row.place)].append(Usual(row.hour, row.week, row.first_week, row.tickets, row.mean))
    return found


async def crowds(tx: Transaction, windows: Windows, categories: Mapping[str, str]) -> dict[str, list[Arrival]]:
    """The tickets of these places and windows that never were members of anything; at most CROWD of each, the latest.

    Args: `categories`: as `_cell` takes them.
    """
    found: dict[str, list[Arrival]] = defaultdict(list)
    for row in await tx.rows(CROWDS, **_windows(windows), most=CROWD):
        found[row.place].append(_arrival(row, categories))
    return found


def _windows(windows: Windows) -> dict[str, Any]:
    return {
        "places": list(windows),
        "lows": [low for low, _ in windows.values()],
        "highs": [high for _, high in windows.values()],
    }


async def learn(tx: Transaction, counts: Mapping[tuple[Cell, int], int]) -> None:
    """Add to what is usual. Args: `counts`: cell and hour (see `hour_of`) → tickets."""
    names = sorted(counts, key=lambda each: (each[0].category, each[0].place, each[1] % hot_event.HOURS, each[1]))
    weeks: dict[tuple[Cell, int], tuple[int, int]] = {}  # the last week of an hour wins: an hour has one row
    for cell, hour in names:
        weeks[cell, hour % hot_event.HOURS] = hour // hot_event.HOURS, counts[cell, hour]
    await tx.run(
        LEARN,
        categories=[cell.category for cell, _ in weeks],
        places=[cell.place for cell, _ in weeks],
        hours=[hour for _, hour in weeks],
        weeks=[week for week, _ in weeks.values()],
        counts=[float(count) for _, count in weeks.values()],
        keep=KEEP,
    )


async def forget(running: Running, week: int, limit: int = 5000) -> None:
    """Delete what was usual where nothing came since that week."""
    await running.read(FORGET, week=week, limit=limit)


async def read(tx: Transaction, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Titles and texts of tickets, and what they were found to be."""
    return await tx.rows(READ, ids=list(ids))


async def add(tx: Transaction, hot_event_id: UUID, **fields: Any) -> None:
    """A new event, without members yet."""
    await tx.run(ADD, hot_event_id=hot_event_id, **fields, now=tx.now)


async def join(
    tx: Transaction, members: Sequence[tuple[UUID, UUID, float]], *, by: str, reason: str | None = None
) -> Sequence[Row[Any]]:
    """Make tickets (ticket, event, similarity) members of events that are open; gives those that were not, each with
    its event's situation and matrix version.

    Who was taken out comes back only by a person's word, and so does a member of one event into another one. The events
    stay locked: lock the tickets' streams before.
    """
    if not members:
        return []
    return await tx.rows(
        JOIN,
        ids=[ticket_id for ticket_id, _, _ in members],
        events=[event for _, event, _ in members],
        similarities=[similarity for _, _, similarity in members],
        by=by,
        reason=reason,
        again=by != hot_event.BY,
        now=tx.now,
    )


async def leave(tx: Transaction, hot_event_id: UUID, ids: Sequence[UUID], *, by: str, reason: str | None) -> list[UUID]:
    """Take members out; gives those that were members."""
    rows = await tx.rows(LEAVE, hot_event_id=hot_event_id, ids=list(ids), by=by, reason=reason, now=tx.now)
    return [row.ticket_id for row in rows]


async def due(running: Running, least: int | None) -> Sequence[Row[Any]]:
    """Open events that are not folded and have so many members (None: none of them), and folded ones of which not all
    members were told so (`folded_at`).
    """
    return await running.read(DUE, least=least)


async def fold(tx: Transaction, hot_event_id: UUID, *, by: str) -> Row[Any] | None:
    """Fold an event that is open, not folded and has members; gives it. Its members are to be told then."""
    found = await tx.rows(FOLD, hot_event_id=hot_event_id, by=by, start=UUID(int=0), now=tx.now)
    return found[0] if found else None


async def whole(tx: Transaction, hot_event_id: UUID) -> Row[Any]:
    """Of an event's members (the first WHOLE_MOST): the highest star, whether one is sensitive, the earliest request,
    and titles and texts of a few; null where none of them is kept any more.
    """
    few = {"texts": 2 * hot_event.TOLD_TEXTS, "length": hot_event.TOLD_LENGTH}
    [row] = await tx.rows(WHOLE, hot_event_id=hot_event_id, most=WHOLE_MOST, **few)
    return row


async def untold(tx: Transaction, hot_event_id: UUID, limit: int) -> Sequence[Row[Any]]:
    """The next members that have not been told that their event is folded."""
    return await tx.rows(UNTOLD, hot_event_id=hot_event_id, limit=limit)


async def tell(tx: Transaction, hot_event_id: UUID, told_to: UUID | None) -> None:
    """The members up to this one have been told; None: all."""
    await tx.run(TELL, hot_event_id=hot_event_id, told_to=told_to)


async def dissolve(tx: Transaction, hot_event_id: UUID, *, by: str, reason: str | None) -> bool:
    """Dissolve an event; False where it was dissolved before."""
    return bool(await tx.run(DISSOLVE, hot_event_id=hot_event_id, by=by, reason=reason, now=tx.now))


async def several(running: Running, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Situations and matrix versions of those of these events that are known."""
    return {row.hot_event_id: row for row in await running.read(SEVERAL, ids=list(ids))}


async def memberships(tx: Transaction, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Of known tickets: their sketches, and the events they are or were members of; `works`: open, or has a master."""
    return await tx.rows(MEMBERSHIPS, ids=list(ids))


async def lately(tx: Transaction, since: UUID) -> Sequence[Row[Any]]:
    """Open events, and how many of their members have higher ids."""
    return await tx.rows(LATELY, since=since)


async def close(tx: Transaction, ids: Sequence[UUID], *, by: str, reason: str | None) -> Sequence[Row[Any]]:
    """Close those of these events that are open; gives them."""
    return await tx.rows(CLOSE, ids=list(ids), by=by, reason=reason, now=tx.now)


async def one(source: Transaction | Running, hot_event_id: UUID) -> Row[Any] | None:
    """An event; None where there is none."""
    found = await rows(source, ONE, hot_event_id=hot_event_id)
    return found[0] if found else None


async def page(running: Running, state: str, before: UUID, limit: int) -> Sequence[Row[Any]]:
    """Events in a state, the latest first."""
    return await running.read(PAGE, state=state, before=before, limit=limit)


async def members(running: Running, hot_event_id: UUID, after: UUID, limit: int) -> Sequence[Row[Any]]:
    """Members of an event by their ids, also those that were taken out."""
    return await running.read(MEMBERS, hot_event_id=hot_event_id, after=after, limit=limit)
