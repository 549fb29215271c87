"""What requests and answers look like."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from libs.shared.contracts.classification import (
    Candidate,
    Department,
    JoinPolicy,
    Risk,
    Situation,
    SlaClass,
    Urgency,
)
from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject, Ticket
from libs.shared.web import Body


class Preview(Body):
    """A request as it might come in; nothing is kept of it."""

    title: str = Field("", max_length=500)
    text: str = Field(min_length=1, max_length=20_000)
    channel: Channel = "95598"
    business_type: BusinessType | None = Field(None, description="as the agent chose it")
    complaint_object: ComplaintObject | None = None
    sensitive: bool = Field(False, strict=True, description="the customer is on the ledger of sensitive customers")


class Judged(BaseModel):
    """What a text was found to be, how sure that is, and what spoke for it."""

    situation: Situation
    lead_department: Department
    executing_departments: list[Department]
    supervisor: str
    sla_class: SlaClass
    join_policy: JoinPolicy
    business_type: BusinessType
    complaint_object: ComplaintObject
    urgency: Urgency
    risk: Risk = Field(description="grievance risk (投诉倾向)")
    probability: float = Field(description="that these departments and this SLA class are right, 0-1")
    margin: float = Field(description="to the second best, 0-1")
    words: list[str] = Field(description="what spoke for it, strongest first")
    matrix_version: str
    model_version: str | None = Field(description="null: the matrix itself, or a person")
    decided_by: str = Field(description="model, matrix, or the reviewer's principal")


class PreviewAnswer(Judged):
    """A preview, with what else it might be."""

    review: bool = Field(description="whether a person would be asked")
    candidates: list[Candidate]


class TicketClassification(Judged):
    """How a ticket was classified; in the state `review` it is the best guess, and no department has it yet."""

    ticket_id: UUID
    state: str = Field(description="classified or review")
    received_at: datetime
    classified_at: datetime | None
    repeat_of: UUID | None = Field(description="the first ticket of the chain of repeats; null: it repeats none")
    repeats: int = Field(description="tickets of that chain before this one")


class ChainTicket(BaseModel):
    """A ticket of a chain of repeats."""

    ticket_id: UUID
    repeats: int = Field(description="tickets of the chain before this one; 0: the first one")
    situation: str = Field(description="code")
    state: str = Field(description="classified or review")
    title: str
    channel: Channel
    received_at: datetime


class Chain(BaseModel):
    """A page of a chain of repeats, in its order."""

    items: list[ChainTicket]
    next: str | None


class MatrixSituation(BaseModel):
    """One row of the matrix."""

    code: str
    name: str
    description: str
    path: tuple[str, str, str]
    category: str
    phrases: list[str]
    lead: str
    executing: list[str]
    supervisor: str
    sla_class: SlaClass
    join_policy: JoinPolicy
    urgency: Urgency
    business_type: BusinessType
    complaint_object: ComplaintObject


class MatrixDepartment(Department):
    """A department and whether it may lead."""

    role: str


class MatrixView(BaseModel):
    """The matrix in force."""

    version: str
    pack: str
    title: str
    model_version: str | None = Field(description="the model in force beside it")
    departments: list[MatrixDepartment]
    situations: list[MatrixSituation]


class Claimed(BaseModel):
    """Who has a review, until when."""

    ticket_id: UUID
    claimed_by: str | None
    claimed_until: datetime | None


class ReviewView(Claimed):
    """One ticket that waits for a person."""

    urgency: Urgency
    risk: Risk
    channel: Channel
    title: str
    opened_at: datetime
    candidates: list[Candidate]


class ReviewDetail(ReviewView):
    """The same with the request itself."""

    ticket: Ticket


class ReviewPage(BaseModel):
    """One page of the queue."""

    items: list[ReviewView]
    next: str | None


class ClaimBody(Body):
    """How long."""

    seconds: int | None = Field(
        None, ge=10, le=3600, strict=True, description="the service's `claim_seconds` where left out"
    )


class DecideBody(Body):
    """What the ticket is."""

    situation: str = Field(min_length=1, max_length=32, description="code of a situation of the matrix in force")
    business_type: BusinessType | None = Field(None, description="where left out: found as for any ticket")
    urgency: Urgency | None = Field(None, description="where left out: found as for any ticket")
    note: str | None = Field(None, max_length=2000)


class HotEventView(BaseModel):
    """A hot event (突发聚集): tickets about one cause."""

    hot_event_id: UUID
    state: Literal["open", "closed"]
    title: str = Field(description="words that most of the first members have in common")
    situation: Situation = Field(description="of most of the first members")
    area_code: str = Field(description="prefix of every member's")
    members: int
    opened_with: int = Field(description="members when it was opened")
    usual: float = Field(description="tickets that were usual in as many minutes")
    minutes: int = Field(description="in which the first ones came")
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None = Field(description="classification, or who closed it")
    reason: str | None = Field(description="why it was closed")


class HotEventPage(BaseModel):
    """One page of hot events."""

    items: list[HotEventView]
    next: str | None


class HotEventMember(BaseModel):
    """A ticket that is a member, or was."""

    ticket_id: UUID
    title: str
    situation: str = Field(description="code")
    similarity: float = Field(description="of its text to what the members say, 0-1")
    joined_at: datetime
    joined_by: str = Field(description="classification, or who put it in")
    join_reason: str | None
    left_at: datetime | None = Field(description="null: it is a member")
    left_by: str | None
    leave_reason: str | None


class HotEventDetail(HotEventView):
    """A hot event with a page of its members."""

    items: list[HotEventMember]
    next: str | None


class CloseBody(Body):
    """Why."""

    reason: str | None = Field(None, max_length=2000)


class TicketsBody(Body):
    """Which tickets, and why."""

    tickets: tuple[UUID, ...] = Field(min_length=1, max_length=500)
    reason: str | None = Field(None, max_length=2000)


class HotEventClosedAnswer(BaseModel):
    """An event that is closed."""

    hot_event_id: UUID
    state: Literal["closed"]
    closed_by: str = Field(description="who did so first")


class HotEventChanged(BaseModel):
    """What a change of members came to."""

    hot_event_id: UUID
    changed: list[UUID] = Field(description="the tickets for which something is different now")
    members: int
