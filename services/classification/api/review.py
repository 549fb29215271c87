"""For reviewers: the queue of tickets that wait for a person."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Row

from libs.shared.contracts.intake import Ticket
from libs.shared.web import Caller, Refused, after, caller, command, cursor, problems, running
from services.classification import review, store
from services.classification.api import shape
from services.classification.current import current
from services.classification.settings import ClassificationSettings

router = APIRouter(tags=["reviews"])

Reviewer = Annotated[Caller, caller("review")]


@router.get("/v1/reviews", summary="Tickets that wait for a person", responses=problems(422))
async def reviews(
    request: Request,
    who: Reviewer,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500, description="`next` of the page before")] = None,
) -> shape.ReviewPage:
    """Urgent ones first, then the oldest. Those that another reviewer has are shown with who and until when."""
    place = after(after_, bool, datetime.fromisoformat, UUID)
    rows = await store.review.page(running(request), place, limit + 1)
    shown = [_review(row) for row in rows[:limit]]
    last = shown[-1] if len(rows) > limit else None
    behind = cursor(last.urgency != "urgent", last.opened_at.isoformat(), str(last.ticket_id)) if last else None
    return shape.ReviewPage(items=shown, next=behind)


@router.get("/v1/reviews/{ticket_id}", summary="One of them", responses=problems(404, 422))
async def one_review(request: Request, ticket_id: UUID, who: Reviewer) -> shape.ReviewDetail:
    """With the request's text; numbers that name a person are masked in it."""
    row = await store.review.one(running(request), ticket_id)
    if row is None:
        raise Refused(404, "No such review", "this ticket does not wait for a person")
    return shape.ReviewDetail(**_review(row).model_dump(), ticket=Ticket.model_validate(row.ticket))


@router.post(
    "/v1/reviews/{ticket_id}/claim",
    summary="Keep a review for yourself",
    response_model=shape.Claimed,
    responses=problems(400, 404, 409, 422),
)
async def claim(request: Request, ticket_id: UUID, body: shape.ClaimBody, who: Reviewer) -> Response:
    """For some minutes nobody else can decide it; claim again to go on. 409 says who has it."""
    settings = running(request).settings
    assert isinstance(settings, ClassificationSettings)
    args = review.Claim(ticket_id, who.principal, body.seconds or settings.claim_seconds)
    return await command(request, review.claim, args, key=str(ticket_id), body=body)


@router.post(
    "/v1/reviews/{ticket_id}/release",
    summary="Give a review back",
    response_model=shape.Claimed,
    responses=problems(400, 404, 409, 422),
)
async def release(request: Request, ticket_id: UUID, who: Reviewer) -> Response:
    """Others may take it at once."""
    return await command(request, review.release, review.Release(ticket_id, who.principal), key=str(ticket_id))


@router.post(
    "/v1/reviews/{ticket_id}/decide",
    summary="Say what the ticket is",
    responses=problems(400, 404, 409, 422),
)
async def decide(request: Request, ticket_id: UUID, body: shape.DecideBody, who: Reviewer) -> Response:
    """Any situation of the matrix in force. The departments have the ticket at once; the decision is training data.

    409 where another reviewer has claimed it (`claimed_by`) or it is decided already (`decided_by`, `situation`).
    """
    now = await current(running(request)).in_force()
    args = review.Decide(
        ticket_id, who.principal, body.situation, body.business_type, body.urgency, body.note, now.matrix
    )
    return await command(request, review.decide, args, key=str(ticket_id), body=body)


def _review(row: Row[Any]) -> shape.ReviewView:
    fields = row._asdict()
    return shape.ReviewView(**{**fields, "urgency": "urgent" if fields["urgent"] else "normal"})
