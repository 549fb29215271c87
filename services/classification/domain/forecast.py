"""What is to be expected: tickets by the hour from what is usual, grievances of a week from the weeks before."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from . import hot_event
from .hot_event import KEEP, Usual

WEEKS = 8  # of grievances that are looked at
WEEK = 7  # days
CHANCE = 0.01  # that so many grievances come where as many as before are expected, below which they are rising


@dataclass(frozen=True, slots=True)
class Grievances:
    """Of one situation, in a week."""

    situation: str  # code
    expected: float  # in the coming week
    last: int  # in the week that has just ended
    rising: bool  # more in that week than chance explains by the weeks before

    @property
    def change(self) -> float:
        """Expected against the last week."""
        return self.expected - self.last


def hours(rows: Sequence[Usual], first: int, count: int) -> list[float]:
    """Tickets expected in each of so many hours from `first` on (see `hot_event.hour_of`)."""
    return [hot_event.rate(rows, first + number) for number in range(count)]


def grievances(counts: Mapping[tuple[date, str], int], today: date) -> list[Grievances]:
    """What is to be expected of each situation in the seven days from `today` on, the most first.

    The mean of the last weeks, each a quarter less than the one after it; weeks before the first day that was counted
    do not count as empty ones. Nothing where no whole week has been counted.

    Args: `counts`: day and situation → grievances.
    """
    if not counts:
        return []
    known = (today - min(day for day, _ in counts)).days // WEEK
    weeks = min(WEEKS, known)
    if weeks < 1:
        return []
    by_week: dict[str, list[int]] = defaultdict(lambda: [0] * weeks)
    for (day, situation), count in counts.items():
        ago = (today - day - timedelta(days=1)).days // WEEK
        if day < today and ago < weeks:
            by_week[situation][ago] += count
    found = [
        Grievances(situation, round(_mean(counted), 1), counted[0], _rising(counted))
        for situation, counted in by_week.items()
        if any(counted)
    ]
    return sorted(found, key=lambda each: (-each.expected, each.situation))


def _mean(counted: Sequence[int]) -> float:
    """Of weeks, the latest first."""
    weights = [KEEP**ago for ago in range(len(counted))]
    return sum(weight * count for weight, count in zip(weights, counted, strict=True)) / sum(weights)


def _rising(counted: Sequence[int]) -> bool:
    last, *before = counted
    usual = max(_mean(before), hot_event.FLOOR) if before else last
    return last > usual and hot_event.chance(last, usual) < CHANCE
