"""A linear model over words and pieces of characters, and its file form: NumPy arrays and JSON, never pickle.

Scores are those of one-against-rest support vector machines on features weighted by their log-count ratio (after Wang
and Manning, "Baselines and Bigrams", 2012); a small linear map fitted on held-out tickets makes probabilities of them.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .feature import WEIGHTS, Counts, Floats, Indices, Vocabulary, counts
from .text import LEAD, LEADS, Reading

FORMAT = 1
REASONS = 8  # words that are given with a prediction
MAX_BYTES = 256 * 1024 * 1024  # of a stored model, unpacked

Scores = NDArray[np.float64]


class ModelError(ValueError):
    """The bytes are not a model that this version can use; says why."""


@dataclass(frozen=True)
class Model:
    """What was learned. `weights[i, k]` is feature i's ratio times its coefficient for label k."""

    labels: tuple[str, ...]
    vocabulary: Vocabulary
    ratios: Floats  # (features, labels), squared
    weights: Floats  # (features, labels)
    biases: Floats  # (labels,)
    mix: Floats  # (labels, labels): scores are taken times this
    offset: Floats  # (labels,): and this is added, before the softmax

    def scores(self, blocks: Counts) -> tuple[Scores, Indices, Floats]:
        """One score per label, the features that were found, and what each of them gave to each label."""
        where, values = self.vocabulary.vector(blocks)
        given = self.weights[where] * values[:, None]
        lengths = np.sqrt(np.maximum((values**2) @ self.ratios[where], 1e-12))
        given /= lengths
        return given.sum(axis=0) + self.biases, where, given

    def probabilities(self, scores: Scores) -> Scores:
        """Of one row of scores, or of many."""
        return softmax(scores @ self.mix + self.offset)

    def predict(self, reading: Reading) -> tuple[Scores, tuple[str, ...]]:
        """Probability per label, and up to eight words that spoke most for the best against the second best."""
        scores, where, given = self.scores(counts(reading))
        return self.probabilities(scores), self._reasons(scores, where, given)

    def _reasons(self, scores: Scores, where: Indices, given: Floats) -> tuple[str, ...]:
        spoken = where < self.vocabulary.spoken
        best, *others = np.argsort(-scores)[:2]
        support = given[spoken, best] - (given[spoken, others[0]] if others else 0)
        by_word: dict[str, float] = {}
        for place in np.argsort(-support)[:20]:
            word = self.vocabulary.word(int(where[spoken][place]))
            if len(word) > 1 and support[place] > 0:
                by_word[word] = by_word.get(word, 0.0) + float(support[place])
        return tuple(sorted(by_word, key=by_word.__getitem__, reverse=True)[:REASONS])


def softmax(scores: Scores) -> Scores:
    """Along the last axis."""
    spread = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(spread / spread.sum(axis=-1, keepdims=True), np.float64)


def dump(model: Model) -> bytes:
    """The model as bytes: a zip of .npy arrays and one JSON text."""
    about = {
        "format": FORMAT,
        "labels": model.labels,
        "lead": (LEAD, *LEADS),
        "block_weights": WEIGHTS,
        "words": model.vocabulary.words,
    }
    whole, lead = model.vocabulary.pieces
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        about=np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8),
        pieces=whole,
        lead_pieces=lead,
        idf=model.vocabulary.idf,
        ratios=model.ratios.astype(np.float16),
        weights=model.weights.astype(np.float32),
        biases=model.biases,
        mix=model.mix,
        offset=model.offset,
    )
    return buffer.getvalue()


def load(data: bytes, sha256: str | None = None) -> Model:
    """The model in those bytes, or ModelError: a wrong digest, another format, arrays that do not fit together."""
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError("the stored bytes do not have their SHA-256")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ModelError(f"larger than {MAX_BYTES} bytes unpacked")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about: dict[str, Any] = json.loads(arrays["about"].tobytes())
            pieces = [np.asarray(arrays[name], np.uint64) for name in ("pieces", "lead_pieces")]
            idf, ratios, weights, biases, mix, offset = (
                arrays[name] for name in ("idf", "ratios", "weights", "biases", "mix", "offset")
            )
        same = (
            about["format"] == FORMAT
            and tuple(about["lead"]) == (LEAD, *LEADS)
            and tuple(about["block_weights"]) == WEIGHTS
        )
        words, labels = about["words"], tuple(about["labels"])
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(f"not a model: {error}") from None
    if not same:
        raise ModelError(f"made with other features than format {FORMAT}: train it again")
    shape = (sum(map(len, words)) + sum(map(len, pieces)), len(labels))
    count = len(labels)
    shapes = [shape, shape, shape[:1], (count,), (count, count), (count,)]
    if [array.shape for array in (ratios, weights, idf, biases, mix, offset)] != shapes:
        raise ModelError(f"arrays do not fit {shape[0]} features and {shape[1]} labels")
    if not (labels and all(np.isfinite(array).all() for array in (weights, biases, mix, offset))):
        raise ModelError("has no labels, or numbers that are not finite")
    vocabulary = Vocabulary(words, pieces, idf.astype(np.float32))
    return Model(labels, vocabulary, ratios.astype(np.float32), weights.astype(np.float32), biases, mix, offset)
