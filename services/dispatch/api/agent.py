"""For front-line agents, under their own key or through the platform they work with."""

from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from libs.shared.web import Caller, Refused, after, caller, command, page, problems, running
from services.dispatch import store
from services.dispatch.api import sent, view
from services.dispatch.command import agent
from services.dispatch.domain import payload
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.ticket import Ticket

router = APIRouter(tags=["agents"])

Agent = Annotated[Caller, caller("agent", "publish")]
Reader = Annotated[Caller, caller("agent", "publish", "supervise")]
AgentId = Annotated[
    str | None,
    Header(alias="X-Agent-Id", max_length=100, description="for platforms: the agent on whose behalf they call"),
]
LAST = UUID(int=2**128 - 1)
MOVED: dict[str, Any] = {"responses": problems(400, 404, 409, 422)}


def acting(who: Caller, agent_id: str | None) -> str:
    """The agent who acts: the key's own, or the one a platform names."""
    if "agent" in who.scopes:
        return who.principal
    if not agent_id or "\x00" in agent_id:
        reason = "required: this key belongs to a platform, name the agent it acts for"
        raise Refused(422, "Bad request", f"X-Agent-Id: {reason}", errors=[{"field": "X-Agent-Id", "reason": reason}])
    return agent_id


@router.get("/v1/tickets", summary="An agent's tickets", responses=problems(422))
async def find(
    request: Request,
    *,
    who: Reader,
    state: Annotated[
        Literal["open", "answered", "closed"] | None, Query(description="default: all that are not closed")
    ] = None,
    agent_id: Annotated[str | None, Query(max_length=100, description="default: the caller")] = None,
    x_agent_id: AgentId = None,
    limit: sent.Limit = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500)] = None,
) -> view.TicketPage:
    """Newest first."""
    last = after(after_, UUID)
    whose = agent_id or x_agent_id or who.principal
    rows = await store.ticket.of_agent(running(request), whose, state, last[0] if last else LAST, limit + 1)
    items = [_summary(row) for row in rows]
    return view.TicketPage.model_validate(page(items, limit, lambda item: [item["ticket_id"]]))


@router.get("/v1/tickets/{ticket_id}", summary="A ticket's whole story", responses=problems(404, 422))
async def show(request: Request, ticket_id: UUID, _: Reader) -> view.TicketDetail:
    """Work orders, questions, evidence, measures and the timeline. Any agent may see it: customers call again."""
    process = running(request)
    ticket = (await store.ticket.tickets(process, [ticket_id])).get(ticket_id)
    if ticket is None:
        raise Refused(404, "Not found", "there is no such ticket, or it has not been classified yet")
    orders = (await store.order.of_tickets(process, [ticket_id])).get(ticket_id, [])
    added = (await store.ticket.amendments(process, [ticket_id])).get(ticket_id, [])
    questions = [asdict(question) for question in await store.question.of_ticket(process, ticket_id)]
    history = await store.ticket.history(process, ticket_id)
    brief = ticket.brief
    return view.TicketDetail.model_validate(
        {
            **_summary(ticket),
            "members": await store.member.count(process, ticket.master) if ticket.master else 0,
            "text": brief.text,
            "category_path": brief.category_path,
            "place": {"area_code": brief.area_code, "address": brief.address},
            "star": brief.star,
            "sensitive": brief.sensitive,
            "supervisor": brief.supervisor,
            "opened_at": brief.opened_at,
            "work_orders": [payload.shown(brief, order, []) for order in orders],
            "questions": questions,
            "evidence": [asdict(each) for each in await store.question.evidence(process, ticket_id)],
            "amendments": added,
            "timeline": sorted(
                [*history, *_asked(questions), *_added(added), *_own(ticket, orders)], key=lambda event: event["at"]
            ),
        }
    )


@router.post("/v1/tickets/{ticket_id}/questions", summary="Ask the departments", status_code=201, **MOVED)
async def ask(
    request: Request, ticket_id: UUID, body: sent.TicketQuestionBody, who: Agent, x_agent_id: AgentId = None
) -> Response:
    """Straight to the department named by `department` or `work_order_id`, else to all that work on the ticket.

    Of a ticket that is merged into another one: to the departments of that one.
    """
    if body.department and body.work_order_id:
        reason = "give either department or work_order_id"
        raise Refused(422, "Bad request", reason, errors=[{"field": "work_order_id", "reason": reason}])
    about = await master_of(request, ticket_id) or ticket_id
    args = agent.AskDepartments(about, acting(who, x_agent_id), body.text, body.department, body.work_order_id)
    return await command(request, agent.ask_departments, args, key=str(about), body=body)


