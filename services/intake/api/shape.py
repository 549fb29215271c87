"""What goes in and out of intake's endpoints, as classes and as OpenAPI."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from libs.shared.contracts.intake import BusinessType, Channel, ComplaintObject, FieldError
from libs.shared.storable import Instant
from libs.shared.web import Body
from services.intake.domain.stage import OrderState, Stage, Standing
from services.intake.domain.submission import MOST_TICKETS, Submission


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema with its own definitions put in their places."""
    parts = schema.pop("$defs", {})

    def put(value: Any) -> Any:
        match value:
            case {"$ref": str(name)}:
                return put({**parts[name.rsplit("/", 1)[1]], **{k: v for k, v in value.items() if k != "$ref"}})
            case dict():
                return {key: put(each) for key, each in value.items()}
            case list():
                return [put(each) for each in value]
            case _:
                return value

    return cast(dict[str, Any], put(schema))


# The body is read by `_read`, which is stricter than a framework's parser; this is how it is described.
_ONE = "#/paths/~1v1~1tickets/post/requestBody/content/application~1json/schema/oneOf/0"
_LIST = {"type": "array", "items": {"$ref": _ONE}, "minItems": 1, "maxItems": MOST_TICKETS}
_WRAPPED = {
    "type": "object", "required": ["tickets"], "additionalProperties": False, "properties": {"tickets": _LIST}
}  # fmt: skip
SUBMITTED = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [_inlined(Submission.model_json_schema()), _LIST, _WRAPPED]}}
        },
    }
}


class Received(BaseModel):
    """The ticket stands."""

    ticket_id: UUID
    created: bool = Field(description="false: it was here already, with this content")


class Result(BaseModel):
    """What became of one item of a list."""

    index: int
    status: Literal[202, 409, 422]
    channel: Channel | None = None
    external_ref: str | None = None
    ticket_id: UUID | None = Field(None, description="with 409: the ticket that stands under this reference")
    created: bool | None = None
    errors: list[FieldError] = Field(default_factory=list, description="fields as tickets.3.customer.star")


class Results(BaseModel):
    """What became of a list of tickets."""

    created: int
    existing: int = Field(description="were here already, with the same content")
    refused: int
    results: list[Result]


class Amendment(Body):
    """What the customer adds to or changes in a request."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=5000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]


class Search(BaseModel):
    """Which tickets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: Channel | None = Field(None, description="with external_ref: that one ticket")
    external_ref: str | None = Field(None, max_length=100)
    stage: Stage | None = None
    since: Instant | None = Field(None, description="received at or after")
    until: Instant | None = Field(None, description="received before")
    after: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class OrderView(BaseModel):
    """One department's share of a ticket."""

    work_order_id: UUID
    department: str = Field(description="code")
    name: str | None
    state: OrderState
    since: datetime


class MeasuresView(BaseModel):
    """What the flattened flow is judged by. Null: not there yet."""

    hops: int | None = Field(description="hand-overs from the agent to the answer back at the agent")
    transfers: int = Field(description="work orders that changed department")
    first_contact_minutes: float | None = Field(description="received → first department contact with the customer")
    resolve_minutes: float | None = Field(description="received → answered")
    told_minutes: float | None = Field(description="the department's answer → the agent's screen")


class AmendmentView(BaseModel):
    """One addition, masked."""

    amendment_id: UUID
    text: str
    by: str
    at: datetime


class TicketView(BaseModel):
    """A ticket, masked, and where it is."""

    ticket_id: UUID
    channel: Channel
    external_ref: str
    agent_id: str | None
    title: str
    text: str
    business_type: BusinessType | None
    complaint_object: ComplaintObject | None
    area_code: str | None
    address: str | None
    customer_id: str | None
    star: int
    sensitive: bool
    opened_at: datetime
    received_at: datetime
    stage: Stage
    since: datetime = Field(description="when it entered this stage")
    reached: dict[Stage, datetime] = Field(description="when it first reached each stage")
    situation: str | None
    lead_department: str | None
    departments: list[OrderView]
    measures: MeasuresView
    amendments: list[AmendmentView]
    split_from: UUID | None = Field(description="the ticket of which this is a part: it held several matters")
    parts: list[UUID] = Field(description="in the stage `split`: the tickets that it became")
    hot_event: UUID | None = Field(description="the hot event whose master this is: it works for all its members")
    master_id: UUID | None = Field(description="the ticket into which this one is merged, and that works for both")


class OriginalView(BaseModel):
    """What the vault keeps: only what is masked or left out elsewhere."""

    ticket_id: UUID
    original: dict[str, str] = Field(description="dotted field → text as handed in")
    amendments: dict[UUID, str] = Field(description="amendment_id → text as handed in")


def view(row: Row[Any], standing: Standing, amendments: Sequence[Row[Any]]) -> TicketView:
    """A ticket's row, where it stands, and what was added to it."""
    columns = dict(row._mapping)
    return TicketView.model_validate(
        {
            **{name: columns[name] for name in TicketView.model_fields if name in columns},
            "reached": dict(sorted(standing.reached.items(), key=lambda each: each[1])),
            "departments": [
                OrderView(
                    work_order_id=order_id,
                    department=order.department,
                    name=order.name,
                    state=order.state,
                    since=order.since,
                )
                for order_id, order in standing.orders.items()
            ],
            "measures": MeasuresView(
                hops=standing.hops,
                transfers=standing.transfers,
                first_contact_minutes=standing.first_contact_minutes,
                resolve_minutes=standing.resolve_minutes,
                told_minutes=standing.told_minutes,
            ),
            "parts": standing.parts,
            "master_id": standing.master_id,
            "amendments": [dict(each._mapping) for each in amendments],
        }
    )
