"""What requests and answers look like."""

from datetime import datetime
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
from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject, Star, Ticket
from libs.shared.web import Body


class Preview(Body):
    """A request as it might come in; nothing is kept of it."""

    title: str = Field("", max_length=500)
    text: str = Field(min_length=1, max_length=20_000)
    channel: Channel = "95598"
    business_type: BusinessType | None = Field(None, description="as the agent chose it")
    complaint_object: ComplaintObject | None = None
    area_code: str | None = Field(None, pattern=r"^\d{2,12}$", description="administrative division code of the place")
    star: Star = 1
    sensitive: bool = Field(False, strict=True, description="the customer is on the ledger of sensitive customers")


class Routing(BaseModel):
    """Who goes for one executing department of the situation, and which rule of the matrix says so."""

    department: str = Field(description="as the situation's cell has it")
    executing: list[str]
    rule: str | None = Field(description="code of the rule by place, customer or time; null: the cell itself")
    name: str
    because: list[str] = Field(description="what of the ticket fitted the rule")


class Judged(BaseModel):
    """What a text was found to be, how sure that is, and what spoke for it."""

    situation: Situation
    lead_department: Department
    executing_departments: list[Department]
    routing: list[Routing]
    area_code: str | None = Field(description="as the ticket came with, or else as its words name it")
    place_words: list[str] = Field(description="words that named the area; none where the ticket came with it")
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
