"""What classification says: which situation a ticket is, who leads and who executes, and why."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject, Star, Ticket
from libs.shared.events import REFERENCE, Contract, Event

SlaClass = Literal["maintenance", "construction"]
JoinPolicy = Literal["all", "lead", "any"]
Urgency = Literal["normal", "urgent"]
Risk = Literal["normal", "high"]


class Department(Contract):
    """A department of the responsibility matrix."""

    code: str
    name: str


class Situation(Contract):
    """Level 4 of the category path, with the three levels above it."""

    code: str
    name: str
    path: tuple[str, str, str]  # names of levels 1-3


class TicketClassified(Event):
    """A ticket has its situation; decided by the model, by the matrix's own phrases, or by a person."""

    ticket_id: UUID
    ticket: Ticket  # with its area, where its words name one
    business_type: BusinessType
    complaint_object: ComplaintObject
    situation: Situation
    lead_department: Department
    executing_departments: tuple[Department, ...]  # at least one
    place_words: tuple[str, ...] = ()  # names of areas in the text by which `ticket.place.area_code` was found
    routed_by: tuple[str, ...] = ()  # rules of the matrix by place, customer and time that chose among them
    supervisor: str  # principal of the supervisor
    sla_class: SlaClass
    join_policy: JoinPolicy
    urgency: Urgency
    risk: Risk  # grievance risk (投诉倾向)
    matrix_version: str
    model_version: str | None  # None: the matrix itself or a person
    probability: float  # 0-1
    margin: float  # 0-1, to the second best
    words: tuple[str, ...]  # what spoke for it, strongest first
    decided_by: str  # "model", "matrix", "hot_event" (a master, a member of a folded one) or the reviewer's principal
    repeat_of: UUID | None = None  # the first ticket of the chain of repeats, never a repeat itself; None: it is none
    repeats: int = 0  # tickets of that chain before this one
    hot_event: UUID | None = None  # a folded hot event: its master works for this ticket too


class HighRiskFound(Event):
    """The grievance risk (投诉倾向) of a ticket is high: its supervisor hears of it at once, whoever works on it."""

    ticket_id: UUID
    supervisor: str  # principal; of the likeliest situation where a person has yet to decide
    situation: str  # name; likewise
    title: str
    channel: Channel
    star: Star
    repeats: int  # tickets about the same matter before this one


class Candidate(Contract):
    """One situation a reviewer may choose."""

    situation: Situation
    probability: float


class ReviewRequested(Event):
    """The classifier is not sure enough: a person decides."""

    ticket_id: UUID
    urgency: Urgency
    candidates: tuple[Candidate, ...]  # best first


class SplitPart(Contract):
    """One matter of a request that held several; it becomes a ticket of its own, under this id."""

    ticket_id: UUID
    number: int  # from 1
    title: str
    text: str
    situation: str | None = None  # code, where the reviewer said what it is


class TicketSplit(Event):
    """A reviewer split the ticket into several; it goes no further itself."""

    ticket_id: UUID
    parts: tuple[SplitPart, ...]  # 2-10
    by: str  # principal


class MatrixPublished(Event, topic=REFERENCE, key="matrix_version"):
    """A version of the responsibility matrix became the active one."""

    matrix_version: str
    pack: str
    departments: tuple[Department, ...]
    situations: int  # how many
    by: str


class HotEventOpened(Event, topic=REFERENCE, key="hot_event_id"):
    """So many tickets about one cause came in a short time that they are a hot event (突发聚集)."""

    hot_event_id: UUID
    situation: Situation  # of most of the first members
    area_code: str  # prefix of every member's
    title: str  # the words that most of the first members have in common
    tickets: tuple[UUID, ...]  # the first ones, twenty at most; each has its own HotEventJoined
    count: int  # members when it was opened
    usual: float  # tickets that are usual for category, place and hour in as many minutes
    minutes: int  # in which they came
    matrix_version: str


class HotEventJoined(Event):
    """A ticket is a member of a hot event.

    Also said of those that came before it was opened, and of tickets that a person has yet to classify.
    """

    ticket_id: UUID
    hot_event_id: UUID
    similarity: float  # of its text to what the members say, 0-1
    by: str  # "classification" or a principal
    folded: bool = False  # one master works for all members; said again of each that was one before


class HotEventFolded(Event, key="hot_event_id"):
    """All members of a hot event get one master, a ticket under the event's id: one work order, one answer."""

    hot_event_id: UUID
    situation: Situation
    title: str
    text: str  # what the first members say, masked
    area_code: str
    star: Star  # the highest of the members
    sensitive: bool  # one of them is
    opened_at: datetime  # the earliest request
    members: int
    by: str  # "classification" or a principal


class HotEventDissolved(Event, key="hot_event_id"):
    """The members have not one cause: each goes its own way again, and the master ends. The event is closed."""

    hot_event_id: UUID
    by: str  # principal
    reason: str | None


class HotEventLeft(Event):
    """A person took a ticket out of a hot event; it does not join again by itself."""

    ticket_id: UUID
    hot_event_id: UUID
    by: str  # principal


class HotEventClosed(Event, topic=REFERENCE, key="hot_event_id"):
    """No ticket joins any more by itself: the rate has fallen back, or a person says so."""

    hot_event_id: UUID
    members: int
    by: str  # "classification" or a principal


class CumulativeProblemFound(Event, key="problem_id"):
    """The same came so often at one place, or with one customer, that it is a problem of its own (累积问题).

    It becomes a proactive ticket under the problem's id.
    """

    problem_id: UUID
    rule: str  # code, of the matrix
    name: str  # of the rule
    situation: Situation  # of the ticket
    area_code: str | None  # of the one place; None: it is about a customer
    address: str | None  # masked; where it is counted by address
    customer_id: str | None  # where it is counted by customer
    star: Star  # the highest of the customers
    sensitive: bool  # one of them is
    title: str
    text: str
    tickets: tuple[UUID, ...]  # twenty at most, of the latest occasion first
    count: int  # occasions: repeats, and all that came about one cause, count once
    days: int  # in which they came
    matrix_version: str
