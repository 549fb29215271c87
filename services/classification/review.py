"""What a reviewer does with an open review: claim it, give it back, decide. The ticket's stream is locked."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.shared.command import Answer, Refused
from libs.shared.contracts.classification import Urgency
from libs.shared.contracts.intake import BusinessType, Ticket
from libs.shared.db import Transaction
from services.classification import store
from services.classification.domain import fact
from services.classification.domain.matrix import Matrix


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
class Decide:
    """What the ticket is, in the matrix in force when the reviewer said so."""

    ticket_id: UUID
    by: str
    situation: str
    business_type: BusinessType | None
    urgency: Urgency | None
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
    row = await _open(tx, args.ticket_id, args.by)
    matrix = args.matrix
    if args.situation not in matrix.by_code:
        reason = f"not a situation of matrix {matrix.version}"
        raise Refused(422, "Unknown situation", reason, errors=[{"field": "situation", "reason": reason}])
    ticket = Ticket.model_validate(row.ticket)
    repeat = await store.ticket.repeat(tx, args.ticket_id)
    verdict = fact.decided(ticket, matrix, args.situation, args.business_type, args.urgency, repeats=repeat.repeats)
    await store.ticket.decide(tx, args.ticket_id, verdict, matrix_version=matrix.version, by=args.by)
    await store.review.decide(
        tx, args.ticket_id, situation=args.situation, matrix_version=matrix.version, by=args.by, note=args.note
    )
    said = fact.classified(args.ticket_id, ticket, matrix, verdict, by=args.by, model_version=None, repeat=repeat)
    tx.publish(said)
    return Answer(200, said.model_dump(mode="json", exclude={"ticket"}))


async def _open(tx: Transaction, ticket_id: UUID, by: str) -> Row[Any]:
    """The review with its ticket. Refused where there is none (404, 409) or another reviewer has it (409: who)."""
    row = await store.review.one(tx, ticket_id)
    if row is None:
        past = await store.review.decided(tx, ticket_id)
        if past is None:
            raise Refused(404, "No such review", "this ticket does not wait for a person")
        raise Refused(
            409,
            "Already decided",
            f"{past.by} decided this ticket",
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


def _claimed(ticket_id: UUID, by: str | None, until: str | None) -> dict[str, Any]:
    return {"ticket_id": str(ticket_id), "claimed_by": by, "claimed_until": until}
