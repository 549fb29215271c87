"""What a simulated department will do with a work order or a webhook, drawn from the seed.

The draw depends on the seed, the department and the request's own words, not on time, order of arrival or random
identifiers: the same tickets meet the same fate in every run and after every restart.
"""

import math
import random
from dataclasses import dataclass
from typing import Literal

from zhida_receiver.simulation.plan import Behaviour, Delay

Ending = Literal["answer", "return", "never"]
Fault = Literal["none", "fail", "hang", "throttle"]


@dataclass(frozen=True, slots=True)
class Course:
    """The way of one work order through the department. Times are seconds."""

    ending: Ending
    asks: bool
    adds_evidence: bool
    accept_after: float
    contact_after: float
    answer_after: float
    reply_after: float
    rule_after: float
    upholds: bool
    choice: random.Random  # for which of several texts


def course(behaviour: Behaviour, seed: int, department: str, words: str) -> Course:
    """The course of the work order whose title and text are `words`."""
    draw = random.Random(f"{seed}|{department}|{words}")
    lot = draw.random()
    ending: Ending = "answer"
    if lot < behaviour.returns:
        ending = "return"
    elif lot < behaviour.returns + behaviour.never_accepts:
        ending = "never"
    return Course(
        ending=ending,
        asks=draw.random() < behaviour.asks,
        adds_evidence=draw.random() < behaviour.adds_evidence,
        accept_after=seconds(behaviour.accept_after, draw),
        contact_after=seconds(behaviour.contact_after, draw),
        answer_after=seconds(behaviour.answer_after, draw),
        reply_after=seconds(behaviour.reply_after, draw),
        rule_after=seconds(behaviour.rule_after, draw),
        upholds=draw.random() < behaviour.upholds,
        choice=draw,
    )


def fault(behaviour: Behaviour, seed: int, department: str, words: str, attempt: int) -> Fault:
    """What goes wrong with the `attempt`-th try (from 1) to deliver the webhook which says `words`."""
    lot = random.Random(f"{seed}|{department}|{words}|{attempt}").random()
    if lot < behaviour.fails:
        return "fail"
    if lot < behaviour.fails + behaviour.hangs:
        return "hang"
    if lot < behaviour.fails + behaviour.hangs + behaviour.throttles:
        return "throttle"
    return "none"


def seconds(delay: Delay, draw: random.Random) -> float:
    """One delay, log-normal around its median."""
    return min(delay.median * math.exp(draw.gauss(0, delay.spread)), delay.longest)
