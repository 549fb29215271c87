"""A classifier against labelled tickets, and a candidate model against the one in force."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from libs.shared.contracts.intake import BusinessType

from .classifier import Classifier, label_situations
from .feature import counts
from .group import digest, groups
from .linear import Model
from .score import Report, calibration_error, report
from .text import Reading

if TYPE_CHECKING:
    from .training import Trained

TOLERANCE = 0.005  # macro-F1 that a new model may be below the old one: less is chance
FAIR = 100  # rows that neither model has seen, from which the two are compared on them


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out, and how fast."""

    report: Report
    milliseconds: float  # of processor time per ticket
    sure: tuple[float, float]  # share above the review thresholds, and how much of it is right
    pair: "PairScore | None" = None  # where rows have a business type


@dataclass(frozen=True, slots=True)
class PairScore:
    """Of the rows that have a business type: how much is right of what was said without knowing it."""

    rows: int
    type: float
    pair: float  # label and type
    calibration_error: float  # mean distance of the pair's probability from how often it is right, by bins


def evaluate(
    classifier: Classifier,
    titles: Sequence[str],
    texts: Sequence[str],
    labels: Sequence[str],
    progress: Callable[[int], None],
    *,
    types: Sequence[BusinessType | None] | None = None,
) -> Evaluation:
    """How often the classifier gives each row its label, and its business type where `types` has one.

    Raises: LabelError where the matrix does not know a label.
    """
    names = tuple(sorted(set(labels)))
    covered = [list(indices) for indices in label_situations(classifier.matrix, names)]
    rows: NDArray[np.float64] = np.zeros((len(texts), len(names)))
    sure = np.zeros(len(texts), bool)
    spent = 0.0
    kinds: list[tuple[BusinessType, float]] = []
    for number, (title, text) in enumerate(zip(titles, texts, strict=True)):
        began = time.thread_time()
        judged = classifier.judge(Reading.of(title, text))
        spent += time.thread_time() - began
        rows[number] = [judged.probabilities[indices].sum() for indices in covered]
        kinds.append((judged.business_type, judged.probability))
        sure[number] = classifier.is_sure(judged)
        progress(1)
    right = np.array([names[best] == label for best, label in zip(rows.argmax(axis=1), labels, strict=True)])
    return Evaluation(
        report(labels, rows, names),
        spent * 1000 / max(1, len(texts)),
        (float(sure.mean()), float(right[sure].mean()) if sure.any() else 0.0),
        _pair(kinds, types, right) if types and any(types) else None,
    )


def _pair(
    said: Sequence[tuple[BusinessType, float]], types: Sequence[BusinessType | None], right: NDArray[np.bool_]
) -> PairScore:
    typed = np.array([kind is not None for kind in types])
    same = np.array([kind == wanted for (kind, _), wanted in zip(said, types, strict=True)])[typed]
    both = same & right[typed]
    sure = np.array([probability for _, probability in said])[typed]
    return PairScore(int(typed.sum()), float(same.mean()), float(both.mean()), calibration_error(sure, both))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new model and the one in force, on the same rows where that is possible."""

    new: float  # macro-F1
    old: float
    rows: int  # that neither had seen; 0: each model's own cross-validated figure
    worse: bool


def compare(trained: "Trained", texts: Sequence[str], old: Model, seen: frozenset[int], recorded: float) -> Comparison:
    """Compare a new model with the one in force.

    Args: `texts` all rows given to the training; `seen` digests of the texts the old model was trained on;
    `recorded` the old one's cross-validated macro-F1. Raises ValueError where their labels differ.
    """
    if set(old.labels) != set(trained.model.labels):
        raise ValueError("the model in force has other labels: the two cannot be compared")
    used = [texts[row] for row in trained.rows]
    grouped = groups(used)
    known = {group for group, text in zip(grouped, used, strict=True) if digest(text) in seen}
    fresh = [row for row, group in enumerate(grouped) if group not in known]
    if len(fresh) < FAIR:
        new, before = trained.report.macro_f1, recorded
        return Comparison(new, before, 0, new < before - TOLERANCE)
    truth = [trained.labels[row] for row in fresh]
    old_says = old.probabilities(np.array([old.scores(counts(Reading.of("", used[row])))[0] for row in fresh]))
    new = report(truth, trained.held_out[fresh], trained.model.labels).macro_f1
    before = report(truth, old_says, old.labels).macro_f1
    return Comparison(new, before, len(fresh), new < before - TOLERANCE)
