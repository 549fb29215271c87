"""Tickets that more than one situation claims by its signal phrases: where a matrix is less exclusive than it looks."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from .matrix import Matrix
from .signal import Signals
from .text import Reading


@dataclass(frozen=True, slots=True)
class Claim:
    """Two situations with different routes that both have phrases in the same tickets."""

    situations: tuple[str, str]  # codes
    tickets: int
    example: str  # the name of a ticket
    phrases: tuple[str, str]  # what each found there


def claims(matrix: Matrix, tickets: Iterable[tuple[str, Reading]]) -> list[Claim]:
    """Every such pair, the one with the most tickets first. `tickets`: name and reading of each."""
    signals = Signals(matrix)
    counts: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], tuple[str, tuple[str, str]]] = {}
    for name, reading in tickets:
        heard = signals.listen(reading).phrases
        for pair in combinations(sorted(heard), 2):
            one, other = pair
            if matrix.situations[one].route != matrix.situations[other].route:
                counts[pair] += 1
                first.setdefault(pair, (name, (heard[one][0], heard[other][0])))
    return [
        Claim((matrix.situations[one].code, matrix.situations[other].code), count, *first[one, other])
        for (one, other), count in counts.most_common()
    ]
