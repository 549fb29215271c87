"""Faults are drawn from the seed alone, and a round of them leaves none out."""

import itertools
import random

import pytest

from chaos import point, schedule
from chaos.fault import DEEDS
from chaos.load.front import HABITS

MEMBERS = {"intake": "intake", "intake-2": "intake", "classification": "classification", "dispatch": "dispatch",
           "dispatch-2": "dispatch", "sla_timer": "sla_timer", "notification": "notification"}  # fmt: skip


def test_same_seed_draws_the_same_faults_and_another_seed_others() -> None:
    first, second, other = (list(itertools.islice(schedule.strikes(seed, MEMBERS), 200)) for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_one_round_strikes_every_service_point_habit_and_poison() -> None:
    count = len(schedule.deck(random.Random(1), MEMBERS))
    dealt = list(itertools.islice(schedule.strikes(1, MEMBERS), count))
    assert {strike.kind for strike in dealt} == schedule.kinds() - {"outage"}
    killed = {(MEMBERS[strike.target], strike.detail) for strike in dealt if strike.kind == "kill-at"}
    assert killed == {(service, name) for service, names in point.OF_SERVICE.items() for name in names}
    assert {strike.detail for strike in dealt if strike.kind == "receiver"} == set(HABITS)
    assert {strike.detail for strike in dealt if strike.kind == "poison"} == set(schedule.POISONS)


def test_only_the_wanted_faults_are_drawn_and_an_unknown_one_is_named() -> None:
    drawn = itertools.islice(schedule.strikes(1, MEMBERS, only=("kill", "cut")), 40)
    assert {strike.kind for strike in drawn} == {"kill", "cut"}
    with pytest.raises(ValueError, match="no such fault: flood"):
        next(schedule.strikes(1, MEMBERS, only=("flood",)))


def test_every_kind_of_fault_can_be_done() -> None:
    assert set(DEEDS) == schedule.kinds()


def test_a_zombie_needs_another_process_to_take_over() -> None:
    zombies = {s.target for s in itertools.islice(schedule.strikes(1, MEMBERS, only=("zombie",)), 20)}
    assert {MEMBERS[name] for name in zombies} == {"intake", "dispatch"}
