"""What a check is, and what it says when something does not add up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from demo.fact import Facts


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up. `ticket`: its id in text, where it is about one."""

    ticket: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `name` says it as a sentence."""

    name: str
    find: Callable[[Facts], Iterable[Finding]]
