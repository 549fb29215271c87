"""One matrix and one model together: the situation of a ticket, how sure that is, and what spoke for it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from libs.shared.contracts.classification import Risk, Urgency
from libs.shared.contracts.intake import BusinessType, ComplaintObject, Ticket

from . import pair, rule
from .linear import REASONS, Model, softmax
from .matrix import Matrix, Situation
from .signal import Signals
from .text import Reading

SOFTNESS = 1.3  # of the matrix's own scores; with it, on real messages, they are about as often right as they say
CANDIDATES = 5

Probabilities = NDArray[np.float64]


class LabelError(ValueError):
    """A model's labels do not fit the matrix; says which."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What text and the agent's choice of a business type say."""

    best: int  # index of the situation
    business_type: BusinessType
    probabilities: Probabilities  # of every situation
    probability: float  # of the pair: the best situation's route, and the business type
    margin: float  # to the second best pair
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a ticket after reading it."""

    situation: Situation
    probability: float  # that route (lead, executing departments, SLA class) and business type are right, 0-1
    margin: float  # to the second best pair of them
    words: tuple[str, ...]  # what spoke for it, strongest first; never a number
    candidates: tuple[tuple[str, float], ...]  # situation code and probability, best first
    business_type: BusinessType
    complaint_object: ComplaintObject
    urgency: Urgency
    risk: Risk
    sure: bool  # else a person decides
    points: int = 0  # of grievance risk, before repeats


def label_situations(matrix: Matrix, labels: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The situations each label covers, or LabelError where one is unknown to the matrix or two overlap."""
    unknown = [label for label in labels if label not in matrix.labels]
    if unknown:
        raise LabelError(
            f"not a situation, category, class or leading department of {matrix.version}: {', '.join(unknown[:10])}"
        )
    claimed: dict[int, str] = {}
    for label in labels:
        for index in matrix.labels[label]:
            if index in claimed:
                code = matrix.situations[index].code
                raise LabelError(f"'{claimed[index]}' and '{label}' both cover situation {code}")
            claimed[index] = label
    return tuple(matrix.labels[label] for label in labels)


class Classifier:
    """Classifies tickets by a matrix, and by a model where there is one; safe to use from several threads."""

    def __init__(self, matrix: Matrix, model: Model | None = None) -> None:
        """Raises: LabelError where the model was trained for another matrix."""
        self.matrix = matrix
        self.model = model
        self._signals = Signals(matrix)
        self._covered = [np.array(each) for each in label_situations(matrix, model.labels)] if model else []
        routes: dict[object, list[int]] = defaultdict(list)
        for index, situation in enumerate(matrix.situations):
            routes[situation.route].append(index)
        route_of = np.empty(len(matrix.situations), np.intp)
        for number, indices in enumerate(routes.values()):
            route_of[indices] = number
        usual = np.array([pair.TYPES.index(each.business_type) for each in matrix.situations], np.intp)
        self._pairs = pair.Pairs(matrix.rules.pair, usual, route_of)

    def judge(self, reading: Reading, chosen: BusinessType | None = None) -> Judged:
        """The best pair of situation and business type; `chosen`: the type that the agent chose."""
        heard = self._signals.listen(reading)
        probabilities = softmax(heard.scores / SOFTNESS)
        words: tuple[str, ...] = ()
        if self.model:
            by_label, words = self.model.predict(reading)
            probabilities = self._combine(probabilities, by_label)
        spoken = pair.evidence(self.matrix.rules, reading.whole, chosen)
        found = self._pairs.decide(probabilities, spoken)
        of_type = (spoken.word,) if spoken.word_type == found.type else ()
        every = dict.fromkeys((*heard.phrases.get(found.situation, ()), *words))
        return Judged(
            best=found.situation,
            business_type=found.type,
            probabilities=found.probabilities,
            probability=found.probability,
            margin=found.margin,
            words=tuple(dict.fromkeys((*list(every)[: REASONS - len(of_type)], *of_type))),
        )

    def classify(self, ticket: Ticket, reading: Reading | None = None) -> Verdict:
        """The verdict on one ticket; `reading`: of its title and text, where somebody has read it already."""
        reading = reading or Reading.of(ticket.title, ticket.text)
        judged = self.judge(reading, ticket.business_type)
        situation, rules, text = self.matrix.situations[judged.best], self.matrix.rules, reading.whole
        kind = judged.business_type
        points = rule.risk_points(rules, ticket, text, kind)
        ranked = [(self.matrix.situations[i].code, float(judged.probabilities[i])) for i in _best(judged.probabilities)]
        return Verdict(
            situation=situation,
            probability=round(judged.probability, 4),
            margin=round(judged.margin, 4),
            words=judged.words,
            candidates=tuple((code, round(share, 4)) for code, share in ranked),
            business_type=kind,
            complaint_object=rule.complaint_object(rules, ticket, text, situation.complaint_object),
            urgency=rule.urgency(rules, ticket, text, kind, situation.urgency),
            risk=rule.risk(rules, points),
            sure=self.is_sure(judged, ticket.business_type),
            points=points,
        )

    def is_sure(self, judged: Judged, chosen: BusinessType | None = None) -> bool:
        """Whether no person need be asked; the agent is never overruled without one."""
        review = self.matrix.rules.review
        return (
            judged.probability >= review.probability
            and judged.margin >= review.margin
            and chosen in (None, judged.business_type)
        )

    def _combine(self, matrix_says: Probabilities, model_says: Probabilities) -> Probabilities:
        """The model decides between its labels, the matrix within a label and about situations no label covers."""
        combined = matrix_says.copy()
        known = sum(float(matrix_says[indices].sum()) for indices in self._covered)
        for indices, share in zip(self._covered, model_says, strict=True):
            inside = matrix_says[indices]
            combined[indices] = known * share * inside / inside.sum()
        return combined


def _best(probabilities: Probabilities) -> list[int]:
    return [int(index) for index in np.argsort(-probabilities)[:CANDIDATES]]
