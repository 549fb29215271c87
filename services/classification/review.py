"""What a reviewer does with open reviews: claim, give back, decide one or many, split. Their streams are locked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.shared.command import Answer, Refused
from libs.shared.contracts.classification import SplitPart, TicketClassified, TicketSplit, Urgency
from libs.shared.contracts.intake import BusinessType, Ticket
from libs.shared.db import Transaction
from services.classification import store
from services.classification.domain import fact, part
from services.classification.domain.hot_event import DECIDER
from services.classification.domain.matrix import Matrix
from services.classification.domain.part import Part
from services.classification.domain.repeat import Repeat


@dataclass(frozen=True, slots=True)
class Claim:
    """`by` is the reviewer's principal, here and below."""

    ticket_id: UUID
    by: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Release:
    """The review is free again."""

    ticket_id: UUID
    by: str


@dataclass(frozen=True, slots=True)
class Word:
    """A reviewer's word: what a ticket is, in the matrix in force when the reviewer said so."""

    by: str
    situation: str
    business_type: BusinessType | None
    urgency: Urgency | None
    note: str | None
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Decide:
    """What one ticket is."""

    ticket_id: UUID
    word: Word


@dataclass(frozen=True, slots=True)
class DecideMany:
    """What these tickets are, all of them the same; each stands there once."""

    tickets: tuple[UUID, ...]
    word: Word


@dataclass(frozen=True, slots=True)
class Split:
    """The matters that a ticket holds, each to become a ticket of its own."""

    ticket_id: UUID
    by: str
    parts: tuple[Part, ...]
    note: str | None
    matrix: Matrix


async def claim(args: Claim, tx: Transaction) -> Answer:
    """Keep the review for one reviewer for a while; claiming again prolongs it."""
    await _open(tx, args.ticket_id, args.by)
    until = tx.now + timedelta(seconds=args.seconds)
    await store.review.claim(tx, args.ticket_id, args.by, until)
    return Answer(200, _claimed(args.ticket_id, args.by, until.isoformat()))


async def release(args: Release, tx: Transaction) -> Answer:
    """Give the review back to the queue; nothing happens where nobody has it."""
    await _open(tx, args.ticket_id, args.by)
    await store.review.claim(tx, args.ticket_id, None, None)
    return Answer(200, _claimed(args.ticket_id, None, None))


async def decide(args: Decide, tx: Transaction) -> Answer:
    """Classify the ticket by a person's word; says so like any other classification."""
    row = await _open(tx, args.ticket_id, args.word.by)
    [said] = await _decide(tx, {args.ticket_id: row}, args.word)
    return Answer(200, said.model_dump(mode="json", exclude={"ticket"}))


async def decide_many(args: DecideMany, tx: Transaction) -> Answer:
    """The same for all that wait and that nobody else has; what became of each is said. Three statements, however many.

    Answers 200 where all were decided, else 207.
    """
    rows = await store.review.several(tx, args.tickets)
    free = {ticket_id: row for ticket_id, row in rows.items() if row.waits and row.claimed_by in (None, args.word.by)}
    await _decide(tx, free, args.word)
    results = [{"ticket_id": str(each)} | _became(rows[each], decided=each in free) for each in args.tickets]
    left = len(results) - len(free)
    return Answer(207 if left else 200, {"decided": len(free), "left": left, "results": results})


async def settle(tx: Transaction, tickets: Sequence[UUID], matrix: Matrix, situation: str, *, by: str) -> None:
    """Those of these tickets that wait, and that no reviewer has, are that situation without a person's word.

    That is no training data. Their streams are locked.
    """
    rows = await store.review.several(tx, tickets)
    free = {ticket_id: row for ticket_id, row in rows.items() if row.waits and row.claimed_by is None}
    await _decide(tx, free, Word(by, situation, None, None, None, matrix), person=False)


async def split(args: Split, tx: Transaction) -> Answer:
    """The ticket goes no further: its parts do, which intake registers; what the reviewer said of them is kept."""
    row = await _open(tx, args.ticket_id, args.by)
    ticket = Ticket.model_validate(row.ticket)
    if wrong := part.problems(args.parts, ticket, args.matrix):
        raise Refused(422, "Bad parts", errors=[{"field": field, "reason": reason} for field, reason in wrong])
    parts = tuple(
        SplitPart(
            ticket_id=tx.new_id(),
            number=number,
            title=each.title or ticket.title,
            text=each.text,
            situation=each.situation,
        )
        for number, each in enumerate(args.parts, 1)
    )
    version = args.matrix.version
    await store.ticket.split(tx, args.ticket_id, by=args.by)
    await store.review.decide(tx, [args.ticket_id], situation=None, matrix_version=version, by=args.by, note=args.note)
    if named := [(each.ticket_id, each.situation) for each in parts if each.situation]:
        await store.review.label(tx, named, matrix_version=version, by=args.by)
    tx.publish(TicketSplit(ticket_id=args.ticket_id, parts=parts, by=args.by))
    shown = [{"number": each.number, "ticket_id": str(each.ticket_id)} for each in parts]
    return Answer(200, {"ticket_id": str(args.ticket_id), "parts": shown})


