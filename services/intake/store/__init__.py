"""Statements about tickets and where they stand; `secret` has those about what is sealed. Writes are set-based."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from libs.shared.contracts.intake import Ticket
from libs.shared.db import Transaction
from libs.shared.keep import first_id
from libs.shared.service import Running
from services.intake.domain.stage import Fact, Order, OrderState, Stage, Standing

# The references are taken in their own order, so that two transactions with the same ones wait and never deadlock.
ACCEPT = text("""
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:channels AS text[]), CAST(:references AS text[]),
            CAST(:agents AS text[]), CAST(:titles AS text[]), CAST(:texts AS text[]), CAST(:business_types AS text[]),
            CAST(:objects AS text[]), CAST(:areas AS text[]), CAST(:addresses AS text[]), CAST(:customers AS text[]),
            CAST(:stars AS smallint[]), CAST(:sensitives AS boolean[]), CAST(:openings AS timestamptz[]),
            CAST(:takers AS text[]), CAST(:wholes AS uuid[]), CAST(:hot_events AS uuid[]))
        AS g(ticket_id, channel, external_ref, agent_id, title, text, business_type, complaint_object, area_code,
            address, customer_id, star, sensitive, opened_at, received_by, split_from,
            hot_event)),
    named AS (
        INSERT INTO reference (channel, external_ref, ticket_id)
        SELECT channel, external_ref, ticket_id FROM given ORDER BY channel, external_ref
        ON CONFLICT DO NOTHING RETURNING ticket_id),
    taken AS (
        INSERT INTO ticket (ticket_id, channel, external_ref, agent_id, title, text, business_type, complaint_object,
            area_code, address, customer_id, star, sensitive, opened_at, received_at, received_by, split_from,
            hot_event)
        SELECT ticket_id, channel, external_ref, agent_id, title, text, business_type, complaint_object,
            area_code, address, customer_id, star, sensitive, opened_at, :now, received_by,
            split_from, hot_event
        FROM given JOIN named USING (ticket_id)),
    standing AS (
        INSERT INTO ticket_stage (ticket_id, stage, since, reached)
        SELECT ticket_id, 'received', :now, jsonb_build_object('received', CAST(:now AS timestamptz)) FROM named)
    SELECT ticket_id FROM named""")
KNOWN = text("""
    SELECT r.channel AS of_channel, r.external_ref AS of_reference, r.ticket_id AS stands_as, t.*, v.key_id, v.nonce,
        v.sealed
    FROM unnest(CAST(:channels AS text[]), CAST(:references AS text[])) AS w(channel, external_ref)
    JOIN reference r USING (channel, external_ref)
    LEFT JOIN ticket t ON t.ticket_id = r.ticket_id
    LEFT JOIN vault v ON v.ticket_id = r.ticket_id AND v.id = r.ticket_id""")
WHOLES = text("""
    SELECT t.*, v.key_id, v.nonce, v.sealed FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id)
    JOIN ticket t ON t.ticket_id = n.ticket_id
    LEFT JOIN vault v ON v.ticket_id = n.ticket_id AND v.id = n.ticket_id""")
AMEND = text("""
    INSERT INTO amendment (amendment_id, ticket_id, text, by, at)
    SELECT amendment_id, ticket_id, text, by, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[]), CAST(:texts AS text[]), CAST(:takers AS text[]))
    AS a(amendment_id, ticket_id, text, by)""")
# Joined with the ids, not compared with their array: so each is looked for in its own month alone.
STANDINGS = text("""
    SELECT s.* FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id) JOIN ticket_stage s USING (ticket_id)""")
MOVE = text("""
    UPDATE ticket_stage s SET stage = m.stage, since = m.since, reached = m.reached, orders = m.orders,
        situation = m.situation, lead_department = m.lead_department, hops = m.hops, transfers = m.transfers,
        first_contact_minutes = m.first_contact_minutes, resolve_minutes = m.resolve_minutes,
        told_minutes = m.told_minutes, parts = m.parts, master_id = m.master_id
    FROM jsonb_to_recordset(CAST(:standings AS jsonb)) AS m(ticket_id uuid, stage text, since timestamptz,
        reached jsonb, orders jsonb, situation text, lead_department text, hops smallint, transfers smallint,
        first_contact_minutes real, resolve_minutes real, told_minutes real,
        parts uuid[], master_id uuid)
    WHERE s.ticket_id = m.ticket_id""")
LATE = text("""
    INSERT INTO late_fact (event_id, ticket_id, type, occurred_at, heard_at)
    SELECT event_id, ticket_id, type, occurred_at, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS uuid[]), CAST(:types AS text[]),
        CAST(:times AS timestamptz[])) AS l(event_id, ticket_id, type, occurred_at) ON CONFLICT DO NOTHING""")
TICKET = text("SELECT * FROM ticket JOIN ticket_stage USING (ticket_id) WHERE ticket_id = :ticket_id")
AMENDMENTS = text("""
    SELECT amendment_id, text, by, at FROM amendment WHERE ticket_id = :ticket_id ORDER BY amendment_id LIMIT 200""")
ALIVE = text("SELECT 1")  # a word to the server, which ends transactions that are silent for long
LAST_ID = UUID(int=(1 << 128) - 1)
_LISTED = """SELECT t.ticket_id, t.channel, t.external_ref, t.agent_id, t.title, t.business_type, t.opened_at,
    t.received_at, s.stage, s.since FROM ticket t JOIN ticket_stage s USING (ticket_id)"""
_PAGE = "ticket_id < :before AND s.ticket_id >= :low ORDER BY s.ticket_id DESC LIMIT :limit"
BY_REFERENCE = text(f"""{_LISTED} WHERE t.ticket_id =
    (SELECT ticket_id FROM reference WHERE channel = :channel AND external_ref = :external_ref)""")
BY_TIME = text(f"{_LISTED} WHERE s.{_PAGE}")
BY_STAGE = text(f"{_LISTED} WHERE s.stage = :stage AND s.{_PAGE}")


async def accept(tx: Transaction, tickets: Sequence[tuple[UUID, Ticket, str]]) -> set[UUID]:
    """Insert tickets as (id, ticket, taken by), with their stage; gives the ids of those whose reference was new."""
    rows = await tx.rows(
        ACCEPT,
        ids=[ticket_id for ticket_id, _, _ in tickets],
        channels=[ticket.channel for _, ticket, _ in tickets],
        references=[ticket.external_ref for _, ticket, _ in tickets],
        agents=[ticket.agent_id for _, ticket, _ in tickets],
        titles=[ticket.title for _, ticket, _ in tickets],
        texts=[ticket.text for _, ticket, _ in tickets],
        business_types=[ticket.business_type for _, ticket, _ in tickets],
        objects=[ticket.complaint_object for _, ticket, _ in tickets],
        areas=[ticket.place.area_code for _, ticket, _ in tickets],
        addresses=[ticket.place.address for _, ticket, _ in tickets],
        customers=[ticket.customer.customer_id for _, ticket, _ in tickets],
        stars=[ticket.customer.star for _, ticket, _ in tickets],
        sensitives=[ticket.customer.sensitive for _, ticket, _ in tickets],
        openings=[ticket.opened_at for _, ticket, _ in tickets],
        takers=[taker for _, _, taker in tickets],
        wholes=[ticket.split_from for _, ticket, _ in tickets],
        hot_events=[ticket.hot_event for _, ticket, _ in tickets],
        now=tx.now,
    )
    return {row.ticket_id for row in rows}


async def known(tx: Transaction, references: Collection[tuple[str, str]]) -> dict[tuple[str, str], Row[Any]]:
    """Tickets that stand under these references, each with its sealed original (null where it has none).

    The id is `stands_as`; `ticket_id` and all else are null where the ticket's month has just gone.
    """
    rows = await tx.rows(KNOWN, channels=[each[0] for each in references], references=[each[1] for each in references])
    return {(row.of_channel, row.of_reference): row for row in rows}


async def wholes(tx: Transaction, tickets: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Tickets that were split, each with its sealed original (null where it has none); one that is gone is missing."""
    return {row.ticket_id: row for row in await tx.rows(WHOLES, ids=list(tickets))}


