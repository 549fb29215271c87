"""The model in the shadow beside what is in force: what both said of the tickets of the last days."""

from dataclasses import dataclass
from datetime import timedelta

from libs.shared.service import Running
from services.classification import store
from services.classification.current import current
from services.classification.domain.agreement import Agreement, Said, agreement
from services.classification.domain.matrix import Situation


@dataclass(frozen=True, slots=True)
class Beside:
    """Who was compared, and what came out."""

    shadow_version: str
    model_version: str | None  # None: the matrix alone
    agreement: Agreement


async def compare(running: Running, days: int) -> Beside | None:
    """The shadow beside what is in force now; None where there is no shadow."""
    versions = await store.registry.in_force(running)
    shadow, model = versions.get("shadow"), versions.get("model")
    if shadow is None:
        return None
    rows = await store.shadow.groups(running, running.now() - timedelta(days), shadow, model)

    async def situation(version: str, code: str) -> Situation:
        matrix = await current(running).matrix(version)
        return matrix.situations[matrix.by_code[code]]

    said = [
        Said(
            active=await situation(row.matrix_version, row.situation),
            shadow=await situation(row.matrix_version, row.shadow_situation),
            decided=await situation(row.decided_matrix, row.decided) if row.decided else None,
            tickets=row.tickets,
            probability=row.probability,
            shadow_probability=row.shadow_probability,
        )
        for row in rows
    ]
    return Beside(shadow, model, agreement(said))
