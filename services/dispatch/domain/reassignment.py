"""All open work orders of a department, or those of some situations, go to another one: no court, no objection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from services.dispatch.domain.order import OPEN, WorkOrder

State: TypeAlias = Literal["listing", "moving", "done"]
Skipped: TypeAlias = Literal[
    "ended",  # answered, closed, cancelled or reassigned meanwhile
    "has_a_share",  # the other department works on that ticket already
]
FIRST: Final = UUID(int=0)  # before every id


@dataclass(frozen=True, slots=True)
class Scope:
    """Which work orders, and where they go. Departments are codes."""

    source: str
    target: str
    situations: tuple[str, ...] | None  # codes; None: all
    category: str | None  # name of one of the four levels; None: all


@dataclass(frozen=True, slots=True)
class Reassignment:
    """One such order and how far it has come. Times are UTC."""

    reassignment_id: UUID  # work orders that are younger stay where they are
    scope: Scope
    target_name: str
    reason: str
    by: str  # principal
    state: State
    created_at: datetime
    finished_at: datetime | None = None
    after_id: UUID = FIRST  # the last work order that was listed, or moved
    total: int = 0
    moved: int = 0
    skipped: int = 0

    @property
    def left(self) -> int:
        """Work orders still to be looked at, of those that are listed."""
        return self.total - self.moved - self.skipped


@dataclass(frozen=True, slots=True)
class Item:
    """One work order of it, and what became of it; `result` None: not yet looked at."""

    work_order_id: UUID
    ticket_id: UUID
    result: Literal["moved", "skipped"] | None = None
    reason: Skipped | None = None  # why it was skipped
    successor: UUID | None = None  # the work order that took its place
    at: datetime | None = None


def skipped(order: WorkOrder | None, shares: Sequence[WorkOrder], target: str) -> Skipped | None:
    """Why a work order is not moved; `shares` are all of its ticket. None: it is."""
    if order is None or order.state not in OPEN:
        return "ended"
    if any(share.department == target and not share.gone for share in shares):
        return "has_a_share"
    return None


def carried(order: WorkOrder) -> int:
    """The returns that count against the successor: one that nobody has ruled on does not."""
    return order.returns - (order.state == "returned")
