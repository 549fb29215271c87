"""Messages of a file as hot topics and repeats: the same likeness as of tickets, without time, place or database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from libs.shared.contracts.intake import Customer, Ticket

from . import hot_event, repeat, sketch
from .repeat import Chains
from .rule import RepeatRule
from .text import Reading


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `at` None: its time is not known."""

    title: str
    text: str
    at: datetime | None
    likes: int
    customer: str | None


@dataclass(frozen=True, slots=True)
class Topic:
    """Messages that say the same; by their places among all."""

    title: str
    heat: float
    messages: tuple[int, ...]
    people: int  # who wrote them; as many as messages, where nobody is named
    likes: int

    def plain(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {name: getattr(self, name) for name in self.__slots__}


def hottest(messages: Sequence[Said], readings: Sequence[Reading], most: int) -> list[Topic]:
    """The hottest topics, the hottest first."""
    found = []
    for places in hot_event.topics(readings):
        some = [messages[place] for place in places]
        people = len({each.customer or place for place, each in zip(places, some, strict=True)})
        likes = sum(each.likes for each in some)
        found.append((hot_event.heat(people, likes), people, likes, places))
    found.sort(key=lambda each: (-each[0], each[3]))
    return [
        Topic(_title([messages[place] for place in places]), round(heat, 1), tuple(places), people, likes)
        for heat, people, likes, places in found[:most]
    ]


def _title(some: Sequence[Said]) -> str:
    texts = [f"{each.title}\n{each.text}" for each in some]
    return hot_event.title(texts if len(texts) > 1 else [some[0].title or some[0].text] * 2)


def repeats(messages: Sequence[Said], readings: Sequence[Reading], rule: RepeatRule) -> list[tuple[int, int]]:
    """Which message repeats which first one, by their places; `messages` in order of their times."""
    chains = Chains(rule)
    places: dict[UUID, int] = {}
    found = []
    for place, (message, reading) in enumerate(zip(messages, readings, strict=True)):
        if message.customer and message.at:
            ticket_id = UUID(int=(max(int(message.at.timestamp() * 1000), 0) << 80) + place)
            places[ticket_id] = place
            ticket = Ticket(
                channel="95598",
                external_ref="",
                title="",
                text="",
                customer=Customer(customer_id=message.customer),
                opened_at=message.at,
            )
            first = chains.put(ticket_id, repeat.mark(rule, ticket, sketch.of(reading))).first
            if first:
                found.append((place, places[first]))
    return found
