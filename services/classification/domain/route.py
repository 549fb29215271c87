"""By place, customer and time: which department executes instead of the situation's own. The lead department stays.

For each executing department of a situation the first rule that fits, in the order of the pack, says who goes instead;
where none fits it goes itself. A rule fits where all that it names fits: the situation, the department, the area, the
customer, the duty hours. Of a rule's areas the longest that the ticket's area code begins with counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from libs.shared.contracts.intake import Ticket

if TYPE_CHECKING:
    from .matrix import Matrix, Situation

TIMEZONE: Final = "Asia/Shanghai"
MONDAY: Final = 1


@dataclass(frozen=True, slots=True)
class Hours:
    """Duty hours of some days of the week (1: Monday), such as `08:30` to before `17:30`; `24:00` is the day's end."""

    days: tuple[int, ...]
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """A duty calendar. On days `off` nobody is on duty (holidays); days `on` are as a Monday (调休). ISO dates."""

    code: str
    name: str
    hours: tuple[Hours, ...]
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()

    def on_duty(self, local: datetime) -> bool:
        """Whether that local time lies in duty hours."""
        date, clock = local.date().isoformat(), f"{local:%H:%M}"
        if date in self.off:
            return False
        day = MONDAY if date in self.on else local.isoweekday()
        return any(day in each.days and each.start <= clock < each.end for each in self.hours)


@dataclass(frozen=True, slots=True)
class Route:
    """One rule. What is empty or None does not matter to it."""

    code: str
    name: str
    of: tuple[str, ...] = ()  # codes of situations, categories or classes
    instead_of: str | None = None  # a department; None: any
    areas: tuple[tuple[str, tuple[str, ...]], ...] = ()  # beginning of an area code → departments
    executing: tuple[str, ...] = ()  # departments, where no areas are given
    stars: tuple[int, ...] = ()
    sensitive: bool | None = None
    on_duty: str | None = None  # code of a calendar
    off_duty: str | None = None

    @property
    def departments(self) -> frozenset[str]:
        """All that may go by this rule."""
        return frozenset(self.executing).union(*(codes for _, codes in self.areas))

    @property
    def always(self) -> bool:
        """Whether it fits every ticket of its situations."""
        return not (self.areas or self.stars or self.on_duty or self.off_duty) and self.sensitive is None


@dataclass(frozen=True, slots=True)
class Routed:
    """Who goes for one executing department of the matrix, and why."""

    department: str  # of the situation
    executing: tuple[str, ...]
    rule: str | None = None  # code of the rule that fitted; None: the situation's own cell
    name: str = ""
    because: tuple[str, ...] = ()  # what of the ticket fitted


def routed(matrix: "Matrix", situation: "Situation", ticket: Ticket, at: datetime) -> tuple[Routed, ...]:
    """Who executes a ticket of that situation at that time, department by department of the situation's cell."""
    if not matrix.routes:
        return tuple(Routed(code, (code,)) for code in situation.executing)
    local = at.astimezone(ZoneInfo(matrix.timezone))
    found = []
    for department in situation.executing:
        fitting = (
            _fit(matrix, rule, situation, department=department, ticket=ticket, local=local) for rule in matrix.routes
        )
        found.append(next((each for each in fitting if each), Routed(department, (department,))))
    return tuple(found)


def executing(routes: Sequence[Routed]) -> tuple[str, ...]:
    """The departments, each once."""
    return tuple(dict.fromkeys(code for each in routes for code in each.executing))


def covers(rule: Route, situation: "Situation") -> bool:
    """Whether a rule is about that situation."""
    return not rule.of or bool({situation.code, situation.category, situation.class_code} & set(rule.of))


def _fit(
    matrix: "Matrix", rule: Route, situation: "Situation", *, department: str, ticket: Ticket, local: datetime
) -> Routed | None:
    if rule.instead_of not in (None, department) or not covers(rule, situation):
        return None
    area = ticket.place.area_code or ""
    places = [each for each in rule.areas if area.startswith(each[0])] if rule.areas else [("", rule.executing)]
    customer = _customer(rule, ticket)
    duty = _duty(matrix, rule, local)
    if not places or customer is None or duty is None:
        return None
    prefix, codes = max(places, key=lambda each: len(each[0]))
    because = (*customer, *duty, *([f"area {prefix}"] if prefix else []))
    return Routed(department, codes, rule.code, rule.name, because)


def _customer(rule: Route, ticket: Ticket) -> tuple[str, ...] | None:
    """What of the customer fits, None where something does not."""
    star, sensitive = ticket.customer.star, ticket.customer.sensitive
    if (rule.stars and star not in rule.stars) or rule.sensitive not in (None, sensitive):
        return None
    said = {True: ("sensitive customer",), False: ("no sensitive customer",), None: ()}[rule.sensitive]
    return ((f"star {star}",) if rule.stars else ()) + said


def _duty(matrix: "Matrix", rule: Route, local: datetime) -> tuple[str, ...] | None:
    """What of the time fits, None where something does not."""
    found = []
    for code, wanted in ((rule.on_duty, True), (rule.off_duty, False)):
        if code is None:
            continue
        if matrix.calendar_by_code[code].on_duty(local) != wanted:
            return None
        found.append(f"{'in' if wanted else 'outside'} the hours of {code} at {local:%Y-%m-%d %H:%M}")
    return tuple(found)
