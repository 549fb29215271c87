"""A ticket as dispatch sees it: its brief, when it counts as answered, and what the flattened flow is measured by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, assert_never
from uuid import UUID

from libs.shared.contracts.classification import Department, JoinPolicy, SlaClass, TicketClassified, Urgency
from libs.shared.contracts.dispatch import Measures
from libs.shared.contracts.intake import Channel
from services.dispatch.domain.order import Illegal, WorkOrder

State: TypeAlias = Literal["open", "answered", "closed"]
Move: TypeAlias = Literal["answer", "close", "reopen"]

STATES: Final[tuple[State, ...]] = ("open", "answered", "closed")
MOVES: Final[Mapping[State, Mapping[Move, State]]] = {
    "open": {"answer": "answered", "close": "closed"},  # closed unanswered: the customer has withdrawn it
    "answered": {"close": "closed", "reopen": "open"},
    "closed": {"reopen": "open"},
}


@dataclass(frozen=True, slots=True)
class Brief:
    """What a department must know to work on a ticket. Every text is masked. Times are UTC."""

    ticket_id: UUID
    channel: Channel
    external_ref: str
    agent_id: str | None
    title: str
    text: str
    area_code: str | None
    address: str | None
    star: int  # 1-5
    sensitive: bool
    opened_at: datetime
    situation_code: str
    situation_name: str
    category_path: tuple[str, ...]
    lead: str  # code
    lead_name: str
    supervisor: str
    sla_class: SlaClass
    join_policy: JoinPolicy
    urgency: Urgency
    matrix_version: str
    repeats: int = 0  # tickets that it repeats

    @property
    def lead_department(self) -> Department:
        """The lead department (归口部门)."""
        return Department(code=self.lead, name=self.lead_name)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket and where it stands. `round` is 1 and grows with each reopening."""

    brief: Brief
    state: State
    round: int
    classified_at: datetime
    first_contact_at: datetime | None
    answered_at: datetime | None
    closed_at: datetime | None
    satisfied: bool | None
    transfers: int  # work orders that changed department
    rulings: int  # returns that were ruled on
    messages: int  # questions and replies between agent and departments
    measures: Measures | None  # of the last answer
    master: UUID | None = None  # the ticket that it is merged into; itself: it is a master

    @property
    def is_master(self) -> bool:
        """Whether tickets are or were merged into it."""
        return self.master == self.brief.ticket_id

    @property
    def is_member(self) -> bool:
        """Whether another ticket's departments work for it."""
        return self.master is not None and not self.is_master


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ticket's history."""

    ticket_id: UUID
    work_order_id: UUID | None
    what: str
    by: str  # principal
    detail: Mapping[str, Any]


def brief(event: TicketClassified) -> Brief:
    """The brief that a classification carries."""
    ticket = event.ticket
    return Brief(
        ticket_id=event.ticket_id,
        channel=ticket.channel,
        external_ref=ticket.external_ref,
        agent_id=ticket.agent_id,
        title=ticket.title,
        text=ticket.text,
        area_code=ticket.place.area_code,
        address=ticket.place.address,
        star=ticket.customer.star,
        sensitive=ticket.customer.sensitive,
        opened_at=ticket.opened_at,
        situation_code=event.situation.code,
        situation_name=event.situation.name,
        category_path=event.situation.path,
        lead=event.lead_department.code,
        lead_name=event.lead_department.name,
        supervisor=event.supervisor,
        sla_class=event.sla_class,
        join_policy=event.join_policy,
        urgency=event.urgency,
        matrix_version=event.matrix_version,
        repeats=event.repeats,
    )


def executing(event: TicketClassified) -> tuple[Department, ...]:
    """The executing departments, each once, in the order of the matrix."""
    return tuple({department.code: department for department in event.executing_departments}.values())


def after(ticket: Ticket, move: Move) -> State:
    """The ticket's state after a move. Raises Illegal."""
    state = MOVES[ticket.state].get(move)
    if state is None:
        raise Illegal(ticket.state, move, tuple(MOVES[ticket.state]))
    return state


def joined(policy: JoinPolicy, lead: str, orders: Iterable[WorkOrder]) -> bool:
    """Whether the answers that are there make the ticket answered.

    `lead`: the lead department's own work order decides; where it leads without executing, all must have answered.
    """
    shares = [order for order in orders if not order.gone]
    answered = [order for order in shares if order.state == "answered"]
    match policy:
        case "any":
            return bool(answered)
        case "lead":
            leading = [order for order in shares if order.department == lead]
            return bool(shares) and all(order.state == "answered" for order in leading or shares)
        case "all":
            return bool(shares) and len(answered) == len(shares)
    assert_never(policy)


def measure(ticket: Ticket, now: datetime) -> Measures:
    """The measures of a ticket that is answered at `now` (domain.md §1).

    Hops: agent → department → agent is 2, once per round; a return that was ruled on adds 2 (department → judge →
    department), each question and each reply 1. Minutes count from the moment intake took the ticket.
    """
    received = received_at(ticket.brief)
    contact = ticket.first_contact_at
    return Measures(
        hops=2 * ticket.round + 2 * ticket.rulings + ticket.messages,
        transfers=ticket.transfers,
        first_contact_minutes=None if contact is None else minutes(received, contact),
        resolve_minutes=minutes(received, now),
    )


def received_at(brief: Brief) -> datetime:
    """When intake took the ticket: its UUIDv7 holds that time in its first 48 bits (ms)."""
    if brief.ticket_id.version != 7:
        return brief.opened_at
    return datetime.fromtimestamp((brief.ticket_id.int >> 80) / 1000, UTC)


def minutes(start: datetime, end: datetime) -> float:
    """Minutes between two instants, not below 0 (two databases' clocks may differ), to the hundredth."""
    return round(max((end - start).total_seconds(), 0.0) / 60, 2)


def moved(
    wanted: Sequence[Department], orders: Sequence[WorkOrder]
) -> tuple[tuple[Department, ...], tuple[WorkOrder, ...]]:
    """What a new classification changes: departments that get a work order, and work orders that are cancelled.

    Who works on the ticket already keeps the work order; who has answered is left alone.
    """
    shares = [order for order in orders if not order.gone]
    codes = {department.code for department in wanted}
    new = tuple(each for each in wanted if each.code not in {order.department for order in shares})
    dropped = tuple(order for order in shares if order.department not in codes and order.state != "answered")
    return new, dropped
