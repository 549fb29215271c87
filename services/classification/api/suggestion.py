"""For matrix owners: cells that the returns court finds wrong too often."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from libs.shared.contracts.dispatch import CellDisputed
from libs.shared.web import after, command, cursor, problems, running
from services.classification import registry, store, suggestion
from services.classification.api.draft import After, Limit, Number, Owner, Reader
from services.classification.api.shape_draft import ReasonBody
from services.classification.current import current

router = APIRouter(prefix="/v1/matrix/suggestions", tags=["matrix"])

State = Literal["open", "accepted", "dismissed"]


class Suggestion(BaseModel):
    """One cell, with the evidence."""

    suggestion_id: int
    state: State
    said_at: datetime
    evidence: CellDisputed = Field(description="counts of the month, the last tickets, who was suggested instead")
    settled_by: str | None
    settled_at: datetime | None
    reason: str | None
    draft_id: int | None = Field(description="of an accepted one")


class Suggestions(BaseModel):
    """One page of them."""

    items: list[Suggestion]
    next: str | None


class Settled(BaseModel):
    """What became of one."""

    suggestion_id: int
    state: State
    draft_id: int | None


@router.get("", summary="Cells that come back too often", responses=problems(422))
async def suggestions(
    request: Request,
    who: Reader,
    state: Annotated[State | None, Query()] = None,
    limit: Limit = 50,
    after_: After = None,
) -> Suggestions:
    """The latest first; one a cell and month."""
    [before] = after(after_, int) or (None,)
    rows = await store.suggestion.page(running(request), state, before, limit + 1)
    return Suggestions(
        items=[Suggestion.model_validate(row._asdict()) for row in rows[:limit]],
        next=cursor(rows[limit - 1].suggestion_id) if len(rows) > limit else None,
    )


@router.post(
    "/{suggestion_id}/accept",
    summary="Take one as a draft",
    status_code=201,
    response_model=Settled,
    responses=problems(400, 404, 409, 422),
)
async def accept(request: Request, suggestion_id: Number, body: ReasonBody, who: Owner) -> Response:
    """Opens a draft with the cell changed as suggested; nothing is in force before it is published."""
    base = (await current(running(request)).in_force()).matrix
    args = suggestion.Accept(suggestion_id, base, who.principal, body.reason)
    return await command(request, suggestion.accept, args, key=registry.LOCK, body=body)


@router.post(
    "/{suggestion_id}/dismiss",
    summary="Leave the cell as it is",
    response_model=Settled,
    responses=problems(400, 404, 409, 422),
)
async def dismiss(request: Request, suggestion_id: Number, body: ReasonBody, who: Owner) -> Response:
    """Where it goes on it is said again the next month."""
    args = suggestion.Dismiss(suggestion_id, who.principal, body.reason)
    return await command(request, suggestion.dismiss, args, key=registry.LOCK, body=body)
