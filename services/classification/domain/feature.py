"""What a text is turned into: how often each word and each piece of 1-3 characters occurs, also in its first words."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .text import words

LEAD = 12  # words at the beginning (the title, as a rule) that are counted once more on their own
BLOCKS = ("words", "pieces", "lead_words", "lead_pieces")
WEIGHTS = (1.0, 1.0, 0.7, 0.7)  # of the blocks, each of length 1; measured by cross-validation
LENGTHS = (1, 2, 3)  # characters of a piece

Counts = tuple[Counter[str], Counter[str], Counter[str], Counter[str]]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def pieces(text: str) -> Counter[str]:
    """Every run of 1-3 characters and how often it occurs."""
    counts: Counter[str] = Counter()
    for length in LENGTHS:
        counts.update(map("".join, zip(*(text[start:] for start in range(length)), strict=False)))
    return counts


def counts(text: str) -> Counts:
    """The counts of each block for one text."""
    cut = words(text)
    lead = cut[:LEAD]
    return Counter(cut), pieces("".join(cut)), Counter(lead), pieces("".join(lead))


class Vocabulary:
    """Features by block, each with its inverse document frequency; turns counts into weighted unit vectors."""

    def __init__(self, names: Sequence[Sequence[str]], idf: Sequence[Floats]) -> None:
        self.names = tuple(tuple(block) for block in names)
        self.idf = np.concatenate(list(idf)) if idf else np.zeros(0, np.float32)
        starts = np.cumsum([0, *map(len, self.names)])
        self.starts = tuple(int(start) for start in starts[:-1])
        self.size = int(starts[-1])
        self._index = [
            {name: start + place for place, name in enumerate(block)}
            for start, block in zip(self.starts, self.names, strict=True)
        ]

    @classmethod
    def of(cls, texts: Iterable[Counts], at_least: Sequence[int] = (1, 2, 1, 2), most: int | None = None) -> "Vocabulary":
        """Features that occur in that many texts; with `most`, the most frequent of each block within that sum."""
        frequencies: list[Counter[str]] = [Counter() for _ in BLOCKS]
        total = 0
        for blocks in texts:
            total += 1
            for frequency, block in zip(frequencies, blocks, strict=True):
                frequency.update(block.keys())
        kept = [
            [(name, count) for name, count in frequency.items() if count >= least]
            for frequency, least in zip(frequencies, at_least, strict=True)
        ]
        whole = sum(map(len, kept))
        if most is not None and whole > most:
            kept = [sorted(block, key=lambda n: (-n[1], n[0]))[: len(block) * most // whole] for block in kept]
        idf = [
            np.array([np.log((1 + total) / (1 + count)) + 1 for _, count in sorted(block)], np.float32) for block in kept
        ]
        return cls([[name for name, _ in sorted(block)] for block in kept], idf)

    def vector(self, blocks: Counts) -> tuple[Indices, Floats]:
        """The text's features and values: (1 + ln count) * idf, each block of length 1, times its weight."""
        indices: list[int] = []
        values: list[int] = []
        ends: list[int] = []
        for index, block in zip(self._index, blocks, strict=True):
            for name, count in block.items():
                place = index.get(name)
                if place is not None:
                    indices.append(place)
                    values.append(count)
            ends.append(len(indices))
        where = np.array(indices, np.int64)
        weighted = (1 + np.log(np.array(values, np.float32))) * self.idf[where]
        start = 0
        for end, weight in zip(ends, WEIGHTS, strict=True):
            part = weighted[start:end]
            length = float(np.sqrt(part @ part))
            if length:
                part *= weight / length
            start = end
        return where, weighted

    def name(self, index: int) -> tuple[int, str]:
        """Block and text of a feature."""
        block = max(place for place, start in enumerate(self.starts) if start <= index)
        return block, self.names[block][index - self.starts[block]]
