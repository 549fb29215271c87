"""What the clocks of one ticket must do, said once more and as plainly as possible: the oracle of sla_timer.

Work orders are named by their place; a clock by its kind and work order, of which at most one runs at a time.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

Said = tuple[Any, ...]
STAGES = ("accept", "first_contact")
RULING_LIMIT = timedelta(hours=4)
STAGE_LIMITS = {"accept": timedelta(minutes=30), "first_contact": timedelta(hours=2)}
RESOLVE_LIMITS = {
    "maintenance": {5: 8, 4: 24, 3: 48, 2: 72, 1: 96},  # h
    "construction": {5: 20 * 24, 4: 30 * 24, 3: 45 * 24, 2: 60 * 24, 1: 90 * 24},
}
LEVELS = ("executing", "lead", "supervisor", "interview")
POINTS = {50: "executing", 80: "lead", 100: "supervisor", 150: "interview"}  # percent of the limit → who hears


@dataclass(frozen=True)
class Clock:
    """One promise."""

    kind: str
    order: int | None  # None: the ticket's own
    start: datetime
    limit: timedelta
    sla_class: str
    star: int
    supervisor: str
    state: str = "running"
    passed: int = 0  # percent

    def at(self, percent: int) -> datetime:
        """When that share of the limit is over."""
        return self.start + self.limit * percent / 100

    @property
    def next(self) -> tuple[datetime, int] | None:
        """Its next point."""
        return next(((self.at(point), point) for point in POINTS if point > self.passed), None)


def _last(clock: Clock) -> tuple[bool, datetime, bool, timedelta]:
    """What was in force last; where all were cancelled the strictest."""
    stood = clock.state != "cancelled"
    return stood and clock.kind == "resolve", clock.start, stood, -clock.limit


@dataclass
class Order:
    """What was heard of a work order."""

    department: str | None = None  # None: not assigned yet
    accepted: bool = False
    contacted: bool = False
    ended: bool = False

    def needs(self, kind: str) -> bool:
        """Whether that stage is still to come."""
        return not (self.ended or self.contacted or (kind == "accept" and self.accepted))


@dataclass
class Ticket:
    """One ticket and its clocks."""

    lead: str
    orders: list[Order] = field(default_factory=list)
    clocks: list[Clock] = field(default_factory=list)
    ended: bool = False
    closed: bool = False
    joined: Clock | None = None  # the strictest promise of what was merged into it

    def assigned(
        self, place: int, department: str, at: datetime, *, opened: datetime, sla_class: str, star: int, supervisor: str
    ) -> list[Said]:
        """A share's stages begin; the ticket's promise is the one of its highest star (就高原则), from its opening.

        What was merged into it may have been promised more: then that holds.
        """
        order = self.orders[place]
        order.department = department
        if self.ended:
            return []
        starts = [
            Clock(kind, place, at, STAGE_LIMITS[kind], sla_class, star, supervisor)
            for kind in STAGES
            if order.needs(kind) and not any((each.kind, each.order) == (kind, place) for each in self.clocks)
        ]
        old = next((each for each in self.clocks if each.kind == "resolve" and each.state == "running"), None)
        members = old and self.joined and (old.start, old.limit) == (self.joined.start, self.joined.limit)
        own = None if members else old
        highest = max(star, own.star) if own else star
        limit = timedelta(hours=RESOLVE_LIMITS[sla_class][highest])
        wanted = Clock("resolve", None, own.start if own else opened, limit, sla_class, highest, supervisor)
        if self.joined and self.joined.at(100) < wanted.at(100):
            wanted = replace(self.joined, supervisor=supervisor)
        if old is None:
            return self._start([*starts, wanted])
        loose = old.limit > limit or (old.sla_class != sla_class and old.limit != limit)
        if old.at(100) > wanted.at(100) if members else loose:
            return [*self._give_way(old), *self._start([*starts, wanted])]
        return self._start(starts)

    def merged(self, at: datetime) -> list[Said]:
        """Its master's clocks run for it."""
        return self._stop(at, None, dict.fromkeys((*STAGES, "ruling", "resolve"), "cancelled"))

    def master(self, members: list[tuple[datetime, str, int]]) -> list[Said]:
        """The earliest due time of all (opened, class, star) and its own binds it; what runs never gets longer."""
        promises = [
            Clock("resolve", None, opened, timedelta(hours=RESOLVE_LIMITS[sla_class][star]), sla_class, star, "")
            for opened, sla_class, star in members
        ]
        self.joined = min([*([self.joined] if self.joined else []), *promises], key=lambda each: each.at(100))
        for old in self.clocks:
            if old.kind == "resolve" and old.state == "running" and old.at(100) > self.joined.at(100):
                said = self._give_way(old)
                return said + self._start([replace(self.joined, supervisor=old.supervisor)])
        return []

    def reopened_with_its_master(self) -> list[Said]:
        """Not at an end any more, and still without a promise of its own."""
        self.ended = self.closed = False
        self.joined = None
        return []

    def accepted(self, place: int, at: datetime) -> list[Said]:
        """Keeps the promise to take it on."""
        self.orders[place].accepted = True
        return self._stop(at, place, {"accept": "met"})

    def contacted(self, place: int, at: datetime) -> list[Said]:
        """Keeps both."""
        self.orders[place].accepted = self.orders[place].contacted = True
        return self._stop(at, place, dict.fromkeys(STAGES, "met"))

    def answered(self, place: int, at: datetime) -> list[Said]:
        """A first contact is not needed any more."""
        self.orders[place].ended = True
        return self._stop(at, place, {"accept": "met", "first_contact": "cancelled"})

    def returned(self, place: int, at: datetime) -> list[Said]:
        """Stands still while it is ruled on, for which the lead department has its own time."""
        said = self._stop(at, place, dict.fromkeys(STAGES, "cancelled"))
        own = [each for each in self.clocks if each.order == place]
        heard = any(each.kind == "ruling" and (each.state == "running" or each.start >= at) for each in own)
        if own and not (heard or self.orders[place].ended or self.closed):
            last = max(own, key=lambda each: each.start)
            ruling = replace(last, kind="ruling", start=at, limit=RULING_LIMIT, state="running", passed=0)
            said += self._start([ruling])
        return said

    def cancelled(self, place: int, at: datetime) -> list[Said]:
        """Owes nothing any more, and nobody a ruling."""
        self.orders[place].ended = True
        return self._stop(at, place, dict.fromkeys((*STAGES, "ruling"), "cancelled"))

    def upheld(self, place: int, at: datetime) -> list[Said]:
        """Ruled on, and over."""
        self.orders[place].ended = True
        return self._stop(at, place, {**dict.fromkeys(STAGES, "cancelled"), "ruling": "met"})

    def rejected(self, place: int, at: datetime) -> list[Said]:
        """Ruled on; has its promises again, from the ruling."""
        said = self._stop(at, place, {"ruling": "met"})
        return said if self.ended else said + self._again([(place, kind) for kind in STAGES], at)

    def answered_all(self, at: datetime) -> list[Said]:
        """The ticket's promise is kept, departments' are not needed; a return still waits for its ruling."""
        self.ended = True
        return self._stop(at, None, {**dict.fromkeys(STAGES, "cancelled"), "resolve": "met"})

    def over(self, at: datetime) -> list[Said]:
        """Closed: nothing else is needed."""
        self.ended = self.closed = True
        return self._stop(at, None, {**dict.fromkeys((*STAGES, "ruling"), "cancelled"), "resolve": "met"})

    def reopened(self, places: list[int], at: datetime) -> list[Said]:
        """Rework: everything again, from the reopening."""
        self.ended = self.closed = False
        self.joined = None
        for place in places:
            self.orders[place] = Order(self.orders[place].department)
        return self._again([*((place, kind) for place in places for kind in STAGES), (None, "resolve")], at)

    def tick(self, now: datetime) -> list[Said]:
        """Every point that running clocks have passed by now, each once."""
        said: list[Said] = []
        for number, found in enumerate(self.clocks):
            clock = found
            while clock.state == "running" and clock.next and clock.next[0] <= now:
                percent = clock.next[1]
                clock = replace(clock, passed=percent)
                name = "ClockBreached" if percent == 100 else "ClockWarned"
                said.append((name, clock.kind, clock.order, clock.start, percent))
                said += self._brought(clock, percent)
            self.clocks[number] = clock
        return said

    def _brought(self, clock: Clock, percent: int) -> list[Said]:
        """Before the point's level; one that has nobody passes it on at once."""
        working = [each.department for each in self.orders if each.department and not each.ended]
        own = [self.orders[clock.order].department] if clock.order is not None else working
        own = [self.lead] if clock.kind == "ruling" else own
        hearers = {"executing": own, "lead": [self.lead], "supervisor": [clock.supervisor], "interview": ["leader"]}
        missing: list[str] = []
        for level in LEVELS[LEVELS.index(POINTS[percent]) :]:
            if present := sorted({each for each in hearers[level] if each and each.strip()}):
                about = clock.kind, clock.order, clock.start, percent
                return [("Escalated", *about, level, to, tuple(missing)) for to in present]
            missing.append(level)
        raise AssertionError("somebody always hears")

    def _stop(self, at: datetime, place: int | None, kinds: dict[str, str]) -> list[Said]:
        stopped = []
        for number, clock in enumerate(self.clocks):
            if clock.state == "running" and clock.kind in kinds and place in (None, clock.order):
                outcome = "missed" if at > clock.at(100) else kinds[clock.kind]
                self.clocks[number] = replace(clock, state=outcome)
                stopped.append((clock.kind, clock.order, outcome))
        return [("ClocksStopped", tuple(sorted(stopped, key=str)))] if stopped else []

    def _give_way(self, old: Clock) -> list[Said]:
        self.clocks[self.clocks.index(old)] = replace(old, state="cancelled")
        return [("ClocksStopped", ((old.kind, old.order, "cancelled"),))]

    def _start(self, clocks: list[Clock]) -> list[Said]:
        self.clocks += clocks
        told = sorted(((each.kind, each.order, each.start, each.limit) for each in clocks), key=str)
        return [("ClocksStarted", tuple(told))] if told else []

    def _again(self, subjects: list[tuple[int | None, str]], at: datetime) -> list[Said]:
        starts = []
        for place, kind in subjects:
            same = [each for each in self.clocks if (each.order, each.kind) == (place, kind)]
            needed = place is None or self.orders[place].needs(kind)
            if needed and same and not any(each.state == "running" for each in same):
                last = max(same, key=_last)
                starts.append(replace(last, start=at, state="running", passed=0))
        return self._start(starts)
