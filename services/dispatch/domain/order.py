"""A work order, one executing department's share of a ticket: its states and legal moves, and who rules on a return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args
from uuid import UUID

State: TypeAlias = Literal[
    "assigned",  # the department has it, by webhook or in its inbox
    "accepted",
    "reopened",  # back after an unsatisfied callback (发回重办)
    "returned",  # "not mine": waits for a ruling
    "answered",
    "reassigned",  # the return was upheld, or all of its kind were moved: another work order took its place
    "cancelled",  # the ticket was classified again and is not this department's any more
    "closed",
]
Move: TypeAlias = Literal[
    "accept", "contacted", "questions", "evidence", "return", "answer",  # the department's
    "uphold", "reject",  # of whoever rules on its return
    "ask", "reopen", "close",  # the agent's
    "cancel",  # the classifier's
    "reassign",  # of whoever moves all of a department's
]  # fmt: skip
Judge: TypeAlias = Literal["lead", "supervisor"]

# state → move → next state. A move that is not listed is refused with the state and the moves that are.
MOVES: Final[Mapping[State, Mapping[Move, State]]] = {
    "assigned": {
        "accept": "accepted", "questions": "assigned", "evidence": "assigned", "return": "returned",
        "ask": "assigned", "close": "closed", "cancel": "cancelled", "reassign": "reassigned",
    },
    "accepted": {
        "accept": "accepted", "contacted": "accepted", "questions": "accepted", "evidence": "accepted",
        "return": "returned", "answer": "answered", "ask": "accepted", "close": "closed", "cancel": "cancelled",
        "reassign": "reassigned",
    },
    "reopened": {
        "accept": "accepted", "questions": "reopened", "evidence": "reopened", "return": "returned",
        "ask": "reopened", "close": "closed", "cancel": "cancelled", "reassign": "reassigned",
    },
    "returned": {
        "evidence": "returned", "uphold": "reassigned", "reject": "assigned",
        "ask": "returned", "close": "closed", "cancel": "cancelled", "reassign": "reassigned",
    },
    "answered": {"evidence": "answered", "ask": "answered", "reopen": "reopened", "close": "closed"},
    "closed": {"evidence": "closed", "reopen": "reopened"},
    "reassigned": {},
    "cancelled": {},
}  # fmt: skip

STATES: Final[tuple[State, ...]] = get_args(State)
OPEN: Final[tuple[State, ...]] = ("assigned", "accepted", "reopened", "returned")  # something is still to be done
GONE: Final[tuple[State, ...]] = ("reassigned", "cancelled")  # no share in the ticket any more
MOST_RETURNS: Final = 2  # the first is ruled by the lead department, the second by the supervisor, for good


class Illegal(Exception):
    """A move that the state does not allow."""

    def __init__(self, state: str, move: str, allowed: Sequence[str], why: str = "") -> None:
        super().__init__(why or f"{move} is not possible while the state is {state}")
        self.state, self.move, self.allowed = state, move, tuple(allowed)


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """One executing department's share of a ticket. Times are UTC."""

    work_order_id: UUID
    ticket_id: UUID
    department: str  # code
    department_name: str
    state: State
    created_at: datetime
    returns: int = 0  # so far, of this order and of those it took the place of; a supervisor's ruling uses them up
    returned_from: State | None = None  # where a rejected return goes back to
    reassigned_from: UUID | None = None
    delivered_at: datetime | None = None
    accepted_at: datetime | None = None
    contacted_at: datetime | None = None
    answered_at: datetime | None = None
    answer: str | None = None
    resolution: str | None = None

    @property
    def gone(self) -> bool:
        """Whether it has no share in the ticket any more."""
        return self.state in GONE


def allowed(order: WorkOrder) -> tuple[Move, ...]:
    """The moves that are legal now."""
    return tuple(move for move in MOVES[order.state] if move != "return" or order.returns < MOST_RETURNS)


def after(order: WorkOrder, move: Move) -> State:
    """The state after a move. Raises Illegal."""
    if move == "return" and order.returns >= MOST_RETURNS:
        raise Illegal(order.state, move, allowed(order), "the supervisor's ruling on this work order is final")
    state = MOVES[order.state].get(move)
    if state is None:
        raise Illegal(order.state, move, allowed(order))
    return (order.returned_from or state) if move == "reject" else state


def judge(order: WorkOrder, lead: str) -> Judge:
    """Who rules on the return that `order` is about to make: nobody twice, and nobody on a return of their own."""
    return "supervisor" if order.returns > 0 or order.department == lead else "lead"
