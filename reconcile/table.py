"""The services' tables, each read once through a cursor, under a role that may read the service's schema.

A table is read in a snapshot of its service's own; Kafka is read afterwards, so what they tell can be there.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import asyncpg

from reconcile import inbox
from reconcile.book import SERVICE_CODES, TOPIC_CODES, Book, keyed, micros
from reconcile.source import Sources, Unseen
from reconcile.topic import Window

PAGE = 5000  # rows fetched at a time
CONNECT = 10.0  # s

# Table of the book → query. `{w:column}` keeps to the window; ids come as their bytes, instants as microseconds.
QUERIES: Mapping[str, Mapping[str, str]] = {
    "intake": {
        "ticket": """SELECT uuid_send(t.ticket_id), t.channel || '|' || t.external_ref, t.agent_id, t.channel,
            {us:t.received_at}, s.stage, uuid_send(t.split_from), uuid_send(t.hot_event), uuid_send(s.master_id)
            FROM intake.ticket t LEFT JOIN intake.ticket_stage s ON s.ticket_id = t.ticket_id WHERE {w:t.ticket_id}""",
        "signpost": """SELECT channel || '|' || external_ref, uuid_send(ticket_id) FROM intake.reference
            WHERE {w:ticket_id}""",
        "refused": 'SELECT partition, "offset", reference FROM intake.rejected WHERE {w:rejected_id}',
    },
    "classification": {
        "judged": """SELECT uuid_send(t.id), t.state, t.decided_by, (r.ticket_id IS NOT NULL)::int,
            (d.ticket_id IS NOT NULL)::int
            FROM classification.ticket t LEFT JOIN classification.review r ON r.ticket_id = t.id
            LEFT JOIN classification.decision d ON d.ticket_id = t.id WHERE {w:t.id}""",
    },
    "dispatch": {
        "dispatched": """SELECT uuid_send(ticket_id), state, round, agent_id, rulings FROM dispatch.ticket
            WHERE {w:ticket_id}""",
        "repeated": """SELECT uuid_send(ticket_id), count(*) FROM dispatch.history
            WHERE what = 'classified_again' AND {w:ticket_id} GROUP BY ticket_id""",
        "work_order": """SELECT uuid_send(work_order_id), uuid_send(ticket_id), department, state,
            uuid_send(reassigned_from), {us:created_at} FROM dispatch.work_order WHERE {w:ticket_id}""",
        "endpoint": "SELECT department, {us:created_at} FROM dispatch.endpoint WHERE state <> 'deleted'",
        "delivery": """SELECT uuid_send(delivery_id), uuid_send(ticket_id), uuid_send(work_order_id), department, type,
            CASE WHEN state = 'inbox' AND reason = 'endpoint_disabled' AND settled_at IS NULL THEN 'list'
                ELSE state END, attempts, {us:give_up_at}
            FROM dispatch.delivery WHERE ticket_id <> delivery_id AND {w:ticket_id}""",
        "attempt": """SELECT uuid_send(delivery_id), count(*),
            count(*) FILTER (WHERE status BETWEEN 200 AND 299 AND error IS NULL)
            FROM dispatch.attempt WHERE {w:delivery_id} GROUP BY delivery_id""",
        "question": """SELECT uuid_send(question_id), uuid_send(ticket_id), (reply IS NOT NULL)::int
            FROM dispatch.question WHERE {w:ticket_id}""",
    },
    "sla_timer": {
        "clock": """SELECT uuid_send(id), uuid_send(ticket_id), kind, state, passed, generation, {us:started_at},
            limit_seconds FROM sla_timer.clock WHERE {w:ticket_id}""",
        "timer": """SELECT uuid_send(id), generation, percent, {us:fire_at} FROM sla_timer.timer
            WHERE {w:ticket_id}""",
    },
    "notification": {
        "notice": """SELECT uuid_send(id), recipient, number, uuid_send(ticket_id), kind, fact FROM notification.notice
            WHERE {w:ticket_id}""",
    },
}
KERNEL = {
    "drawn": "SELECT key, version FROM {s}.stream WHERE version > 0",
    "pending": "SELECT key, version, {us:occurred_at} FROM {s}.outbox",
    "fence": "SELECT topic, partition, next_offset, stopped FROM {s}.fence",
    "grave": 'SELECT topic, partition, "offset", key, error FROM {s}.dead',
    "halt": "SELECT reason FROM {s}.halt",
}
Row = tuple[Any, ...]


async def gather(book: Book, sources: Sources, window: Window) -> dict[str, inbox.Ids]:
    """Every service's tables into the book; gives the inboxes. Raises Unseen naming the service."""
    inboxes = {}
    for service in sources.services:
        try:
            database = await asyncpg.connect(
                sources.databases[service].replace("postgresql+asyncpg:", "postgresql:"), timeout=CONNECT
            )
            try:
                async with database.transaction(isolation="repeatable_read", readonly=True):
                    await _service(book, database, service, window)
                    inboxes[service] = await inbox.read(database, service, window)
            finally:
                await database.close(timeout=CONNECT)
        except KeyError:
            raise Unseen(f"{service}: no database was named") from None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise Unseen(f"{service}: {type(error).__name__}: {error}") from error
    return inboxes


async def _service(book: Book, database: Any, service: str, window: Window) -> None:
    code = SERVICE_CODES[service]
    book.add("look", [(code, micros(await database.fetchval("SELECT clock_timestamp()")))])
    for table, query in QUERIES[service].items():
        made = MADE.get(table, tuple)
        async for page in _pages(database, query, service, window):
            book.add(table, map(made, page))
    for table, query in KERNEL.items():
        async for page in _pages(database, query, service, window):
            book.add(table, [row for each in page if (row := _kernel(table, each, code, window))])


async def _pages(database: Any, query: str, service: str, window: Window) -> Any:
    cursor = await database.cursor(_spelt(query, service, window))
    while page := await cursor.fetch(PAGE):
        yield page
        await asyncio.sleep(0)


def _spelt(query: str, service: str, window: Window) -> str:
    """The query with its places filled in: `{us:…}` as microseconds, `{w:…}` the window, `{s}` the schema."""
    out, rest = "", query
    while "{" in rest:
        before, _, rest = rest.partition("{")
        inside, _, rest = rest.partition("}")
        kind, _, column = inside.partition(":")
        match kind:
            case "us":
                out += f"{before}(extract(epoch FROM {column}) * 1000000)::bigint"
            case "w":
                out += before + _within(column, window)
            case _:
                out += before + service
    return out + rest


def _within(column: str, window: Window) -> str:
    bounds = [(">=", window.since), ("<", window.until)]
    parts = [f"{column} {sign} '{UUID(int=(at // 1000) << 80)}'" for sign, at in bounds if at is not None]
    return " AND ".join(parts) or "true"


def _kernel(table: str, row: Row, code: int, window: Window) -> Row | None:
    """A row of one of the kernel's tables as the book has it; None: it belongs to a ticket outside the window."""
    match table:
        case "drawn":
            key = keyed(row[0])
            return (key, code, row[1]) if window.holds(key) else None
        case "pending":
            key = keyed(row[0])
            return (key, code, row[1], row[2]) if window.holds(key) else None
        case "fence":
            return (code, TOPIC_CODES.get(row[0]), *row[1:])
        case "grave":
            return (code, TOPIC_CODES.get(row[0]), *row[1:]) if window.holds(keyed(row[3] or "")) else None
    return (code, *row)


def _notice(row: Row) -> Row:
    return (*row[:5], keyed(row[5]))


MADE: Mapping[str, Callable[[Row], Row]] = {"notice": _notice}
