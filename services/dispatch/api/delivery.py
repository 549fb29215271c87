"""For administrators: what became of webhooks, and sending them again."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from libs.shared.web import Caller, Refused, after, caller, command, cursor, page, problems, running
from services.dispatch import store
from services.dispatch.api import sent, view
from services.dispatch.command import endpoint as commands
from services.dispatch.domain.endpoint import DeliveryState

router = APIRouter(tags=["deliveries"])

Admin = Annotated[Caller, caller("admin")]
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
AT_ONCE = 500  # deliveries of one transaction
MOST = 5000  # deliveries of one request


@router.get("/v1/deliveries", summary="Webhooks of a department or a ticket", responses=problems(422))
async def deliveries(
    request: Request,
    *,
    _: Admin,
    department: Annotated[str | None, Query(max_length=100)] = None,
    ticket_id: UUID | None = None,
    state: DeliveryState | None = None,
    limit: sent.Limit = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500)] = None,
) -> view.DeliveryPage:
    """Newest first; `department` or `ticket_id` is required."""
    if department is None and ticket_id is None:
        raise _wrong("department", "required, unless ticket_id is given")
    last = after(after_, UUID)
    rows = await store.replay.page(
        running(request),
        department=department,
        ticket_id=ticket_id,
        state=state,
        before=last[0] if last else LAST,
        limit=limit + 1,
    )
    return view.DeliveryPage.model_validate(page(rows, limit, lambda row: [row["delivery_id"]]))


@router.get("/v1/deliveries/{delivery_id}", summary="A webhook with its attempts", responses=problems(404, 422))
async def show(request: Request, delivery_id: UUID, _: Admin) -> view.DeliveryDetail:
    """Its body as signed, and how each attempt went."""
    found = await store.replay.find(running(request), delivery_id)
    if found is None:
        raise Refused(404, "Not found", "there is no such delivery")
    log = await store.replay.attempts(running(request), delivery_id)
    told = {**found._mapping, "body": orjson.loads(found.body), "attempt_log": log}
    return view.DeliveryDetail.model_validate(told)


@router.post(
    "/v1/deliveries/{delivery_id}/replay",
    summary="Send a webhook again",
    status_code=202,
    response_model=view.Queued,
    responses=problems(400, 404, 409, 422),
)
async def replay(request: Request, delivery_id: UUID, who: Admin, body: sent.Nothing | None = None) -> Response:
    """Under the same webhook-id: a receiver that has it already passes over it."""
    found = await store.replay.find(running(request), delivery_id)
    if found is None:
        raise Refused(404, "Not found", "there is no such delivery")
    args = commands.Replay(delivery_id, who.principal)
    key = str(found.ticket_id) if found.ticket_id else f"endpoint:{found.department}"
    return await command(request, commands.replay, args, key=key, body=body)


@router.post("/v1/deliveries/replay", summary="Send a time range again", responses=problems(404, 409, 422))
async def replay_range(request: Request, body: sent.ReplayBody, _: Admin) -> view.Replayed:
    """Up to 5,000 at a time; with `next` in the reply, ask again with it as `after`. Repeating it is harmless."""
    if body.until <= body.since:
        raise _wrong("to", "must be later than from")
    process = running(request)
    endpoint = await store.endpoint.find(process, body.department)
    if endpoint is None or endpoint.state != "active":
        raise Refused(409, "Not possible in this state", "the department has no active endpoint")
    given = after(body.after, UUID)
    last = given[0] if given else FIRST
    count = 0
    while count < MOST:
        found = await store.replay.between(
            process,
            body.department,
            body.state or "inbox",
            since=body.since,
            until=body.until,
            after=last,
            limit=AT_ONCE,
        )
        if not found:
            return view.Replayed(replayed=count, next=None)
        async with process.transaction({str(ticket_id) for _, ticket_id in found if ticket_id}) as tx:
            count += await store.replay.again(tx, found)
        last = found[-1][0]
    return view.Replayed(replayed=count, next=cursor(last))


def _wrong(field: str, reason: str) -> Refused:
    return Refused(422, "Bad request", f"{field}: {reason}", errors=[{"field": field, "reason": reason}])
