"""From labelled files and decisions to a model in force: trained, compared with the old one, kept, activated or not."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np

from libs.shared.db import Poison
from libs.shared.service import Running
from services.classification import registry, store
from services.classification.domain.classifier import LabelError, label_situations
from services.classification.domain.evaluation import Comparison, compare
from services.classification.domain.matrix import Matrix
from services.classification.domain.training import Progress, Trained, TrainingError, train
from services.classification.labelled import Labelled


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to."""

    version: str
    comparison: Comparison | None  # None: no model was in force, or it has other labels
    active: bool
    reason: str


@dataclass
class Note:
    """What is noted of a training that is under way."""

    outcome: Outcome | None = None


@asynccontextmanager
async def noted(running: Running, by: str) -> AsyncIterator[Note]:
    """Note what the training inside came to, also where it cannot be done (Poison)."""
    began_at, note = await store.registry.clock(running), Note()
    try:
        yield note
    except Poison as error:
        await store.registry.trained(running, began_at, version=None, active=False, reason=str(error), by=by)
        raise
    if came := note.outcome:
        await store.registry.trained(
            running, began_at, version=came.version, active=came.active, reason=came.reason, by=by
        )


def with_decisions(data: Labelled, decided: Sequence[tuple[str, str, str]], matrix: Matrix) -> Labelled:
    """The rows and what reviewers decided (title, text, situation), each under the label that covers its situation.

    Raises: Poison where the labels are not the matrix's.
    """
    names = sorted(set(data.labels))
    covering = {
        index: name for name, indices in zip(names, _situations(matrix, names), strict=True) for index in indices
    }
    rows = [
        (title, text, covering.get(matrix.by_code[code], code) if names else code)
        for title, text, code in decided
        if code in matrix.by_code and (not names or matrix.by_code[code] in covering)
    ]
    return replace(
        data,
        titles=data.titles + tuple(title for title, _, _ in rows),
        texts=data.texts + tuple(text for _, text, _ in rows),
        labels=data.labels + tuple(label for _, _, label in rows),
        groups=data.groups + tuple(f"decision {number}" for number in range(len(rows))) if data.groups else None,
        notes=(*data.notes, f"{len(rows)} decisions of reviewers"),
    )


def learn(data: Labelled, matrix: Matrix, progress: Progress) -> Trained:
    """A model for this matrix. Raises Poison where the labels are not the matrix's, or there is too little."""
    _situations(matrix, sorted(set(data.labels)))
    try:
        return train(data.whole, data.labels, data.groups, progress)
    except TrainingError as error:
        raise Poison(str(error)) from None


def _situations(matrix: Matrix, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    try:
        return label_situations(matrix, names)
    except LabelError as error:
        raise Poison(f"{error}. Load the pack they belong to first: zhida classification matrix load NAME") from None


async def keep(
    running: Running, trained: Trained, data: Labelled, matrix: Matrix, *, by: str, activate: bool, force: bool
) -> Outcome:
    """Keep the model; put it in force where that is wanted and it is not worse than the one in force, or by force."""
    comparison, reason = await _against_old(running, trained, data)
    version = await registry.keep_model(running, trained, matrix.version, by=by)
    fit = activate and (force or (reason == "" and not (comparison and comparison.worse)))
    if not fit:
        reason = reason or ("worse than the model in force" if comparison and comparison.worse else "as asked")
        return Outcome(version, comparison, False, reason)
    await registry.activate_model(running, version, by=by, reason="trained" + (", by force" if force else ""))
    return Outcome(version, comparison, True, "")


async def _against_old(running: Running, trained: Trained, data: Labelled) -> tuple[Comparison | None, str]:
    in_force = (await store.registry.in_force(running)).get("model")
    row = await store.registry.model(running, in_force) if in_force else None
    if row is None or in_force is None:
        return None, ""
    old = await registry.model_of(running, in_force)
    seen = frozenset(np.frombuffer(row.digests, np.int64).tolist())
    try:
        return compare(trained, data.whole, old, seen, float(row.report["macro_f1"])), ""
    except ValueError as error:
        return None, str(error)
