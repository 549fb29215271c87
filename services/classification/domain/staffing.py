"""How many agents answer so many calls in time: Erlang C (A. K. Erlang, 1917), calls that wait and do not give up.

Calls come by chance at an even rate and talks last a mean time, exponentially distributed; whoever finds every agent
busy waits. Callers who hang up or call again, breaks and shifts are not in it: add them.
"""

import math

MOST = 20_000  # agents


def waits(agents: int, erlangs: float) -> float:
    """The probability that a call has to wait, 0-1; 1 where there are no more agents than the load keeps busy.

    Args: `erlangs`: calls in a mean handling time.
    """
    if agents <= erlangs:
        return 1.0
    return _waiting(agents, erlangs, _blocked(agents, erlangs))


def answered(agents: int, calls_per_hour: float, handling_seconds: float, within_seconds: float) -> float:
    """The share of calls answered within so many seconds, 0-1."""
    erlangs = calls_per_hour * handling_seconds / 3600
    late = math.exp(-max(agents - erlangs, 0.0) * within_seconds / handling_seconds)
    return 1 - waits(agents, erlangs) * late


def agents(calls_per_hour: float, handling_seconds: float, within_seconds: float, share: float) -> int:
    """The fewest agents with whom that share (below 1) of the calls is answered within so many seconds.

    Raises: ValueError where it would take more than MOST.
    """
    erlangs = calls_per_hour * handling_seconds / 3600
    blocked = 1.0
    for number in range(1, MOST + 1):
        blocked = erlangs * blocked / (number + erlangs * blocked)
        if number > erlangs:
            late = math.exp(-(number - erlangs) * within_seconds / handling_seconds)
            if 1 - _waiting(number, erlangs, blocked) * late >= share:
                return number
    raise ValueError(f"more than {MOST} agents")


def _blocked(agents: int, erlangs: float) -> float:
    """Erlang B by its recursion, which no large number overflows."""
    blocked = 1.0
    for number in range(1, agents + 1):
        blocked = erlangs * blocked / (number + erlangs * blocked)
    return blocked


def _waiting(agents: int, erlangs: float, blocked: float) -> float:
    """Erlang C of Erlang B."""
    return agents * blocked / (agents - erlangs * (1 - blocked))
