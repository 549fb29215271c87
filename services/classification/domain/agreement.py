"""Two classifiers on the same tickets: how often they agree, on whom they differ, and who was right."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .matrix import Situation


@dataclass(frozen=True, slots=True)
class Said:
    """So many tickets of which the two said this; `decided`: what a person said of them, None where nobody did."""

    active: Situation
    shadow: Situation
    decided: Situation | None
    tickets: int
    probability: float  # sum over the tickets, of the active one
    shadow_probability: float


@dataclass(frozen=True, slots=True)
class Right:
    """Of the tickets that a person decided: who had the route (lead, executing departments, SLA class) right."""

    tickets: int
    both: int
    active: int  # alone
    shadow: int  # alone
    neither: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """What came out. Two agree on a ticket where they send it the same route."""

    tickets: int
    agreed: int
    probability: float  # mean, of the active one
    shadow_probability: float
    leads: tuple[tuple[str, str, int], ...]  # leading department of the active one, of the shadow, tickets; most first
    right: Right


def agreement(said: Iterable[Said]) -> Agreement:
    """Both compared."""
    tickets = agreed = 0
    sums = [0.0, 0.0]
    leads: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[bool, bool]] = Counter()
    for each in said:
        tickets += each.tickets
        agreed += each.tickets * (each.active.route == each.shadow.route)
        sums[0] += each.probability
        sums[1] += each.shadow_probability
        leads[each.active.lead, each.shadow.lead] += each.tickets
        if each.decided:
            route = each.decided.route
            right[each.active.route == route, each.shadow.route == route] += each.tickets
    ordered = sorted(leads.items(), key=lambda pair: (-pair[1], pair[0]))
    return Agreement(
        tickets=tickets,
        agreed=agreed,
        probability=round(sums[0] / max(1, tickets), 4),
        shadow_probability=round(sums[1] / max(1, tickets), 4),
        leads=tuple((active, shadow, count) for (active, shadow), count in ordered),
        right=Right(right.total(), right[True, True], right[True, False], right[False, True], right[False, False]),
    )
