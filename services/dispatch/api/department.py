"""For executing departments under their own key, and for lead departments and supervisors who rule on returns."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from libs.shared.service import Handler
from libs.shared.web import Body, Caller, Refused, after, caller, command, page, problems, running
from services.dispatch import store
from services.dispatch.api import sent, view
from services.dispatch.command import court, department, progress
from services.dispatch.domain import payload
from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.ticket import Ticket

router = APIRouter(tags=["departments"])

Worker = Annotated[Caller, caller("department")]
Judge = Annotated[Caller, caller("department", "supervise")]
FIRST = UUID(int=0)
MOVED: dict[str, Any] = {"response_model": view.Standing, "responses": problems(400, 404, 409, 422)}


@router.get("/v1/work-orders", summary="A department's work orders", responses=problems(422))
async def work_orders(
    request: Request,
    *,
    who: Worker,
    state: Annotated[
        payload.Filter,
        Query(description="`open`: something is to be done; `contacted`: accepted, and the customer was spoken to"),
    ] = "open",
    department: Annotated[str | None, Query(max_length=100, description="administrators: whose; others: own")] = None,
    limit: sent.Limit = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500)] = None,
) -> view.WorkOrderPage:
    """Oldest first. All that is open is here, whether or not a webhook has brought it.

    The cursor is for paging through one listing; to look for new ones begin again without it.
    """
    last = after(after_, UUID)
    code = department if department and "admin" in who.scopes else who.principal
    rows = await store.order.of_department(
        running(request),
        code,
        payload.states(state),
        contacted=state == "contacted",
        after=last[0] if last else FIRST,
        limit=limit + 1,
    )
    added = await store.ticket.amendments(running(request), [ticket.brief.ticket_id for ticket, _ in rows])
    items = [payload.shown(ticket.brief, order, added.get(order.ticket_id, [])) for ticket, order in rows]
    return view.WorkOrderPage.model_validate(page(items, limit, lambda item: [item["work_order_id"]]))


@router.get("/v1/work-orders/{work_order_id}", summary="A work order with its history", responses=problems(404, 422))
async def work_order(
    request: Request, work_order_id: UUID, who: Annotated[Caller, caller("department", "agent", "supervise")]
) -> view.WorkOrderDetail:
    """For its department, the ticket's lead department, agents and supervisors."""
    ticket, order = await seen(request, work_order_id, who)
    process = running(request)
    ticket_id = order.ticket_id
    added = (await store.ticket.amendments(process, [ticket_id])).get(ticket_id, [])
    history = [row for row in await store.ticket.history(process, ticket_id) if row["work_order_id"] == work_order_id]
    return view.WorkOrderDetail.model_validate(
        {
            **payload.shown(ticket.brief, order, added),
            "members": await store.member.count(process, ticket_id) if ticket.is_master else 0,
            "questions": [
                asdict(q)
                for q in await store.question.of_ticket(process, ticket_id)
                if q.work_order_id == work_order_id
            ],
            "evidence": [
                asdict(e) for e in await store.question.evidence(process, ticket_id) if e.work_order_id == work_order_id
            ],
            "return_cases": [asdict(case) for case in await store.court.of_order(process, order)],
            "history": history,
        }
    )


@router.get("/v1/returns", summary="Returns that wait for a ruling", responses=problems(422))
async def returns(
    request: Request,
    who: Judge,
    limit: sent.Limit = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500)] = None,
) -> view.ReturnPage:
    """A lead department sees the first returns on its tickets, a supervisor all second ones."""
    last = after(after_, UUID)
    rows = await store.court.before(
        running(request),
        "lead" if "department" in who.scopes else "supervisor",
        who.principal,
        after=last[0] if last else FIRST,
        limit=limit + 1,
    )
    return view.ReturnPage.model_validate(page([asdict(row) for row in rows], limit, lambda row: [row["return_id"]]))


@router.post("/v1/work-orders/{work_order_id}/accept", summary="Take a work order on", **MOVED)
async def accept(request: Request, work_order_id: UUID, who: Worker, body: sent.Nothing | None = None) -> Response:
    """Stops the accept clock."""
    return await _do(request, who, work_order_id, progress.accept, progress.Accept(work_order_id, who.principal))


