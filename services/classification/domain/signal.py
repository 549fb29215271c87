"""The cold start: what a matrix itself says about a text, by its signal phrases and its own descriptions."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import add

import numpy as np
from numpy.typing import NDArray

from .matrix import Matrix, Situation
from .text import Phrase, Reading, words

PHRASE = 5.0  # score of a phrase of weight 1
IN_TITLE = 1.3  # times that, where it stands in the title
MORE = 0.5  # what each further phrase of the same situation is worth, against the one before it
LIKENESS = 9.0  # score of a text that is the description itself

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """What the matrix says about one text: a score per situation, and the phrases found."""

    scores: Scores
    phrases: dict[int, tuple[str, ...]]  # index of the situation → its phrases in the text, strongest first


class Signals:
    """A matrix made ready to listen: phrases, and the words and pairs of characters of its descriptions."""

    def __init__(self, matrix: Matrix) -> None:
        self._by_start: dict[str, list[tuple[int, Phrase]]] = defaultdict(list)
        for index, situation in enumerate(matrix.situations):
            for phrase in situation.phrases:
                self._by_start[phrase.pieces[0][:2]].append((index, phrase))
        self._short = [start for start in self._by_start if len(start) == 1]
        self._size = len(matrix.situations)
        documents = [Counter(_grams(words(_document(situation)))) for situation in matrix.situations]
        frequency = Counter(gram for document in documents for gram in document)
        self._index = {gram: place for place, gram in enumerate(frequency)}
        self._idf = np.array([np.log((1 + self._size) / (1 + count)) + 1 for count in frequency.values()])
        self._rows = np.zeros((len(self._index), self._size))
        for column, document in enumerate(documents):
            for gram, count in document.items():
                place = self._index[gram]
                self._rows[place, column] = (1 + np.log(count)) * self._idf[place]
        self._rows /= np.maximum(np.linalg.norm(self._rows, axis=0), 1e-9)

    def listen(self, reading: Reading) -> Heard:
        """Scores and phrases for one ticket."""
        head, whole = reading.head, reading.whole
        scores = self._likeness(reading.words) * LIKENESS
        found: dict[int, list[tuple[float, str]]] = {}
        starts = self._by_start.keys() & set(map(add, whole, whole[1:]))
        for start in chain(starts, (each for each in self._short if each in whole)):
            for index, phrase in self._by_start[start]:
                if phrase.occurs_in(whole):
                    weight = phrase.weight * (IN_TITLE if phrase.occurs_in(head) else 1)
                    found.setdefault(index, []).append((weight, phrase.text))
        for index, hits in found.items():
            hits.sort(reverse=True)
            scores[index] += PHRASE * sum(weight * MORE**place for place, (weight, _) in enumerate(hits))
        return Heard(scores, {index: tuple(name for _, name in hits) for index, hits in found.items()})

    def _likeness(self, cut: Sequence[str]) -> Scores:
        known = Counter(map(self._index.get, _grams(cut)))
        known.pop(None, None)
        if not known:
            return np.zeros(self._size)
        where = np.fromiter(known, np.intp, len(known))
        values = (1 + np.log(np.fromiter(known.values(), np.float64, len(known)))) * self._idf[where]
        near: Scores = values @ self._rows[where] / math.sqrt(values @ values)
        return near


def _document(situation: Situation) -> str:
    phrases = " ".join(piece for phrase in situation.phrases for piece in phrase.pieces)
    return f"{situation.name} {situation.name} {situation.path[2]} {situation.description} {phrases}"


def _grams(cut: Sequence[str]) -> Iterator[str]:
    joined = "".join(cut)
    return chain(cut, map(add, joined, joined[1:]))
