"""Cumulative problems (累积问题): the same at one place, or with one customer, again and again (source 003).

Requests are counted by occasions: what comes within hours of an occasion's first request, or is a member of the same
hot event, is one occasion with it; what repeats an earlier request is none. So one outage with a hundred callers, one
of whom calls five times, counts once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from libs.shared.contracts.intake import Ticket

from . import repeat
from .text import normal

if TYPE_CHECKING:
    from .matrix import Matrix, Situation

Per = Literal["customer", "address", "area"]

BY: Final = "cumulative"  # who says what the proactive ticket is
LONGEST: Final = 60  # days that a rule may look back, for as long occasions are kept
NAMED: Final = 5  # tickets of an occasion that are named, the first ones
SHOWN: Final = 10  # occasions that the proactive ticket tells of, the latest


@dataclass(frozen=True, slots=True)
class CumulativeRule:
    """When requests about one thing add up to a problem of its own."""

    code: str
    name: str
    of: tuple[str, ...]  # codes of situations, categories or classes
    per: Per
    times: int  # occasions
    days: int
    digits: int | None = None  # of the area code that make one place; where it is counted by area
    apart_hours: int = 12  # from an occasion's first request, in which all others belong to it
    situation: str | None = None  # what the proactive ticket is; None: what most of the occasions were


@dataclass(frozen=True, slots=True)
class Where:
    """The one place or customer that occasions are counted of."""

    area_code: str | None = None
    address: str | None = None  # masked
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A ticket that a rule is about."""

    ticket_id: UUID
    at: datetime  # when the customer made the request
    situation: str  # code
    hot_event: UUID | None = None


@dataclass(slots=True)
class Occasion:
    """Requests about one cause."""

    began: UUID  # the ticket that it was found by
    at: datetime
    situation: str
    hot_event: UUID | None
    tickets: list[UUID]  # the first ones
    count: int

    @classmethod
    def of(cls, request: Request) -> "Occasion":
        """That one request makes."""
        return cls(request.ticket_id, request.at, request.situation, request.hot_event, [request.ticket_id], 1)

    def holds(self, request: Request, apart: timedelta) -> bool:
        """Whether a request belongs to it."""
        same = request.hot_event is not None and request.hot_event == self.hot_event
        return same or abs(request.at - self.at) < apart

    def add(self, request: Request) -> None:
        """One request more."""
        self.count += 1
        self.hot_event = self.hot_event or request.hot_event
        if len(self.tickets) < NAMED:
            self.tickets.append(request.ticket_id)


def covers(rule: CumulativeRule, situation: "Situation") -> bool:
    """Whether a rule is about that situation."""
    return bool({situation.code, situation.category, situation.class_code} & set(rule.of))


def where(rule: CumulativeRule, ticket: Ticket) -> Where | None:
    """What a ticket counts for; None where it does not say that."""
    area, address, customer = ticket.place.area_code, ticket.place.address, ticket.customer.customer_id
    match rule.per:
        case "customer":
            return Where(customer_id=customer) if customer else None
        case "address":
            return Where(area_code=area, address=address) if area and address and _letters(address) else None
        case "area":
            digits = rule.digits or 0
            return Where(area_code=area[:digits]) if area and len(area) >= digits else None


def key(rule: CumulativeRule, where: Where) -> int:
    """Under which the occasions are kept; signed 64 bits."""
    parts = (where.area_code or "", _letters(where.address or ""), where.customer_id or "")
    return repeat.name("cumulative", rule.code, rule.per, *parts)


def _letters(address: str) -> str:
    return "".join(filter(str.isalnum, normal(address)))


def take(rule: CumulativeRule, occasions: list[Occasion], requests: Iterable[Request]) -> list[Occasion]:
    """Put requests into the occasions they belong to, or into new ones, which join the list; gives those changed."""
    apart = timedelta(hours=rule.apart_hours)
    changed: dict[UUID, Occasion] = {}
    for request in sorted(requests, key=lambda each: (each.at, each.ticket_id)):
        found = next((each for each in occasions if each.holds(request, apart)), None)
        if found is None:
            found = Occasion.of(request)
            occasions.append(found)
        else:
            found.add(request)
        changed[found.began] = found
    return list(changed.values())


def enough(rule: CumulativeRule, occasions: Iterable[Occasion], now: datetime) -> list[Occasion]:
    """The occasions of the last days in their order, where they are as many as the rule says; else none."""
    since = now - timedelta(days=rule.days)
    lately = sorted((each for each in occasions if each.at > since), key=lambda each: each.at)
    return lately if len(lately) >= rule.times else []


def situation(matrix: "Matrix", rule: CumulativeRule, occasions: Sequence[Occasion]) -> "Situation":
    """What the proactive ticket is: as the rule says, else what most of the occasions were, of equals the latest."""
    known = Counter(each.situation for each in reversed(occasions) if each.situation in matrix.by_code)
    code = rule.situation or known.most_common(1)[0][0]
    return matrix.situations[matrix.by_code[code]]


def title(rule: CumulativeRule, occasions: Sequence[Occasion]) -> str:
    """Of the proactive ticket."""
    return f"{rule.name}（{rule.days}天内{len(occasions)}次）"


def text(matrix: "Matrix", rule: CumulativeRule, occasions: Sequence[Occasion]) -> str:
    """What the proactive ticket says: when it was what, and how many asked; no word of those who did."""
    zone = ZoneInfo(matrix.timezone)
    lines = [f"{rule.name}：{rule.days}天内{len(occasions)}次，请在客户投诉之前查明原因并整改。"]
    for each in occasions[-SHOWN:]:
        index = matrix.by_code.get(each.situation)
        name = matrix.situations[index].name if index is not None else each.situation
        lines.append(f"{each.at.astimezone(zone):%Y-%m-%d %H:%M} {name}，{each.count}件")
    return "\n".join(lines)
