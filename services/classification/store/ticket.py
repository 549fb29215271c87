"""Tickets as they were received, and how they were classified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.contracts.intake import Ticket
from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.classification.domain import sketch
from services.classification.domain.classifier import Verdict
from services.classification.domain.hot_event import Cell
from services.classification.domain.matrix import Matrix
from services.classification.domain.repeat import Mark, Repeat

# New tickets, what they are looked for under, and their place in the queue of the watch for hot events.
ADD = text("""
    WITH added AS (
    INSERT INTO ticket (id, ticket, state, situation, matrix_version, model_version, probability, margin, words,
        decided_by, business_type, complaint_object, urgency, risk, received_at, classified_at, repeat_of, repeats,
        sketch, place)
    SELECT id, CAST(ticket AS jsonb), state, situation, matrix_version, model_version, probability, margin,
        string_to_array(words, ' '), decided_by, business_type, complaint_object, urgency, risk, :now,
        CASE state WHEN 'classified' THEN CAST(:now AS timestamptz) END, repeat_of, repeats, sketch, place
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tickets AS text[]), CAST(:states AS text[]), CAST(:situations AS text[]),
        CAST(:matrix_versions AS text[]), CAST(:model_versions AS text[]), CAST(:probabilities AS float8[]),
        CAST(:margins AS float8[]), CAST(:words AS text[]), CAST(:deciders AS text[]),
        CAST(:business_types AS text[]), CAST(:objects AS text[]), CAST(:urgencies AS text[]), CAST(:risks AS text[]),
        CAST(:firsts AS uuid[]), CAST(:repeats AS int[]), CAST(:sketches AS bytea[]), CAST(:places AS text[]))
        AS n(id, ticket, state, situation, matrix_version, model_version, probability, margin, words, decided_by,
            business_type, complaint_object, urgency, risk, repeat_of, repeats, sketch, place)
    ON CONFLICT (id) DO NOTHING RETURNING id),
    traced AS (
    INSERT INTO trace (key, ticket_id, known) SELECT k.key, k.id, k.known
    FROM unnest(CAST(:keys AS bigint[]), CAST(:key_ids AS uuid[]), CAST(:knowns AS smallint[])) AS k(key, id, known)
    JOIN added USING (id) ON CONFLICT DO NOTHING),
    arrived AS (
    INSERT INTO arrival (first_id, ticket_ids) SELECT ids[1], ids
    FROM (SELECT array_agg(id ORDER BY id) AS ids
        FROM unnest(CAST(:watched AS uuid[])) AS w(id) JOIN added USING (id)) AS new
    WHERE ids IS NOT NULL)
    SELECT id FROM added""")
DECIDE = text("""
    UPDATE ticket t SET state = 'classified', situation = :situation, matrix_version = :matrix_version,
        model_version = NULL, probability = 1, margin = 1, words = '{}', decided_by = :by,
        business_type = n.business_type, complaint_object = n.complaint_object, urgency = n.urgency, risk = n.risk,
        classified_at = :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:business_types AS text[]), CAST(:objects AS text[]),
        CAST(:urgencies AS text[]), CAST(:risks AS text[])) AS n(id, business_type, complaint_object, urgency, risk)
    WHERE t.id = n.id""")
SPLIT = text("UPDATE ticket SET state = 'split', decided_by = :by, classified_at = :now WHERE id = :id")
ONE = text("SELECT * FROM ticket WHERE id = :id")
KNOWN = text("SELECT n.id AS ticket_id FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.id = n.id")
SINCE = text("SELECT id, ticket FROM ticket WHERE id > :after ORDER BY id LIMIT :limit")
COUNT_SINCE = text("SELECT count(*) AS tickets FROM ticket WHERE id > :after")


@dataclass(frozen=True, slots=True)
class Classified:
    """A ticket with the verdict on it, and what gave the verdict."""

    ticket_id: UUID
    ticket: Ticket
    verdict: Verdict
    matrix: Matrix
    model_version: str | None
    mark: Mark
    repeat: Repeat
    cell: Cell | None  # None: not watched for hot events
    by: str  # model, matrix, hot_event, or the principal of who split the ticket that it is a part of
    waits: bool = True  # for the watch; else it has joined a hot event already


async def add(tx: Transaction, items: Sequence[Classified]) -> set[UUID]:
    """Keep new tickets with their classification; gives the ids of those not known before."""
    verdicts = [item.verdict for item in items]
    keys = [(key.value, item.ticket_id, key.known) for item in items for key in item.mark.keys]
    rows = await tx.rows(
        ADD,
        ids=[item.ticket_id for item in items],
        tickets=[item.ticket.model_dump_json() for item in items],
        states=["classified" if verdict.sure else "review" for verdict in verdicts],
        situations=[verdict.situation.code for verdict in verdicts],
        matrix_versions=[item.matrix.version for item in items],
        model_versions=[item.model_version for item in items],
        probabilities=[verdict.probability for verdict in verdicts],
        margins=[verdict.margin for verdict in verdicts],
        words=[" ".join(word.replace(" ", "") for word in verdict.words) for verdict in verdicts],
        deciders=[item.by for item in items],
        business_types=[verdict.business_type for verdict in verdicts],
        objects=[verdict.complaint_object for verdict in verdicts],
        urgencies=[verdict.urgency for verdict in verdicts],
        risks=[verdict.risk for verdict in verdicts],
        firsts=[item.repeat.first for item in items],
        repeats=[item.repeat.repeats for item in items],
        sketches=[sketch.dump(item.mark.sketch) for item in items],
        keys=[key for key, _, _ in keys],
        key_ids=[ticket_id for _, ticket_id, _ in keys],
        knowns=[known for _, _, known in keys],
        places=[item.cell and item.cell.place for item in items],
        watched=[item.ticket_id for item in items if item.cell and item.waits],
        now=tx.now,
    )
    return {row.id for row in rows}


async def decide(
    tx: Transaction, verdicts: Mapping[UUID, Verdict], *, situation: str, matrix_version: str, by: str
) -> None:
    """Write a person's decision, of one situation, over the classifier's; the tickets are locked."""
    await tx.run(
        DECIDE,
        ids=list(verdicts),
        situation=situation,
        matrix_version=matrix_version,
        by=by,
        business_types=[verdict.business_type for verdict in verdicts.values()],
        objects=[verdict.complaint_object for verdict in verdicts.values()],
        urgencies=[verdict.urgency for verdict in verdicts.values()],
        risks=[verdict.risk for verdict in verdicts.values()],
        now=tx.now,
    )


async def split(tx: Transaction, ticket_id: UUID, *, by: str) -> None:
    """The ticket became several others, by a person's word; it is locked."""
    await tx.run(SPLIT, id=ticket_id, by=by, now=tx.now)


async def one(source: Transaction | Running, ticket_id: UUID) -> Row[Any] | None:
    """A ticket and its classification; None where it is not known."""
    found = await rows(source, ONE, id=ticket_id)
    return found[0] if found else None


async def count_since(running: Running, after: UUID) -> int:
    """How many tickets have a higher id; reads them all, for commands alone."""
    return int((await running.read(COUNT_SINCE, after=after))[0].tickets)


async def since(running: Running, after: UUID, limit: int) -> Sequence[Row[Any]]:
    """The next tickets by id, which is by time."""
    return await running.read(SINCE, after=after, limit=limit)
