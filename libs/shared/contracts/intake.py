"""What intake says: tickets as received. Numbers that name a person are masked in every text here."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from libs.shared.events import REJECTED, Contract, Event

Channel = Literal["95598", "95598_app", "ivr", "website", "12398", "12345", "sunshine_hotline", "walk_in", "proactive"]
BusinessType = Literal["inquiry", "opinion", "suggestion", "complaint", "report", "praise", "service_request", "fault"]
ComplaintObject = Literal["internal", "external"]
Star = Annotated[int, Field(ge=1, le=5)]


class Place(Contract):
    """Where the request is about."""

    area_code: str | None = None  # administrative division code, 2-12 digits, longest prefix wins
    address: str | None = None  # masked


class Customer(Contract):
    """Who asks, without anything that names the person."""

    customer_id: str | None = None
    star: Star = 1
    sensitive: bool = False  # on the ledger of sensitive customers (特殊群体)


class Ticket(Contract):
    """One customer request, as every later service sees it."""

    channel: Channel
    external_ref: str  # the call centre's own number; unique per channel
    agent_id: str | None = None  # the front-line agent who took the call; None where nobody did (website, 12398)
    title: str
    text: str
    business_type: BusinessType | None = None  # as the agent chose it
    complaint_object: ComplaintObject | None = None
    place: Place = Place()
    customer: Customer = Customer()
    opened_at: datetime  # when the customer made the request, UTC
    split_from: UUID | None = None  # the ticket that a reviewer split, of which this is a part
    hot_event: UUID | None = None  # the hot event whose master this is: made by Zhida, for all its members
    cumulative: UUID | None = None  # the cumulative problem that this is about: made by Zhida before anyone complains


class TicketReceived(Event):
    """A ticket was accepted: committed in intake, its number will never be given again."""

    ticket_id: UUID
    ticket: Ticket


class TicketAmended(Event):
    """The customer added to or changed the request; goes straight to the departments that work on it."""

    ticket_id: UUID
    amendment_id: UUID
    text: str  # masked
    by: str  # principal


class FieldError(Contract):
    """What is wrong with one field of a refused record; never its value."""

    field: str
    reason: str


class TicketRejected(Event, topic=REJECTED, key="reference"):
    """A record on the inbound topic was refused; recorded by intake, nothing else happened."""

    reference: str  # channel|external_ref where they could be read, else partition:offset
    partition: int
    offset: int
    errors: tuple[FieldError, ...]
