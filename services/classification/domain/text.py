"""Text as the classifier sees it: words without function words and numbers, and pieces of text with gaps."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import rjieba

from .stopword import STOP_WORDS

MAX_CHARACTERS = 20_000  # of one ticket that are read; the rest says nothing new
LEAD = 12  # words at the beginning of a text that stand for its title
LEADS = (3, 25)  # words that a title may have
GAP = 10  # characters that "…" in a phrase may stand for
_CUT_LENGTH = 3.5  # characters between two blanks, on average, up to which a text counts as already cut into words

_unwanted = re.compile(r"^[\W\d_]+$|\d{5}")  # punctuation, numbers, and whatever has a long number in it
_break = re.compile(r"\n|\s{2}")  # ends a title
_han = re.compile(r"[\u3400-\u9fff]")


def normal(text: str) -> str:
    """NFKC, lower case, at most MAX_CHARACTERS: full-width and half-width forms are one; no lone surrogates."""
    sound = text[:MAX_CHARACTERS].encode(errors="replace").decode()
    return unicodedata.normalize("NFKC", sound).lower()


def words(text: str) -> list[str]:
    """The words that may speak for a category, in order.

    Function words, punctuation and numbers are left out, so no telephone or card number (masked or not) becomes a
    feature. A text that is already cut into words by blanks is taken as it is cut.
    """
    return _cut(normal(text))


def _cut(text: str) -> list[str]:
    between = text.split()
    cut = sum(map(len, between)) <= _CUT_LENGTH * len(between) and _han.search(text)
    return [
        word for word in (between if cut else rjieba.cut(text)) if word not in STOP_WORDS and not _unwanted.search(word)
    ]


def whole(title: str, text: str) -> str:
    """Normalised title and text; a title that the text repeats at its beginning counts once."""
    head, body = normal(title.strip()), normal(text.strip())
    return body if body.startswith(head) else f"{head}\n{body}"


@dataclass(frozen=True, slots=True)
class Reading:
    """One ticket's text, read once for all who judge it."""

    head: str  # normalised title
    whole: str  # normalised title and text
    words: tuple[str, ...]  # of both, as `words` gives them
    lead: int  # how many of them are the title, or stand for one

    @classmethod
    def of(cls, title: str, text: str) -> "Reading":
        """Read title and text; a title that the text repeats at its beginning counts once.

        Without a title, what stands before the first line break or run of blanks is taken for one; where that is too
        short or too long, the first LEAD words are.
        """
        head, body = normal(title.strip()), normal(text.strip())
        whole = body if body.startswith(head) else f"{head}\n{body}"
        found = _break.search(body)
        first = len(_cut(head or (body[: found.start()] if found else "")))
        return cls(head, whole, tuple(_cut(whole)), first if LEADS[0] <= first <= LEADS[1] else LEAD)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A signal phrase: pieces that must occur in this order, at most GAP characters of one sentence apart."""

    text: str
    pieces: tuple[str, ...]
    pattern: re.Pattern[str] | None  # None: one literal piece

    @classmethod
    def of(cls, text: str) -> "Phrase":
        """The phrase behind its written form, e.g. `停电…没有通知`."""
        pieces = tuple(piece for piece in (normal(part).strip() for part in text.split("…")) if piece)
        gap = rf"[^。！？!?；;\n]{{0,{GAP}}}?"
        return cls(text, pieces, re.compile(gap.join(map(re.escape, pieces))) if len(pieces) > 1 else None)

    @property
    def weight(self) -> float:
        """How much it says: longer phrases are rarer. 1 for two characters, 2 for eight and more."""
        return 1 + (min(8, max(2, sum(map(len, self.pieces)))) - 2) / 6

    def occurs_in(self, text: str) -> bool:
        """Whether the normalised text has it."""
        if self.pattern is None:
            return self.pieces[0] in text
        return all(piece in text for piece in self.pieces) and self.pattern.search(text) is not None

    @property
    def example(self) -> str:
        """The shortest ticket that has it, its pieces a comma apart."""
        return "，".join(self.pieces)

    def covers(self, other: "Phrase") -> bool:
        """Whether the shortest ticket that has `other` has this one too, so that the two cannot be told apart."""
        return self.occurs_in(other.example)


def contains_any(text: str, needles: Iterable[str]) -> bool:
    """Whether the normalised text has one of the literal pieces."""
    return any(needle in text for needle in needles)
