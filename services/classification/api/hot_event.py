"""For supervisors and reviewers: hot events, and what a person does with them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Row

from libs.shared.web import Caller, Refused, after, caller, command, cursor, problems, running
from services.classification import hot_event, store
from services.classification.api import shape
from services.classification.current import current
from services.classification.domain import fact
from services.classification.watch import LOCK, START

router = APIRouter(tags=["hot events"])

Watcher = Annotated[Caller, caller("supervise", "review")]
Limit = Annotated[int, Query(ge=1, le=500)]
After = Annotated[str | None, Query(alias="after", max_length=500, description="`next` of the page before")]
LAST = UUID(int=(1 << 128) - 1)


@router.get("/v1/hot-events", summary="Hot events", responses=problems(422))
async def hot_events(
    request: Request,
    who: Watcher,
    state: Literal["open", "closed"] = "open",
    limit: Limit = 50,
    after_: After = None,
) -> shape.HotEventPage:
    """Those in a state, the latest first."""
    [before] = after(after_, UUID) or (LAST,)
    rows = await store.hot_event.page(running(request), state, before, limit + 1)
    shown = [await _view(request, row) for row in rows[:limit]]
    return shape.HotEventPage(items=shown, next=cursor(str(shown[-1].hot_event_id)) if len(rows) > limit else None)


@router.get("/v1/hot-events/{hot_event_id}", summary="One of them", responses=problems(404, 422))
async def one_hot_event(
    request: Request, hot_event_id: UUID, who: Watcher, limit: Limit = 50, after_: After = None
) -> shape.HotEventDetail:
    """With a page of its members in the order they came; of those taken out, who did it and why."""
    row = await store.hot_event.one(running(request), hot_event_id)
    if row is None:
        raise Refused(404, "No such hot event")
    [behind] = after(after_, UUID) or (START,)
    members = await store.hot_event.members(running(request), hot_event_id, behind, limit + 1)
    view = await _view(request, row)
    return shape.HotEventDetail(
        **view.model_dump(),
        items=[shape.HotEventMember(**each._asdict()) for each in members[:limit]],
        next=cursor(str(members[limit - 1].ticket_id)) if len(members) > limit else None,
    )


@router.post(
    "/v1/hot-events/{hot_event_id}/close",
    summary="Close a hot event",
    response_model=shape.HotEventClosedAnswer,
    responses=problems(400, 404, 422),
)
async def close(request: Request, hot_event_id: UUID, body: shape.CloseBody, who: Watcher) -> Response:
    """Tickets do not join it any more. Events close by themselves once no more come than usual."""
    args = hot_event.Close(hot_event_id, who.principal, body.reason)
    return await command(request, hot_event.close, args, key=LOCK, further=[str(hot_event_id)], body=body)


@router.post(
    "/v1/hot-events/{hot_event_id}/fold",
    summary="Fold a hot event: one master works for all its members",
    response_model=shape.HotEventFoldedAnswer,
    responses=problems(400, 404, 409, 422),
)
async def fold(request: Request, hot_event_id: UUID, who: Watcher) -> Response:
    """However few they are; events fold by themselves from a number that the matrix gives.

    409 where the event is closed or dissolved, or has no members.
    """
    args = hot_event.Fold(hot_event_id, who.principal)
    return await command(request, hot_event.fold, args, key=LOCK, further=[str(hot_event_id)])


@router.post(
    "/v1/hot-events/{hot_event_id}/dissolve",
    summary="Dissolve a folded hot event",
    response_model=shape.HotEventDissolvedAnswer,
    responses=problems(400, 404, 409, 422),
)
async def dissolve(request: Request, hot_event_id: UUID, body: shape.CloseBody, who: Watcher) -> Response:
    """Each member goes its own way again, the master ends, the event is closed. 409 where it was never folded."""
    args = hot_event.Dissolve(hot_event_id, who.principal, body.reason)
    return await command(request, hot_event.dissolve, args, key=LOCK, further=[str(hot_event_id)], body=body)


@router.post(
    "/v1/hot-events/{hot_event_id}/leave",
    summary="Take tickets out of a hot event",
    response_model=shape.HotEventChanged,
    responses=problems(400, 404, 422),
)
async def leave(request: Request, hot_event_id: UUID, body: shape.TicketsBody, who: Watcher) -> Response:
    """They do not join it again by themselves."""
    args = hot_event.Tickets(hot_event_id, body.tickets, who.principal, body.reason)
    return await command(request, hot_event.leave, args, key=LOCK, further=list(map(str, body.tickets)), body=body)


@router.post(
    "/v1/hot-events/{hot_event_id}/join",
    summary="Put tickets into a hot event",
    response_model=shape.HotEventChanged,
    responses=problems(400, 404, 409, 422),
)
async def join(request: Request, hot_event_id: UUID, body: shape.TicketsBody, who: Watcher) -> Response:
    """Also such as were taken out before. 409 where the event is closed."""
    args = hot_event.Tickets(hot_event_id, body.tickets, who.principal, body.reason)
    return await command(request, hot_event.join, args, key=LOCK, further=list(map(str, body.tickets)), body=body)


async def _view(request: Request, row: Row[Any]) -> shape.HotEventView:
    matrix = await current(running(request)).matrix(row.matrix_version)
    situation = fact.situation(matrix.situations[matrix.by_code[row.situation]])
    fields = row._asdict() | {"situation": situation, "area_code": row.place}
    return shape.HotEventView.model_validate(fields)
