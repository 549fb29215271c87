"""Repeats: the earlier ticket that a ticket repeats, by customer or place and by likeness of the texts.

| the two have in common | how alike their texts must be |
|---|---|
| the customer | `customer` of the rule |
| area code and address | `place` |
| the area code, where each lacks customer or address, and not both have the one, nor both the other | `area` |
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from libs.shared.contracts.intake import Ticket

from . import sketch
from .rule import RepeatRule
from .sketch import Sketch
from .text import normal

CUSTOMER, ADDRESS = 1, 2  # bits of `Key.known`
COMPARED, COMPARED_IN_AREA = 8, 3  # tickets under one key that a ticket is compared with, the latest ones
_DAY = 86_400_000 << 80  # between two UUIDv7


@dataclass(frozen=True, slots=True)
class Key:
    """What a ticket is kept under and looked for under."""

    value: int  # signed 64 bits
    alike: float  # share of shingles in common from which two tickets with this key are about the same
    most: int  # tickets compared
    known: int = 0  # bits of which two tickets with this key may not both have one


@dataclass(frozen=True, slots=True)
class Mark:
    """What of a ticket is compared."""

    keys: tuple[Key, ...]
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class Past:
    """A ticket that was found under a key of another one."""

    key: int
    first: UUID  # of its chain: itself, where it repeats none
    latest: int  # `repeats` of the last ticket of its chain
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a ticket repeats."""

    first: UUID | None  # the first ticket of the chain; None: this one is
    repeats: int  # tickets of the chain before this one


NONE: Final = Repeat(None, 0)


def name(*parts: str) -> int:
    """64 bits, signed, that stand for these."""
    text = "\x1f".join(parts).encode(errors="replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def mark(rule: RepeatRule, ticket: Ticket, of: Sketch) -> Mark:
    """What of a ticket is compared; nothing where it has no words, or neither customer nor place."""
    if not len(of):
        return Mark((), of)
    customer, area = ticket.customer.customer_id, ticket.place.area_code
    address = "".join(filter(str.isalnum, normal(ticket.place.address or "")))
    keys = []
    if customer:
        keys.append(Key(name("customer", customer), rule.customer, COMPARED))
    if area and address:
        keys.append(Key(name("place", area, address), rule.place, COMPARED))
    if area and not (customer and address):  # most have both, and are found by them
        known = (CUSTOMER if customer else 0) | (ADDRESS if address else 0)
        keys += [Key(name("area", area, band.hex()), rule.area, COMPARED_IN_AREA, known) for band in sketch.bands(of)]
    return Mark(tuple(keys), of)


def around(rule: RepeatRule, ticket_id: UUID) -> tuple[UUID, UUID]:
    """The lowest and highest id (by the time inside a UUIDv7) of tickets that this one may repeat."""
    days = rule.days * _DAY
    return UUID(int=max(ticket_id.int - days, 0)), UUID(int=min(ticket_id.int + days, (1 << 128) - 1))


class Chains:
    """Puts the tickets of a batch into their chains, one after the other, each behind those before it."""

    def __init__(self, rule: RepeatRule, found: Iterable[tuple[UUID, Past]] = ()) -> None:
        """Args: `found`: ticket of the batch, and a stored ticket under one of its keys."""
        self._rule = rule
        self._found: dict[UUID, list[Past]] = defaultdict(list)
        self._here: dict[int, list[tuple[UUID, int, Past]]] = defaultdict(list)
        self._latest: dict[UUID, int] = {}
        for ticket_id, past in found:
            self._found[ticket_id].append(past)
            self._latest[past.first] = max(past.latest, self._latest.get(past.first, 0))

    def put(self, ticket_id: UUID, of: Mark) -> Repeat:
        """What this ticket repeats: of all that is alike enough the most alike."""
        best: tuple[float, Past] | None = None
        low, high = around(self._rule, ticket_id)
        for key in of.keys:
            here = [
                past
                for other, known, past in self._here[key.value][-key.most :]
                if not known & key.known and low <= other <= high
            ]
            for past in (*here, *(each for each in self._found[ticket_id] if each.key == key.value)):
                likeness = sketch.alike(of.sketch, past.sketch)
                if likeness >= key.alike and (best is None or likeness > best[0]):
                    best = likeness, past
        first = best[1].first if best else ticket_id
        repeats = self._latest[first] + 1 if best else 0
        self._latest[first] = repeats
        for key in of.keys:
            self._here[key.value].append((ticket_id, key.known, Past(key.value, first, repeats, of.sketch)))
        return Repeat(first, repeats) if best else NONE