def published(row: Row[Any]) -> dict[str, object]:
    """A ticket's row as dotted field → value."""
    return {
        "channel": row.channel,
        "external_ref": row.external_ref,
        "agent_id": row.agent_id,
        "title": row.title,
        "text": row.text,
        "business_type": row.business_type,
        "complaint_object": row.complaint_object,
        "place.area_code": row.area_code,
        "place.address": row.address,
        "customer.customer_id": row.customer_id,
        "customer.star": row.star,
        "customer.sensitive": row.sensitive,
        "opened_at": row.opened_at,
    }


async def amend(tx: Transaction, amendments: Sequence[tuple[UUID, UUID, str, str]]) -> None:
    """Keep amendments as (id, ticket, masked text, by)."""
    await tx.run(
        AMEND,
        ids=[id_ for id_, _, _, _ in amendments],
        tickets=[ticket_id for _, ticket_id, _, _ in amendments],
        texts=[masked for _, _, masked, _ in amendments],
        takers=[by for _, _, _, by in amendments],
        now=tx.now,
    )


async def standings(tx: Transaction, tickets: Iterable[UUID]) -> dict[UUID, Standing]:
    """Where these tickets stand; one that intake does not know is missing."""
    return {row.ticket_id: standing(row) for row in await tx.rows(STANDINGS, ids=list(set(tickets)))}


