"""What a text is turned into: how often each word and each piece of 1-3 characters occurs, also in its title."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from .text import Reading

WEIGHTS = (1.0, 0.7, 1.0, 0.7)  # of the blocks words, lead words, pieces, lead pieces; measured by cross-validation
AT_LEAST = (1, 1, 3, 3)  # texts that have a feature, by block, for it to be kept
_BITS = 21  # of a Unicode code point: a piece of up to three is one number

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Counts:
    """One text, counted. Pieces are numbers: their code points, 21 bits each."""

    words: tuple[Counter[str], Counter[str]]  # whole, lead
    pieces: tuple[tuple[Keys, Floats], tuple[Keys, Floats]]  # distinct pieces in ascending order, and how often


def counts(reading: Reading) -> Counts:
    """The counts of one text; its title is counted once more on its own."""
    words, lead = reading.words, reading.words[: reading.lead]
    return Counts((Counter(words), Counter(lead)), (_pieces("".join(words)), _pieces("".join(lead))))


def _pieces(text: str) -> tuple[Keys, Floats]:
    ones = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    twos = ones[:-1] << np.uint64(_BITS) | ones[1:]
    threes = twos[:-1] << np.uint64(_BITS) | ones[2:]
    keys, often = np.unique(np.concatenate([ones, twos, threes]), return_counts=True)
    return keys, often.astype(np.float32)


class Vocabulary:
    """Features by block, each with its inverse document frequency; turns counts into weighted unit vectors."""

    def __init__(self, words: Sequence[Sequence[str]], pieces: Sequence[Keys], idf: Floats) -> None:
        """Args: `words` and `pieces` (ascending) of the whole and the lead; `idf` of all features in block order."""
        self.words = tuple(map(tuple, words))
        self.pieces = tuple(pieces)
        self.idf = idf
        self.sizes = tuple(map(len, (*self.words, *self.pieces)))
        self.starts = tuple(np.cumsum([0, *self.sizes]).tolist())
        self.spoken = self.starts[2]  # features below this number are whole words
        self.size = self.starts[-1]
        self._index = [
            {name: start + place for place, name in enumerate(block)}
            for start, block in zip(self.starts, self.words, strict=False)
        ]

    @classmethod
    def of(cls, texts: Sequence[Counts], most: int) -> "Vocabulary":
        """The features of these texts that are frequent enough, at most so many: then the most frequent ones."""
        found: list[tuple[Sequence[str] | Keys, NDArray[np.int64]]] = []
        for block in (0, 1):
            frequency = Counter(name for text in texts for name in text.words[block])
            found.append((sorted(frequency), np.array([frequency[name] for name in sorted(frequency)], np.int64)))
        for block in (0, 1):
            keys = np.concatenate([text.pieces[block][0] for text in texts])
            distinct, frequencies = np.unique(keys, return_counts=True)
            found.append((distinct, frequencies.astype(np.int64)))
        least = np.array(AT_LEAST)
        while sum(int((often >= low).sum()) for (_, often), low in zip(found, least, strict=True)) > most:
            least += 1
        kept = [often >= low for (_, often), low in zip(found, least, strict=True)]
        words = [[name for name, keep in zip(found[b][0], kept[b], strict=True) if keep] for b in (0, 1)]
        pieces = [np.asarray(found[b][0], np.uint64)[kept[b]] for b in (2, 3)]
        often = np.concatenate([each[keep] for (_, each), keep in zip(found, kept, strict=True)])
        idf = np.log((1 + len(texts)) / (1 + often)) + 1
        return cls([[str(name) for name in block] for block in words], pieces, idf.astype(np.float32))

    def vector(self, text: Counts) -> tuple[Indices, Floats]:
        """The text's features and values: (1 + ln count) * idf, each block of length 1, times its weight."""
        blocks: list[tuple[Indices, Floats]] = []
        for index, block in zip(self._index, text.words, strict=True):
            where = np.fromiter(map(index.get, block, repeat(-1)), np.int64, len(block))
            blocks.append((where, np.fromiter(block.values(), np.float32, len(block))))
        for start, mine, (keys, often) in zip(self.starts[2:], self.pieces, text.pieces, strict=False):
            place = np.searchsorted(mine, keys)
            same = mine[np.minimum(place, len(mine) - 1)] == keys if len(mine) else np.zeros(len(keys), bool)
            blocks.append((np.where(same, place + start, -1), often))
        wheres, parts = [], []
        for (place, often), weight in zip(blocks, WEIGHTS, strict=True):
            known = place >= 0
            where = place[known]
            part = (1 + np.log(often[known])) * self.idf[where]
            length = float(np.sqrt(part @ part))
            wheres.append(where)
            parts.append(part * np.float32(weight / length) if length else part)
        return np.concatenate(wheres), np.concatenate(parts)

    def word(self, feature: int) -> str:
        """The word behind a feature below `spoken`."""
        return self.words[0][feature] if feature < self.starts[1] else self.words[1][feature - self.starts[1]]
