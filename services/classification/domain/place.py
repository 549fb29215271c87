"""Where a request is about, found in its words: the areas of a gazetteer that they name (domain.md §4, place)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from libs.shared.contracts.intake import Ticket

from .text import normal

if TYPE_CHECKING:
    from .matrix import Matrix

BEGINNING: Final = 2  # characters by which a name is looked up


@dataclass(frozen=True, slots=True)
class Area:
    """One area: its division code, which begins with that of the area it lies in, and what it is called."""

    code: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A ticket with the area that its words name, where it had none, and those words."""

    ticket: Ticket
    words: tuple[str, ...] = ()


class Gazetteer:
    """Finds areas in texts; some microseconds a text, whatever the number of areas."""

    def __init__(self, areas: Iterable[Area]) -> None:
        self._codes: dict[str, list[str]] = defaultdict(list)
        for area in areas:
            for name in area.names:
                self._codes[normal(name)].append(area.code)
        self._known = {code for codes in self._codes.values() for code in codes}
        self._names: dict[str, list[str]] = defaultdict(list)  # by how they begin, the longest first
        for name in sorted(self._codes, key=len, reverse=True):
            self._names[name[:BEGINNING]].append(name)

    def find(self, text: str) -> tuple[str, tuple[str, ...]] | None:
        """The area a normalised text names, and by which words; None where it names none or cannot be told from others.

        An area counts with those it lies in: 鼓楼区 alone may be in many cities, 南京市…鼓楼区 is one. Where two
        areas are named alike, it is the one that both lie in.
        """
        words = tuple(dict.fromkeys(self._named(text)))
        support: dict[str, set[str]] = defaultdict(set)
        for word in words:
            for code in self._codes[word]:
                for below in (other for each in words for other in self._codes[each] if other.startswith(code)):
                    support[below].add(word)
        if not support:
            return None
        most = max(map(len, support.values()))
        best = [code for code, its in support.items() if len(its) == most]
        code = _common(best)
        while code and code not in self._known:
            code = code[:-1]
        return (code, words) if code else None

    def _named(self, text: str) -> Iterator[str]:
        """Names in the text, from left to right, the longest at each place."""
        at = 0
        while at < len(text) - 1:
            name = next(
                (each for each in self._names.get(text[at : at + BEGINNING], ()) if text.startswith(each, at)), ""
            )
            if name:
                yield name
            at += len(name) or 1


def locate(matrix: "Matrix", ticket: Ticket) -> Located:
    """The ticket with its area; what it came with goes before what its words say."""
    if ticket.place.area_code or not matrix.areas:
        return Located(ticket)
    found = matrix.gazetteer.find(normal(f"{ticket.place.address or ''} {ticket.title} {ticket.text}"))
    if found is None:
        return Located(ticket)
    code, words = found
    return Located(ticket.model_copy(update={"place": ticket.place.model_copy(update={"area_code": code})}), words)


def _common(codes: list[str]) -> str:
    """The longest beginning of all."""
    first, last = min(codes), max(codes)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]
