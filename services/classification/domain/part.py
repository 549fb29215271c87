"""The parts a reviewer splits a request into: several matters that one customer put into one ticket."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.shared.contracts.intake import Ticket

from .matrix import Matrix
from .text import normal

_between = re.compile(r"(?<=\d)[\s.()-]+(?=\d)")
_long = re.compile(r"\d{7,}")  # what may name a person: numbers of 7 digits and more are masked in a request


@dataclass(frozen=True, slots=True)
class Part:
    """One matter, in the reviewer's words; without a title it has that of the request."""

    title: str | None
    text: str
    situation: str | None  # code; None: found as for any ticket


def problems(parts: Sequence[Part], ticket: Ticket, matrix: Matrix) -> list[tuple[str, str]]:
    """Everything that is wrong with them, as field and reason."""
    return list(_problems(parts, ticket, matrix))


def _problems(parts: Sequence[Part], ticket: Ticket, matrix: Matrix) -> Iterator[tuple[str, str]]:
    known = _numbers(f"{ticket.title}\n{ticket.text}")
    for index, part in enumerate(parts):
        if part.situation is not None and part.situation not in matrix.by_code:
            yield f"parts.{index}.situation", f"not a situation of matrix {matrix.version}"
        for name, text in (("title", part.title or ""), ("text", part.text)):
            if _numbers(text) - known:
                yield f"parts.{index}.{name}", "holds a number that the request does not: it may name a person"


def _numbers(text: str) -> set[str]:
    return set(_long.findall(_between.sub("", normal(text))))
