"""When clocks start, stop and come due."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from libs.shared.contracts.classification import Department, SlaClass
from libs.shared.contracts.dispatch import MasterJoined, WorkOrderAssigned, WorkOrderReturned
from libs.shared.contracts.intake import Star
from libs.shared.contracts.sla_timer import Clock, ClockKind, ClocksStarted
from services.sla_timer.domain.policy import Policy

State = Literal["running", "met", "missed", "cancelled"]

STAGES: tuple[Literal["accept", "first_contact"], ...] = ("accept", "first_contact")


@dataclass(frozen=True, slots=True)
class Promise:
    """One clock as it was started; what changes later (state, points passed) is not part of it."""

    id: UUID
    ticket_id: UUID
    work_order_id: UUID | None  # None: the ticket's own (resolve)
    kind: ClockKind
    department: Department | None
    lead_department: Department
    supervisor: str
    started_at: datetime
    limit_seconds: int
    rule: str  # the place in the policy that set the limit
    sla_class: SlaClass
    star: Star  # the highest heard of

    @property
    def due_at(self) -> datetime:
        """When the limit is reached."""
        return self.at(100)

    def at(self, percent: int) -> datetime:
        """When that share of the limit has passed: round the clock, as in the statement that sets the next timer."""
        return self.started_at + timedelta(seconds=self.limit_seconds) * percent / 100

    def told(self) -> Clock:
        """As other services see it."""
        return Clock(
            clock_id=self.id,
            kind=self.kind,
            work_order_id=self.work_order_id,
            department=self.department,
            lead_department=self.lead_department,
            supervisor=self.supervisor,
            started_at=self.started_at,
            due_at=self.due_at,
            limit_seconds=self.limit_seconds,
        )


@dataclass(frozen=True, slots=True)
class Timer:
    """The one pending timer of a running clock: its next point."""

    fire_at: datetime
    promise_id: UUID
    ticket_id: UUID
    generation: int  # of the clock when the timer was set; any change of the clock makes it void
    percent: int


@dataclass(frozen=True, slots=True)
class Known:
    """A clock that exists, as far as starting others depends on it."""

    promise: Promise
    state: State


@dataclass(frozen=True, slots=True)
class Joined:
    """The strictest promise of the tickets that were merged into one; that one's clock keeps it."""

    started_at: datetime
    limit_seconds: int
    rule: str
    sla_class: SlaClass
    star: Star

    @property
    def due_at(self) -> datetime:
        """When the limit is reached."""
        return self.started_at + timedelta(seconds=self.limit_seconds)

    def over(self, promise: Promise, id_: UUID) -> Promise:
        """This promise in the place of that one."""
        return replace(
            promise,
            id=id_,
            started_at=self.started_at,
            limit_seconds=self.limit_seconds,
            rule=self.rule,
            sla_class=self.sla_class,
            star=self.star,
        )

    def runs(self, promise: Promise) -> bool:
        """Whether that clock is this promise's."""
        return (self.started_at, self.limit_seconds, self.rule) == (
            promise.started_at,
            promise.limit_seconds,
            promise.rule,
        )


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What has happened to a work order, whatever order it was heard in."""

    id: UUID
    ticket_id: UUID
    accepted: bool = False
    contacted: bool = False
    ended: bool = False
    ticket_ended: bool = False
    ticket_closed: bool = False
    joined: Joined | None = None  # of its ticket

    def needs(self, kind: ClockKind) -> bool:
        """Whether that stage is still to come."""
        if kind == "ruling":
            return not (self.ended or self.ticket_closed)  # a return waits for its ruling beside the answer
        if self.ended or self.ticket_ended:
            return False
        match kind:
            case "accept":
                return not (self.accepted or self.contacted)
            case "first_contact":
                return not self.contacted
            case "resolve":
                return True


@dataclass(frozen=True, slots=True)
class Plan:
    """What one fact changes."""

    ticket_id: UUID
    starts: tuple[Promise, ...] = ()
    replaced: tuple[UUID, ...] = ()  # clocks whose place one of them takes

    def said(self) -> ClocksStarted:
        """The one event for all clocks it starts."""
        return ClocksStarted(ticket_id=self.ticket_id, clocks=tuple(promise.told() for promise in self.starts))


def assign(
    event: WorkOrderAssigned, order: WorkOrder, known: Sequence[Known], policy: Policy, new_id: Callable[[], UUID]
) -> Plan:
    """Start accept and first contact for the work order, and resolve for its ticket.

    Args: `known`: every clock of the ticket. A work order whose clocks are known, a stage already passed and an ended
    ticket start nothing. A resolve clock that runs longer than the highest star and the urgency allow (就高原则), or
    by a class the ticket has no more, is replaced by another one from the same opening. A stricter promise of a ticket
    that was merged into this one stands above both.
    """
    if order.ticket_ended:
        return Plan(event.ticket_id)
    starts = []
    share = policy.share(event.repeats, event.channel)
    had = {clock.promise.kind for clock in known if clock.promise.work_order_id == order.id}
    for kind in STAGES:
        if kind not in had and order.needs(kind):
            limit = policy.stage_limit(kind, event.urgency, share)
            starts.append(_promise(event, new_id(), kind, event.occurred_at, limit))
    running, joined = _resolving(known), order.joined
    own = [promise for promise in running if not (joined and joined.runs(promise))]
    star = max([event.star, *(promise.star for promise in own)])
    limit = policy.resolve_limit((star,), event.sla_class, event.urgency, share)
    started_at = own[0].started_at if own else event.opened_at
    wanted = replace(_promise(event, new_id(), "resolve", started_at, limit), star=star)
    if joined and joined.due_at < wanted.due_at:
        wanted = joined.over(wanted, wanted.id)
    replaced = tuple(
        promise.id
        for promise in running
        if (promise not in own and promise.due_at > wanted.due_at)
        or (promise in own and promise.limit_seconds > limit[0])
        or (promise in own and promise.sla_class != event.sla_class and promise.limit_seconds != limit[0])
    )
    if replaced or not running:
        starts.append(wanted)
    return Plan(event.ticket_id, tuple(starts), replaced)


def join(
    event: MasterJoined, before: Joined | None, known: Sequence[Known], policy: Policy, new_id: Callable[[], UUID]
) -> tuple[Joined | None, Plan]:
    """Bind a master's resolve clock by the strictest promise that the tickets merged into it had.

    Args: `before`: the strictest so far; `known`: every clock of the master. Gives the strictest now, which an
    assignment that comes later keeps to, and what changes at once: a running clock that is due later gives way, one
    that is due sooner stays; where none runs none starts.
    """
    strictest = min(
        [*([before] if before else []), *_promised(event, policy)], key=lambda each: each.due_at, default=None
    )
    late = [promise for promise in _resolving(known) if strictest and promise.due_at > strictest.due_at]
    if not strictest or not late:
        return strictest, Plan(event.ticket_id)
    return strictest, Plan(event.ticket_id, (strictest.over(late[0], new_id()),), tuple(each.id for each in late))


def _promised(event: MasterJoined, policy: Policy) -> list[Joined]:
    made = []
    for each in event.promised:
        share = policy.share(each.repeats, each.channel)
        limit_seconds, rule = policy.resolve_limit((each.star,), each.sla_class, each.urgency, share)
        made.append(Joined(each.opened_at, limit_seconds, rule, each.sla_class, each.star))
    return made


def _resolving(known: Sequence[Known]) -> list[Promise]:
    return [clock.promise for clock in known if clock.promise.kind == "resolve" and clock.state == "running"]


def judge(
    event: WorkOrderReturned,
    order: WorkOrder | None,
    known: Sequence[Known],
    policy: Policy,
    new_id: Callable[[], UUID],
) -> Plan:
    """Start the ruling clock of a return. It is the lead department's, which answers for the ticket as a whole.

    Args: `order`: None where nothing was heard of it; `known`: every clock of the ticket. A return heard twice, and one
    of a work order that is over, start nothing.
    """
    own = [clock for clock in known if clock.promise.work_order_id == event.work_order_id]
    heard = any(
        clock.promise.kind == "ruling" and (clock.state == "running" or clock.promise.started_at >= event.occurred_at)
        for clock in own
    )
    if heard or not own or order is None or not order.needs("ruling"):
        return Plan(event.ticket_id)
    limit_seconds, rule = policy.ruling_limit()
    promise = replace(
        own[-1].promise,
        id=new_id(),
        kind="ruling",
        department=own[-1].promise.lead_department,
        started_at=event.occurred_at,
        limit_seconds=limit_seconds,
        rule=rule,
    )
    return Plan(event.ticket_id, (promise,))


def _promise(
    event: WorkOrderAssigned, id_: UUID, kind: ClockKind, started_at: datetime, limit: tuple[int, str]
) -> Promise:
    own = kind != "resolve"
    return Promise(
        id=id_,
        ticket_id=event.ticket_id,
        work_order_id=event.work_order_id if own else None,
        kind=kind,
        department=event.department if own else None,
        lead_department=event.lead_department,
        supervisor=event.supervisor,
        started_at=started_at,
        limit_seconds=limit[0],
        rule=limit[1],
        sla_class=event.sla_class,
        star=event.star,
    )


def restart(
    ticket_id: UUID,
    orders: Sequence[WorkOrder],
    known: Sequence[Known],
    *,
    at: datetime,
    new_id: Callable[[], UUID],
    kinds: Sequence[ClockKind],
) -> Plan:
    """Give these work orders (and, where `kinds` names it, the ticket) their promises again, counted from `at`.

    Args: `known`: every clock of the ticket; the latest of each kind lends its limit. What runs goes on as it is.
    """
    starts = []
    subjects: list[tuple[UUID | None, ClockKind]] = [
        (order.id, kind) for order in orders for kind in STAGES if kind in kinds and order.needs(kind)
    ]
    if "resolve" in kinds:
        subjects.append((None, "resolve"))
    for work_order_id, kind in subjects:
        same = [clock for clock in known if (clock.promise.work_order_id, clock.promise.kind) == (work_order_id, kind)]
        if same and not any(clock.state == "running" for clock in same):
            starts.append(replace(max(same, key=_last).promise, id=new_id(), started_at=at))
    return Plan(ticket_id, tuple(starts))


def _last(clock: Known) -> tuple[bool, datetime, bool, int, UUID]:
    """Orders clocks of one kind by which was in force last.

    One that was replaced has the same start as the one in its place, or a later one where that is a merged ticket's
    promise; and perhaps the same millisecond's id. Where all were cancelled, for they were merged, the strictest.
    """
    promise, stood = clock.promise, clock.state != "cancelled"
    return stood and promise.kind == "resolve", promise.started_at, stood, -promise.limit_seconds, promise.id


def first_timer(promise: Promise, policy: Policy) -> Timer:
    """The timer a new clock begins with, at generation 0."""
    percent = policy.points[0]
    return Timer(promise.at(percent), promise.id, promise.ticket_id, 0, percent)
