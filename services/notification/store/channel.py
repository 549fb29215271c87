"""Channels and their deliveries. A result counts only for the attempt it belongs to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.service import Running
from services.notification.domain.channel import Format, State

_CHANNEL = "name, url, format, secret, networks, recipients, kinds, language, updated_at"
PUT = text(f"""
    INSERT INTO channel ({_CHANNEL}) VALUES (:name, :url, :format, :secret, CAST(:networks AS text[]),
        CAST(:recipients AS text[]), CAST(:kinds AS text[]), :language, :now)
    ON CONFLICT (name) DO UPDATE SET url = excluded.url, format = excluded.format,
        secret = coalesce(excluded.secret, channel.secret), networks = excluded.networks,
        recipients = excluded.recipients, kinds = excluded.kinds, language = excluded.language,
        updated_at = excluded.updated_at, removed = false
    RETURNING {_CHANNEL}""")
REMOVE = text("""
    UPDATE channel SET removed = true, secret = NULL, updated_at = :now
    WHERE name = :name AND NOT removed RETURNING 1""")
ONE = text(f"SELECT {_CHANNEL} FROM channel WHERE name = :name AND NOT removed")
ALL = text(f"SELECT {_CHANNEL} FROM channel WHERE name > :after AND NOT removed ORDER BY name LIMIT :count")

# Deliveries that are due, a fair share of each channel.
DUE = text("""
    SELECT d.id AS delivery_id, d.channel, d.attempts, d.notice_id AS id, d.recipient, d.number, d.ticket_id, d.kind,
        d.caused_at, n.data, n.created_at, c.url, c.format, c.secret, c.networks, c.language, c.removed
    FROM channel c
        CROSS JOIN LATERAL (
            SELECT * FROM delivery x WHERE x.channel = c.name AND x.state = 'pending' AND x.next_at <= now()
            ORDER BY x.next_at LIMIT :share) d
        LEFT JOIN notice n ON n.ticket_id = d.ticket_id AND n.recipient = d.recipient AND n.number = d.number
    ORDER BY c.name, d.next_at, d.created_at""")

SETTLE = text("""
    UPDATE delivery d SET attempts = r.attempt, state = r.state, status = r.status, reason = r.reason,
        next_at = coalesce(CAST(:now AS timestamptz) + make_interval(secs => r.wait), d.next_at),
        ended_at = CASE WHEN r.state = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[]), CAST(:attempts AS int[]), CAST(:states AS text[]),
        CAST(:statuses AS int[]), CAST(:reasons AS text[]), CAST(:waits AS float8[]))
        AS r(id, ticket_id, attempt, state, status, reason, wait)
    WHERE d.ticket_id = r.ticket_id AND d.id = r.id AND d.state = 'pending' AND d.attempts = r.attempt - 1
    RETURNING d.id""")

RETRY = text("""
    UPDATE delivery SET state = 'pending', attempts = 0, next_at = :now, ended_at = NULL
    WHERE ticket_id = :ticket_id AND id = :id AND state = 'failed' RETURNING 1""")

_DELIVERY = """id, channel, notice_id, recipient, number, ticket_id, kind, caused_at, created_at, state, attempts,
    next_at, status, reason, ended_at"""
FIND = text(f"SELECT {_DELIVERY} FROM delivery WHERE id = :id")
PAGE = text(f"""
    SELECT {_DELIVERY} FROM delivery WHERE state = :state
        AND (created_at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
        AND (CAST(:channel AS text) IS NULL OR channel = :channel) ORDER BY created_at, id LIMIT :count""")


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to tell others beside the inbox."""

    name: str
    url: str
    format: Format
    secret: str | None  # None on `put`: keep the one there is
    networks: tuple[str, ...]  # private networks an administrator allows (CIDR)
    recipients: tuple[str, ...]  # addresses whose notices it carries, `kind:*` for all of a kind
    kinds: tuple[str, ...]  # of notices; empty: all
    language: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt of a delivery."""

    id: UUID
    ticket_id: UUID
    attempt: int  # from 1
    state: State
    status: int | None
    reason: str
    wait: float | None  # s until the next attempt


async def put(tx: Transaction, channel: Channel) -> Row[Any]:
    """Make or change a channel; answers its row."""
    return (
        await tx.rows(
            PUT,
            name=channel.name,
            url=channel.url,
            format=channel.format,
            secret=channel.secret,
            networks=list(channel.networks),
            recipients=list(channel.recipients),
            kinds=list(channel.kinds),
            language=channel.language,
            now=tx.now,
        )
    )[0]


async def remove(tx: Transaction, name: str) -> bool:
    """Take a channel away; what it still had to deliver fails when it is due."""
    return bool(await tx.rows(REMOVE, name=name, now=tx.now))


async def one(running: Running, name: str) -> Row[Any] | None:
    """The channel of that name."""
    rows = await running.read(ONE, name=name)
    return rows[0] if rows else None


async def all_(running: Running, after: str, count: int) -> Sequence[Row[Any]]:
    """Channels by name."""
    return await running.read(ALL, after=after, count=count)


async def due(running: Running, share: int) -> Sequence[Row[Any]]:
    """Deliveries that are due, at most `share` of each channel, in the order they are to be sent."""
    return await running.read(DUE, share=share)


async def settle(tx: Transaction, results: Iterable[Result]) -> set[UUID]:
    """Record results; answers which of them counted (the attempt had not been recorded by anybody yet)."""
    done = list(results)
    rows = await tx.rows(
        SETTLE,
        ids=[each.id for each in done],
        tickets=[each.ticket_id for each in done],
        attempts=[each.attempt for each in done],
        states=[each.state for each in done],
        statuses=[each.status for each in done],
        reasons=[each.reason for each in done],
        waits=[each.wait for each in done],
        now=tx.now,
    )
    return {row.id for row in rows}


async def retry(tx: Transaction, id_: UUID, ticket_id: UUID) -> bool:
    """Try a failed delivery again, from the first attempt; False when it is not failed."""
    return bool(await tx.rows(RETRY, id=id_, ticket_id=ticket_id, now=tx.now))


async def find(running: Running, id_: UUID) -> Row[Any] | None:
    """One delivery."""
    rows = await running.read(FIND, id=id_)
    return rows[0] if rows else None


async def page(
    running: Running, state: State, channel: str | None, after: tuple[datetime, UUID], count: int
) -> Sequence[Row[Any]]:
    """Deliveries in a state, oldest first, after a place (created_at, id)."""
    return await running.read(PAGE, state=state, channel=channel, after_at=after[0], after_id=after[1], count=count)
