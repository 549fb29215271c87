"""The circuit breaker and the pace of one endpoint: when it may be tried, and how many requests at a time.

closed ──5 failures in a row──▶ open ──its time is over──▶ half_open ──one probe──▶ closed, or open for longer
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, assert_never

State: TypeAlias = Literal["closed", "open", "half_open"]
# What an attempt says about the endpoint. `refused` (3xx, most 4xx) is the request's fault: the endpoint is there.
Outcome: TypeAlias = Literal["success", "refused", "slow_down", "unreachable", "gone"]

FAILURES: Final = 5  # in a row, that open it
FIRST: Final = timedelta(seconds=10)
LONGEST: Final = timedelta(minutes=5)
BREATH: Final = timedelta(seconds=1)  # pause after a slow-down that names none, doubled up to 32 s


@dataclass(frozen=True, slots=True)
class Breaker:
    """`blocked_until` also holds while closed: the server asked us to wait."""

    state: State = "closed"
    failures: int = 0  # in a row
    trips: int = 0  # openings in a row
    blocked_until: datetime | None = None

    def room(self, now: datetime, under_way: int, pace: int) -> int:
        """How many requests may start now, where `under_way` run and `pace` may run at a time."""
        if self.blocked_until is not None and now < self.blocked_until:
            return 0
        match self.state:
            case "closed":
                return max(pace - under_way, 0)
            case "open" | "half_open":
                return max(1 - under_way, 0)
        assert_never(self.state)

    def begin(self) -> "Breaker":
        """A request starts: after an open time this is the probe."""
        return replace(self, state="half_open") if self.state == "open" else self

    def after(self, outcome: Outcome, now: datetime, wait: timedelta | None = None) -> "Breaker":
        """What an attempt's outcome makes of it; `wait`: how long the server asked us to stay away."""
        match outcome:
            case "success" | "refused":
                return Breaker(blocked_until=None if wait is None else now + wait)
            case "gone":
                return self
            case "slow_down":
                until = now + (wait or BREATH * 2 ** min(self.failures, 5))
                state: State = "closed" if self.state == "closed" else "half_open"
                blocked = _later(self.blocked_until, until)
                return replace(self, state=state, failures=self.failures + 1, blocked_until=blocked)
            case "unreachable":
                failures = self.failures + 1
                if self.state == "closed" and failures < FAILURES:
                    until_ = None if wait is None else _later(self.blocked_until, now + wait)
                    return replace(self, failures=failures, blocked_until=until_ or self.blocked_until)
                if self.state == "open":  # a straggler from before it opened
                    return replace(self, failures=failures)
                shut = max(min(FIRST * 2**self.trips, LONGEST), wait or timedelta())
                return Breaker("open", failures, min(self.trips + 1, 10), now + shut)
        assert_never(outcome)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many requests at a time: halved when the server asks us to slow down, one more after each full round."""

    limit: int  # as the administrator set it
    now: int
    good: int = 0  # successes since the last change

    def after(self, outcome: Outcome) -> "Pace":
        """What an attempt's outcome makes of it."""
        if outcome == "slow_down":
            return replace(self, now=max(self.now // 2, 1), good=0)
        if outcome != "success" or self.now >= self.limit:
            return self
        if self.good + 1 < self.now:
            return replace(self, good=self.good + 1)
        return replace(self, now=self.now + 1, good=0)


def outcome(status: int | None, retry_after: timedelta | None = None) -> Outcome:
    """What an answer's status says; None: there was no answer."""
    if status is None:
        return "unreachable"
    if 200 <= status < 300:
        return "success"
    if status == 410:
        return "gone"
    if status in (429, 502, 504) or (status == 503 and retry_after is not None):
        return "slow_down"
    return "unreachable" if status >= 500 else "refused"


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
