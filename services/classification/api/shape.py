"""What requests and answers look like."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal
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
from services.classification.beside import Beside

MOST_DECIDED = 500  # tickets in one request
LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"


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
    probability: float = Field(description="that departments, SLA class and business type are right, 0-1")
    margin: float = Field(description="to the second best, 0-1")
    words: list[str] = Field(description="what spoke for it, strongest first")
    matrix_version: str
    model_version: str | None = Field(description="null: the matrix itself, or a person")
    decided_by: str = Field(description="model, matrix, hot_event (master or member), or the reviewer's principal")


class PreviewAnswer(Judged):
    """A preview, with what else it might be."""

    review: bool = Field(description="whether a person would be asked")
    candidates: list[Candidate]


class TicketClassification(Judged):
    """How a ticket was classified; in the states `review` and `split` it is a guess that no department has."""

    ticket_id: UUID
    state: str = Field(description="classified, review, or split: then its parts are tickets of their own")
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


class MatrixPost(BaseModel):
    """A duty post of a department."""

    name: str
    hours: str = Field(description="such as 08:30-17:30; empty: round the clock")
    inbox: bool = Field(description="reads the inbox; else by telephone only")


class MatrixDepartment(Department):
    """A department, whether it may lead, and who of it is on duty."""

    role: str
    posts: list[MatrixPost]
    webhook: bool = Field(description="takes work orders by a system of its own")


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
    due_at: datetime = Field(description="until when it may wait, by the rules of the matrix")
    overdue: bool
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
    note: str | None = Field(None, max_length=2000, pattern=TEXT)


class DecideManyBody(DecideBody):
    """What these tickets are, all of them the same."""

    tickets: list[UUID] = Field(min_length=1, max_length=MOST_DECIDED)


class DecidedOne(BaseModel):
    """What became of one of many. What another reviewer has, or has decided, is left as it is."""

    ticket_id: UUID
    outcome: Literal["decided", "claimed", "decided_before", "split_before", "unknown"]
    by: str | None = Field(None, description="who has claimed, decided or split it")
    until: datetime | None = Field(None, description="of the claim")
    at: datetime | None = Field(None, description="of the decision before")
    situation: str | None = Field(None, description="of the decision before")


class DecidedMany(BaseModel):
    """What became of each, in the order they were named."""

    decided: int
    left: int
    results: list[DecidedOne]


class PartBody(Body):
    """One matter of a request."""

    title: str | None = Field(None, min_length=1, max_length=200, pattern=LINE, description="left out: the request's")
    text: str = Field(min_length=1, max_length=10_000, pattern=TEXT)
    situation: str | None = Field(
        None, min_length=1, max_length=32, description="code; left out: the part is classified like any ticket"
    )


class SplitBody(Body):
    """The matters of a request."""

    parts: list[PartBody] = Field(min_length=2, max_length=10)
    note: str | None = Field(None, max_length=2000, pattern=TEXT)


class SplitTicket(BaseModel):
    """A part and the ticket that it becomes; intake has it within moments."""

    number: int
    ticket_id: UUID


class SplitAnswer(BaseModel):
    """The ticket is split."""

    ticket_id: UUID
    parts: list[SplitTicket]


class ReviewCluster(BaseModel):
    """Waiting tickets that are alike."""

    size: int
    claimed: int = Field(description="of them, those that some reviewer has")
    due_at: datetime = Field(description="of the first one due")
    candidates: list[Candidate] = Field(description="what they might be; probability: mean over the tickets")
    example_title: str
    example_text: str = Field(description="beginning of the first one's text, masked")
    tickets: list[UUID] = Field(description="the next due first; as many as one decision takes")


class ReviewClusters(BaseModel):
    """The largest clusters of the tickets that are due next."""

    looked_at: int
    items: list[ReviewCluster]


class Spread(BaseModel):
    """Seconds."""

    median: float
    p90: float


class ReviewerFigures(BaseModel):
    """What was decided, and how fast."""

    decided: int = Field(description="reviews ended by a decision, splits among them")
    split: int
    waited: Spread | None = Field(description="from the review's opening to the decision; null: nothing was decided")
    deciding: Spread | None = Field(description="from the claim to the decision; null: none was claimed")


class ReviewFigures(ReviewerFigures):
    """The queue now, and decisions of the last days."""

    waiting: int = Field(description="now; counted up to 100,000")
    overdue: int
    days: int
    reviewers: dict[str, ReviewerFigures] = Field(description="by principal; a reviewer sees only the own ones")


class ModelView(BaseModel):
    """A trained model with its cross-validated figures."""

    version: str
    matrix_version: str = Field(description="for whose labels it was trained")
    labels: list[str]
    rows: int
    accuracy: float
    macro_f1: float
    trained_by: str
    trained_at: datetime
    size: int = Field(description="bytes")


class ModelDetail(ModelView):
    """The same with its whole report."""

    report: dict[str, Any]


class Training(BaseModel):
    """What one training came to."""

    by: str = Field(description="who began it; `schedule`: on its own")
    began_at: datetime
    ended_at: datetime
    version: str | None = Field(description="the model that was kept")
    active: bool = Field(description="put in force")
    reason: str = Field(description="why it is not in force, or why there is no model")


class ModelList(BaseModel):
    """Models and trainings."""

    active: str | None = Field(description="null: the matrix alone classifies")
    shadow: str | None = Field(description="reads every ticket too, and decides nothing")
    models: list[ModelView]
    trainings: list[Training]


class LeadPair(BaseModel):
    """So many tickets for which the two named these leading departments."""

    active: str
    shadow: str
    tickets: int


class RightView(BaseModel):
    """Tickets that a person decided meanwhile: who had lead, executing departments and SLA class right."""

    tickets: int
    both: int
    active: int = Field(description="alone")
    shadow: int = Field(description="alone")
    neither: int


class ShadowView(BaseModel):
    """The shadow beside what is in force."""

    shadow_version: str
    model_version: str | None = Field(description="in force; null: the matrix alone")
    days: int
    tickets: int
    agreed: int = Field(description="tickets that both send to the same departments with the same SLA class")
    probability: float = Field(description="mean, of what is in force")
    shadow_probability: float
    leads: list[LeadPair] = Field(description="most tickets first")
    right: RightView

    @classmethod
    def of(cls, found: Beside, days: int) -> "ShadowView":
        """Out of a comparison."""
        result = asdict(found.agreement)
        result["leads"] = [LeadPair(active=a, shadow=b, tickets=n) for a, b, n in found.agreement.leads]
        return cls(shadow_version=found.shadow_version, model_version=found.model_version, days=days, **result)


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
    folded_at: datetime | None = Field(description="since when one master, the ticket of this id, works for all")
    folded_by: str | None = Field(description="classification, or who folded it")
    dissolved_at: datetime | None = Field(description="since when each member goes its own way again")
    dissolved_by: str | None
    dissolve_reason: str | None


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

    reason: str | None = Field(None, max_length=2000, pattern=TEXT)


class TicketsBody(Body):
    """Which tickets, and why."""

    tickets: tuple[UUID, ...] = Field(min_length=1, max_length=500)
    reason: str | None = Field(None, max_length=2000, pattern=TEXT)


class HotEventClosedAnswer(BaseModel):
    """An event that is closed."""

    hot_event_id: UUID
    state: Literal["closed"]
    closed_by: str = Field(description="who did so first")


class HotEventFoldedAnswer(BaseModel):
    """An event that is folded."""

    hot_event_id: UUID = Field(description="and the id of the master")
    folded_by: str = Field(description="who did so first")
    members: int


class HotEventDissolvedAnswer(BaseModel):
    """An event that is dissolved."""

    hot_event_id: UUID
    state: Literal["closed"]
    dissolved_by: str = Field(description="who did so first")


class HotEventChanged(BaseModel):
    """What a change of members came to."""

    hot_event_id: UUID
    changed: list[UUID] = Field(description="the tickets for which something is different now")
    members: int
