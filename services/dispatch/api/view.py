"""What callers are shown."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class Standing(BaseModel):
    """A work order after a move."""

    work_order_id: UUID
    ticket_id: UUID
    department: str
    state: str
    allowed: list[str] = Field(description="moves that are possible now")


class Situation(BaseModel):
    """Level 4 of the category path."""

    code: str
    name: str


class Place(BaseModel):
    """Where the request is about."""

    area_code: str | None
    address: str | None


class WorkOrderView(BaseModel):
    """A work order with all a department needs to work on it; the fields of the webhook under the same names."""

    work_order_id: UUID
    ticket_id: UUID
    department: str
    department_name: str
    lead_department: str
    state: str
    allowed: list[str]
    situation: Situation
    category_path: list[str]
    title: str
    text: str
    place: Place
    star: int
    urgency: str
    sensitive: bool
    join_policy: str
    agent_id: str | None
    channel: str
    opened_at: datetime
    reassigned_from: UUID | None
    amendments: list[dict[str, Any]]
    returns: int
    assigned_at: datetime
    delivered_at: datetime | None
    accepted_at: datetime | None
    contacted_at: datetime | None
    answered_at: datetime | None
    answer: str | None
    resolution: str | None


class WorkOrderPage(BaseModel):
    """One page of work orders, oldest first."""

    items: list[WorkOrderView]
    next: str | None


class QuestionView(BaseModel):
    """A question and its reply."""

    question_id: UUID
    ticket_id: UUID
    work_order_id: UUID
    asked_by: str
    asker: str
    text: str
    asked_at: datetime
    reply: str | None
    replied_by: str | None
    replied_at: datetime | None


class EvidenceView(BaseModel):
    """Evidence."""

    evidence_id: UUID
    ticket_id: UUID
    work_order_id: UUID
    kind: str
    uri: str
    note: str | None
    added_at: datetime


class ReturnView(BaseModel):
    """A return and its ruling."""

    return_id: UUID
    work_order_id: UUID
    ticket_id: UUID
    situation: str
    department: str
    reason_code: str
    reason: str
    suggested_department: str | None
    judge_kind: str
    judge: str
    opened_at: datetime
    decision: str | None
    ruled_by: str | None
    ruled_at: datetime | None
    note: str | None
    reassigned_to: str | None
    matrix_wrong: bool


class ReturnPage(BaseModel):
    """One page of returns: those that wait for the caller's ruling, oldest first; those of a cell, newest first."""

    items: list[ReturnView]
    next: str | None


class ReasonName(BaseModel):
    """In Chinese and English."""

    zh: str
    en: str


class ReasonView(BaseModel):
    """Why a work order may be returned."""

    code: str
    name: ReasonName
    asks: list[str] = Field(description="fields that a return for this reason must fill in")


class ReasonList(BaseModel):
    """All reasons."""

    items: list[ReasonView]


class CellView(BaseModel):
    """A situation and an executing department: how many of its work orders came back."""

    situation: str
    situation_name: str
    department: str
    lead_department: str
    assigned: int
    returned: int
    upheld: int
    rejected: int
    matrix_wrong: int
    rate: float = Field(description="upheld returns by work orders assigned")
    disputed_at: datetime | None = Field(description="when it was last said to be disputed")


class CellPage(BaseModel):
    """One page of cells, the highest rate first."""

    items: list[CellView]
    next: str | None


class Reassignment(BaseModel):
    """All open work orders of a department on their way to another one."""

    reassignment_id: UUID
    from_department: str
    to_department: str
    situations: list[str] | None
    category: str | None
    reason: str
    by: str
    state: str = Field(description="listing, moving, done")
    created_at: datetime
    finished_at: datetime | None
    total: int
    moved: int
    skipped: int
    left: int


class ReassignmentPage(BaseModel):
    """One page of reassignments, newest first."""

    items: list[Reassignment]
    next: str | None


class ReassignmentItem(BaseModel):
    """One work order of a reassignment."""

    work_order_id: UUID
    ticket_id: UUID
    result: str | None = Field(description="moved, skipped; null: not yet looked at")
    reason: str | None = Field(description="why it was skipped: ended, has_a_share")
    successor: UUID | None = Field(description="the work order that took its place")
    at: datetime | None


class ReassignmentItemPage(BaseModel):
    """One page of a reassignment's work orders."""

    items: list[ReassignmentItem]
    next: str | None


class SituationCount(BaseModel):
    """Work orders of one situation."""

    code: str
    name: str
    total: int
    skipped: int


class ReassignmentPreview(BaseModel):
    """What would be moved as things stand; `skipped`: the other department works on the ticket already."""

    total: int
    skipped: int
    situations: list[SituationCount]


