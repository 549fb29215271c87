"""The responsibility matrix: which department leads and which execute for every situation, and whether it is MECE."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from libs.shared.contracts.classification import JoinPolicy, SlaClass, Urgency
from libs.shared.contracts.intake import BusinessType, ComplaintObject

from .cumulative import CumulativeRule
from .place import Area, Gazetteer
from .route import TIMEZONE, Calendar, Route, covers
from .rule import Rules
from .text import Phrase

Role = Literal["lead", "executing"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a matrix, and where: what in the matrix, and which line or cell of the file."""

    place: str
    reason: str
    spot: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" + (f" ({self.spot})" if self.spot else "")


class MatrixError(ValueError):
    """A matrix that may not be used; `problems` names every place at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Post:
    """A duty post (值班岗) of a department: picks up the phone, and reads the inbox unless by telephone only."""

    name: str
    hours: str = ""  # 08:30-17:30; "": round the clock
    inbox: bool = True


@dataclass(frozen=True, slots=True)
class Department:
    """A department; only one with the role `lead` may lead, any may execute."""

    code: str
    name: str
    role: Role
    posts: tuple[Post, ...] = ()
    webhook: bool = False  # has a system of its own that takes work orders; its address is known to dispatch


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Who is told when a ticket is late or at risk."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Situation:
    """Level 4 of the category path (情况划分), with who answers for it."""

    code: str
    name: str
    description: str
    phrases: tuple[Phrase, ...]
    path: tuple[str, str, str]  # names of levels 1-3
    class_code: str  # of level 1
    category: str  # code of level 3
    lead: str  # department code
    executing: tuple[str, ...]  # department codes, at least one
    supervisor: str
    sla_class: SlaClass
    join_policy: JoinPolicy
    urgency: Urgency
    business_type: BusinessType  # where neither the agent nor the wording says otherwise
    complaint_object: ComplaintObject

    @property
    def route(self) -> tuple[str, tuple[str, ...], SlaClass]:
        """What decides who hears of the ticket and how long they have."""
        return self.lead, self.executing, self.sla_class


@dataclass(frozen=True)
class Matrix:
    """One version of a pack, immutable: tickets keep the version that classified them."""

    version: str  # name-edition-digest: the same content has the same version
    name: str
    edition: str  # what whoever wrote the file calls it
    title: str
    departments: tuple[Department, ...]
    supervisors: tuple[Supervisor, ...]
    situations: tuple[Situation, ...]
    rules: Rules
    calendars: tuple[Calendar, ...] = ()
    routes: tuple[Route, ...] = ()  # the first that fits decides
    timezone: str = TIMEZONE  # of the calendars
    areas: tuple[Area, ...] = ()  # gazetteer
    cumulative: tuple[CumulativeRule, ...] = ()

    @cached_property
    def by_code(self) -> dict[str, int]:
        """Situation code → its place in `situations`."""
        return {situation.code: index for index, situation in enumerate(self.situations)}

    @cached_property
    def categories(self) -> dict[str, str]:
        """Situation → category, by their codes."""
        return {situation.code: situation.category for situation in self.situations}

    @cached_property
    def department_by_code(self) -> dict[str, Department]:
        """Department code → department."""
        return {department.code: department for department in self.departments}

    @cached_property
    def gazetteer(self) -> Gazetteer:
        """Finds the areas in texts."""
        return Gazetteer(self.areas)

    @cached_property
    def calendar_by_code(self) -> dict[str, Calendar]:
        """Calendar code → calendar."""
        return {calendar.code: calendar for calendar in self.calendars}

    @cached_property
    def labels(self) -> dict[str, tuple[int, ...]]:
        """What a training label may be (code or name at any level, or a leading department) → situations it covers.

        A name that stands at several levels is kept where all of them cover the same situations; else the deepest
        level has it.
        """
        levels: list[dict[str, set[int]]] = [defaultdict(set) for _ in range(5)]
        for index, situation in enumerate(self.situations):
            lead = self.department_by_code[situation.lead]
            for level, keys in enumerate(
                (
                    (situation.code, situation.name),
                    (situation.category, situation.path[2]),
                    (situation.path[1],),
                    (situation.path[0],),
                    (lead.code, lead.name),
                )
            ):
                for key in keys:
                    levels[level][key].add(index)
        found: dict[str, tuple[int, ...]] = {}
        for level_keys in levels:
            for key, indices in level_keys.items():
                found.setdefault(key, tuple(sorted(indices)))
        return found


def problems(matrix: Matrix) -> tuple[Problem, ...]:
    """Everything that keeps the matrix from being mutually exclusive and collectively exhaustive (MECE, source 000)."""
    return (
        *_references(matrix),
        *_routes(matrix),
        *_cumulative(matrix),
        *_repeats(matrix),
        *_overlaps(matrix),
        *_unused(matrix),
        *_unmanned(matrix),
    )


def _references(matrix: Matrix) -> Iterator[Problem]:
    leads = {department.code for department in matrix.departments if department.role == "lead"}
    supervisors = {supervisor.code for supervisor in matrix.supervisors}
    for situation in matrix.situations:
        place = f"situation {situation.code}"
        if situation.lead not in matrix.department_by_code:
            yield Problem(f"{place}.lead", f"unknown department '{situation.lead}'")
        elif situation.lead not in leads:
            yield Problem(f"{place}.lead", f"department '{situation.lead}' may not lead: its role is executing")
        for code in situation.executing:
            if code not in matrix.department_by_code:
                yield Problem(f"{place}.executing", f"unknown department '{code}'")
        if len(set(situation.executing)) < len(situation.executing):
            yield Problem(f"{place}.executing", "a department stands there twice")
        if situation.supervisor not in supervisors:
            yield Problem(f"{place}.supervisor", f"unknown supervisor '{situation.supervisor}'")


def _cumulative(matrix: Matrix) -> Iterator[Problem]:
    """Rules of cumulative problems that name what is not there, or leave open what one place is."""
    levels = {code for each in matrix.situations for code in (each.code, each.category, each.class_code)}
    for rule in matrix.cumulative:
        place = f"cumulative {rule.code}"
        for code in sorted(set(rule.of) - levels):
            yield Problem(f"{place}.of", f"there is no situation, category or class '{code}'")
        if rule.per == "area" and rule.digits is None:
            yield Problem(f"{place}.digits", "is missing: how many digits of the area code make one place")
        if rule.per != "area" and rule.digits is not None:
            yield Problem(f"{place}.digits", f"says nothing where occasions are counted per {rule.per}")
        if rule.situation is not None and rule.situation not in matrix.by_code:
            yield Problem(f"{place}.situation", f"there is no situation '{rule.situation}'")


def _routes(matrix: Matrix) -> Iterator[Problem]:
    """Rules by place, customer and time that name what is not there, or that no ticket can reach."""
    for number, rule in enumerate(matrix.routes):
        place = f"route {rule.code}"
        levels = {code for each in matrix.situations for code in (each.code, each.category, each.class_code)}
        for code in sorted(set(rule.of) - levels):
            yield Problem(f"{place}.of", f"there is no situation, category or class '{code}'")
        for code in sorted({*rule.departments, *filter(None, (rule.instead_of,))} - matrix.department_by_code.keys()):
            yield Problem(place, f"unknown department '{code}'")
        for code in sorted({*filter(None, (rule.on_duty, rule.off_duty))} - matrix.calendar_by_code.keys()):
            yield Problem(place, f"unknown calendar '{code}'")
        if bool(rule.areas) == bool(rule.executing):
            yield Problem(place, "needs either areas or executing")
        reached = [
            (each, code)
            for each in matrix.situations
            if covers(rule, each)
            for code in each.executing
            if rule.instead_of in (None, code)
        ]
        if not reached:
            yield Problem(place, "no situation that it is about has that executing department")
        before = [each for each in matrix.routes[:number] if each.always]
        if reached and all(
            any(each.instead_of in (None, code) and covers(each, situation) for each in before)
            for situation, code in reached
        ):
            yield Problem(place, "is never reached: rules before it fit whatever it fits")
    used = {code for rule in matrix.routes for code in (rule.on_duty, rule.off_duty)}
    for calendar in matrix.calendars:
        if calendar.code not in used:
            yield Problem(f"calendar {calendar.code}", "no route asks for it")


def _repeats(matrix: Matrix) -> Iterator[Problem]:
    kinds: tuple[tuple[str, list[str]], ...] = (
        ("situation code", [situation.code for situation in matrix.situations]),
        ("situation name", [situation.name for situation in matrix.situations]),
        ("department code", [department.code for department in matrix.departments]),
        ("department name", [department.name for department in matrix.departments]),
        ("supervisor code", [supervisor.code for supervisor in matrix.supervisors]),
        ("route code", [route.code for route in matrix.routes]),
        ("calendar code", [calendar.code for calendar in matrix.calendars]),
        ("area code", [area.code for area in matrix.areas]),
        ("cumulative code", [rule.code for rule in matrix.cumulative]),
    )
    for kind, values in kinds:
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield Problem(f"{kind} '{value}'", "stands there more than once")


def _overlaps(matrix: Matrix) -> Iterator[Problem]:
    """Two phrases of which one covers the other: a ticket with the longer one would speak for both situations."""
    claims = [(situation, phrase, phrase.example) for situation in matrix.situations for phrase in situation.phrases]
    for situation, phrase, _ in claims:
        first = phrase.pieces[0]
        for other, its, whole in claims:
            if first not in whole or phrase is its or not phrase.covers(its):
                continue
            if phrase.pieces == its.pieces and other.code < situation.code:
                continue
            if other is situation:
                yield Problem(f"situation {other.code}.phrases", f"'{its.text}' says no more than '{phrase.text}'")
            else:
                yield Problem(
                    f"situation {other.code}.phrases",
                    f"'{its.text}' is claimed by situation {situation.code} too, with '{phrase.text}': "
                    f"both claim a ticket that says “{its.example}”",
                )


def _unused(matrix: Matrix) -> Iterator[Problem]:
    used = {code for situation in matrix.situations for code in (situation.lead, *situation.executing)}
    used.update(*(route.departments for route in matrix.routes))
    for department in matrix.departments:
        if department.code not in used:
            yield Problem(f"department {department.code}", "no situation leads to it")
        elif department.role == "lead" and all(department.code != situation.lead for situation in matrix.situations):
            yield Problem(f"department {department.code}", "has the role lead and leads nothing")
    supervising = {situation.supervisor for situation in matrix.situations}
    for supervisor in matrix.supervisors:
        if supervisor.code not in supervising:
            yield Problem(f"supervisor {supervisor.code}", "no situation names it")


def _unmanned(matrix: Matrix) -> Iterator[Problem]:
    """Departments that nobody answers for, or that no work order reaches."""
    for department in matrix.departments:
        place = f"department {department.code}"
        if not department.posts:
            yield Problem(f"{place}.posts", "has no duty post")
        elif not department.webhook and not any(post.inbox for post in department.posts):
            yield Problem(f"{place}.posts", "cannot be reached: it has no webhook, and no duty post reads the inbox")
        names = [post.name for post in department.posts]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Problem(f"{place}.posts", f"duty post '{name}' stands there twice")
