"""Questions between agent and departments, and evidence."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.service import Running
from services.dispatch.domain.question import Evidence, Question
from services.dispatch.store.ticket import rows

ADD_QUESTIONS = text("""
    INSERT INTO question (question_id, ticket_id, work_order_id, asked_by, asker, text, asked_at)
    SELECT id, :ticket_id, work_order_id, :asked_by, :asker, :text, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:order_ids AS uuid[])) AS n(id, work_order_id)""")
REPLY = text("""
    UPDATE question SET reply = :reply, replied_by = :by, replied_at = :now
    WHERE ticket_id = :ticket_id AND question_id = :question_id""")
QUESTION = text("SELECT * FROM question WHERE question_id = :question_id")
QUESTIONS = text("SELECT * FROM question WHERE ticket_id = :ticket_id ORDER BY question_id")
ADD_EVIDENCE = text("""
    INSERT INTO evidence (evidence_id, ticket_id, work_order_id, kind, uri, note, added_at)
    VALUES (:evidence_id, :ticket_id, :work_order_id, :kind, :uri, :note, :added_at)""")
EVIDENCE = text("SELECT * FROM evidence WHERE ticket_id = :ticket_id ORDER BY evidence_id")


async def add(tx: Transaction, questions: Sequence[Question]) -> None:
    """One question, put to one or several work orders of a ticket."""
    first = questions[0]
    await tx.run(
        ADD_QUESTIONS,
        ticket_id=first.ticket_id,
        asked_by=first.asked_by,
        asker=first.asker,
        text=first.text,
        now=tx.now,
        ids=[question.question_id for question in questions],
        order_ids=[question.work_order_id for question in questions],
    )


async def find(source: Transaction | Running, question_id: UUID) -> Question | None:
    """One question."""
    found = await rows(source, QUESTION, question_id=question_id)
    return _question(found[0]) if found else None


async def reply(tx: Transaction, question: Question, text: str, by: str) -> None:
    """The reply to a question; its ticket is locked."""
    await tx.run(REPLY, ticket_id=question.ticket_id, question_id=question.question_id, reply=text, by=by, now=tx.now)


async def of_ticket(running: Running, ticket_id: UUID) -> list[Question]:
    """All questions of a ticket, in order."""
    return [_question(row) for row in await running.read(QUESTIONS, ticket_id=ticket_id)]


async def add_evidence(tx: Transaction, evidence: Evidence) -> None:
    """Attach evidence to a work order."""
    await tx.run(
        ADD_EVIDENCE,
        evidence_id=evidence.evidence_id,
        ticket_id=evidence.ticket_id,
        work_order_id=evidence.work_order_id,
        kind=evidence.kind,
        uri=evidence.uri,
        note=evidence.note,
        added_at=evidence.added_at,
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
