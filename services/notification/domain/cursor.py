"""Where a reader stands in each inbox it follows, as the id of a Server-Sent Event.

One inbox: its number, such as `17`. Several: each with its number, such as `a1=17,department:repair=4`, so that an id
tells everything that is needed to go on anywhere without a hole.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from services.notification.domain.notice import Recipient

MOST = 200  # inboxes on one stream: an id stays below 16 kB


@dataclass(eq=False)
class Cursor:
    """The last number seen in each inbox; changes as notices are seen."""

    numbers: dict[str, int]  # by address

    def __str__(self) -> str:
        if len(self.numbers) == 1:
            return str(next(iter(self.numbers.values())))
        return ",".join(f"{_name(address)}={number}" for address, number in self.numbers.items())


def parse(text: str, addresses: Iterable[str]) -> dict[str, int]:
    """The numbers an id holds for these addresses; an address it does not name is left out.

    Raises: ValueError where it is no such id.
    """
    wanted = list(addresses)
    if len(wanted) == 1 and "=" not in text:
        return {wanted[0]: _number(text)}
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        if not equals:
            raise ValueError("expected name=number, separated by commas")
        found[recipient(unquote(name)).address] = _number(number)
    return {address: found[address] for address in wanted if address in found}


def recipient(name: str) -> Recipient:
    """The recipient of a short name: an address, or an agent's id alone. Raises ValueError."""
    return Recipient.at(name if ":" in name else f"agent:{name}")


def _name(address: str) -> str:
    kind, _, id_ = address.partition(":")
    return quote(id_ if kind == "agent" and ":" not in id_ else address, safe=":")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError("expected a number")
    return int(text)
