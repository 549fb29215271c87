"""What a check is: a sentence that must hold, and a query for whatever contradicts it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up. `ticket`: its id in text, where it is about one."""

    ticket: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.ticket or '-'}  {self.text}"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `name` says it as a sentence; `query` gives (ticket or null, text) of what does not.

    Beside the codes of `book.CODES` a query may name `:whole`, `:closed` and `:until` (see `Sources`), `:windowless`
    (all tickets are looked at), `:now` (the earliest look at a database) and `:settle` (microseconds).
    """

    name: str
    query: str
