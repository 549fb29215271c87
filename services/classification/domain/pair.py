"""Business type and situation decided together: a situation lies under the type it usually comes as.

Evidence for a situation (phrases, model) and for a type (what the agent chose, words of the pack) choose the pair:
p(situation, type | ticket) ∝ p(situation | text) · odds(type | usual type of the situation) · times(type | evidence).
The odds are 1 for the usual type; a type that nobody speaks for is not in question. So a choice that fits the text
makes it surer, one that contradicts it makes the pair improbable, and a person is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from libs.shared.contracts.intake import BusinessType, Ticket

from .rule import PairRule, Rules
from .text import contains_any

MOST: Final = 2  # types in question beside the usual one
TYPES: Final[tuple[BusinessType, ...]] = get_args(BusinessType)
NAMES: Final[Mapping[str, BusinessType]] = {  # as files of tickets call them
    "咨询查询": "inquiry",
    "咨询": "inquiry",
    "查询": "inquiry",
    "意见": "opinion",
    "建议": "suggestion",
    "投诉": "complaint",
    "举报": "report",
    "表扬": "praise",
    "业务办理": "service_request",
    "故障报修": "fault",
    "报修": "fault",
    **{name: name for name in TYPES},
}

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a type: how many times likelier it makes it, and the word that was found."""

    times: tuple[tuple[BusinessType, float], ...]  # at most MOST: what the agent chose, what a word says
    word: str = ""  # of the pack, normalised
    word_type: BusinessType | None = None


@dataclass(frozen=True, slots=True)
class Paired:
    """The best pair. `probabilities`: of every situation, whatever its type."""

    situation: int  # index
    type: BusinessType
    probabilities: Probabilities
    probability: float  # of the pair of route and type
    margin: float  # to the second best pair


def evidence(rules: Rules, text: str, chosen: BusinessType | None) -> Evidence:
    """Of the agent's choice, and of the first rule of words that the normalised text fits."""
    times: dict[BusinessType, float] = {chosen: rules.pair.chosen} if chosen else {}
    heard = next((each for each in rules.business_types if contains_any(text, each.words)), None)
    if heard is None:
        return Evidence(tuple(times.items()))
    times[heard.type] = times.get(heard.type, 1.0) * dict(rules.pair.words).get(heard.type, rules.pair.spoken)
    word = next(word for word in heard.words if word in text)
    return Evidence(tuple(times.items()), word, heard.type)


def odds(rule: PairRule) -> NDArray[np.float64]:
    """(usual type, type): how often a situation comes as that type, against once as its usual one; in TYPES' order."""
    found = np.full((len(TYPES), len(TYPES)), rule.other)
    for usual, others in rule.comes_as:
        for other, share in others:
            found[TYPES.index(usual), TYPES.index(other)] = share
    np.fill_diagonal(found, 1.0)
    return found


def business_type(rules: Rules, ticket: Ticket, text: str, usual: BusinessType) -> BusinessType:
    """Where a person named the situation: what the agent chose, else what words and the usual type make likeliest."""
    if ticket.business_type is not None:
        return ticket.business_type
    spoken = evidence(rules, text, None).times
    row = odds(rules.pair)[TYPES.index(usual)]
    return max([(usual, 1.0), *spoken], key=lambda each: row[TYPES.index(each[0])] * each[1])[0]


class Pairs:
    """Decides between pairs of one matrix. `usual`: type index of each situation; `route_of`: route of each."""

    def __init__(self, rule: PairRule, usual: NDArray[np.intp], route_of: NDArray[np.intp]) -> None:
        self._odds = odds(rule)
        self._usual = usual
        self._routes = [np.flatnonzero(route_of == route) for route in range(int(route_of.max()) + 1)]
        self._factors: dict[object, Probabilities] = {}  # by what speaks for which type; there are some dozens
        # Of every situation its route's place in a row of (route, column), for so many types in question.
        self._cells = [(route_of[:, None] * (1 + most) + np.arange(1 + most)).ravel() for most in range(MOST + 1)]

    def decide(self, probabilities: Probabilities, spoken: Evidence) -> Paired:
        """The best pair of route and type, and the best situation in it; a vector of factors by type, no loop."""
        factors = self._factors.get(spoken.times)
        if factors is None:
            factors = self._factors[spoken.times] = self._factors_of(spoken)
        mass = probabilities[:, None] * factors
        mass /= mass.sum()
        columns = mass.shape[1]
        sums = np.bincount(self._cells[columns - 1], mass.ravel(), len(self._routes) * columns)
        first = int(sums.argmax())
        probability, sums[first] = float(sums[first]), 0.0
        route, column = divmod(first, columns)
        best = int(self._routes[route][mass[self._routes[route], column].argmax()])
        return Paired(
            situation=best,
            type=spoken.times[column - 1][0] if column else TYPES[self._usual[best]],
            probabilities=mass.sum(axis=1),
            probability=min(probability, 1.0),
            margin=probability - float(sums.max()),
        )

    def _factors_of(self, spoken: Evidence) -> Probabilities:
        """(situation, 1 + types in question): column 0 the usual type, where that is none of those in question."""
        factors = np.ones((len(TYPES), 1 + len(spoken.times)))
        for column, (kind, times) in enumerate(spoken.times, 1):
            place = TYPES.index(kind)
            factors[:, column] = self._odds[:, place] * times
            factors[place, 0] = 0.0
        return factors[self._usual]
