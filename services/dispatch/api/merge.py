"""Tickets about one matter: merging them, undoing it, and who follows a ticket."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from libs.shared.web import Caller, Refused, after, caller, command, page, problems, running
from services.dispatch import store
from services.dispatch.api import sent, view
from services.dispatch.api.agent import AgentId, acting
from services.dispatch.api.department import FIRST, seen
from services.dispatch.command import merge as merging
from services.dispatch.domain import payload

router = APIRouter(tags=["merging"])

Merger = Annotated[Caller, caller("agent", "publish", "supervise")]
After = Annotated[str | None, Query(alias="after", max_length=500)]
MOVED: dict[str, Any] = {"response_model": view.MergeStanding, "responses": problems(400, 404, 409, 422)}


@router.post("/v1/tickets/{ticket_id}/merge", summary="Merge a ticket into another one", **MOVED)
async def merge(
    request: Request, ticket_id: UUID, body: sent.MergeBody, who: Merger, x_agent_id: AgentId = None
) -> Response:
    """The departments of `into` work for both from now on; this ticket's own work orders end.

    The strictest promise of all binds the master. Its answer becomes the answer of each, and is shown to each one's
    agent. Open tickets only; what was merged by mistake is released.
    """
    args = merging.Merge(ticket_id, body.into, _by(who, x_agent_id), body.reason)
    return await command(request, merging.merge, args, key=str(ticket_id), further=[str(body.into)], body=body)


@router.post("/v1/tickets/{ticket_id}/release", summary="Undo a merge", **MOVED)
async def release(
    request: Request,
    ticket_id: UUID,
    who: Merger,
    body: sent.ReleaseBody | None = None,
    x_agent_id: AgentId = None,
) -> Response:
    """The ticket goes its own way again: the departments that had a share in it get work orders, with new clocks."""
    args = merging.Release(ticket_id, _by(who, x_agent_id), body.reason if body else None)
    return await command(request, merging.release, args, key=str(ticket_id), body=body)


@router.get("/v1/tickets/{ticket_id}/members", summary="Tickets merged into one", responses=problems(404, 422))
async def members(
    request: Request, ticket_id: UUID, _: Merger, limit: sent.Limit = 50, after_: After = None
) -> view.MemberPage:
    """Of a ticket that is merged itself: all that share its master."""
    ticket = (await store.ticket.tickets(running(request), [ticket_id])).get(ticket_id)
    if ticket is None:
        raise Refused(404, "Not found", "there is no such ticket, or it has not been classified yet")
    return await _page(request, ticket.master or ticket_id, limit, after_)


@router.get("/v1/work-orders/{work_order_id}/members", summary="For whom it works", responses=problems(404, 422))
async def work_order_members(
    request: Request,
    work_order_id: UUID,
    who: Annotated[Caller, caller("department", "agent", "supervise")],
    limit: sent.Limit = 50,
    after_: After = None,
) -> view.MemberPage:
    """The tickets merged into the work order's, with what their customers said."""
    _, order = await seen(request, work_order_id, who)
    return await _page(request, order.ticket_id, limit, after_)


async def _page(request: Request, master_id: UUID, limit: int, after_: str | None) -> view.MemberPage:
    last = after(after_, UUID)
    process = running(request)
    found = await store.member.page(process, master_id, last[0] if last else FIRST, limit + 1)
    added = await store.ticket.amendments(process, [each.brief.ticket_id for each in found])
    items = [
        {
            **payload.member(each.brief),
            "state": each.state,
            "text": each.brief.text,
            "amendments": added.get(each.brief.ticket_id, []),
        }
        for each in found
    ]
    return view.MemberPage.model_validate(page(items, limit, lambda item: [item["ticket_id"]]))


def _by(who: Caller, agent_id: str | None) -> str:
    """Supervisors act under their own name, agents as everywhere."""
    return who.principal if "supervise" in who.scopes and not agent_id else acting(who, agent_id)
