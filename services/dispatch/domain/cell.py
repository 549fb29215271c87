"""A cell of the matrix, situation and executing department: how many of its work orders come back (domain.md §3)."""

from dataclasses import dataclass
from datetime import datetime

from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.ticket import Brief


@dataclass(frozen=True, slots=True)
class Tally:
    """What one fact adds to the counts of the cell that a work order is in."""

    brief: Brief
    order: WorkOrder
    assigned: int = 0
    returned: int = 0
    upheld: int = 0
    rejected: int = 0
    matrix_wrong: int = 0

    @property
    def at(self) -> datetime:
        """When the work order was assigned: the month it counts in, so that no month has more returns than orders."""
        return self.order.created_at


@dataclass(frozen=True, slots=True)
class Counts:
    """A cell's month as it stands."""

    assigned: int
    returned: int
    upheld: int
    matrix_wrong: int
    disputed: bool  # it was said in this month


def passes(counts: Counts, more: int, *, work_orders: int, rate: float) -> bool:
    """Whether a cell is to be called disputed now that `more` of its returns were upheld.

    It has at least so many work orders and at least that rate of upheld returns; it has not been said in this month, or
    the rate had been below in the meantime.
    """
    if counts.assigned < work_orders or counts.upheld / counts.assigned < rate:
        return False
    return not counts.disputed or (counts.upheld - more) / counts.assigned < rate
