"""Erlang C against published values, and how many agents it asks for."""

import pytest

from services.classification.domain import staffing


@pytest.mark.parametrize(
    ("agents", "erlangs", "expected"),
    [
        (2, 1.0, 1 / 3),  # exactly, by the formula
        (3, 2.0, 4 / 9),
        (7, 5.0, 0.3241),  # tables of Erlang C
        (25, 20.0, 0.2091),
        (55, 48.0, 0.239),  # the usual worked example: 360 calls of 4 minutes in half an hour
        (10, 10.0, 1.0),
        (5, 10.0, 1.0),
        (5, 0.0, 0.0),
    ],
)
def test_probability_of_waiting_is_that_of_the_erlang_c_tables(agents: int, erlangs: float, expected: float) -> None:
    assert staffing.waits(agents, erlangs) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("agents", "share"),
    [(11, 0.3896), (12, 0.6402), (13, 0.7956), (14, 0.8884), (15, 0.9415)],
)
def test_share_answered_in_20_seconds_of_200_calls_of_3_minutes_an_hour(agents: int, share: float) -> None:
    assert staffing.answered(agents, 200, 180, 20) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize(
    ("calls", "handling", "within", "share", "expected"),
    [
        (200, 180, 20, 0.8, 14),
        (200, 180, 20, 0.79, 13),
        (720, 240, 15, 0.84, 55),
        (1, 60, 20, 0.8, 1),
        (60, 60, 0, 2 / 3 - 1e-9, 2),
        (20_000, 300, 20, 0.8, 1683),
    ],
)
def test_the_fewest_agents_who_answer_in_time(
    calls: float, handling: float, within: float, share: float, expected: int
) -> None:
    found = staffing.agents(calls, handling, within, share)
    assert found == expected
    assert staffing.answered(found, calls, handling, within) >= share
    if found - 1 > calls * handling / 3600:
        assert staffing.answered(found - 1, calls, handling, within) < share


def test_a_load_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 20000 agents"):
        staffing.agents(1e6, 86_400, 20, 0.8)
