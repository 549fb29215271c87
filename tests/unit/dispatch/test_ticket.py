"""When a ticket counts as answered, what it is measured by, and what a second classification changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from libs.shared.contracts.classification import Department, JoinPolicy
from libs.shared.events import uuid7
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.order import State, WorkOrder
from services.dispatch.domain.ticket import Brief, Ticket

RECEIVED = datetime(2026, 11, 22, 8, tzinfo=UTC)
BRIEF = Brief(
    ticket_id=uuid7(RECEIVED),
    channel="95598",
    external_ref="r1",
    agent_id="a1",
    title="停电",
    text="家里停电了",
    area_code="320100",
    address=None,
    star=3,
    sensitive=False,
    opened_at=RECEIVED - timedelta(days=900),
    situation_code="outage",
    situation_name="停电",
    category_path=("故障报修", "供电", "停电"),
    lead="lead",
    lead_name="生产设备管理部",
    supervisor="chief",
    sla_class="maintenance",
    join_policy="all",
    urgency="normal",
    matrix_version="v1",
)
TICKET = Ticket(BRIEF, "open", 1, RECEIVED, None, None, None, None, 0, 0, 0, None)


def order(department: str, state: State) -> WorkOrder:
    return WorkOrder(uuid4(), BRIEF.ticket_id, department, department, state, created_at=RECEIVED)


@pytest.mark.parametrize(
    ("policy", "states", "answered"),
    [
        ("all", {"a": "answered", "b": "answered"}, True),
        ("all", {"a": "answered", "b": "accepted"}, False),
        ("all", {"a": "answered", "b": "returned"}, False),
        ("all", {"a": "answered", "b": "reassigned"}, True),
        ("all", {"a": "answered", "b": "cancelled"}, True),
        ("all", {"a": "cancelled"}, False),
        ("all", {}, False),
        ("any", {"a": "answered", "b": "assigned"}, True),
        ("any", {"a": "accepted", "b": "assigned"}, False),
        ("any", {}, False),
        ("lead", {"lead": "answered", "b": "assigned"}, True),
        ("lead", {"lead": "accepted", "b": "answered"}, False),
        ("lead", {"a": "answered", "b": "accepted"}, False),
        ("lead", {"a": "answered", "b": "answered"}, True),
        ("lead", {"lead": "reassigned", "b": "answered"}, True),
        ("lead", {}, False),
    ],
)
def test_the_join_policy_decides_when_a_ticket_is_answered(
    policy: JoinPolicy, states: dict[str, State], answered: bool
) -> None:
    shares = [order(department, state) for department, state in states.items()]
    assert tickets.joined(policy, "lead", shares) is answered


@pytest.mark.parametrize(
    ("changes", "hops"),
    [
        ({}, 2),
        ({"messages": 2}, 4),
        ({"rulings": 1, "transfers": 1}, 4),
        ({"round": 2}, 4),
        ({"round": 2, "rulings": 2, "messages": 3}, 11),
    ],
)
def test_hops_count_every_hand_over(changes: dict[str, int], hops: int) -> None:
    assert tickets.measure(replace(TICKET, **changes), RECEIVED).hops == hops  # type: ignore[arg-type]


def test_minutes_count_from_the_moment_intake_took_the_ticket() -> None:
    ticket = replace(TICKET, first_contact_at=RECEIVED + timedelta(minutes=12, seconds=30), transfers=1)
    measures = tickets.measure(ticket, RECEIVED + timedelta(hours=2))
    assert (measures.first_contact_minutes, measures.resolve_minutes, measures.transfers) == (12.5, 120.0, 1)


def test_minutes_are_never_negative_when_two_clocks_differ() -> None:
    assert tickets.measure(TICKET, RECEIVED - timedelta(seconds=3)).resolve_minutes == 0


def test_a_ticket_id_without_a_time_counts_from_the_opening() -> None:
    brief = replace(BRIEF, ticket_id=UUID("6f1e1d5c-0000-4000-8000-000000000000"))
    assert tickets.received_at(brief) == brief.opened_at


@pytest.mark.parametrize(
    ("wanted", "states", "new", "dropped"),
    [
        (["a"], {"a": "accepted"}, [], []),
        (["b"], {"a": "assigned"}, ["b"], ["a"]),
        (["a", "b"], {"a": "accepted"}, ["b"], []),
        (["b"], {"a": "answered"}, ["b"], []),
        (["b"], {"a": "returned", "c": "reopened"}, ["b"], ["a", "c"]),
        (["a"], {"a": "reassigned"}, ["a"], []),
        (["a"], {"a": "cancelled", "b": "assigned"}, ["a"], ["b"]),
    ],
)
def test_a_second_classification_moves_only_what_it_must(
    wanted: list[str], states: dict[str, State], new: list[str], dropped: list[str]
) -> None:
    shares = [order(department, state) for department, state in states.items()]
    departments = [Department(code=code, name=code) for code in wanted]
    found_new, found_dropped = tickets.moved(departments, shares)
    assert [each.code for each in found_new] == new
    assert [each.department for each in found_dropped] == dropped
