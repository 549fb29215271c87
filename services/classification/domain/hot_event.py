"""Hot events (突发聚集): tickets about one cause, found by more of them than usual that say the same."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import rjieba

from libs.shared.contracts.intake import Ticket

from .rule import HotEventRule
from .sketch import Sketch
from .stopword import STOP_WORDS
from .text import Reading, normal

BY: Final = "classification"  # who opens, joins and closes by itself
DECIDER: Final = "hot_event"  # who decided what masters are, and members of folded events that nobody was sure of
CHANCE = 1e-4  # that so many tickets come where as many as usual are expected, below which it is no chance
FLOOR = 0.1  # tickets in a window that are expected at least
KEEP = 0.75  # of what was usual a week before: half of it is forgotten in 2.4 weeks
MESSAGES_ALIKE = 0.25  # likeness, by words weighted by how rare they are, of messages about one cause
ELSEWHERE = 1.6  # times the likeness that a ticket of another category needs
MERGED = 200  # clusters, the largest, of which any two may become one
MERGE = 1.8  # times the likeness of a text to a cluster that two clusters need
TITLE_WORDS = 5
TITLE_SHARE = 0.4  # of the members that say a word of the title
HOURS, DAY = 168, 24  # of a week, of a day
TOLD_TEXTS, TOLD_LENGTH = 8, 200  # of an event's members in the text of its master, and characters of each
_MONDAY = 72  # hours from Monday to the Thursday on which time began
_HOUR = 3_600_000  # ms

Words = Collection[int]  # what of a text is compared: hashes


class Cell(NamedTuple):
    """Where tickets about one cause are looked for."""

    category: str  # code; "": all of them, for callers say one thing in words that are taken for many
    place: str  # prefix of the area code

    @property
    def both(self) -> "tuple[Cell, Cell]":
        """The cell, and that of its whole place."""
        return self, Cell("", self.place)


@dataclass(frozen=True, eq=False)
class Arrival:
    """A ticket that came."""

    ticket_id: UUID
    cell: Cell
    situation: str  # code
    probability: float  # that it is of that situation, 0-1
    sketch: Sketch

    @cached_property
    def words(self) -> frozenset[int]:
        """What of its text is compared."""
        return frozenset(self.sketch.tolist())

    @property
    def hour(self) -> int:
        """See `hour_of`."""
        return hour_of(self.ticket_id)


def hour_of(ticket_id: UUID) -> int:
    """Hours since Monday, 29 December 1969 (UTC), by the time inside the id."""
    return (ticket_id.int >> 80) // _HOUR + _MONDAY


@dataclass(frozen=True, slots=True)
class Usual:
    """How many tickets of a cell came in one hour of the week."""

    hour: int  # of the week, from Monday, 0 o'clock UTC
    week: int  # the last one with any
    first_week: int
    count: float  # in that week
    mean: float  # in the weeks before, the nearer ones counting more


class Cluster:
    """What several texts say: each hash with the number of texts that have it."""

    def __init__(self, weights: Mapping[int, float] | None = None) -> None:
        """Args: `weights` of hashes; each counts 1 where none are given."""
        self.number = 0
        self._weights = weights
        self._counts: Counter[int] = Counter()
        self._square = 0.0

    @classmethod
    def of(cls, texts: Sequence[Sketch]) -> "Cluster":
        """What these say; hashes count alike."""
        found = cls()
        hashes, counts = np.unique(np.concatenate(texts), return_counts=True)
        found.number, found._square = len(texts), float(np.square(counts).sum())
        found._counts = Counter(dict(zip(hashes.tolist(), counts.tolist(), strict=True)))
        return found

    def add(self, words: Words) -> None:
        """One text more."""
        self.number += 1
        for word in words:
            count = self._counts[word]
            self._square += self._weight(word) ** 2 * (2 * count + 1)
            self._counts[word] = count + 1

    def likeness(self, words: Words) -> float:
        """How much a text says what these say (cosine), 0-1."""
        if self._weights is None:
            length, shared = float(len(words)), float(sum(self._counts.get(word, 0) for word in words))
        else:
            length = sum(self._weight(word) ** 2 for word in words)
            shared = sum(self._weight(word) ** 2 * self._counts[word] for word in words if word in self._counts)
        return min(1.0, shared / math.sqrt(length * self._square)) if shared else 0.0

    def near(self, other: "Cluster") -> float:
        """How much the two say the same (cosine), 0-1."""
        small, large = sorted((self._counts, other._counts), key=len)
        shared = sum(self._weight(word) ** 2 * count * large[word] for word, count in small.items() if word in large)
        return min(1.0, shared / math.sqrt(self._square * other._square)) if shared else 0.0

    def absorb(self, other: "Cluster") -> None:
        """All texts of the other one more."""
        self.number += other.number
        self._counts += other._counts
        self._square = sum((self._weight(word) * count) ** 2 for word, count in self._counts.items())

    def _weight(self, word: int) -> float:
        return 1.0 if self._weights is None else self._weights.get(word, 1.0)


@dataclass(frozen=True, slots=True)
class Event:
    """A hot event, with what its members say."""

    hot_event_id: UUID
    cell: Cell
    cluster: Cluster
    open: bool = True  # else a person has just closed it: what comes now neither joins it nor opens another one


@dataclass(frozen=True, slots=True)
class Group:
    """Tickets of one place that say the same, and how like each is to all of them."""

    members: tuple[tuple[Arrival, float], ...]  # in order of their ids
    cluster: Cluster

    @property
    def cell(self) -> Cell:
        """Where its surest members belong."""
        code = surest(arrival for arrival, _ in self.members)
        return next(arrival.cell for arrival, _ in self.members if arrival.situation == code)


def cell(rule: HotEventRule, ticket: Ticket, category: str) -> Cell | None:
    """Where a ticket belongs; None where it has no area code, for then the same words may be about anywhere."""
    area = ticket.place.area_code
    return Cell(category, area[: rule.place_digits]) if area else None


def surest(arrivals: Iterable[Arrival]) -> str:
    """The situation that most of these have, the surer ones counting more; its code."""
    sums: dict[str, float] = defaultdict(float)
    for each in arrivals:
        sums[each.situation] += each.probability
    return max(sums, key=lambda code: sums[code])


def expected(rows: Sequence[Usual], hour: int, minutes: int) -> float:
    """How many tickets of a cell are usual in so many minutes of that hour (see `hour_of`)."""
    return max(FLOOR, rate(rows, hour) * minutes / 60)


def rate(rows: Sequence[Usual], hour: int) -> float:
    """How many tickets are usual in that hour (see `hour_of`), of a cell, or of several whose rows were added up.

    The hour's own mean counts the more the longer it is known; until then the mean of all hours does, in the first week
    that of the hours before this one, a day at least: what has just begun is not usual.
    """
    if not rows:
        return 0.0
    week, of_week = divmod(hour, HOURS)
    first = min(row.first_week for row in rows)
    age = max(0, week - first)
    if age:
        known = 1 - KEEP**age
        past = {row.hour: _past(row, week) / known for row in rows}
        everywhere = sum(past.values()) / HOURS
        return (age * past.get(of_week, 0.0) + everywhere) / (age + 1)
    before = [row for row in rows if row.hour < of_week]
    hours = max(DAY, of_week - min((row.hour for row in before), default=of_week))
    return sum(row.count for row in before) / hours


def _past(row: Usual, week: int) -> float:
    """The mean of the weeks before that week."""
    passed = week - row.week
    return row.mean if passed <= 0 else (row.mean * KEEP + row.count * (1 - KEEP)) * KEEP ** (passed - 1)


def is_hot(rule: HotEventRule, count: int, usual: float) -> bool:
    """Whether so many are enough, many times the usual, and no chance (Poisson)."""
    return count >= rule.least and count >= rule.times * usual and chance(count, usual) < CHANCE


def chance(count: int, usual: float) -> float:
    """That at least so many come where `usual` are expected (Poisson)."""
    below = math.fsum(math.exp(k * math.log(usual) - usual - math.lgamma(k + 1)) for k in range(count))
    return max(0.0, 1.0 - below)


def nearest(rule: HotEventRule, cell: Cell, words: Words, events: Iterable[Event]) -> tuple[Event, float] | None:
    """The event of its place that a ticket belongs to, and how like it is; of another category if very like."""
    best: tuple[Event, float] | None = None
    for event in events:
        if event.cell.place == cell.place:
            likeness = event.cluster.likeness(words)
            least = rule.alike * (1 if event.cell.category == cell.category else ELSEWHERE)
            if likeness >= least and (best is None or likeness > best[1]):
                best = event, likeness
    return best


def may_group(rule: HotEventRule, fresh: Iterable[Sketch], crowd: Iterable[Sketch]) -> bool:
    """Whether enough of a crowd say somewhat the same as one of these that have just come, and are in it.

    A few steps of numpy, where `groups` takes thousands of Python's: most crowds say a hundred different things.
    """
    texts = [text for text in crowd if len(text)]
    if len(texts) < rule.least:
        return False
    lengths = np.array([len(text) for text in texts])
    hashes, starts = np.concatenate(texts), np.cumsum(lengths) - lengths
    for text in fresh:
        if len(text):
            found = text[np.minimum(np.searchsorted(text, hashes), len(text) - 1)] == hashes
            shared = np.add.reduceat(found, starts, dtype=np.int64)
            if np.count_nonzero(shared >= rule.alike / 2 * np.sqrt(len(text) * lengths)) >= rule.least:
                return True
    return False


def groups(rule: HotEventRule, arrivals: Sequence[Arrival], usual: float) -> list[Group]:
    """Tickets of one place and window that are hot together, the largest group first."""
    found = []
    for places in gather([arrival.words for arrival in arrivals], rule.alike):
        if is_hot(rule, len(places), usual):
            cluster = Cluster()
            members = sorted((arrivals[place] for place in places), key=lambda each: each.ticket_id)
            for each in members:
                cluster.add(each.words)
            alike = tuple((each, cluster.likeness(each.words)) for each in members)
            found.append(Group(alike, cluster))
    return found


def same(rule: HotEventRule, group: Group, events: Iterable[Event]) -> Event | None:
    """The event of the same place that a group is about too, most of it."""
    for event in events:
        if event.cell.place == group.cell.place:
            mean = sum(event.cluster.likeness(arrival.words) for arrival, _ in group.members) / len(group.members)
            if mean >= rule.alike:
                return event
    return None


def topics(readings: Sequence[Reading]) -> list[list[int]]:
    """Messages that say the same, of any time and place, as lists of their places: each in one list, alone or not.

    Their words count by how rare they are, those of the title twice.
    """
    said = [{*each.words, *(f"title {word}" for word in each.words[: each.lead])} for each in readings]
    often = Counter(word for words in said for word in words)
    number = {word: place for place, (word, count) in enumerate(often.items()) if count > 1}
    weights = {place: math.log(1 + len(said) / often[word]) for word, place in number.items()}
    texts = [frozenset(number[word] for word in words if word in number) for words in said]
    found = gather(texts, MESSAGES_ALIKE, weights, searched=20)
    together = {place for places in found for place in places}
    return found + [[place] for place in range(len(said)) if place not in together]


def gather(
    texts: Sequence[Words], alike: float, weights: Mapping[int, float] | None = None, searched: int = 40
) -> list[list[int]]:
    """Which texts say the same, as lists of their places, the longest first.

    Each text joins the cluster that it is most like, or begins one; the largest clusters that are near each other
    become one; then each text goes once more to the one it is most like. Only clusters that share one of a text's
    `searched` weightiest hashes are compared with it, so time grows with the number of texts, not with its square,
    unless all say the same words in different ways.
    """
    clusters: list[Cluster] = []
    having: dict[int, set[int]] = defaultdict(set)
    keys = [
        list(words) if len(words) <= searched else sorted(words, key=lambda w: -(weights or {}).get(w, 1.0))[:searched]
        for words in texts
    ]

    def best(place: int, least: int) -> tuple[float, int]:
        near = Counter(number for key in keys[place] for number in having.get(key, ()))
        close = [number for number, _ in near.most_common(8) if clusters[number].number >= least]
        return max(((clusters[number].likeness(texts[place]), number) for number in close), default=(0.0, -1))

    for place, words in enumerate(texts):
        likeness, number = best(place, 1)
        if likeness < alike:
            number = len(clusters)
            clusters.append(Cluster(weights))
        clusters[number].add(words)
        for key in keys[place]:
            having[key].add(number)
    large = sorted((n for n, each in enumerate(clusters) if each.number > 1), key=lambda n: -clusters[n].number)[
        :MERGED
    ]
    for place, number in enumerate(large):
        for other in large[:place]:
            if clusters[other].number and clusters[number].near(clusters[other]) >= MERGE * alike:
                clusters[other].absorb(clusters[number])
                clusters[number] = Cluster(weights)
                for numbers in having.values():
                    if number in numbers:
                        numbers.discard(number)
                        numbers.add(other)
                break
    members: dict[int, list[int]] = defaultdict(list)
    for place, words in enumerate(texts):
        likeness, number = best(place, 2)
        if words and likeness >= alike:
            members[number].append(place)
    return sorted(members.values(), key=len, reverse=True)


def heat(people: int, likes: int) -> float:
    """How hot messages are that say the same, where people can like them: a few that thousands like are hot too."""
    return people + math.sqrt(likes)


def told(said: Sequence[tuple[str, str]]) -> str:
    """What members (title, text) say, as the text of their master: the beginning of each, what is the same once.

    Below 2,000 characters.
    """
    lines = dict.fromkeys(" ".join(f"{title} {text}".split())[:TOLD_LENGTH] for title, text in said)
    return "\n".join([line for line in lines if line][:TOLD_TEXTS])


def title(texts: Sequence[str]) -> str:
    """The words that most of these texts have in common; no numbers, and nothing that may be a person's name."""
    often: Counter[str] = Counter()
    for text in texts:
        often.update({word for word, kind in rjieba.tag(normal(text)) if kind[:1] in "nva" and kind[:2] != "nr"})
    least = max(2, TITLE_SHARE * len(texts))
    said = [
        (count * min(len(word), 4), word)
        for word, count in often.items()
        if count >= least and len(word) > 1 and word not in STOP_WORDS and not any(map(str.isdigit, word))
    ]
    return " ".join(word for _, word in sorted(said, key=lambda each: (-each[0], each[1]))[:TITLE_WORDS])
