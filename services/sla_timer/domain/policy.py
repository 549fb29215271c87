"""The SLA policy as data: limits per clock, warning points, and who hears of each.

Errors:
    PolicyError     a policy file says something impossible; `.faults` names each place and reason
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from libs.shared.contracts.classification import SlaClass, Urgency
from libs.shared.contracts.intake import Channel, Star
from libs.shared.contracts.sla_timer import Level

UNIT_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}  # a day is a calendar day of 24 h, round the clock
LEVELS: tuple[Level, ...] = ("executing", "lead", "supervisor", "interview")  # upwards
STARS: tuple[Star, ...] = (1, 2, 3, 4, 5)


class PolicyError(ValueError):
    """A policy that cannot be used."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)  # (place, reason)
        super().__init__("\n".join(f"{place}: {reason}" for place, reason in self.faults))


def _seconds(value: object) -> int:
    found = re.fullmatch(r"(\d{1,9}) ?(s|min|h|d)", value) if isinstance(value, str) else None
    if not found or not int(found[1]):
        raise ValueError("expected a duration such as 90 s, 30 min, 8 h or 20 d")
    return int(found[1]) * UNIT_SECONDS[found[2]]


Seconds = Annotated[int, BeforeValidator(_seconds), Field(le=366 * 86400)]
Point = Annotated[int, Field(ge=1, le=1000)]
Name = Annotated[str, Field(pattern=r"\S", max_length=100)]


def _falling(table: dict[Star, int]) -> dict[Star, int]:
    if missing := [str(star) for star in STARS if star not in table]:
        raise ValueError(f"no limit for stars {', '.join(missing)}")
    for star in STARS[1:]:
        if table[star] > table[star - 1]:
            raise ValueError(f"{star} stars may not wait longer than {star - 1}")
    return table


