"""Learning a linear model from labelled tickets, judged on near-duplicate groups it has not seen."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.svm import LinearSVC

from .feature import Counts, Floats, Vocabulary, counts
from .group import digest, groups
from .linear import Model, Scores
from .score import Report, report
from .text import Reading

FOLDS = 5
LEAST_GROUPS = 5  # near-duplicate groups a label needs, so that each fold has one
LEAST_ROWS = 50
SMOOTHING = 0.1
RATIO_FLOOR = 0.3
COST = 1.0
MOST_MIXED = 30  # labels up to which what is taken for what can be learned
MIX_COST = 0.3
MOST_WEIGHTS = 20_000_000  # features times labels: 80 MB of a process

Progress = Callable[[str, float], None]  # what is being done, and its share of the whole (0-1)


class TrainingError(ValueError):
    """The rows cannot be learned from; says why."""


@dataclass(frozen=True)
class Trained:
    """A model with what was seen of it on rows it had not been trained on."""

    model: Model
    report: Report
    held_out: Scores  # probability per row and label, each from a model that had not seen the row's group
    labels: tuple[str, ...]  # of the rows that were used
    rows: tuple[int, ...]  # which of the given rows were used
    dropped: dict[str, int]  # label → rows left out because the label has too few groups
    groups: int
    digests: tuple[int, ...]  # of every text it was trained on
    fingerprint: str  # SHA-256 of texts and labels, whatever their order


def train(texts: Sequence[str], labels: Sequence[str], given: Sequence[str] | None, progress: Progress) -> Trained:
    """A model of all rows, and its cross-validated report.

    Args: `texts` title and text in one; `labels` one per text; `given` group names known already, or None.
    Raises: TrainingError where there are fewer than LEAST_ROWS rows or fewer than two labels with LEAST_GROUPS groups.
    """
    progress("near duplicates", 0.0)
    grouped = groups(texts, given)
    per_label = Counter(label for label, _ in set(zip(labels, grouped, strict=True)))
    enough = {label for label, count in per_label.items() if count >= LEAST_GROUPS}
    rows = tuple(row for row, label in enumerate(labels) if label in enough)
    if len(enough) < 2 or len(rows) < LEAST_ROWS:
        raise TrainingError(
            f"{len(rows)} rows with {len(enough)} labels that have {LEAST_GROUPS} different texts each: "
            f"at least {LEAST_ROWS} rows and 2 such labels are needed"
        )
    progress("words", 0.05)
    blocks = [counts(Reading.of("", texts[row])) for row in rows]
    names = tuple(sorted(enough))
    place = {name: index for index, name in enumerate(names)}
    truth = np.array([place[labels[row]] for row in rows])
    group = np.array([grouped[row] for row in rows])
    held_out = np.zeros((len(rows), len(names)))
    folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(truth, truth, group))
    for fold, (seen, unseen) in enumerate(folds):
        progress(f"fold {fold + 1} of {FOLDS}", 0.1 + 0.15 * fold)
        model = _fit([blocks[row] for row in seen], truth[seen], names)
        held_out[unseen] = [model.scores(blocks[row])[0] for row in unseen]
    progress("all rows", 0.1 + 0.15 * FOLDS)
    model = _mixed(_fit(blocks, truth, names), held_out, truth)
    probabilities = np.zeros_like(held_out)
    for seen, unseen in folds:
        probabilities[unseen] = _mixed(model, held_out[seen], truth[seen]).probabilities(held_out[unseen])
    digests = tuple(digest(texts[row]) for row in rows)
    progress("done", 1.0)
    return Trained(
        model=model,
        report=report([names[index] for index in truth], probabilities, names),
        held_out=probabilities,
        labels=tuple(labels[row] for row in rows),
        rows=rows,
        dropped={label: count for label, count in Counter(labels).items() if label not in enough},
        groups=len(set(group.tolist())),
        digests=digests,
        fingerprint=_fingerprint(digests, [labels[row] for row in rows]),
    )


def _fit(blocks: Sequence[Counts], truth: NDArray[np.int64], names: tuple[str, ...]) -> Model:
    vocabulary = Vocabulary.of(blocks, MOST_WEIGHTS // len(names))
    matrix = _matrix(vocabulary, blocks)
    ratios = np.zeros((vocabulary.size, len(names)), np.float32)
    weights = np.zeros_like(ratios)
    biases = np.zeros(len(names), np.float32)
    whole = np.asarray(matrix.sum(axis=0)).ravel()
    for index in range(len(names)):
        mine = truth == index
        inside = np.asarray(matrix[mine].sum(axis=0)).ravel()
        ratio = RATIO_FLOOR + np.abs(_logs(SMOOTHING + inside) - _logs(SMOOTHING + whole - inside))
        scaled = matrix.multiply(ratio[None, :]).tocsr()
        lengths = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
        scaled = csr_matrix(
            (scaled.data / np.repeat(np.maximum(lengths, 1e-9), np.diff(scaled.indptr)), scaled.indices, scaled.indptr),
            shape=scaled.shape,
        )
        machine = LinearSVC(C=COST, class_weight="balanced", random_state=0).fit(scaled, mine)
        ratios[:, index] = ratio**2
        weights[:, index] = machine.coef_[0] * ratio
        biases[index] = machine.intercept_[0]
    count = len(names)
    return Model(
        names, vocabulary, ratios, weights, biases, np.eye(count, dtype=np.float32), np.zeros(count, np.float32)
    )


def _mixed(model: Model, scores: Scores, truth: NDArray[np.int64]) -> Model:
    """The model with the map from held-out scores to probabilities.

    With few labels a logistic regression on the scores, which learns what is taken for what; else, or where a label is
    missing, one temperature (after Guo et al. 2017).
    """
    count = len(model.labels)
    if 2 < count <= MOST_MIXED and len(np.unique(truth)) == count:
        learned = LogisticRegression(C=MIX_COST, max_iter=1000).fit(scores, truth)
        mix, offset = learned.coef_.T, learned.intercept_
    else:
        mix, offset = np.eye(count) / _temperature(scores, truth), np.zeros(count)
    return replace(model, mix=mix.astype(np.float32), offset=offset.astype(np.float32))


def _logs(sums: NDArray[np.floating]) -> Floats:
    return np.asarray(np.log(sums / sums.sum()), np.float32)


def _matrix(vocabulary: Vocabulary, blocks: Sequence[Counts]) -> csr_matrix:
    vectors = [vocabulary.vector(each) for each in blocks]
    ends = np.cumsum([0, *(len(where) for where, _ in vectors)])
    where = np.concatenate([each for each, _ in vectors])
    values = np.concatenate([each for _, each in vectors])
    return csr_matrix((values, where, ends), shape=(len(blocks), vocabulary.size))


def _temperature(scores: Scores, truth: NDArray[np.int64]) -> float:
    """The temperature with the least log loss."""

    def loss(logarithm: float) -> float:
        scaled = scores / np.exp(logarithm)
        scaled -= scaled.max(axis=1, keepdims=True)
        own = scaled[np.arange(len(truth)), truth]
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - own))

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 3), method="bounded").x))


def _fingerprint(digests: Sequence[int], labels: Sequence[str]) -> str:
    lines = sorted(f"{number}\t{label}" for number, label in zip(digests, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
