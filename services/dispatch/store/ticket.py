"""Tickets, what was added to them, and their history."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Executable, Row, text

from libs.shared.contracts.dispatch import Measures
from libs.shared.contracts.intake import TicketAmended
from libs.shared.db import Transaction
from libs.shared.service import Running
from services.dispatch.domain.ticket import Brief, Entry, Ticket

BRIEF = """channel, external_ref, agent_id, title, text, area_code, address, star, sensitive, opened_at, situation_code,
    situation_name, category_path, lead, lead_name, supervisor, sla_class, join_policy, urgency, matrix_version"""
BRIEF_TYPES = """channel text, external_ref text, agent_id text, title text, text text, area_code text, address text,
    star smallint, sensitive boolean, opened_at timestamptz, situation_code text, situation_name text,
    category_path jsonb, lead text, lead_name text, supervisor text, sla_class text, join_policy text, urgency text,
    matrix_version text"""
ADD_TICKETS = text(f"""
    INSERT INTO ticket (ticket_id, state, classified_at, {BRIEF})
    SELECT ticket_id, 'open', :now, {BRIEF} FROM jsonb_to_recordset(CAST(:briefs AS jsonb))
        AS n(ticket_id uuid, {BRIEF_TYPES})""")
REBRIEF = text(f"""
    UPDATE ticket t SET ({BRIEF}) = (SELECT {BRIEF} FROM jsonb_to_record(CAST(:brief AS jsonb)) AS n({BRIEF_TYPES}))
    WHERE t.ticket_id = :ticket_id""")
ADD_DEPARTMENTS = text("""
    INSERT INTO department (code, name)
    SELECT code, name FROM unnest(CAST(:codes AS text[]), CAST(:names AS text[])) AS n(code, name) ORDER BY code
    ON CONFLICT (code) DO UPDATE SET name = excluded.name WHERE department.name <> excluded.name""")
ADD_CODE = text("INSERT INTO department (code, name) VALUES (:code, :code) ON CONFLICT DO NOTHING")
DEPARTMENT = text("SELECT code, name FROM department WHERE code = :code")

# Joined with the ids, not compared with their array: so each is looked for in its own month alone.
TICKETS = text("SELECT t.* FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id) JOIN ticket t USING (ticket_id)")
KNOWN = text("SELECT ticket_id FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id) JOIN ticket t USING (ticket_id)")
OF_AGENT = text("""
    SELECT * FROM ticket WHERE agent_id = :agent_id AND ticket_id < :before
        AND (CAST(:state AS text) IS NULL OR state = :state)
    ORDER BY ticket_id DESC LIMIT :limit""")
NOT_CLOSED_OF_AGENT = text("""
    SELECT * FROM ticket WHERE agent_id = :agent_id AND ticket_id < :before
        AND state <> 'closed' AND (CAST(:state AS text) IS NULL OR state = :state)
    ORDER BY ticket_id DESC LIMIT :limit""")

MOVE_TICKETS = text("""
    UPDATE ticket t SET state = n.state, round = n.round, first_contact_at = n.first_contact_at,
        answered_at = n.answered_at, closed_at = n.closed_at, satisfied = n.satisfied, transfers = n.transfers,
        rulings = n.rulings, messages = n.messages, hops = n.hops, first_contact_minutes = n.first_contact_minutes,
        resolve_minutes = n.resolve_minutes
    FROM jsonb_to_recordset(CAST(:tickets AS jsonb)) AS n(ticket_id uuid, state text, round int,
        first_contact_at timestamptz, answered_at timestamptz, closed_at timestamptz, satisfied boolean, transfers int,
        rulings int, messages int, hops int, first_contact_minutes double precision, resolve_minutes double precision)
    WHERE t.ticket_id = n.ticket_id""")

ADD_AMENDMENTS = text("""
    INSERT INTO amendment (amendment_id, ticket_id, text, by, at)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[]), CAST(:texts AS text[]),
        CAST(:bys AS text[]), CAST(:ats AS timestamptz[])) ON CONFLICT DO NOTHING""")
AMENDMENTS = text("""
    SELECT amendment_id, ticket_id, text, by, at FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id)
    JOIN amendment USING (ticket_id) ORDER BY at, amendment_id""")

ADD_HISTORY = text("""
    INSERT INTO history (ticket_id, work_order_id, at, what, by, detail)
    SELECT ticket_id, work_order_id, :now, what, by, CAST(detail AS jsonb)
    FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:whats AS text[]),
        CAST(:bys AS text[]), CAST(:details AS text[])) WITH ORDINALITY
        AS n(ticket_id, work_order_id, what, by, detail, place) ORDER BY place""")
HISTORY = text("""
    SELECT work_order_id, at, what, by, detail FROM history WHERE ticket_id = :ticket_id ORDER BY history_id""")


async def add(tx: Transaction, briefs: Sequence[Brief]) -> None:
    """New tickets, open."""
    if briefs:
        await tx.run(ADD_TICKETS, now=tx.now, briefs=json(briefs))


async def rebrief(tx: Transaction, brief: Brief) -> None:
    """The ticket was classified again."""
    await tx.run(REBRIEF, ticket_id=brief.ticket_id, brief=json(brief))


async def know(tx: Transaction, departments: list[tuple[str, str]]) -> None:
    """Remember departments by (code, name); for `tx.gather`, because batches share them."""
    if departments:
        found = dict(departments)
        await tx.run(ADD_DEPARTMENTS, codes=list(found), names=list(found.values()))


async def know_code(tx: Transaction, code: str) -> None:
    """A department that so far has only a code."""
    await tx.run(ADD_CODE, code=code)


async def department_name(tx: Transaction, code: str) -> str | None:
    """The name of a department that was heard of; None: nobody knows it."""
    found = await tx.rows(DEPARTMENT, code=code)
    return found[0].name if found else None


async def tickets(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, Ticket]:
    """Those of the tickets that dispatch knows."""
    return {row.ticket_id: ticket(row) for row in await rows(source, TICKETS, ids=list(set(ids)))}


async def of_agent(running: Running, agent_id: str, state: str | None, before: UUID, limit: int) -> list[Ticket]:
    """An agent's tickets, newest first; `state` None: all that are not closed."""
    statement = OF_AGENT if state == "closed" else NOT_CLOSED_OF_AGENT
    found = await running.read(statement, agent_id=agent_id, state=state, before=before, limit=limit)
    return [ticket(row) for row in found]


