"""How good a classifier is: accuracy, F1 and confusion per label, how right it is on the share it is surest of, and
whether it is as often right as it says (calibration).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
BINS = 10  # of probability, equally wide


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
    calibration: tuple[tuple[float, float, int], ...]  # by bins: mean probability of the best label, accuracy, rows
    calibration_error: float  # their mean distance, by rows (expected calibration error)
    confusion: tuple[tuple[str, str, int], ...]  # true label, label said, rows; only where they differ, most rows first

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
    calibration = _calibration(sure, right)
    own = np.where(true >= 0, probabilities[np.arange(len(true)), np.maximum(true, 0)], 0.0)
    return Report(
        rows=len(true),
        accuracy=float(right.mean()),
        macro_f1=float(np.mean([score.f1 for score in scores if score.rows])),
        log_loss=float(-np.log(np.maximum(own, 1e-9)).mean()),
        labels=tuple(scores),
        coverage=coverage,
        calibration=calibration,
        calibration_error=calibration_error(sure, right),
        confusion=tuple(
            (*pair, rows)
            for pair, rows in Counter(
                (label, names[said]) for label, said, is_ in zip(truth, best, right, strict=True) if not is_
            ).most_common()
        ),
    )


def calibration_error(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean distance, by rows, of what is said from how often it is right (expected calibration error)."""
    return sum(abs(said - is_) * rows for said, is_, rows in _calibration(sure, right)) / len(right)


def _calibration(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[tuple[float, float, int], ...]:
    """Of each bin that has rows: mean probability, accuracy, rows."""
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return tuple(
        (float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for number in range(BINS)
        if (inside := bins == number).any()
    )
