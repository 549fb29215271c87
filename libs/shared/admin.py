"""The operator's HTTP calls, the same in every service: what was buried, replay, discard, resume. Scope `admin`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import StringConstraints

from libs.shared import dead, replay
from libs.shared.db import Poison
from libs.shared.web import Body, Caller, Page, Refused, after, caller, page, problems, running

router = APIRouter(tags=["operation"])
Admin = Annotated[Caller, caller("admin")]
DeadId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class Replay(Body):
    """Which ticket: its Kafka key, as `GET /v1/dead` shows it."""

    key: Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]


class Replayed(Body):
    """How many events were handled."""

    replayed: int


class Resumed(Body):
    """Why the consumer had stopped; null where it had not."""

    reason: str | None


@router.get("/v1/dead", summary="Buried events, and those parked behind them", responses=problems(422))
async def buried(
    *,
    request: Request,
    who: Admin,
    key: Annotated[str | None, Query(max_length=500)] = None,
    show: Annotated[Literal["buried", "all"], Query()] = "buried",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after_: Annotated[str | None, Query(alias="after")] = None,
) -> Page:
    """Oldest first; without bodies, which may hold what a customer said."""
    [least] = after(after_, int) or (0,)
    rows = await running(request).read(dead.LIST, key=key, parked=show == "all", after=least, limit=limit + 1)
    shown: list[dict[str, Any]] = [dict(row._mapping) for row in rows]
    return Page(**page(shown, limit, lambda row: [row["id"]]))


@router.post(
    "/v1/dead/replay", summary="Handle a ticket's buried and parked events, in order", responses=problems(409, 422)
)
async def replay_key(request: Request, who: Admin, body: Replay) -> Replayed:
    """Stops at the first that still fails: 409 says why, and it and those behind it stay."""
    return Replayed(replayed=await _or_refused(replay.replay(running(request), key=body.key)))


@router.post(
    "/v1/dead/{id}/replay", summary="Handle a buried event, and its ticket's parked ones", responses=problems(409, 422)
)
async def replay_id(request: Request, who: Admin, id: DeadId) -> Replayed:
    """As above, by the id of one of them."""
    return Replayed(replayed=await _or_refused(replay.replay(running(request), id=id)))


@router.post("/v1/dead/{id}/discard", summary="Give a buried event up for good", responses=problems(409, 422))
async def discard(request: Request, who: Admin, id: DeadId) -> Replayed:
    """What was parked behind it is replayed."""
    return Replayed(replayed=await _or_refused(replay.discard(running(request), id)))


@router.post("/v1/resume", summary="Let a stopped consumer go on", responses=problems())
async def resume(request: Request, who: Admin) -> Resumed:
    """It had stopped because too much had to be buried."""
    rows = await running(request).read(dead.RESUME)
    return Resumed(reason=rows[0].reason if rows else None)


async def _or_refused(work: Any) -> int:
    try:
        return int(await work)
    except Poison as error:
        raise Refused(409, "Cannot be done", str(error)) from None
