"""Settled tickets that are like a ticket, by their sketches; and what of their answers others may read."""

import re
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from . import sketch

ALIKE = 0.05  # share of pairs of characters in common, below which two texts say different things
_number = re.compile(r"1[3-9]\d([ \-]?)\d{4}\1\d{4}|\d{7,}[\dXx]?")  # may name a person


def most_alike(of: bytes, settled: Iterable[tuple[UUID, datetime, bytes]]) -> list[tuple[UUID, float]]:
    """Which of these (ticket, when it was answered, sketch) are like that sketch, with their likeness, 0-1.

    The most alike first, of equals the latest.
    """
    one = sketch.load(of)
    found = [(sketch.alike(one, sketch.load(data)), at, ticket_id) for ticket_id, at, data in settled]
    found.sort(reverse=True)
    return [(ticket_id, likeness) for likeness, _, ticket_id in found if likeness >= ALIKE]


def hide(answer: str) -> str:
    """An answer to one customer as others may read it: telephones and other long numbers hidden, digit by digit."""
    return _number.sub(lambda found: re.sub(r"[\dXx]", "*", found[0]), answer)