StarLimits = Annotated[dict[Star, Seconds], AfterValidator(_falling)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StarTable(_Part):
    """Limits of the resolve clock in seconds, by class and star (source 002)."""

    maintenance: StarLimits
    construction: StarLimits


class Limits(_Part):
    """How long each clock may run, in seconds."""

    accept: Seconds
    first_contact: Seconds
    ruling: Seconds = 4 * 3600  # our default: the documents leave it open
    resolve: StarTable


class UrgentStarTable(_Part):
    """As StarTable; a class left out keeps its usual limits."""

    maintenance: StarLimits | None = None
    construction: StarLimits | None = None


class UrgentLimits(_Part):
    """What urgent tickets have instead; None: as usual."""

    accept: Seconds | None = None
    first_contact: Seconds | None = None
    resolve: UrgentStarTable = UrgentStarTable()


class Repeated(_Part):
    """Repeats and escalated requests have stricter clocks: accept, first contact and resolve are that much shorter."""

    since: Annotated[int, Field(alias="from", ge=1, le=1000, description="earlier tickets about the same matter")]
    percent: Annotated[int, Field(ge=1, le=100, description="of the usual limit")]
    channels: tuple[Channel, ...] = Field((), description="what comes by these is escalated, repeated or not")


class WarningPoint(_Part):
    """A share of the limit, and the level that hears when it has passed."""

    percent: Point
    level: Level


class Policy(_Part):
    """Everything the clocks go by."""

    name: Name
    limits: Limits
    urgent: UrgentLimits = UrgentLimits()
    repeated: Repeated | None = None  # None: as any other
    warnings: Annotated[tuple[WarningPoint, ...], Field(min_length=1, max_length=20)]
    interviewer: Name  # so somebody always hears of the last point

    @model_validator(mode="after")
    def _check(self) -> Self:
        points = [each.percent for each in self.warnings]
        if points != sorted(set(points)):
            raise ValueError(f"warnings must rise and not repeat: {', '.join(map(str, points))}")
        if 100 not in points:
            raise ValueError("warnings must have the point 100, the breach itself")
        for kind in ("accept", "first_contact"):
            usual, urgent = getattr(self.limits, kind), getattr(self.urgent, kind)
            if urgent is not None and urgent > usual:
                raise ValueError(f"urgent.{kind} is longer than limits.{kind}")
        for sla_class in ("maintenance", "construction"):
            usual, urgent = getattr(self.limits.resolve, sla_class), getattr(self.urgent.resolve, sla_class)
            for star in STARS:
                if urgent is not None and urgent[star] > usual[star]:
                    place = f"resolve.{sla_class}.{star}"
                    raise ValueError(f"urgent.{place} is longer than limits.{place}")
        return self

    @property
    def points(self) -> tuple[int, ...]:
        """The warning points in per cent, rising."""
        return tuple(each.percent for each in self.warnings)

    def next_point(self, passed: int) -> int | None:
        """The first point above what has passed, or None."""
        return next((point for point in self.points if point > passed), None)

    def level(self, percent: int) -> Level:
        """Who hears of that point; of a point an earlier policy had: whoever hears of the next lower one."""
        heard = [each.level for each in self.warnings if each.percent <= percent]
        return heard[-1] if heard else self.warnings[0].level

    def step(self, percent: int) -> tuple[Level, int | None]:
        """Who hears of that point, and the point that follows it."""
        return self.level(percent), self.next_point(percent)

    def share(self, repeats: int, channel: Channel | None) -> int:
        """Per cent of the usual limits that a ticket has: fewer where it repeats others or was escalated."""
        rule = self.repeated
        return rule.percent if rule and (repeats >= rule.since or channel in rule.channels) else 100

    def stage_limit(
        self, kind: Literal["accept", "first_contact"], urgency: Urgency, share: int = 100
    ) -> tuple[int, str]:
        """Seconds that stage may take, and the rule that says so (its place in the policy)."""
        special: int | None = getattr(self.urgent, kind) if urgency == "urgent" else None
        if special is not None:
            return self._shared(special, f"urgent.{kind}", share)
        return self._shared(getattr(self.limits, kind), f"limits.{kind}", share)

    def ruling_limit(self) -> tuple[int, str]:
        """Seconds until a return is ruled on, and the rule; an urgent ticket's waits no shorter."""
        return self.limits.ruling, f"{self.name}: limits.ruling"

    def resolve_limit(
        self, stars: Iterable[Star], sla_class: SlaClass, urgency: Urgency, share: int = 100
    ) -> tuple[int, str]:
        """Seconds until the answer, and the rule: the highest star decides (就高原则, source 002)."""
        star = max(stars)
        special: dict[Star, int] | None = getattr(self.urgent.resolve, sla_class) if urgency == "urgent" else None
        if special is not None:
            return self._shared(special[star], f"urgent.resolve.{sla_class}.{star}", share)
        usual: dict[Star, int] = getattr(self.limits.resolve, sla_class)
        return self._shared(usual[star], f"limits.resolve.{sla_class}.{star}", share)

    def _shared(self, seconds: int, place: str, share: int) -> tuple[int, str]:
        if share == 100:
            return seconds, f"{self.name}: {place}"
        return max(seconds * share // 100, 1), f"{self.name}: {place}, {share} % by repeated"


def read(text: str) -> Policy:
    """The policy that a YAML text describes.

    Raises: PolicyError with every place and reason; a YAML mistake or a repeated key is named by its line.
    """
    try:
        raw = yaml.load(text, Loader=_Strict)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise PolicyError([(place, error.problem or "not YAML")]) from None
    except yaml.YAMLError as error:
        raise PolicyError([("file", f"not YAML: {error}")]) from None
    if not isinstance(raw, dict):
        raise PolicyError([("file", "expected a mapping with name, limits, warnings and interviewer")])
    try:
        return Policy.model_validate(raw)
    except ValidationError as error:
        raise PolicyError(
            (".".join(str(part) for part in each["loc"] if part != "[key]") or "policy", _reason(each["msg"]))
            for each in error.errors()
        ) from None


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, which YAML would answer with the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key} stands here twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
