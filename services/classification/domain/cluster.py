"""Waiting tickets that are alike, so that one decision does for all of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .group import groups

CANDIDATES = 3  # of a cluster


@dataclass(frozen=True, slots=True)
class Cluster:
    """Tickets whose texts are near duplicates; `members` are their places in what was looked at, in its order."""

    members: tuple[int, ...]
    candidates: tuple[Mapping[str, Any], ...]  # as `Candidate`; the probability is the mean over the members


def clusters(texts: Sequence[str], candidates: Sequence[Sequence[Mapping[str, Any]]], least: int) -> list[Cluster]:
    """Groups of at least so many texts, the largest first. `candidates`: of each text, best first, as `Candidate`."""
    members: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(groups(texts)):
        members[number].append(place)
    found = [
        Cluster(tuple(places), _common([candidates[place] for place in places]))
        for places in members.values()
        if len(places) >= least
    ]
    return sorted(found, key=lambda each: (-len(each.members), each.members))


def _common(of_members: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Mapping[str, Any], ...]:
    sums: dict[str, float] = defaultdict(float)
    named: dict[str, Mapping[str, Any]] = {}
    for candidates in of_members:
        for each in candidates:
            code = each["situation"]["code"]
            sums[code] += each["probability"]
            named[code] = each["situation"]
    best = sorted(sums, key=lambda code: (-sums[code], code))[:CANDIDATES]
    return tuple({"situation": named[code], "probability": round(sums[code] / len(of_members), 4)} for code in best)
