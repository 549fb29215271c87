"""How good a classifier is: accuracy, F1 per label, and how right it is on the share it is surest of."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label: of those said, of those true."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """One evaluation."""

    rows: int
    accuracy: float
    macro_f1: float
    log_loss: float
    labels: tuple[LabelScore, ...]
    coverage: tuple[tuple[float, float, float], ...]  # share kept, accuracy there, least probability there

    def plain(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def report(truth: Sequence[str], probabilities: NDArray[np.float64], names: Sequence[str]) -> Report:
    """Compare the most probable label of each row with the true one; `probabilities` (rows, labels)."""
    place = {name: index for index, name in enumerate(names)}
    true = np.array([place.get(label, -1) for label in truth])
    best = probabilities.argmax(axis=1)
    sure = probabilities.max(axis=1)
    right = best == true
    scores = []
    for index, name in enumerate(names):
        said, is_ = best == index, true == index
        both = int((said & is_).sum())
        if said.any() or is_.any():
            precision = both / int(said.sum()) if said.any() else 0.0
            recall = both / int(is_.sum()) if is_.any() else 0.0
            f1 = 2 * both / int(said.sum() + is_.sum())
            scores.append(LabelScore(name, precision, recall, f1, int(is_.sum())))
    scores += [LabelScore(name, 0.0, 0.0, 0.0, list(truth).count(name)) for name in sorted(set(truth) - set(names))]
    order = np.argsort(-sure, kind="stable")
    coverage = tuple(
        (share, float(right[order[:kept]].mean()), float(sure[order[kept - 1]]))
        for share in COVERAGES
        if (kept := max(1, round(share * len(true))))
    )
    own = np.where(true >= 0, probabilities[np.arange(len(true)), np.maximum(true, 0)], 0.0)
    return Report(
        rows=len(true),
        accuracy=float(right.mean()),
        macro_f1=float(np.mean([score.f1 for score in scores if score.rows])),
        log_loss=float(-np.log(np.maximum(own, 1e-9)).mean()),
        labels=tuple(scores),
        coverage=coverage,
    )
