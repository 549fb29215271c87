"""Tickets, what was added to them, and their history."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.contracts.dispatch import Measures
from libs.shared.contracts.intake import TicketAmended
from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.dispatch.domain.ticket import Brief, Ticket
from services.dispatch.store.held import held, json

BRIEF = """channel, external_ref, agent_id, title, text, area_code, address, star, sensitive, opened_at, situation_code,
    situation_name, category_path, lead, lead_name, supervisor, sla_class, join_policy, urgency, matrix_version,
    repeats"""
BRIEF_TYPES = """channel text, external_ref text, agent_id text, title text, text text, area_code text, address text,
    star smallint, sensitive boolean, opened_at timestamptz, situation_code text, situation_name text,
    category_path jsonb, lead text, lead_name text, supervisor text, sla_class text, join_policy text, urgency text,
    matrix_version text, repeats int"""
ADD_TICKETS = text(f"""
    INSERT INTO ticket (ticket_id, state, classified_at, master, {BRIEF})
    SELECT ticket_id, 'open', :now, CASE WHEN ticket_id = ANY(CAST(:masters AS uuid[])) THEN ticket_id END, {BRIEF}
    FROM jsonb_to_recordset(CAST(:briefs AS jsonb))
        AS n(ticket_id uuid, {BRIEF_TYPES})""")
REBRIEF = text(f"""
    UPDATE ticket t SET ({BRIEF}) = (SELECT {BRIEF} FROM jsonb_to_record(CAST(:brief AS jsonb)) AS n({BRIEF_TYPES}))
    WHERE t.ticket_id = :ticket_id""")
ADD_DEPARTMENTS = text("""
    INSERT INTO department (code, name)
    SELECT code, name FROM unnest(CAST(:codes AS text[]), CAST(:names AS text[])) AS n(code, name) ORDER BY code
    ON CONFLICT (code) DO UPDATE SET name = excluded.name WHERE department.name <> excluded.name""")
ADD_CODE = text("INSERT INTO department (code, name) VALUES (:code, :code) ON CONFLICT DO NOTHING")
DEPARTMENTS = text("SELECT code, name FROM department WHERE code = ANY(CAST(:codes AS text[]))")

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

ADD_AMENDMENTS = text("""
    INSERT INTO amendment (amendment_id, ticket_id, text, by, at)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[]), CAST(:texts AS text[]),
        CAST(:bys AS text[]), CAST(:ats AS timestamptz[])) ON CONFLICT DO NOTHING""")
AMENDMENTS = text("""
    SELECT amendment_id, ticket_id, text, by, at FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id)
    JOIN amendment USING (ticket_id) ORDER BY at, amendment_id""")

HISTORY = text("""
    SELECT work_order_id, at, what, by, detail FROM history WHERE ticket_id = :ticket_id ORDER BY history_id""")


async def add(tx: Transaction, briefs: Sequence[Brief], masters: Collection[UUID] = ()) -> None:
    """New tickets, open. Args: `masters`: those that work for others from the beginning."""
    if briefs:
        await tx.run(ADD_TICKETS, now=tx.now, briefs=json(briefs), masters=list(masters))


async def rebrief(tx: Transaction, brief: Brief) -> None:
    """The ticket was classified again."""
    await tx.run(REBRIEF, ticket_id=brief.ticket_id, brief=json(brief))
    found = held(tx).tickets.get(brief.ticket_id)
    if found:
        held(tx).change([replace(found, brief=brief)])


async def know(tx: Transaction, departments: list[tuple[str, str]]) -> None:
    """Remember departments by (code, name); for `tx.gather`, because batches share them."""
    if departments:
        found = dict(departments)
        await tx.run(ADD_DEPARTMENTS, codes=list(found), names=list(found.values()))


async def know_code(tx: Transaction, code: str) -> None:
    """A department that so far has only a code."""
    await tx.run(ADD_CODE, code=code)


async def department_names(tx: Transaction, codes: Iterable[str | None]) -> dict[str, str]:
    """Code → name of those of the departments that were heard of."""
    wanted = [code for code in codes if code is not None]
    return {row.code: row.name for row in await tx.rows(DEPARTMENTS, codes=wanted)} if wanted else {}


async def tickets(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, Ticket]:
    """Those of the tickets that dispatch knows, in a transaction as they stand there."""
    if not isinstance(source, Transaction):
        return {row.ticket_id: ticket(row) for row in await source.read(TICKETS, ids=list(set(ids)))}
    wanted, here = list(set(ids)), held(source)
    missing = [id_ for id_ in wanted if id_ not in here.tickets and id_ not in here.looked]
    if missing:
        here.change(ticket(row) for row in await source.rows(TICKETS, ids=missing))
    return {id_: here.tickets[id_] for id_ in wanted if id_ in here.tickets}


async def of_agent(running: Running, agent_id: str, state: str | None, before: UUID, limit: int) -> list[Ticket]:
    """An agent's tickets, newest first; `state` None: all that are not closed."""
    statement = OF_AGENT if state == "closed" else NOT_CLOSED_OF_AGENT
    found = await running.read(statement, agent_id=agent_id, state=state, before=before, limit=limit)
    return [ticket(row) for row in found]


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


async def history(running: Running, ticket_id: UUID) -> list[dict[str, Any]]:
    """What was noted about a ticket, in order."""
    return [dict(row._mapping) for row in await running.read(HISTORY, ticket_id=ticket_id)]


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
        repeats=row.repeats,
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
        master=row.master,
    )