def standing(row: Row[Any]) -> Standing:
    """A stage row as the domain sees it."""
    reached = {cast(Stage, stage): datetime.fromisoformat(at) for stage, at in _plain(row.reached).items()}
    orders = {
        UUID(order_id): Order(
            each["department"], each["name"], cast(OrderState, each["state"]), datetime.fromisoformat(each["since"])
        )
        for order_id, each in _plain(row.orders).items()
    }
    return Standing(
        ticket_id=row.ticket_id,
        stage=row.stage,
        since=row.since,
        reached=reached,
        orders=orders,
        situation=row.situation,
        lead_department=row.lead_department,
        hops=row.hops,
        transfers=row.transfers,
        first_contact_minutes=row.first_contact_minutes,
        resolve_minutes=row.resolve_minutes,
        told_minutes=row.told_minutes,
        parts=tuple(row.parts or ()),
        master_id=row.master_id,
    )


async def move(tx: Transaction, moved: Sequence[Standing]) -> None:
    """Write where tickets now stand."""
    if moved:
        await tx.run(MOVE, standings=orjson.dumps(moved, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


async def late(tx: Transaction, facts: Sequence[Fact]) -> None:
    """Note facts that came after the close, or about tickets that are not here."""
    if facts:
        await tx.run(
            LATE,
            ids=[fact.envelope.id for fact in facts],
            tickets=[fact.ticket_id for fact in facts],
            types=[fact.type for fact in facts],
            times=[fact.occurred_at for fact in facts],
            now=tx.now,
        )


async def ticket(running: Running, ticket_id: UUID) -> Row[Any] | None:
    """A ticket with its stage, or None."""
    rows = await running.read(TICKET, ticket_id=ticket_id)
    return rows[0] if rows else None


async def page(running: Running, stage: str | None, low: UUID, before: UUID, *, limit: int) -> Sequence[Row[Any]]:
    """Up to `limit` tickets with ids in [low, before), newest first."""
    if stage:
        return await running.read(BY_STAGE, stage=stage, low=low, before=before, limit=limit)
    return await running.read(BY_TIME, low=low, before=before, limit=limit)


def between(since: datetime | None, until: datetime | None, after: UUID | None) -> tuple[UUID, UUID]:
    """The ids of what was received in [since, until), below the cursor `after`: a UUIDv7 begins with its time."""
    before = min(first_id(until) if until else LAST_ID, after or LAST_ID)
    return first_id(since) if since else UUID(int=0), before


def _plain(value: Any) -> dict[str, Any]:
    """A jsonb column: the driver gives it as text."""
    plain: dict[str, Any] = orjson.loads(value) if isinstance(value, str | bytes) else value
    return plain
