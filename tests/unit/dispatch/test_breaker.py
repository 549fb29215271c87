"""The circuit breaker and the pace of an endpoint, and what an answer's status says of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.dispatch.delivery.breaker import BREATH, FAILURES, FIRST, LONGEST, Breaker, Outcome, Pace, outcome

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def failed(breaker: Breaker, times: int, now: datetime = NOW) -> Breaker:
    for _ in range(times):
        breaker = breaker.after("unreachable", now)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    assert failed(Breaker(), FAILURES - 1).state == "closed"
    opened = failed(Breaker(), FAILURES)
    assert (opened.state, opened.blocked_until) == ("open", NOW + FIRST)


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = failed(failed(Breaker(), FAILURES - 1).after("success", NOW), FAILURES - 1)
    assert breaker.state == "closed"


def test_an_answer_that_refuses_the_request_shows_that_the_endpoint_is_there() -> None:
    assert failed(Breaker(), FAILURES - 1).after("refused", NOW) == Breaker()
    assert replace(failed(Breaker(), FAILURES), state="half_open").after("refused", NOW) == Breaker()


def test_while_open_nothing_starts_and_afterwards_one_probe() -> None:
    opened = failed(Breaker(), FAILURES)
    assert opened.room(NOW + FIRST - SECOND, 0, 16) == 0
    assert opened.room(NOW + FIRST, 0, 16) == 1
    probing = opened.begin()
    assert probing.state == "half_open"
    assert probing.room(NOW + FIRST, 1, 16) == 0


def test_a_good_probe_closes_it_and_a_bad_one_opens_it_for_longer() -> None:
    probing = failed(Breaker(), FAILURES).begin()
    assert probing.after("success", NOW) == Breaker()
    again = probing.after("unreachable", NOW)
    assert (again.state, again.blocked_until) == ("open", NOW + 2 * FIRST)


def test_open_times_double_up_to_a_limit() -> None:
    breaker = failed(Breaker(), FAILURES)
    for _ in range(20):
        breaker = breaker.begin().after("unreachable", NOW)
    assert breaker.blocked_until == NOW + LONGEST


def test_stragglers_of_the_time_before_do_not_lengthen_an_open_breaker() -> None:
    opened = failed(Breaker(), FAILURES)
    assert opened.after("unreachable", NOW + SECOND).blocked_until == opened.blocked_until


def test_slowing_down_never_opens_it_but_breathes_longer_each_time() -> None:
    breaker, waits = Breaker(), []
    for _ in range(7):
        breaker = replace(breaker, blocked_until=None).after("slow_down", NOW)
        assert breaker.blocked_until is not None
        waits.append((breaker.blocked_until - NOW) / BREATH)
    assert (breaker.state, waits) == ("closed", [1, 2, 4, 8, 16, 32, 32])


def test_what_the_server_asks_for_counts() -> None:
    breaker = Breaker().after("slow_down", NOW, 30 * SECOND)
    assert breaker.room(NOW + 29 * SECOND, 0, 4) == 0
    assert breaker.room(NOW + 30 * SECOND, 0, 4) == 4


def test_a_shorter_wish_does_not_undo_a_longer_one() -> None:
    breaker = Breaker().after("slow_down", NOW, 30 * SECOND).after("slow_down", NOW, SECOND)
    assert breaker.blocked_until == NOW + 30 * SECOND


def test_pace_halves_and_recovers_one_by_one() -> None:
    pace = Pace(8, 8).after("slow_down")
    assert pace.now == 4
    for _ in range(4):
        pace = pace.after("success")
    assert pace.now == 5
    for _ in range(100):
        pace = pace.after("success")
    assert pace.now == 8
    assert Pace(8, 1).after("slow_down").now == 1


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        (200, None, "success"),
        (204, None, "success"),
        (299, None, "success"),
        (301, None, "refused"),
        (307, None, "refused"),
        (400, None, "refused"),
        (401, None, "refused"),
        (404, None, "refused"),
        (410, None, "gone"),
        (429, None, "slow_down"),
        (500, None, "unreachable"),
        (502, None, "slow_down"),
        (503, None, "unreachable"),
        (503, 5 * SECOND, "slow_down"),
        (504, None, "slow_down"),
        (None, None, "unreachable"),
    ],
)
def test_a_status_says_what_it_says(status: int | None, retry_after: timedelta | None, expected: Outcome) -> None:
    assert outcome(status, retry_after) == expected
