"""When a cell of the matrix is called disputed, and why a work order is not moved with the others."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.dispatch.domain import cell, reassignment
from services.dispatch.domain.cell import Counts
from services.dispatch.domain.order import State, WorkOrder

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ORDER = WorkOrder(UUID(int=1), UUID(int=2), "meter", "计量中心", "assigned", created_at=NOW)


@pytest.mark.parametrize(
    ("assigned", "upheld", "more", "said", "passes"),
    [
        (9, 9, 1, False, False),  # too few work orders to judge by
        (10, 1, 1, False, False),
        (10, 2, 1, False, True),  # reaches it
        (10, 3, 1, False, True),  # was there before it had enough work orders
        (10, 3, 1, True, False),  # said once
        (20, 4, 1, True, True),  # had fallen below in the meantime
        (20, 6, 3, True, True),  # several rulings of one batch
        (20, 6, 1, True, False),
    ],
)
def test_a_cell_is_disputed_once_until_its_rate_has_fallen_below(
    assigned: int, upheld: int, more: int, said: bool, passes: bool
) -> None:
    counts = Counts(assigned, upheld, upheld, 0, said)
    assert cell.passes(counts, more, work_orders=10, rate=0.2) is passes


@pytest.mark.parametrize(
    ("state", "others", "why"),
    [
        ("assigned", (), None),
        ("accepted", (), None),
        ("reopened", (), None),
        ("returned", (), None),
        ("answered", (), "ended"),
        ("closed", (), "ended"),
        ("cancelled", (), "ended"),
        ("reassigned", (), "ended"),
        ("assigned", ("assigned",), "has_a_share"),
        ("assigned", ("answered",), "has_a_share"),
        ("assigned", ("reassigned", "cancelled"), None),  # gone from the ticket
    ],
)
def test_a_work_order_is_moved_unless_it_has_ended_or_the_other_department_has_a_share(
    state: State, others: tuple[State, ...], why: str | None
) -> None:
    order = replace(ORDER, state=state)
    shares = [replace(ORDER, work_order_id=UUID(int=9), department="repair", state=each) for each in others]
    assert reassignment.skipped(order, [order, *shares], "repair") == why


def test_a_return_that_nobody_ruled_on_does_not_count_against_the_new_department() -> None:
    assert reassignment.carried(replace(ORDER, state="returned", returns=1)) == 0
    assert reassignment.carried(replace(ORDER, state="accepted", returns=1)) == 1
