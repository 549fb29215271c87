"""What a person does with a hot event: fold it, dissolve it, close it, take tickets out, put tickets in.

The stream `watch.LOCK` is held, and those of all that something is said about; who did what, when and why is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.shared.command import Answer, Refused
from libs.shared.contracts.classification import HotEventDissolved, HotEventLeft
from libs.shared.db import Transaction
from services.classification import store, watch
from services.classification.domain import sketch
from services.classification.domain.hot_event import Cluster


@dataclass(frozen=True, slots=True)
class Close:
    """`by` is the person's principal, here and below."""

    hot_event_id: UUID
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Tickets:
    """These tickets are about it too, or about something else."""

    hot_event_id: UUID
    tickets: tuple[UUID, ...]
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Fold:
    """One master is to work for all members."""

    hot_event_id: UUID
    by: str


@dataclass(frozen=True, slots=True)
class Dissolve:
    """The members have not one cause."""

    hot_event_id: UUID
    by: str
    reason: str | None


async def fold(args: Fold, tx: Transaction) -> Answer:
    """Fold an open event, however few its members; nothing happens where that was done before."""
    row = await _one(tx, args.hot_event_id)
    if row.dissolved_at:
        raise Refused(409, "Dissolved", f"{row.dissolved_by} dissolved this event", dissolved_by=row.dissolved_by)
    if not row.folded_at:
        if row.state != "open":
            raise _closed(row)
        if not await watch.fold(tx, args.hot_event_id, by=args.by):
            raise Refused(409, "No members", "nobody is left in this event")
        row = await _one(tx, args.hot_event_id)
    return Answer(200, {"hot_event_id": str(args.hot_event_id), "folded_by": row.folded_by, "members": row.members})


async def dissolve(args: Dissolve, tx: Transaction) -> Answer:
    """Undo the folding, and close the event; its members stay listed. Nothing happens where that was done before."""
    row = await _one(tx, args.hot_event_id)
    if not row.folded_at:
        raise Refused(409, "Not folded", "this event never had a master: close it, or take tickets out")
    await watch.close(tx, [args.hot_event_id], by=args.by, reason=args.reason)
    if await store.hot_event.dissolve(tx, args.hot_event_id, by=args.by, reason=args.reason):
        tx.publish(HotEventDissolved(hot_event_id=args.hot_event_id, by=args.by, reason=args.reason))
    row = await _one(tx, args.hot_event_id)
    return Answer(200, {"hot_event_id": str(args.hot_event_id), "state": row.state, "dissolved_by": row.dissolved_by})


async def close(args: Close, tx: Transaction) -> Answer:
    """No more tickets join by themselves; nothing happens where it is closed already."""
    await _one(tx, args.hot_event_id)
    await watch.close(tx, [args.hot_event_id], by=args.by, reason=args.reason)
    row = await _one(tx, args.hot_event_id)
    return Answer(200, {"hot_event_id": str(args.hot_event_id), "state": row.state, "closed_by": row.closed_by})


async def leave(args: Tickets, tx: Transaction) -> Answer:
    """Take members out, of an open event or a closed one; nothing happens to those that are out already."""
    await _one(tx, args.hot_event_id)
    rows = await store.hot_event.memberships(tx, args.tickets)
    here = {row.ticket_id for row in rows if row.hot_event_id == args.hot_event_id}
    _all(args.tickets, here, "was never a member of this event")
    gone = await store.hot_event.leave(tx, args.hot_event_id, args.tickets, by=args.by, reason=args.reason)
    for ticket_id in sorted(gone):
        tx.publish(HotEventLeft(ticket_id=ticket_id, hot_event_id=args.hot_event_id, by=args.by))
    return await _changed(tx, args.hot_event_id, gone)


async def join(args: Tickets, tx: Transaction) -> Answer:
    """Put tickets in, also such that were taken out before; nothing happens to those that are members already."""
    row = await _one(tx, args.hot_event_id)
    if row.state != "open":
        raise _closed(row)
    rows = await store.hot_event.memberships(tx, args.tickets)
    _all(args.tickets, {each.ticket_id for each in rows}, "no such ticket has come here")
    elsewhere = {
        each.ticket_id
        for each in rows
        if each.works and each.left_at is None and each.hot_event_id != args.hot_event_id
    }
    _all(args.tickets, set(args.tickets) - elsewhere, "is a member of another open event: take it out there first")
    events = await store.hot_event.near(tx, [row.place], tx.now)
    cluster = next((each.cluster for each in events if each.hot_event_id == args.hot_event_id), Cluster())
    like = {each.ticket_id: cluster.likeness(sketch.load(each.sketch).tolist()) for each in rows}
    members = [(ticket_id, args.hot_event_id, likeness) for ticket_id, likeness in sorted(like.items())]
    return await _changed(tx, args.hot_event_id, await watch.join(tx, members, by=args.by, reason=args.reason))


async def _one(tx: Transaction, hot_event_id: UUID) -> Row[Any]:
    row = await store.hot_event.one(tx, hot_event_id)
    if row is None:
        raise Refused(404, "No such hot event")
    return row


def _closed(row: Row[Any]) -> Refused:
    return Refused(409, "Closed", f"{row.closed_by} closed this event", closed_by=row.closed_by)


def _all(tickets: Sequence[UUID], fit: set[UUID], reason: str) -> None:
    """Refused, naming each ticket that does not fit."""
    wrong = [
        {"field": f"tickets.{place}", "reason": reason} for place, ticket in enumerate(tickets) if ticket not in fit
    ]
    if wrong:
        raise Refused(422, "Bad request", f"{len(wrong)} of the tickets: {reason}", errors=wrong)


async def _changed(tx: Transaction, hot_event_id: UUID, changed: Sequence[UUID]) -> Answer:
    row = await _one(tx, hot_event_id)
    return Answer(
        200,
        {
            "hot_event_id": str(hot_event_id),
            "changed": [str(ticket_id) for ticket_id in sorted(changed)],
            "members": row.members,
        },
    )
