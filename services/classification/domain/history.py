"""Which department had tickets of a category at a place before: counts that back off to what is more general.

For a ticket the shares of departments begin with those of all tickets, and are drawn towards those of ever fewer: of
its category's upper levels, of the category, of the category in the district, in the street. Each step weighs what it
has seen against what the steps before said (a Dirichlet prior of WEIGHT tickets), so that one old ticket does not
outvote a hundred like it. Older tickets count less: departments are reorganised.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

WEIGHT: Final = 4.0  # tickets that what is more general counts for
HALF_LIFE: Final = 75.0  # days after which a ticket counts half
COVERAGES: Final = (0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Settled:
    """A ticket of the past and the department that settled it; levels from the general to the particular."""

    at: datetime
    category: tuple[str, ...]
    place: tuple[str, ...]
    department: str


@dataclass(frozen=True, slots=True)
class Score:
    """How a history does on later tickets."""

    rows: int
    right: float  # share of tickets whose department it names first
    look_up: float  # the same of a table: the most frequent department of the most particular level that is known
    coverage: tuple[tuple[float, float, float], ...]  # share of tickets, right among them, least probability


class History:
    """Learns from settled tickets."""

    def __init__(self, settled: Sequence[Settled]) -> None:
        now = max(each.at for each in settled)
        self._places = len(settled[0].place)
        self._counts: list[dict[tuple[str, ...], Counter[str]]] = []
        for each in settled:
            weight = 0.5 ** ((now - each.at).total_seconds() / 86400 / HALF_LIFE)
            for step, key in enumerate(_steps(each.category, each.place)):
                if step == len(self._counts):
                    self._counts.append(defaultdict(Counter))
                self._counts[step][key][each.department] += weight

    def of(self, category: tuple[str, ...], place: tuple[str, ...]) -> list[tuple[str, float]]:
        """Departments with their probability, the likeliest first."""
        shares: dict[str, float] = {}
        for counts, key in zip(self._counts, _steps(category, place), strict=False):
            if seen := counts.get(key):
                prior = WEIGHT if shares else 0.0
                total = sum(seen.values()) + prior
                shares = {
                    name: (seen.get(name, 0) + prior * shares.get(name, 0.0)) / total for name in {**shares, **seen}
                }
        return sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))

    def look_up(self, category: tuple[str, ...], place: tuple[str, ...]) -> str:
        """The most frequent department of the most particular level that is known."""
        known = (counts.get(key) for counts, key in zip(self._counts, _steps(category, place), strict=False))
        return [seen for seen in known if seen][-1].most_common(1)[0][0]

    def cells(self) -> Iterator[tuple[tuple[str, ...], str, float, int]]:
        """Every category and place that was seen: levels, department, its probability, weight of tickets (rounded)."""
        for key, seen in sorted(self._counts[-1].items()):
            categories = key[: len(key) - self._places]
            department, share = self.of(categories, key[len(categories) :])[0]
            yield key, department, share, round(sum(seen.values()))


def score(settled: Iterable[Settled], held_out: float) -> Score:
    """Learn from the earlier tickets, judge by the last `held_out` share of them."""
    rows = sorted(settled, key=lambda each: each.at)
    cut = int(len(rows) * (1 - held_out))
    history, later = History(rows[:cut]), rows[cut:]
    said = [(*history.of(each.category, each.place)[0], each.department) for each in later]
    said.sort(key=lambda each: -each[1])
    right = [name == department for name, _, department in said]
    coverage = []
    for share in COVERAGES:
        count = max(round(len(said) * share), 1)
        coverage.append((share, sum(right[:count]) / count, said[count - 1][1]))
    looked_up = sum(history.look_up(each.category, each.place) == each.department for each in later)
    return Score(len(later), sum(right) / len(later), looked_up / len(later), tuple(coverage))


def _steps(category: tuple[str, ...], place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Keys from the general to the particular; the place is looked at from the last category but one on."""
    yield ()
    for depth in range(1, len(category) + 1):
        yield category[:depth]
        if depth >= len(category) - 1:
            for length in range(1, len(place) + 1 if depth == len(category) else 2):
                yield (*category[:depth], *place[:length])
