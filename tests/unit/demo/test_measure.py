"""The demo's figures: percentiles, the two latencies by the receivers' and agents' own clocks, hand-overs, counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from demo import measure
from demo.measure import Hops, Measures, Spread
from tests.unit.reconcile.run_of_one_ticket import START, Run, a_run

PUBLISHED = {"ticket": 1, "repeat": 1, "bad": 1}


@contextmanager
def measured(run: Run) -> Iterator[Measures]:
    book = run.book()
    yield measure.measure(book, PUBLISHED)
    book.close()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], None),
        ([3.0], Spread(1, 3.0, 3.0, 3.0)),
        ([4.0, 1.0, 3.0, 2.0], Spread(4, 2.0, 4.0, 4.0)),
        ([float(n) for n in range(1, 201)], Spread(200, 100.0, 198.0, 200.0)),
    ],
)
def test_percentiles_are_those_of_the_nearest_rank(seconds: list[float], expected: Spread | None) -> None:
    assert measure.spread(seconds) == expected


def test_ticket_to_webhook_counts_from_the_producer_to_the_first_webhook() -> None:
    run = a_run()
    run.said = [each for each in run.said if each.type != "ReviewRequested"]
    with measured(run) as found:
        assert found.to_webhook == Spread(1, 2.0, 2.0, 2.0)


def test_a_ticket_that_waited_for_a_person_is_not_measured() -> None:
    with measured(a_run()) as found:
        assert found.to_webhook is None


def test_answer_to_screen_counts_from_the_last_answer_that_the_ticket_waited_for() -> None:
    run = a_run()
    with measured(run) as found:
        assert found.to_screen == Spread(2, 20.0 - 16.0, 20.0 - 7.0, 20.0 - 7.0)
    late = {**run.tables["call"][-1], "at": START + timedelta(seconds=25), "key": "late"}
    run.tables["call"].append(late)
    with measured(run) as found:
        assert found.to_screen == Spread(2, 4.0, 13.0, 13.0)


def test_hand_overs_are_held_against_the_linear_flow() -> None:
    """One round, one question and one rework would have been three walks along the line, and the return two more."""
    with measured(a_run()) as found:
        assert found.hops == Hops(ours=6, linear=3 * 4 + 2, tickets=1)


def test_counts_are_those_of_the_run() -> None:
    run = a_run()
    with measured(run) as found:
        assert (found.received, found.refused, found.repeats, found.closed, found.screens) == (1, 1, 1, 1, 1)
        assert (found.orders, found.delivered, found.copies, found.failures) == (2, 2, 5, 1)
        assert (found.returned, found.upheld, found.questions, found.replies, found.reopened) == (1, 1, 1, 1, 1)
        assert (found.reviews, found.deciders) == (1, {"person": 1})
        assert found.clocks == {"started": 1, "warned": 1, "breached": 0, "met": 1}
        assert (found.events, found.redelivered) == (len(run.said), 0)