async def save(tx: Transaction, changed: Sequence[Ticket]) -> None:
    """Write back tickets that moved; they are locked."""
    if changed:
        await tx.run(MOVE_TICKETS, tickets=json([_moved(ticket) for ticket in changed]))


async def add_amendments(tx: Transaction, events: Sequence[TicketAmended]) -> None:
    """What customers added to their requests; also for tickets that are not classified yet."""
    await tx.run(
        ADD_AMENDMENTS,
        ids=[event.amendment_id for event in events],
        ticket_ids=[event.ticket_id for event in events],
        texts=[event.text for event in events],
        bys=[event.by for event in events],
        ats=[event.occurred_at for event in events],
    )


async def amendments(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The amendments of these tickets, in order."""
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in await rows(source, AMENDMENTS, ids=list(set(ids))):
        found.setdefault(row.ticket_id, []).append(
            {"amendment_id": str(row.amendment_id), "text": row.text, "by": row.by, "at": row.at}
        )
    return found


def note(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Append to the history, with all that the transaction notes, at its end."""
    tx.gather(_write_history, entries)


async def _write_history(tx: Transaction, entries: list[Entry]) -> None:
    if entries:
        await tx.run(
            ADD_HISTORY,
            now=tx.now,
            ticket_ids=[entry.ticket_id for entry in entries],
            order_ids=[entry.work_order_id for entry in entries],
            whats=[entry.what for entry in entries],
            bys=[entry.by for entry in entries],
            details=[json(entry.detail) for entry in entries],
        )


async def history(running: Running, ticket_id: UUID) -> list[dict[str, Any]]:
    """What was noted about a ticket, in order."""
    return [dict(row._mapping) for row in await running.read(HISTORY, ticket_id=ticket_id)]


async def rows(source: Transaction | Running, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
    """Rows in a transaction, or outside any."""
    if isinstance(source, Transaction):
        return await source.rows(statement, **parameters)
    return await source.read(statement, **parameters)


def json(value: Any) -> str:
    """JSON of plain values, dataclasses, UUIDs and datetimes, as a parameter."""
    return orjson.dumps(value, default=str).decode()


def _moved(ticket: Ticket) -> dict[str, Any]:
    measures = ticket.measures
    return {
        "ticket_id": ticket.brief.ticket_id,
        "state": ticket.state,
        "round": ticket.round,
        "first_contact_at": ticket.first_contact_at,
        "answered_at": ticket.answered_at,
        "closed_at": ticket.closed_at,
        "satisfied": ticket.satisfied,
        "transfers": ticket.transfers,
        "rulings": ticket.rulings,
        "messages": ticket.messages,
        "hops": measures.hops if measures else None,
        "first_contact_minutes": measures.first_contact_minutes if measures else None,
        "resolve_minutes": measures.resolve_minutes if measures else None,
    }


def _brief(row: Row[Any]) -> Brief:
    return Brief(
        ticket_id=row.ticket_id,
        channel=row.channel,
        external_ref=row.external_ref,
        agent_id=row.agent_id,
        title=row.title,
        text=row.text,
        area_code=row.area_code,
        address=row.address,
        star=row.star,
        sensitive=row.sensitive,
        opened_at=row.opened_at,
        situation_code=row.situation_code,
        situation_name=row.situation_name,
        category_path=tuple(row.category_path),
        lead=row.lead,
        lead_name=row.lead_name,
        supervisor=row.supervisor,
        sla_class=row.sla_class,
        join_policy=row.join_policy,
        urgency=row.urgency,
        matrix_version=row.matrix_version,
    )


def ticket(row: Row[Any]) -> Ticket:
    """A row of `ticket` (with its columns' names)."""
    measures = None
    if row.resolve_minutes is not None:
        measures = Measures(
            hops=row.hops,
            transfers=row.transfers,
            first_contact_minutes=row.first_contact_minutes,
            resolve_minutes=row.resolve_minutes,
        )
    return Ticket(
        brief=_brief(row),
        state=row.state,
        round=row.round,
        classified_at=row.classified_at,
        first_contact_at=row.first_contact_at,
        answered_at=row.answered_at,
        closed_at=row.closed_at,
        satisfied=row.satisfied,
        transfers=row.transfers,
        rulings=row.rulings,
        messages=row.messages,
        measures=measures,
    )
