"""The tickets and work orders of a transaction: read once, changed in memory, written in one statement at its end.

Their streams are locked, so nobody else changes them meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from libs.shared.db import Transaction
from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.ticket import Entry, Ticket

WRITE = text("""
    WITH tickets AS (
        UPDATE ticket t SET state = n.state, round = n.round, first_contact_at = n.first_contact_at,
            answered_at = n.answered_at, closed_at = n.closed_at, satisfied = n.satisfied, transfers = n.transfers,
            rulings = n.rulings, messages = n.messages, hops = n.hops, first_contact_minutes = n.first_contact_minutes,
            resolve_minutes = n.resolve_minutes, master = n.master
        FROM jsonb_to_recordset(CAST(:tickets AS jsonb)) AS n(ticket_id uuid, state text, round int,
            first_contact_at timestamptz, answered_at timestamptz, closed_at timestamptz, satisfied boolean,
            transfers int, rulings int, messages int, hops int, first_contact_minutes double precision,
            resolve_minutes double precision, master uuid)
        WHERE t.ticket_id = n.ticket_id),
    orders AS (
        UPDATE work_order o SET state = n.state, returned_from = n.returned_from, returns = n.returns,
            delivered_at = n.delivered_at, accepted_at = n.accepted_at, contacted_at = n.contacted_at,
            answered_at = n.answered_at, answer = n.answer, resolution = n.resolution
        FROM jsonb_to_recordset(CAST(:orders AS jsonb)) AS n(work_order_id uuid, ticket_id uuid, state text,
            returned_from text, returns int, delivered_at timestamptz, accepted_at timestamptz,
            contacted_at timestamptz, answered_at timestamptz, answer text, resolution text)
        WHERE o.work_order_id = n.work_order_id AND o.ticket_id = n.ticket_id)
    INSERT INTO history (ticket_id, work_order_id, at, what, by, detail)
    SELECT ticket_id, work_order_id, :now, what, by, CAST(detail AS jsonb)
    FROM unnest(CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:whats AS text[]),
        CAST(:bys AS text[]), CAST(:details AS text[])) WITH ORDINALITY
        AS n(ticket_id, work_order_id, what, by, detail, place) ORDER BY place""")

# A master that has changed: its members are to follow.
DUE = text("""
    UPDATE master m SET due = true FROM unnest(CAST(:ids AS uuid[])) AS n(master_id)
    WHERE m.master_id = n.master_id""")


@dataclass
class Held:
    """What the transaction knows, as it stands now."""

    tickets: dict[UUID, Ticket] = field(default_factory=dict)
    orders: dict[UUID, WorkOrder] = field(default_factory=dict)
    shares: dict[UUID, list[UUID]] = field(default_factory=dict)  # ticket → all its work orders, oldest first
    looked: set[UUID] = field(default_factory=set)  # tickets that were read, or are not there
    loaded: bool = False  # all that the transaction has locked

    def change(self, changed: Iterable[Ticket | WorkOrder]) -> None:
        """These stand differently now."""
        for each in changed:
            if isinstance(each, Ticket):
                self.tickets[each.brief.ticket_id] = each
            else:
                self.orders[each.work_order_id] = each


def held(tx: Transaction) -> Held:
    """What this transaction holds."""
    found: Held = tx.memory.setdefault(Held, Held())
    return found


def write(tx: Transaction, changes: Iterable[Ticket | WorkOrder | Entry]) -> None:
    """Have these written at the end of the transaction, what it reads from now on is as if they were."""
    changed = list(changes)
    held(tx).change(each for each in changed if not isinstance(each, Entry))
    tx.gather(_write, changed)


async def _write(tx: Transaction, changes: list[Ticket | WorkOrder | Entry]) -> None:
    tickets = {each.brief.ticket_id: each for each in changes if isinstance(each, Ticket)}
    orders = {each.work_order_id: each for each in changes if isinstance(each, WorkOrder)}
    entries = [each for each in changes if isinstance(each, Entry)]
    if changes:
        await tx.run(
            WRITE,
            now=tx.now,
            tickets=json([_ticket(each) for each in tickets.values()]),
            orders=json([_order(each) for each in orders.values()]),
            ticket_ids=[entry.ticket_id for entry in entries],
            order_ids=[entry.work_order_id for entry in entries],
            whats=[entry.what for entry in entries],
            bys=[entry.by for entry in entries],
            details=[json(entry.detail) for entry in entries],
        )
    if masters := [each.brief.ticket_id for each in tickets.values() if each.is_master]:
        await tx.run(DUE, ids=masters)
        tx.after_commit(lambda: tx.running.wake("merging"))


def json(value: Any) -> str:
    """JSON of plain values, dataclasses, UUIDs and datetimes, as a parameter."""
    return orjson.dumps(value, default=str).decode()


def _ticket(ticket: Ticket) -> dict[str, Any]:
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
        "master": ticket.master,
    }


def _order(order: WorkOrder) -> dict[str, Any]:
    return {
        "work_order_id": order.work_order_id,
        "ticket_id": order.ticket_id,
        "state": order.state,
        "returned_from": order.returned_from,
        "returns": order.returns,
        "delivered_at": order.delivered_at,
        "accepted_at": order.accepted_at,
        "contacted_at": order.contacted_at,
        "answered_at": order.answered_at,
        "answer": order.answer,
        "resolution": order.resolution,
    }
