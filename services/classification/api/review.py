"""For reviewers: the queue of tickets that wait for a person."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Row

from libs.shared.contracts.classification import Candidate
from libs.shared.web import Caller, Refused, after, caller, command, cursor, problems, running
from services.classification import review, store
from services.classification.api import shape
from services.classification.current import current
from services.classification.domain import cluster
from services.classification.domain.cluster import Cluster
from services.classification.domain.part import Part
from services.classification.settings import ClassificationSettings

router = APIRouter(tags=["reviews"])

Reviewer = Annotated[Caller, caller("review")]

MOST_LOOKED_AT = 2000  # tickets that clusters are made of
MOST_READ = 500  # characters of each of their texts


@router.get("/v1/reviews", summary="Tickets that wait for a person", responses=problems(422))
async def reviews(
    request: Request,
    who: Reviewer,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500, description="`next` of the page before")] = None,
) -> shape.ReviewPage:
    """The next due first. Those that another reviewer has are shown with who and until when."""
    place = after(after_, datetime.fromisoformat, UUID)
    rows = await store.review.page(running(request), place, limit + 1)
    shown = [shape.ReviewView(**row._asdict()) for row in rows[:limit]]
    last = shown[-1] if len(rows) > limit else None
    behind = cursor(last.due_at.isoformat(), str(last.ticket_id)) if last else None
    return shape.ReviewPage(items=shown, next=behind)


@router.get("/v1/reviews/clusters", summary="Waiting tickets that are alike", responses=problems(422))
async def clusters(
    request: Request,
    who: Reviewer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    least: Annotated[int, Query(ge=2, le=500, description="tickets of a cluster")] = 2,
) -> shape.ReviewClusters:
    """Made of the tickets that are due next; the largest first. Decide all of one with `POST /v1/reviews/decide`."""
    rows = await store.review.first(running(request), MOST_LOOKED_AT, MOST_READ)
    texts, candidates = [f"{row.title}\n{row.text}" for row in rows], [row.candidates for row in rows]
    async with _turn(request):
        found = await asyncio.to_thread(cluster.clusters, texts, candidates, least)
    return shape.ReviewClusters(looked_at=len(rows), items=[_cluster(each, rows) for each in found[:limit]])


@router.get("/v1/reviews/figures", summary="How long tickets wait for a person", responses=problems(422))
async def figures(
    request: Request,
    who: Annotated[Caller, caller("review", "supervise")],
    days: Annotated[int, Query(ge=1, le=31)] = 7,
) -> shape.ReviewFigures:
    """The queue now, and how fast was decided; by reviewer for supervisors, for a reviewer only the own figures."""
    process = running(request)
    own = None if who.scopes & {"supervise", "admin"} else who.principal
    waiting, overdue = await store.review.waiting(process)
    rows = await store.review.figures(process, process.now() - timedelta(days), own)
    by_reviewer = {row.by: shape.ReviewerFigures(**_figures(row)) for row in rows[1:]}
    return shape.ReviewFigures(waiting=waiting, overdue=overdue, days=days, reviewers=by_reviewer, **_figures(rows[0]))


@router.get("/v1/reviews/{ticket_id:uuid}", summary="One of them", responses=problems(404, 422))
async def one_review(request: Request, ticket_id: UUID, who: Reviewer) -> shape.ReviewDetail:
    """With the request's text; numbers that name a person are masked in it."""
    row = await store.review.one(running(request), ticket_id)
    if row is None:
        raise Refused(404, "No such review", "this ticket does not wait for a person")
    return shape.ReviewDetail(**row._asdict())


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
    args = review.Decide(ticket_id, await _word(request, body, who))
    return await command(request, review.decide, args, key=str(ticket_id), body=body)


@router.post(
    "/v1/reviews/decide",
    summary="Say what many tickets are",
    response_model=shape.DecidedMany,
    responses={207: {"description": "Some were left as they are.", "model": shape.DecidedMany}, **problems(400, 422)},
)
async def decide_many(request: Request, body: shape.DecideManyBody, who: Reviewer) -> Response:
    """All of them the same situation, in one transaction; each is then as if it had been decided alone.

    What another reviewer has claimed or decided is left as it is, and its result says so.
    """
    tickets = tuple(dict.fromkeys(body.tickets))
    args = review.DecideMany(tickets, await _word(request, body, who))
    async with _turn(request):
        return await command(request, review.decide_many, args, key="", further=[*map(str, tickets)], body=body)


@router.post(
    "/v1/reviews/{ticket_id}/split",
    summary="Make several tickets of one",
    response_model=shape.SplitAnswer,
    responses=problems(400, 404, 409, 422),
)
async def split(request: Request, ticket_id: UUID, body: shape.SplitBody, who: Reviewer) -> Response:
    """For a request that holds several matters. Each part becomes a ticket of its own, of the same customer and place.

    A part with a situation goes to its departments at once. The ticket itself ends here.
    """
    now = await current(running(request)).in_force()
    parts = tuple(Part(each.title, each.text, each.situation) for each in body.parts)
    args = review.Split(ticket_id, who.principal, parts, body.note, now.matrix)
    return await command(request, review.split, args, key=str(ticket_id), body=body)


async def _word(request: Request, body: shape.DecideBody, who: Caller) -> review.Word:
    now = await current(running(request)).in_force()
    return review.Word(who.principal, body.situation, body.business_type, body.urgency, body.note, now.matrix)


def _turn(request: Request) -> asyncio.Semaphore:
    """One at a time in this process: what takes many tickets at once."""
    state = request.app.state
    if not hasattr(state, "many"):
        state.many = asyncio.Semaphore(1)
    found: asyncio.Semaphore = state.many
    return found


def _cluster(found: Cluster, rows: Sequence[Row[Any]]) -> shape.ReviewCluster:
    members = [rows[place] for place in found.members]
    return shape.ReviewCluster(
        size=len(members),
        claimed=sum(row.claimed_by is not None for row in members),
        due_at=members[0].due_at,
        candidates=[Candidate.model_validate(each) for each in found.candidates],
        example_title=members[0].title,
        example_text=members[0].text,
        tickets=[row.ticket_id for row in members[: shape.MOST_DECIDED]],
    )


def _figures(row: Row[Any]) -> dict[str, Any]:
    spreads = {
        name: shape.Spread(median=each[0], p90=each[1]) if each else None
        for name, each in (("waited", row.waited), ("deciding", row.deciding))
    }
    return {"decided": row.decided, "split": row.split, **spreads}