async def _decide(
    tx: Transaction, rows: Mapping[UUID, Row[Any]], word: Word, *, person: bool = True
) -> list[TicketClassified]:
    """`rows`: ticket, risk, repeat_of, repeats and folded hot event of each that waits."""
    matrix = word.matrix
    if word.situation not in matrix.by_code:
        reason = f"not a situation of matrix {matrix.version}"
        raise Refused(422, "Unknown situation", reason, errors=[{"field": "situation", "reason": reason}])
    if not rows:
        return []
    tickets = {ticket_id: Ticket.model_validate(row.ticket) for ticket_id, row in rows.items()}
    verdicts = {
        ticket_id: fact.decided(
            ticket, matrix, word.situation, word.business_type, word.urgency, repeats=rows[ticket_id].repeats
        )
        for ticket_id, ticket in tickets.items()
    }
    about: dict[str, Any] = {"situation": word.situation, "matrix_version": matrix.version, "by": word.by}
    await store.ticket.decide(tx, verdicts, **about)
    if person:
        await store.review.decide(tx, tickets, **about, note=word.note)
    else:
        await store.review.drop(tx, tickets)
    said = [
        fact.classified(
            ticket_id,
            ticket,
            matrix,
            verdicts[ticket_id],
            at=tx.now,
            by=word.by,
            model_version=None,
            repeat=Repeat(rows[ticket_id].repeat_of, rows[ticket_id].repeats),
            hot_event=rows[ticket_id].hot_event,
        )
        for ticket_id, ticket in tickets.items()
    ]
    for each in said:
        tx.publish(each)
        if each.risk == "high" and rows[each.ticket_id].risk != "high":  # else it was said when one was asked
            tx.publish(fact.risky(each.ticket_id, each.ticket, verdicts[each.ticket_id], each.repeats))
    return said


def _became(row: Row[Any], *, decided: bool) -> dict[str, Any]:
    """What became of a ticket of many."""
    if decided:
        return {"outcome": "decided"}
    if row.waits:
        return {"outcome": "claimed", "by": row.claimed_by, "until": row.claimed_until.isoformat()}
    if row.by is None:
        return {"outcome": "unknown"}
    outcome = "decided_before" if row.situation else "split_before"
    return {"outcome": outcome, "by": row.by, "at": row.at.isoformat(), "situation": row.situation}


async def _open(tx: Transaction, ticket_id: UUID, by: str) -> Row[Any]:
    """The review with its ticket. Refused where there is none (404, 409) or another reviewer has it (409: who)."""
    row = await store.review.one(tx, ticket_id)
    if row is None:
        past = await store.review.decided(tx, ticket_id)
        if past is None:
            raise await _none(tx, ticket_id)
        raise Refused(
            409,
            "Already decided",
            f"{past.by} {'decided' if past.situation else 'split'} this ticket",
            decided_by=past.by,
            decided_at=past.at.isoformat(),
            situation=past.situation,
        )
    if row.claimed_by is not None and row.claimed_by != by:
        raise Refused(
            409,
            "Claimed by another reviewer",
            f"{row.claimed_by} has this review",
            claimed_by=row.claimed_by,
            claimed_until=row.claimed_until.isoformat(),
        )
    return row


async def _none(tx: Transaction, ticket_id: UUID) -> Refused:
    """Why no person decides: none was ever asked, or what became of a hot event has answered that meanwhile."""
    ticket = await store.ticket.one(tx, ticket_id)
    if ticket is None or ticket.decided_by != DECIDER:
        return Refused(404, "No such review", "this ticket does not wait for a person")
    return Refused(
        409,
        "Already decided",
        "this ticket is a member of a hot event, and is what that is",
        decided_by=ticket.decided_by,
        decided_at=ticket.classified_at.isoformat(),
        situation=ticket.situation,
    )


def _claimed(ticket_id: UUID, by: str | None, until: str | None) -> dict[str, Any]:
    return {"ticket_id": str(ticket_id), "claimed_by": by, "claimed_until": until}