class Event(BaseModel):
    """One thing that happened."""

    at: datetime
    what: str
    by: str
    work_order_id: UUID | None
    detail: dict[str, Any]


class WorkOrderDetail(WorkOrderView):
    """A work order with its history."""

    members: int = Field(description="tickets merged into its ticket")
    questions: list[QuestionView]
    evidence: list[EvidenceView]
    return_cases: list[ReturnView]
    history: list[Event]


class MeasuresView(BaseModel):
    """What the flattened flow is judged by."""

    hops: int
    transfers: int
    first_contact_minutes: float | None
    resolve_minutes: float


class TicketSummary(BaseModel):
    """A ticket as dispatch sees it."""

    ticket_id: UUID
    state: str
    round: int
    allowed: list[str]
    master_id: UUID | None = Field(description="the ticket that it is merged into, whose departments work for it")
    channel: str
    external_ref: str
    agent_id: str | None
    title: str
    situation: Situation
    lead_department: str
    join_policy: str
    urgency: str
    classified_at: datetime
    answered_at: datetime | None
    closed_at: datetime | None
    satisfied: bool | None
    measures: MeasuresView | None


class TicketDetail(TicketSummary):
    """A ticket with all that happened to it."""

    members: int = Field(description="tickets merged into it, or into the one that it is merged into")
    text: str
    category_path: list[str]
    place: Place
    star: int
    sensitive: bool
    supervisor: str
    opened_at: datetime
    work_orders: list[WorkOrderView]
    questions: list[QuestionView]
    evidence: list[EvidenceView]
    amendments: list[dict[str, Any]]
    timeline: list[Event]


class TicketPage(BaseModel):
    """One page of tickets, newest first."""

    items: list[TicketSummary]
    next: str | None


class MemberView(BaseModel):
    """A ticket that is merged into another one, with all that its master's departments need of it."""

    ticket_id: UUID
    state: str
    title: str
    text: str
    place: Place
    star: int
    urgency: str
    sensitive: bool
    agent_id: str | None
    channel: str
    external_ref: str
    opened_at: datetime
    amendments: list[dict[str, Any]]


class MemberPage(BaseModel):
    """One page of the tickets that are merged into one, oldest first."""

    items: list[MemberView]
    next: str | None


class MergeStanding(BaseModel):
    """A ticket after a merge or a release."""

    ticket_id: UUID
    state: str
    round: int
    allowed: list[str]
    master_id: UUID | None
    members: int = Field(description="tickets that follow that master now")


class EndpointView(BaseModel):
    """An endpoint and how it does."""

    department: str
    url: str
    networks: list[str]
    concurrency: int
    timeout_seconds: int
    state: str
    reason: str | None = Field(description="why it is disabled: administrator, or gone (it answered 410)")
    breaker: str
    failures_in_a_row: int
    blocked_until: datetime | None
    delivered: int
    failed_attempts: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


class EndpointDetail(EndpointView):
    """An endpoint, its public keys and what waits for it."""

    keys: list[dict[str, Any]] = Field(description="public, created_at, expires_at; the newest first")
    backlog: dict[str, int] = Field(description="deliveries by state; 10000 means at least as many")


class EndpointSecrets(EndpointView):
    """A new endpoint or key: the only time the secret can be read."""

    secret: str | None = Field(description="whsec_… for v1; null when an existing endpoint was changed")
    public_key: str | None = Field(description="whpk_… for v1a")


class EndpointPage(BaseModel):
    """One page of endpoints, by department."""

    items: list[EndpointView]
    next: str | None


class DeliveryView(BaseModel):
    """One webhook on its way."""

    delivery_id: UUID = Field(description="the webhook-id")
    department: str
    ticket_id: UUID | None
    work_order_id: UUID | None
    type: str
    state: str
    reason: str | None
    attempts: int
    created_at: datetime
    due_at: datetime
    give_up_at: datetime
    settled_at: datetime | None
    last_status: int | None
    last_error: str | None


class AttemptView(BaseModel):
    """One try."""

    number: int
    at: datetime
    ms: int
    status: int | None
    error: str | None
    answer: str | None = Field(description="the beginning of a refusing answer, at most 1 kB")


class DeliveryDetail(DeliveryView):
    """A webhook with its body and its attempts."""

    body: dict[str, Any]
    attempt_log: list[AttemptView]


class DeliveryPage(BaseModel):
    """One page of deliveries, newest first."""

    items: list[DeliveryView]
    next: str | None


class Replayed(BaseModel):
    """How many deliveries were put on their way again; `next`: there are more, go on from there."""

    replayed: int
    next: str | None


class Queued(BaseModel):
    """A webhook was put on its way."""

    delivery_id: UUID
