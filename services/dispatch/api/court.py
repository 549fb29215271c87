"""The returns court beside the work orders: reasons, cells that come back, moving what a department has."""

from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from libs.shared.web import Caller, Refused, after, caller, command, page, problems, running
from services.dispatch import store
from services.dispatch.api import sent, view
from services.dispatch.command import reassignment
from services.dispatch.domain.reassignment import Scope

router = APIRouter(tags=["court"])

Anybody = Annotated[Caller, caller("department", "agent", "publish", "supervise")]
Reader = Annotated[Caller, caller("supervise", "publish", "department")]
Mover = Annotated[Caller, caller("supervise")]
After = Annotated[str | None, Query(alias="after", max_length=500)]
Name = Annotated[str, Path(max_length=200)]
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


@router.get("/v1/return-reasons", summary="Why a work order may be returned", responses=problems())
async def reasons(request: Request, _: Anybody) -> view.ReasonList:
    """In the order of the list; `asks` names what a return for that reason must bring."""
    found = running(request).resources.reasons.values()
    return view.ReasonList.model_validate({"items": [each.model_dump() for each in found]})


@router.get("/v1/cells", summary="How often each cell of the matrix comes back", responses=problems(422))
async def cells(
    request: Request,
    *,
    who: Reader,
    department: Annotated[str | None, Query(max_length=100, description="the executing department")] = None,
    above: Annotated[float | None, Query(ge=0, le=1, description="only cells with a higher rate")] = None,
    months: Annotated[int, Query(ge=1, le=36, description="the running one and those before it, together")] = 1,
    limit: sent.Limit = 50,
    after_: After = None,
) -> view.CellPage:
    """By the rate of upheld returns, the highest first. A department sees what it leads."""
    rows = await store.cell.page(
        running(request),
        department=department,
        lead=_led(who),
        above=above,
        months=months,
        after=_place(after(after_, float, str, str)),
        limit=limit + 1,
    )
    items = [dict(row._mapping) for row in rows]
    return view.CellPage.model_validate(
        page(items, limit, lambda item: [item["rate"], item["situation"], item["department"]])
    )


@router.get("/v1/cells/{situation}/{department}/returns", summary="The returns of a cell", responses=problems(422))
async def cell_returns(
    request: Request, situation: Name, department: Name, *, who: Reader, limit: sent.Limit = 50, after_: After = None
) -> view.ReturnPage:
    """With reasons and rulings, newest first. A department sees those on tickets that it leads."""
    last = after(after_, UUID)
    rows = await store.court.of_cell(
        running(request), situation, department, lead=_led(who), before=last[0] if last else LAST, limit=limit + 1
    )
    return view.ReturnPage.model_validate(page([asdict(row) for row in rows], limit, lambda row: [row["return_id"]]))


@router.post(
    "/v1/reassignments",
    summary="Move all open work orders of a department",
    status_code=202,
    response_model=view.Reassignment,
    responses={**problems(400, 409, 422), 200: {"model": view.ReassignmentPreview}},
)
async def reassign(request: Request, body: sent.ReassignmentBody, who: Mover) -> Response:
    """Without a court: no return, no objection. It goes on in the background; with `dry_run` nothing is moved (200)."""
    situations = None if body.situations is None else tuple(body.situations)
    scope = Scope(body.from_department, body.to_department, situations, body.category)
    if body.dry_run:
        async with running(request).transaction() as tx:
            found = view.ReassignmentPreview.model_validate(await reassignment.preview(scope, tx))
        return Response(found.model_dump_json(), media_type="application/json")
    args = reassignment.Start(scope, body.reason, who.principal)
    return await command(request, reassignment.start, args, key="", body=body)


@router.get("/v1/reassignments", summary="What was moved, and is being moved", responses=problems(422))
async def reassignments(
    request: Request, _: Mover, limit: sent.Limit = 50, after_: After = None
) -> view.ReassignmentPage:
    """Newest first."""
    last = after(after_, UUID)
    found = await store.reassignment.page(running(request), last[0] if last else LAST, limit + 1)
    items = [reassignment.shown(each) for each in found]
    return view.ReassignmentPage.model_validate(page(items, limit, lambda item: [item["reassignment_id"]]))


@router.get("/v1/reassignments/{reassignment_id}", summary="How far one has come", responses=problems(404, 422))
async def show(request: Request, reassignment_id: UUID, _: Mover) -> view.Reassignment:
    """While `listing`, `total` still grows."""
    found = await store.reassignment.find(running(request), reassignment_id)
    if found is None:
        raise Refused(404, "Not found", "there is no such reassignment")
    return view.Reassignment.model_validate(reassignment.shown(found))


@router.get(
    "/v1/reassignments/{reassignment_id}/items", summary="What became of each work order", responses=problems(422)
)
async def items(
    request: Request,
    reassignment_id: UUID,
    _: Mover,
    result: Annotated[Literal["moved", "skipped", "left"] | None, Query(description="default: all")] = None,
    limit: sent.Limit = 50,
    after_: After = None,
) -> view.ReassignmentItemPage:
    """In the order in which they are moved."""
    last = after(after_, UUID)
    found = await store.reassignment.items(
        running(request), reassignment_id, last[0] if last else FIRST, limit + 1, result
    )
    rows: list[dict[str, Any]] = [asdict(each) for each in found]
    return view.ReassignmentItemPage.model_validate(page(rows, limit, lambda row: [row["work_order_id"]]))


def _led(who: Caller) -> str | None:
    """The department whose tickets a caller may see; None: all."""
    return None if who.scopes & {"admin", "supervise", "publish"} else who.principal


def _place(values: tuple[Any, ...] | None) -> tuple[float, str, str] | None:
    return None if values is None else (values[0], values[1], values[2])
