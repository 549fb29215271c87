"""What dispatch says: the way of work orders to executing departments, and of their answers back."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from libs.shared.contracts.classification import Department, JoinPolicy, SlaClass, Urgency
from libs.shared.contracts.intake import Channel, Star
from libs.shared.events import REFERENCE, Contract, Event

Party = Literal["agent", "department"]


class WorkOrderAssigned(Event):
    """One executing department has its share of a ticket."""

    ticket_id: UUID
    work_order_id: UUID
    department: Department
    lead_department: Department
    supervisor: str
    agent_id: str | None
    sla_class: SlaClass
    star: Star
    urgency: Urgency
    opened_at: datetime  # when the customer made the request
    situation: str  # name
    reassigned_from: UUID | None = None  # the work order whose place it takes: a return was upheld, or it was moved
    repeats: int = 0  # tickets that the ticket repeats
    channel: Channel | None = None  # of the ticket


class WorkOrderDelivered(Event):
    """The department's webhook took the work order (2xx)."""

    ticket_id: UUID
    work_order_id: UUID
    department: str
    delivery_id: UUID  # the webhook-id
    attempts: int


class DeliveryFailed(Event):
    """The webhook could not be reached in time: the department's inbox has it, and the supervisor hears of it."""

    ticket_id: UUID
    work_order_id: UUID
    department: Department
    delivery_id: UUID
    supervisor: str
    attempts: int
    reason: str  # accept_clock, exhausted, endpoint_disabled


class WorkOrderAccepted(Event):
    """The department took the work order on."""

    ticket_id: UUID
    work_order_id: UUID
    department: str


class WorkOrderContacted(Event):
    """The department spoke with the customer for the first time."""

    ticket_id: UUID
    work_order_id: UUID
    department: str


class WorkOrderReturned(Event):
    """The department says "not mine"; the lead department rules (the second time: the supervisor)."""

    ticket_id: UUID
    work_order_id: UUID
    department: Department
    reason_code: str
    reason: str
    suggested_department: str | None
    ruled_by: str  # department code of the lead, or the supervisor's principal
    supervisor: str


class ReturnRuled(Event):
    """A return was upheld (a new work order follows) or rejected (binding: back to the department)."""

    ticket_id: UUID
    work_order_id: UUID
    department: str
    decision: Literal["uphold", "reject"]
    by: str
    reassigned_to: Department | None = None
    situation: str | None = None  # code; None, as below, of rulings before this field was said
    category: tuple[str, ...] = ()  # names of levels 1-3
    matrix_version: str | None = None
    reason_code: str | None = None  # of the return
    matrix_wrong: bool = False  # upheld, and the matrix itself is wrong here
    final: bool = False  # the supervisor's: nobody may return this share again


class WorkOrderCancelled(Event):
    """The share is not this department's any more; its clocks end.

    The ticket was classified again; or the share was moved with others: a WorkOrderAssigned with `reassigned_from`
    follows then; or the ticket was merged into another one, whose departments work for it.
    """

    ticket_id: UUID
    work_order_id: UUID
    department: str
    reason: Literal["classified_again", "reassigned", "merged"]
    reassigned_to: Department | None = None


class QuestionAsked(Event):
    """A question, straight from the agent to the department or from the department to the agent."""

    ticket_id: UUID
    work_order_id: UUID
    question_id: UUID
    asked_by: Party
    asker: str  # principal
    department: Department
    agent_id: str | None
    channel: Channel | None = None  # of the ticket
    text: str


class QuestionAnswered(Event):
    """The reply, straight back to whoever asked."""

    ticket_id: UUID
    work_order_id: UUID
    question_id: UUID
    asked_by: Party
    department: Department
    agent_id: str | None
    channel: Channel | None = None  # of the ticket
    text: str


class EvidenceAdded(Event):
    """The department attached evidence to its work order."""

    ticket_id: UUID
    work_order_id: UUID
    evidence_id: UUID
    kind: str
    uri: str


class WorkOrderAnswered(Event):
    """One executing department has answered."""

    ticket_id: UUID
    work_order_id: UUID
    department: Department
    text: str


class Answer(Contract):
    """One department's part of the answer."""

    work_order_id: UUID
    department: Department
    text: str
    answered_at: datetime


class Measures(Contract):
    """What the flattened flow is judged by, for one ticket."""

    hops: int  # hand-overs between parties from the agent to the answer back at the agent
    transfers: int  # work orders that changed department
    first_contact_minutes: float | None  # received → first department contact with the customer
    resolve_minutes: float  # received → answered


class TicketAnswered(Event):
    """The join policy is met: the answer goes straight to the agent."""

    ticket_id: UUID
    agent_id: str | None
    channel: Channel
    external_ref: str
    title: str
    answers: tuple[Answer, ...]
    join_policy: JoinPolicy
    measures: Measures


class TicketClosed(Event):
    """The agent gave the answer to the customer and closed the ticket."""

    ticket_id: UUID
    by: str
    satisfied: bool | None  # the callback's result, None: not asked


class TicketReopened(Event):
    """The customer is not satisfied: the work orders go back to their departments (发回重办)."""

    ticket_id: UUID
    by: str
    reason: str
    work_order_ids: tuple[UUID, ...]
    departments: tuple[Department, ...] = ()  # of those work orders
    master_id: UUID | None = None  # the ticket is merged into that one, which works on: no work order of its own


class TicketMerged(Event):
    """The ticket is about the same matter as another one, its master: that one's departments work for both.

    Its own work orders and clocks end, its answer will be the master's.
    """

    ticket_id: UUID
    master_id: UUID
    hot_event: bool  # the master is a hot event's
    agent_id: str | None
    channel: Channel
    title: str  # the master's
    members: int  # tickets merged into that master, with this one
    by: str  # principal, or "classification"
    reason: str | None


class TicketReleased(Event):
    """The ticket goes its own way again; its departments get work orders, or it has its answer already."""

    ticket_id: UUID
    master_id: UUID
    agent_id: str | None = None
    channel: Channel | None = None  # of the ticket
    by: str
    reason: str | None


class Promised(Contract):
    """What the limit of a ticket's clock depends on."""

    star: Star
    urgency: Urgency
    sla_class: SlaClass
    repeats: int
    channel: Channel | None = None  # of the ticket
    opened_at: datetime  # when the customer made the request


class MasterJoined(Event):
    """Tickets were merged into this one; the strictest of all promises binds it from now on."""

    ticket_id: UUID  # the master
    tickets: tuple[UUID, ...]  # 1 to 500 of them
    members: int  # now
    promised: tuple[Promised, ...]  # what these were promised: of several with the same limit the earliest


class CellDisputed(Event, topic=REFERENCE, key="cell"):
    """A cell of the matrix (situation and executing department) whose work orders come back too often.

    Counts are of the work orders that were assigned in that month. The evidence a draft of the matrix begins with.
    """

    cell: str  # situation:department
    month: str  # 2026-11
    situation: str  # code
    situation_name: str
    department: Department
    lead_department: Department
    supervisor: str
    assigned: int
    returned: int
    upheld: int
    matrix_wrong: int
    tickets: tuple[UUID, ...]  # of the last upheld returns, newest first, 1 to 20
    suggested_department: Department | None  # where most of them went

    @property
    def ticket_id(self) -> UUID:
        """The newest of its tickets, under which a service keeps what it makes of this."""
        return self.tickets[0]
