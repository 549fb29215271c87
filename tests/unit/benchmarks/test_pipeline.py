"""The pipeline benchmark's own arithmetic: what was offered, what must arrive, percentiles, drained backlogs."""

import json
from typing import Any, cast

import pytest

from benchmarks import spike
from benchmarks.pipeline import cumulative, percentiles, ticket
from benchmarks.pipeline.course import Part, Pipeline, Reckoning
from benchmarks.pipeline.receiver import Receiver
from benchmarks.pipeline.ticket import Form, Tickets

FORMS = [
    Form("12345", b'{"a": "@@reference@@", "b": "@@number@@"}', departments, "S", "t")
    for departments in (("x",), ("x", "y"))
]
PART = Part(rate=1, offered=1, left=0, drained=0, first=0, last=100, cpu_ms={}, busy=0)


def test_every_ticket_of_the_demo_that_needs_nobody_is_a_form_with_its_departments() -> None:
    forms = ticket.forms()
    assert len(forms) > 200
    key, value = forms[0].record("R-7")
    assert key.endswith(b"|R-7")
    assert json.loads(value)["external_ref"] == "R-7"
    assert all(form.departments for form in forms)


def test_bare_reading_and_bare_table_find_the_same_situation_and_departments() -> None:
    read, look = ticket.judge(), ticket.glance()
    for form in ticket.forms()[:50]:
        found = json.loads(form.record("R-1")[1])
        assert read(found)[:2] == look(found)[:2] == (form.situation, form.departments)


def test_tickets_are_numbered_and_known_by_their_run_alone() -> None:
    tickets = Tickets("R", FORMS)
    assert [tickets.next()[0] for _ in range(3)] == [b"12345|R-0", b"12345|R-1", b"12345|R-2"]
    assert (tickets.number("R-2"), tickets.number("Q-2")) == (2, None)
    assert [tickets.departments(n) for n in range(3)] == [("x",), ("x", "y"), ("x",)]


@pytest.mark.parametrize(("sent", "arrived", "expected", "under_way"), [(0, 0, 0, 0), (3, 0, 4, 3), (4, 3, 6, 2)])
def test_what_is_under_way_is_told_by_the_webhooks_that_are_missing(
    sent: int, arrived: int, expected: int, under_way: int
) -> None:
    publisher = cast(Any, type("Sent", (), {"sent": [0.0] * sent}))
    receiver = Receiver({str(n): ("t", "x", 0.0) for n in range(arrived)})
    pipeline = Pipeline(cast(Any, None), publisher, receiver, Tickets("R", FORMS), "", "")
    assert (pipeline.expected, pipeline.under_way) == (expected, under_way)


def test_percentiles_are_those_of_the_part_alone() -> None:
    seconds = {n: (n + 1) / 100 for n in range(100)} | {100: 99.0}
    found = Reckoning(101, lost=0, doubled=0, copies=0, strange=0, seconds=seconds)
    assert percentiles(found, PART) == (0.5, 0.99)
    assert cumulative(found, PART)[-1] == 1000.0


def test_backlog_counts_as_drained_when_half_a_second_of_tickets_is_left() -> None:
    watch = spike.Watch(cast(Any, None), [(0.0, 500), (1.0, 400), (2.0, 5), (3.0, 1)])
    assert watch.drained(0.5, 10) == 1.5
    assert watch.drained(0.5, 1000) == 0.5
    assert watch.drained(4.0, 10) == float("inf")
