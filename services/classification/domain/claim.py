"""What the signal phrases of a matrix do with tickets: which situations claim the same ones, and which take how many.

So a matrix is seen to be less exclusive, or less exhaustive, than it looks.
"""

from collections import Counter, defaultdict
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


@dataclass(frozen=True, slots=True)
class Taken:
    """A situation that speaks loudest in so many tickets, and its phrase that spoke first in the most of them."""

    situation: str  # code
    tickets: int
    phrase: str
    by_phrase: int  # tickets


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out."""

    tickets: int
    claims: tuple[Claim, ...]  # every such pair, the one with the most tickets first
    taken: tuple[Taken, ...]  # every situation that takes any, the one with the most first
    never: tuple[str, ...]  # codes of situations that take none
    silent: int  # tickets in which no phrase stands


def heard(matrix: Matrix, tickets: Iterable[tuple[str, Reading]]) -> Heard:
    """Listen to tickets; `tickets`: name and reading of each."""
    signals = Signals(matrix)
    counts: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], tuple[str, tuple[str, str]]] = {}
    phrases: dict[int, Counter[str]] = defaultdict(Counter)
    count = silent = 0
    for name, reading in tickets:
        count += 1
        said = signals.listen(reading)
        found = said.phrases
        for pair in combinations(sorted(found), 2):
            one, other = pair
            if matrix.situations[one].route != matrix.situations[other].route:
                counts[pair] += 1
                first.setdefault(pair, (name, (found[one][0], found[other][0])))
        if found:
            loudest = max(found, key=said.scores.__getitem__)
            phrases[loudest][found[loudest][0]] += 1
        else:
            silent += 1
    codes = [situation.code for situation in matrix.situations]
    taken = [Taken(codes[index], counted.total(), *counted.most_common(1)[0]) for index, counted in phrases.items()]
    return Heard(
        tickets=count,
        claims=tuple(
            Claim((codes[one], codes[other]), count, *first[one, other]) for (one, other), count in counts.most_common()
        ),
        taken=tuple(sorted(taken, key=lambda each: (-each.tickets, each.situation))),
        never=tuple(code for index, code in enumerate(codes) if index not in phrases),
        silent=silent,
    )
