"""Questions between agent and departments, and evidence."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.dispatch.domain.question import Evidence, Question

ADD_QUESTIONS = text("""
    INSERT INTO question (question_id, ticket_id, work_order_id, asked_by, asker, text, asked_at)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[]),
        CAST(:parties AS text[]), CAST(:askers AS text[]), CAST(:texts AS text[]), CAST(:ats AS timestamptz[]))""")
REPLY = text("""
    UPDATE question q SET reply = n.reply, replied_by = n.by, replied_at = n.at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[]), CAST(:replies AS text[]), CAST(:bys AS text[]),
        CAST(:ats AS timestamptz[])) AS n(question_id, ticket_id, reply, by, at)
    WHERE q.question_id = n.question_id AND q.ticket_id = n.ticket_id""")
SOME = text("SELECT * FROM question WHERE question_id = ANY(CAST(:ids AS uuid[]))")
QUESTIONS = text("SELECT * FROM question WHERE ticket_id = :ticket_id ORDER BY question_id")
ADD_EVIDENCE = text("""
    INSERT INTO evidence (evidence_id, ticket_id, work_order_id, kind, uri, note, added_at)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:ticket_ids AS uuid[]), CAST(:order_ids AS uuid[]),
        CAST(:kinds AS text[]), CAST(:uris AS text[]), CAST(:notes AS text[]), CAST(:ats AS timestamptz[]))""")
EVIDENCE = text("SELECT * FROM evidence WHERE ticket_id = :ticket_id ORDER BY evidence_id")


async def add(tx: Transaction, questions: Sequence[Question]) -> None:
    """New questions."""
    if questions:
        await tx.run(
            ADD_QUESTIONS,
            ids=[each.question_id for each in questions],
            ticket_ids=[each.ticket_id for each in questions],
            order_ids=[each.work_order_id for each in questions],
            parties=[each.asked_by for each in questions],
            askers=[each.asker for each in questions],
            texts=[each.text for each in questions],
            ats=[each.asked_at for each in questions],
        )


async def some(source: Transaction | Running, ids: Iterable[UUID]) -> dict[UUID, Question]:
    """These questions."""
    return {row.question_id: _question(row) for row in await rows(source, SOME, ids=list(ids))}


async def find(source: Transaction | Running, question_id: UUID) -> Question | None:
    """One question."""
    return (await some(source, [question_id])).get(question_id)


async def reply(tx: Transaction, replied: Sequence[Question]) -> None:
    """Questions that have their reply now; their tickets are locked."""
    if replied:
        await tx.run(
            REPLY,
            ids=[each.question_id for each in replied],
            ticket_ids=[each.ticket_id for each in replied],
            replies=[each.reply for each in replied],
            bys=[each.replied_by for each in replied],
            ats=[each.replied_at for each in replied],
        )


async def of_ticket(running: Running, ticket_id: UUID) -> list[Question]:
    """All questions of a ticket, in order."""
    return [_question(row) for row in await running.read(QUESTIONS, ticket_id=ticket_id)]


async def add_evidence(tx: Transaction, added: Sequence[Evidence]) -> None:
    """Attach evidence to work orders."""
    if added:
        await tx.run(
            ADD_EVIDENCE,
            ids=[each.evidence_id for each in added],
            ticket_ids=[each.ticket_id for each in added],
            order_ids=[each.work_order_id for each in added],
            kinds=[each.kind for each in added],
            uris=[each.uri for each in added],
            notes=[each.note for each in added],
            ats=[each.added_at for each in added],
        )


async def evidence(running: Running, ticket_id: UUID) -> list[Evidence]:
    """All evidence of a ticket, in order."""
    return [
        Evidence(row.evidence_id, row.ticket_id, row.work_order_id, row.kind, row.uri, row.note, row.added_at)
        for row in await running.read(EVIDENCE, ticket_id=ticket_id)
    ]


def _question(row: Row[Any]) -> Question:
    return Question(
        question_id=row.question_id,
        ticket_id=row.ticket_id,
        work_order_id=row.work_order_id,
        asked_by=row.asked_by,
        asker=row.asker,
        text=row.text,
        asked_at=row.asked_at,
        reply=row.reply,
        replied_by=row.replied_by,
        replied_at=row.replied_at,
    )