@router.post("/v1/questions/{question_id}/answer", summary="Reply to a question", **MOVED)
async def reply(
    request: Request,
    question_id: UUID,
    body: sent.QuestionBody,
    who: Annotated[Caller, caller("agent", "publish", "department")],
    x_agent_id: AgentId = None,
) -> Response:
    """By the department to what the agent asked, by the agent to what the department asked."""
    question = await store.question.find(running(request), question_id)
    if question is None:
        raise Refused(404, "Not found", "there is no such question")
    if question.asked_by == "department":
        if not who.scopes & {"agent", "publish", "admin"}:
            raise Refused(403, "Forbidden", "the agent replies to this question")
        by = acting(who, x_agent_id)
    else:
        found = await store.order.find(running(request), question.work_order_id)
        own = "department" in who.scopes and found is not None and found[1].department == who.principal
        if not own and "admin" not in who.scopes:
            raise Refused(404, "Not found", "this department was not asked such a question")
        by = who.principal
    args = agent.Reply(question_id, by, body.text)
    return await command(request, agent.reply, args, key=str(question.ticket_id), body=body)


@router.post("/v1/tickets/{ticket_id}/close", summary="Close a ticket", **MOVED)
async def close(
    request: Request, ticket_id: UUID, who: Agent, body: sent.CloseBody | None = None, x_agent_id: AgentId = None
) -> Response:
    """The customer has the answer; or, without an answer yet, has withdrawn the request."""
    args = agent.Close(ticket_id, acting(who, x_agent_id), body.satisfied if body else None)
    return await command(request, agent.close, args, key=str(ticket_id), body=body)


@router.post("/v1/tickets/{ticket_id}/reopen", summary="Reopen a ticket", **MOVED)
async def reopen(
    request: Request, ticket_id: UUID, body: sent.ReopenBody, who: Agent, x_agent_id: AgentId = None
) -> Response:
    """The customer is not satisfied: the work orders go back to their departments.

    Of a ticket that is merged into another one: that one is reopened, and with it all that are merged into it and not
    closed.
    """
    master = await master_of(request, ticket_id)
    args = agent.Reopen(ticket_id, acting(who, x_agent_id), body.reason)
    further = [str(master)] if master else []
    return await command(request, agent.reopen, args, key=str(ticket_id), further=further, body=body)


async def master_of(request: Request, ticket_id: UUID) -> UUID | None:
    """The ticket that this one is merged into."""
    ticket = (await store.ticket.tickets(running(request), [ticket_id])).get(ticket_id)
    return ticket.master if ticket and ticket.is_member else None


def _summary(ticket: Ticket) -> dict[str, Any]:
    brief = ticket.brief
    return {
        "ticket_id": brief.ticket_id,
        "state": ticket.state,
        "round": ticket.round,
        "allowed": [move for move in tickets.MOVES[ticket.state] if move != "answer"],
        "master_id": ticket.master if ticket.is_member else None,
        "channel": brief.channel,
        "external_ref": brief.external_ref,
        "agent_id": brief.agent_id,
        "title": brief.title,
        "situation": {"code": brief.situation_code, "name": brief.situation_name},
        "lead_department": brief.lead,
        "join_policy": brief.join_policy,
        "urgency": brief.urgency,
        "classified_at": ticket.classified_at,
        "answered_at": ticket.answered_at,
        "closed_at": ticket.closed_at,
        "satisfied": ticket.satisfied,
        "measures": ticket.measures.model_dump() if ticket.measures else None,
    }


def _event(at: Any, what: str, by: str, work_order_id: UUID | None = None, **detail: Any) -> dict[str, Any]:
    return {"at": at, "what": what, "by": by, "work_order_id": work_order_id, "detail": detail}


def _own(ticket: Ticket, orders: list[WorkOrder]) -> list[dict[str, Any]]:
    """What the rows say of themselves."""
    received = tickets.received_at(ticket.brief)
    events = [
        _event(received, "received", ticket.brief.channel),
        _event(ticket.classified_at, "classified", "classification", situation=ticket.brief.situation_name),
    ]
    for order in orders:
        events.append(
            _event(order.created_at, "assigned", "dispatch", order.work_order_id, department=order.department)
        )
        if order.delivered_at:
            events.append(
                _event(order.delivered_at, "delivered", "dispatch", order.work_order_id, department=order.department)
            )
    if ticket.answered_at:
        events.append(_event(ticket.answered_at, "ticket_answered", "dispatch"))
    return events


def _asked(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events = []
    for question in questions:
        order_id, id_ = question["work_order_id"], str(question["question_id"])
        events.append(_event(question["asked_at"], "question_asked", question["asker"], order_id, question_id=id_))
        if question["replied_at"]:
            by = question["replied_by"]
            events.append(_event(question["replied_at"], "question_answered", by, order_id, question_id=id_))
    return events


def _added(amendments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_event(each["at"], "amended", each["by"], amendment_id=each["amendment_id"]) for each in amendments]
