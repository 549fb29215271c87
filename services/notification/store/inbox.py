"""Recipients and their notices. A number is drawn under the recipient's row lock, so what is seen has no hole below."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.events import json_bytes
from libs.shared.service import Running
from services.notification.domain.notice import Notice, Recipient

# Draws the numbers under the recipients' locks, taken in order of address, and queues the notices for channels.
ADD = text("""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:recipients AS text[]), CAST(:tickets AS uuid[]),
            CAST(:kinds AS text[]), CAST(:facts AS text[]), CAST(:data AS text[]), CAST(:causes AS timestamptz[]))
            WITH ORDINALITY AS a(id, recipient, ticket_id, kind, fact, data, caused_at, place)),
    new AS (
        SELECT * FROM asked a
        WHERE NOT EXISTS (SELECT FROM notice n
            WHERE n.ticket_id = a.ticket_id AND n.recipient = a.recipient AND n.fact = a.fact)),
    drawn AS (
        INSERT INTO recipient AS r (address, last_number)
        SELECT recipient, count(*) FROM new GROUP BY recipient ORDER BY recipient
        ON CONFLICT (address) DO UPDATE SET last_number = r.last_number + excluded.last_number
        RETURNING address, last_number),
    told AS (
        INSERT INTO notice (recipient, number, id, ticket_id, kind, fact, data, caused_at, created_at)
        SELECT n.recipient, d.last_number - count(*) OVER (PARTITION BY n.recipient)
            + row_number() OVER (PARTITION BY n.recipient ORDER BY n.place),
            n.id, n.ticket_id, n.kind, n.fact, CAST(n.data AS jsonb), n.caused_at, CAST(:now AS timestamptz)
        FROM new n JOIN drawn d ON d.address = n.recipient
        RETURNING recipient, number, id, ticket_id, kind, fact, caused_at),
    queued AS (
        INSERT INTO delivery (channel, notice_id, recipient, number, ticket_id, kind, fact, caused_at, created_at,
            next_at)
        SELECT c.name, t.id, t.recipient, t.number, t.ticket_id, t.kind, t.fact, t.caused_at,
            CAST(:now AS timestamptz), CAST(:now AS timestamptz)
        FROM told t JOIN channel c ON NOT c.removed AND (c.kinds = '{}' OR t.kind = ANY(c.kinds))
            AND (t.recipient = ANY(c.recipients) OR split_part(t.recipient, ':', 1) || ':*' = ANY(c.recipients))
        ORDER BY c.name, t.fact ON CONFLICT (ticket_id, channel, fact) DO NOTHING RETURNING 1)
    SELECT id, number, (SELECT count(*) FROM queued) AS queued FROM told""")

_NOTICE = "n.recipient, n.number, n.id, n.ticket_id, n.kind, n.data, n.caused_at, n.created_at"

# One probe a recipient; only those with something new are read on.
NEWS = text(f"""
    SELECT {_NOTICE}, r.language, r.read_number, w.number AS after
    FROM unnest(CAST(:addresses AS text[]), CAST(:numbers AS bigint[])) AS w(address, number)
    JOIN recipient r ON r.address = w.address AND r.last_number > w.number
    CROSS JOIN LATERAL (SELECT * FROM notice x WHERE x.recipient = r.address AND x.number > w.number
        ORDER BY x.number LIMIT :count) n
    ORDER BY n.recipient, w.number, n.number""")

KNOWN = text("""
    SELECT a.id AS ticket_id FROM unnest(CAST(:ids AS uuid[])) AS a(id)
    WHERE EXISTS (SELECT FROM notice n WHERE n.ticket_id = a.id)""")

STANDING = text("""
    SELECT address, last_number, read_number, language FROM recipient
    WHERE address = ANY(CAST(:addresses AS text[]))""")

READ = text("""
    UPDATE recipient SET read_number = greatest(read_number, :number)
    WHERE address = :address AND :number <= last_number RETURNING read_number""")

SPEAK = text("""
    INSERT INTO recipient (address, language) VALUES (:address, :language)
    ON CONFLICT (address) DO UPDATE SET language = excluded.language""")


@dataclass(frozen=True, slots=True)
class Told:
    """A notice that stands in its inbox now."""

    notice: Notice
    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an inbox has come."""

    last_number: int = 0
    read_number: int = 0
    language: str | None = None


async def add(tx: Transaction, notices: Sequence[Notice]) -> tuple[list[Told], int]:
    """Put notices into their inboxes, and into the queues of channels that want them; one statement.

    What a recipient has been told already is left out. The tickets are locked; the recipients' rows are locked here,
    in order. Answers what was told, in the order given, and how many deliveries were queued.
    """
    fresh = {(notice.recipient, notice.fact): notice for notice in reversed(notices)}
    by_id = {tx.new_id(): notice for notice in reversed(fresh.values())}
    rows = await tx.rows(
        ADD,
        ids=list(by_id),
        recipients=[notice.recipient.address for notice in by_id.values()],
        tickets=[notice.ticket_id for notice in by_id.values()],
        kinds=[notice.kind for notice in by_id.values()],
        facts=[notice.fact for notice in by_id.values()],
        data=[json_bytes(notice.data).decode() for notice in by_id.values()],
        causes=[notice.caused_at for notice in by_id.values()],
        now=tx.now,
    )
    numbers = {row.id: row.number for row in rows}
    told = [Told(notice, id_, numbers[id_]) for id_, notice in by_id.items() if id_ in numbers]
    return told, rows[0].queued if rows else 0


async def news(running: Running, places: Collection[tuple[str, int]], count: int) -> Sequence[Row[Any]]:
    """Up to `count` notices after each place (address, number), named `after` in its rows; one statement for all."""
    return await running.read(
        NEWS, addresses=[place[0] for place in places], numbers=[place[1] for place in places], count=count
    )


async def standing(running: Running, addresses: Sequence[str]) -> dict[str, Standing]:
    """How far these inboxes have come; those nobody has written to yet stand at zero."""
    known = {
        row.address: Standing(row.last_number, row.read_number, row.language)
        for row in await running.read(STANDING, addresses=list(addresses))
    }
    return {address: known.get(address, Standing()) for address in addresses}


async def mark_read(tx: Transaction, address: str, number: int) -> int | None:
    """Everything up to that number has been seen; answers how far now. None: there is no such number."""
    rows = await tx.rows(READ, address=address, number=number)
    return rows[0].read_number if rows else None


async def speak(tx: Transaction, recipient: Recipient, language: str) -> None:
    """The language this recipient reads."""
    await tx.run(SPEAK, address=recipient.address, language=language)