@router.post("/v1/work-orders/{work_order_id}/contacted", summary="The customer was spoken to", **MOVED)
async def contacted(
    request: Request, work_order_id: UUID, who: Worker, body: sent.ContactBody | None = None
) -> Response:
    """Stops the first-contact clock; may be said again for later contacts, which are kept in the history."""
    args = progress.Contact(work_order_id, who.principal, body.note if body else None)
    return await _do(request, who, work_order_id, progress.contact, args, body=body)


@router.post("/v1/work-orders/{work_order_id}/return", summary="Return a work order: not ours", **MOVED)
async def give_back(request: Request, work_order_id: UUID, body: sent.ReturnBody, who: Worker) -> Response:
    """The lead department rules on a first return, the supervisor on a second; that ruling is final."""
    args = department.Return(work_order_id, who.principal, body.reason_code, body.reason, body.suggested_department)
    return await _do(request, who, work_order_id, department.give_back, args, body=body)


@router.post("/v1/work-orders/{work_order_id}/questions", summary="Ask the agent", status_code=201, **MOVED)
async def ask(request: Request, work_order_id: UUID, body: sent.QuestionBody, who: Worker) -> Response:
    """Straight to the front-line agent; the reply comes as the webhook question.answered."""
    args = department.Ask(work_order_id, who.principal, body.text)
    return await _do(request, who, work_order_id, department.ask_agent, args, body=body)


@router.post("/v1/work-orders/{work_order_id}/answer", summary="Answer", **MOVED)
async def answer(request: Request, work_order_id: UUID, body: sent.AnswerBody, who: Worker) -> Response:
    """When the join policy is met, the ticket's answer is on the agent's screen in the same second."""
    args = progress.AnswerOrder(work_order_id, who.principal, body.text, body.resolution)
    return await _do(request, who, work_order_id, progress.answer, args, body=body)


@router.post("/v1/work-orders/{work_order_id}/evidence", summary="Attach evidence", status_code=201, **MOVED)
async def add_evidence(request: Request, work_order_id: UUID, body: sent.EvidenceBody, who: Worker) -> Response:
    """By its address; the file itself stays where it is."""
    args = department.AddEvidence(work_order_id, who.principal, body.kind, body.uri, body.note)
    return await _do(request, who, work_order_id, department.add_evidence, args, body=body)


@router.post("/v1/work-orders/{work_order_id}/ruling", summary="Rule on a return", **MOVED)
async def rule(request: Request, work_order_id: UUID, body: sent.RulingBody, who: Judge) -> Response:
    """`uphold`: another department gets the work order. `reject`: back to the department, and binding."""
    _, order = await seen(request, work_order_id, who)
    args = court.Rule(
        work_order_id, body.decision, body.department, body.note, who.principal, who.scopes, body.matrix_wrong
    )
    return await command(request, court.rule, args, key=str(order.ticket_id), body=body)


async def _do(
    request: Request, who: Caller, work_order_id: UUID, handler: Handler, args: Any, *, body: Body | None = None
) -> Response:
    """Run a department's command on its own work order; another's does not exist for it."""
    process = running(request)
    owner = await process.resources.owners.find(process, work_order_id)
    if owner is None or not ("admin" in who.scopes or owner[1] == who.principal):
        raise Refused(404, "Not found", "this department has no such work order")
    return await command(request, handler, args, key=str(owner[0]), body=body)


async def seen(request: Request, work_order_id: UUID, who: Caller) -> tuple[Ticket, WorkOrder]:
    """The work order, if the caller may see it."""
    found = await store.order.find(running(request), work_order_id)
    if found is None:
        raise Refused(404, "Not found", "there is no such work order")
    ticket, order = found
    if who.scopes & {"admin", "agent", "supervise"} or who.principal in (order.department, ticket.brief.lead):
        return ticket, order
    raise Refused(404, "Not found", "there is no such work order")
