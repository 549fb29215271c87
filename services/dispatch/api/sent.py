"""What callers send."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, Field, StringConstraints

from libs.shared.storable import Instant
from libs.shared.web import Body
from services.dispatch.domain.endpoint import DeliveryState
from services.dispatch.domain.reason import CODE


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold NUL characters")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=8000), AfterValidator(_storable)]
Note = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_storable)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_storable)]
Limit = Annotated[int, Query(ge=1, le=500)]


class Nothing(Body):
    """No fields."""


class ContactBody(Body):
    """The customer was spoken to."""

    note: Note | None = None


class ReturnBody(Body):
    """Not ours, and why."""

    reason_code: Annotated[str, StringConstraints(pattern=CODE)] = Field(description="of GET /v1/return-reasons")
    reason: Text
    suggested_department: Code | None = Field(None, description="code of the department it belongs to")


class QuestionBody(Body):
    """A question of the department to the agent, or a reply."""

    text: Text


class AnswerBody(Body):
    """The department's answer."""

    text: Text
    resolution: Text | None = Field(None, description="what was done, for the department's own record")


class EvidenceBody(Body):
    """Evidence by its address."""

    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
    uri: Annotated[str, StringConstraints(max_length=2000, pattern=r"^(https?|s3|oss|obs|urn):[^\s\x00]+$")]
    note: Note | None = None


class RulingBody(Body):
    """A ruling on a return."""

    decision: Literal["uphold", "reject"]
    department: Code | None = Field(None, description="where an upheld return goes; default: as was suggested")
    note: Note | None = None
    matrix_wrong: bool = Field(
        False, strict=True, description="with an upheld return: not this work order alone, the matrix is wrong here"
    )


class ReassignmentBody(Body):
    """All open work orders of a department, or some of them, go to another one."""

    from_department: Code
    to_department: Code
    situations: Annotated[list[Code], Field(min_length=1, max_length=500)] | None = Field(
        None, description="codes; default: all"
    )
    category: Code | None = Field(None, description="name of one of the four levels; default: all")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_storable)]
    dry_run: bool = Field(False, strict=True, description="only say what would be moved")


class TicketQuestionBody(Body):
    """A question of the agent: to one department, or to all that have a share in the ticket."""

    text: Text
    department: Code | None = None
    work_order_id: UUID | None = None


class CloseBody(Body):
    """The end of a ticket."""

    satisfied: bool | None = Field(None, strict=True, description="the callback's result; null: not asked")


class ReopenBody(Body):
    """Why the departments must work on it again."""

    reason: Text


class MergeBody(Body):
    """Another ticket about the same matter, and why."""

    into: UUID = Field(description="the ticket whose departments work for both")
    reason: Note | None = None


class ReleaseBody(Body):
    """Why it is another matter."""

    reason: Note | None = None


class EndpointBody(Body):
    """A department's webhook endpoint."""

    url: Annotated[str, StringConstraints(max_length=2048)] = Field(description="https, or http into `networks`")
    networks: Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=32)] = Field(
        default_factory=list, description="CIDR; addresses allowed besides the public internet"
    )
    concurrency: int = Field(16, ge=1, le=256, strict=True, description="requests at a time")
    timeout_seconds: int = Field(15, ge=1, le=30, strict=True)
    state: Literal["active", "disabled"] = "active"


class RotateBody(Body):
    """A new key beside the old one."""

    overlap_seconds: int = Field(
        86_400, ge=0, le=30 * 86_400, strict=True, description="how long the old keys stay valid"
    )


class ReplayBody(Body):
    """Send again what was made in a time range, under the same webhook-ids."""

    department: Code
    since: Instant = Field(alias="from")
    until: Instant = Field(alias="to")
    state: DeliveryState | None = Field(None, description="default: what stayed in the inbox")
    after: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None, description="`next` of the last reply"
    )
