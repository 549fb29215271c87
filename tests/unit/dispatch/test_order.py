"""The states and moves of work orders and tickets, and who rules on a return."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import pytest

from services.dispatch.domain import order as orders
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.court import ReturnCase, may_rule
from services.dispatch.domain.order import MOVES, STATES, Illegal, Move, State, WorkOrder

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ORDER = WorkOrder(UUID(int=1), UUID(int=2), "meter", "计量中心", "assigned", created_at=NOW)

LEGAL: list[tuple[State, Move, State]] = [
    ("assigned", "accept", "accepted"),
    ("assigned", "questions", "assigned"),
    ("assigned", "evidence", "assigned"),
    ("assigned", "return", "returned"),
    ("assigned", "ask", "assigned"),
    ("assigned", "close", "closed"),
    ("assigned", "cancel", "cancelled"),
    ("assigned", "reassign", "reassigned"),
    ("accepted", "accept", "accepted"),
    ("accepted", "contacted", "accepted"),
    ("accepted", "questions", "accepted"),
    ("accepted", "evidence", "accepted"),
    ("accepted", "return", "returned"),
    ("accepted", "answer", "answered"),
    ("accepted", "ask", "accepted"),
    ("accepted", "close", "closed"),
    ("accepted", "cancel", "cancelled"),
    ("accepted", "reassign", "reassigned"),
    ("reopened", "accept", "accepted"),
    ("reopened", "questions", "reopened"),
    ("reopened", "evidence", "reopened"),
    ("reopened", "return", "returned"),
    ("reopened", "ask", "reopened"),
    ("reopened", "close", "closed"),
    ("reopened", "cancel", "cancelled"),
    ("reopened", "reassign", "reassigned"),
    ("returned", "evidence", "returned"),
    ("returned", "uphold", "reassigned"),
    ("returned", "reject", "assigned"),
    ("returned", "ask", "returned"),
    ("returned", "close", "closed"),
    ("returned", "cancel", "cancelled"),
    ("returned", "reassign", "reassigned"),
    ("answered", "evidence", "answered"),
    ("answered", "ask", "answered"),
    ("answered", "reopen", "reopened"),
    ("answered", "close", "closed"),
    ("closed", "evidence", "closed"),
    ("closed", "reopen", "reopened"),
]
ALL: list[tuple[State, Move]] = [(state, move) for state in STATES for move in get_args(Move)]


@pytest.mark.parametrize(("state", "move", "target"), LEGAL)
def test_a_legal_move_leads_where_the_table_says(state: State, move: Move, target: State) -> None:
    assert orders.after(replace(ORDER, state=state), move) == target


@pytest.mark.parametrize(("state", "move"), sorted(set(ALL) - {(state, move) for state, move, _ in LEGAL}))
def test_any_other_move_is_refused_with_the_state_and_the_legal_moves(state: State, move: Move) -> None:
    with pytest.raises(Illegal) as refused:
        orders.after(replace(ORDER, state=state), move)
    assert refused.value.state == state
    assert set(refused.value.allowed) == {legal for at, legal, _ in LEGAL if at == state}


@pytest.mark.parametrize("state", ["assigned", "accepted", "reopened"])
def test_a_rejected_return_goes_back_to_where_it_came_from(state: State) -> None:
    returned = replace(ORDER, state="returned", returned_from=state)
    assert orders.after(returned, "reject") == state


def test_a_third_return_is_refused_because_the_supervisors_ruling_is_final() -> None:
    order = replace(ORDER, state="accepted", returns=2)
    assert "return" not in orders.allowed(order)
    with pytest.raises(Illegal, match="final"):
        orders.after(order, "return")


def test_every_state_is_in_the_table() -> None:
    assert set(MOVES) == set(STATES)
    assert {target for moves in MOVES.values() for target in moves.values()} <= set(STATES)


@pytest.mark.parametrize(
    ("returns", "department", "judge"),
    [(0, "meter", "lead"), (1, "meter", "supervisor"), (0, "marketing", "supervisor")],
)
def test_the_first_return_goes_to_the_lead_and_the_second_or_the_leads_own_to_the_supervisor(
    returns: int, department: str, judge: str
) -> None:
    assert orders.judge(replace(ORDER, returns=returns, department=department), "marketing") == judge


@pytest.mark.parametrize(
    ("kind", "principal", "scope", "may"),
    [
        ("lead", "marketing", "department", True),
        ("lead", "meter", "department", False),
        ("lead", "marketing", "supervise", False),
        ("lead", "root", "admin", True),
        ("supervisor", "chief", "supervise", True),
        ("supervisor", "another_chief", "supervise", True),
        ("supervisor", "marketing", "department", False),
        ("supervisor", "chief", "department", False),
    ],
)
def test_only_the_judge_rules(kind: orders.Judge, principal: str, scope: str, may: bool) -> None:
    judge = "marketing" if kind == "lead" else "chief"
    case = ReturnCase(UUID(int=1), UUID(int=2), UUID(int=3), "s", "meter", "not_ours", "…", None, kind, judge, NOW)
    assert may_rule(case, principal, frozenset({scope})) is may


def test_a_ticket_moves_only_as_its_table_says() -> None:
    legal = {(state, move) for state, moves in tickets.MOVES.items() for move in moves}
    assert legal == {
        ("open", "answer"),
        ("open", "close"),
        ("answered", "close"),
        ("answered", "reopen"),
        ("closed", "reopen"),
    }
