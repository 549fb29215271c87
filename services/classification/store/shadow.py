"""What a model in the shadow said of tickets, beside what was said by what is in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction
from libs.shared.keep import first_id
from libs.shared.service import Running
from services.classification.domain.classifier import Verdict

MOST_COMPARED = 100_000  # tickets, the latest ones

ADD = text("""
    INSERT INTO shadow (ticket_id, matrix_version, model_version, situation, probability, shadow_version,
        shadow_situation, shadow_probability)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:matrix_versions AS text[]), CAST(:model_versions AS text[]),
        CAST(:situations AS text[]), CAST(:probabilities AS float8[]), CAST(:shadow_versions AS text[]),
        CAST(:shadow_situations AS text[]), CAST(:shadow_probabilities AS float8[]))
    ON CONFLICT (ticket_id) DO NOTHING""")
GROUPS = text("""
    SELECT s.matrix_version, s.situation, s.shadow_situation, d.matrix_version AS decided_matrix,
        d.situation AS decided, count(*) AS tickets, sum(s.probability) AS probability,
        sum(s.shadow_probability) AS shadow_probability
    FROM (SELECT * FROM shadow WHERE ticket_id >= :low AND shadow_version = :shadow_version
            AND model_version IS NOT DISTINCT FROM CAST(:model_version AS text)
        ORDER BY ticket_id DESC LIMIT :limit) AS s
    LEFT JOIN decision d ON d.ticket_id = s.ticket_id AND d.situation IS NOT NULL
    GROUP BY s.matrix_version, s.situation, s.shadow_situation, d.matrix_version, d.situation""")


@dataclass(frozen=True, slots=True)
class Both:
    """What both said of a ticket."""

    ticket_id: UUID
    matrix_version: str
    model_version: str | None  # None: the matrix alone
    verdict: Verdict
    shadow_version: str
    shadow: Verdict


async def add(tx: Transaction, items: Sequence[Both]) -> None:
    """Keep what both said of new tickets."""
    if not items:
        return
    await tx.run(
        ADD,
        ids=[item.ticket_id for item in items],
        matrix_versions=[item.matrix_version for item in items],
        model_versions=[item.model_version for item in items],
        situations=[item.verdict.situation.code for item in items],
        probabilities=[item.verdict.probability for item in items],
        shadow_versions=[item.shadow_version for item in items],
        shadow_situations=[item.shadow.situation.code for item in items],
        shadow_probabilities=[item.shadow.probability for item in items],
    )


async def groups(
    running: Running, since: datetime, shadow_version: str, model_version: str | None
) -> Sequence[Row[Any]]:
    """The tickets since then of which these two spoke, counted by what they said and what a person then decided."""
    return await running.read(
        GROUPS,
        low=first_id(since),
        shadow_version=shadow_version,
        model_version=model_version,
        limit=MOST_COMPARED,
    )
