"""What the front-line agent does with a ticket: ask, reply, close, reopen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import refusing, step, the_order, the_ticket
from services.dispatch.domain import order as orders
from services.dispatch.domain import payload
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.order import OPEN, Illegal, WorkOrder
from services.dispatch.domain.question import Question
from services.dispatch.domain.ticket import Entry, Ticket


@dataclass(frozen=True, slots=True)
class AskDepartments:
    """A question to one department, or to all that have a share in the ticket. `by` is the agent."""

    ticket_id: UUID
    by: str
    text: str
    department: str | None
    work_order_id: UUID | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a question, by whoever was asked."""

    question_id: UUID
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """The customer has the answer, or has withdrawn the request. `satisfied` None: not asked."""

    ticket_id: UUID
    by: str
    satisfied: bool | None


@dataclass(frozen=True, slots=True)
class Reopen:
    """The customer is not satisfied."""

    ticket_id: UUID
    by: str
    reason: str


def ticket_standing(ticket: Ticket) -> dict[str, object]:
    """Where a ticket stands after a move."""
    return {
        "ticket_id": ticket.brief.ticket_id,
        "state": ticket.state,
        "round": ticket.round,
        "allowed": list(tickets.MOVES[ticket.state]),
    }


@refusing
async def ask_departments(args: AskDepartments, tx: Transaction) -> Answer:
    """The agent's question straight to the departments; one question for each."""
    ticket, shares = await the_ticket(tx, args.ticket_id)
    asked = _asked(args, ticket, shares)
    questions = [
        Question(tx.new_id(), args.ticket_id, order.work_order_id, "agent", args.by, args.text, asked_at=tx.now)
        for order in asked
    ]
    await store.question.add(tx, questions)
    await store.ticket.save(tx, [replace(ticket, messages=ticket.messages + 1)])
    webhooks = []
    for question, order in zip(questions, asked, strict=True):
        data = payload.about(order, question_id=question.question_id, text=args.text, agent_id=args.by)
        webhooks.append(Webhook(order.department, "question.asked", data, order.ticket_id, order.work_order_id))
        tx.publish(
            says.QuestionAsked(
                ticket_id=order.ticket_id,
                work_order_id=order.work_order_id,
                question_id=question.question_id,
                asked_by="agent",
                asker=args.by,
                department=ground.department_of(order),
                agent_id=args.by,
                channel=ticket.brief.channel,
                text=args.text,
            )
        )
    await store.delivery.add(tx, webhooks)
    told = [
        {"question_id": question.question_id, "work_order_id": order.work_order_id, "department": order.department}
        for question, order in zip(questions, asked, strict=True)
    ]
    return Answer(201, {"ticket_id": args.ticket_id, "questions": told})


def _asked(args: AskDepartments, ticket: Ticket, shares: Sequence[WorkOrder]) -> list[WorkOrder]:
    """The work orders a question goes to. Raises Refused or Illegal."""
    if args.work_order_id is not None:
        found = [order for order in shares if order.work_order_id == args.work_order_id]
        if not found:
            raise ground.bad("work_order_id", "there is no such work order on this ticket")
        step(found[0], "ask")
        return found
    able = [order for order in shares if "ask" in orders.allowed(order)]
    if args.department is not None:
        able = [order for order in able if order.department == args.department]
        if not able:
            raise ground.bad("department", "has no share in this ticket now")
    if not able:
        raise Illegal(ticket.state, "ask", tuple(tickets.MOVES[ticket.state]), "no department works on this ticket now")
    return able


@refusing
async def reply(args: Reply, tx: Transaction) -> Answer:
    """The reply, straight back to whoever asked; the same reply twice changes nothing."""
    question = await store.question.find(tx, args.question_id)
    if question is None:
        raise Refused(404, "Not found", "there is no such question")
    told = {"question_id": args.question_id, "work_order_id": question.work_order_id, "ticket_id": question.ticket_id}
    if question.reply is not None:
        if question.reply == args.text:
            return Answer(200, told)
        raise Illegal("answered", "answer", (), "this question has been answered")
    ticket, order = await the_order(tx, question.work_order_id)
    if ticket.state == "closed":
        raise Illegal("closed", "answer", (), "the ticket is closed")
    await store.question.reply(tx, question, args.text, args.by)
    await store.ticket.save(tx, [replace(ticket, messages=ticket.messages + 1)])
    if question.asked_by == "department":
        data = payload.about(
            order, question_id=args.question_id, question=question.text, text=args.text, agent_id=args.by
        )
        webhook = Webhook(order.department, "question.answered", data, order.ticket_id, order.work_order_id)
        await store.delivery.add(tx, [webhook])
    tx.publish(
        says.QuestionAnswered(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            question_id=args.question_id,
            asked_by=question.asked_by,
            department=ground.department_of(order),
            agent_id=question.asker if question.asked_by == "agent" else ticket.brief.agent_id,
            channel=ticket.brief.channel,
            text=args.text,
        )
    )
    return Answer(200, told)


@refusing
async def close(args: Close, tx: Transaction) -> Answer:
    """Close the ticket; departments that were still working on it are told to stop."""
    ticket, shares = await the_ticket(tx, args.ticket_id)
    if ticket.state == "closed" and ticket.satisfied == args.satisfied:
        return Answer(200, ticket_standing(ticket))
    state = tickets.after(ticket, "close")
    if ticket.state == "open" and args.satisfied is not None:
        raise ground.bad("satisfied", "the ticket has no answer yet that the customer could judge")
    closed = replace(ticket, state=state, closed_at=tx.now, satisfied=args.satisfied)
    done = [step(order, "close") for order in shares if "close" in orders.allowed(order)]
    working = [order for order in shares if order.state in OPEN]
    await store.ticket.save(tx, [closed])
    await store.order.save(tx, done)
    await store.court.void(tx, args.ticket_id, [order.work_order_id for order in working], args.by)
    store.ticket.note(
        tx, [Entry(args.ticket_id, None, "closed", args.by, {"satisfied": args.satisfied, "from": ticket.state})]
    )
    await stop(tx, args.ticket_id, working, "ticket_closed")
    tx.publish(says.TicketClosed(ticket_id=args.ticket_id, by=args.by, satisfied=args.satisfied))
    return Answer(200, ticket_standing(closed))


async def stop(tx: Transaction, ticket_id: UUID, working: Sequence[WorkOrder], reason: str) -> None:
    """What was still to be sent about these work orders is overtaken; their departments are told to stop."""
    await store.delivery.cancel(tx, ticket_id, [order.work_order_id for order in working])
    await store.delivery.add(
        tx,
        [
            Webhook(
                order.department,
                "work_order.cancelled",
                payload.about(order, reason=reason),
                ticket_id,
                order.work_order_id,
            )
            for order in working
        ],
    )


@refusing
async def reopen(args: Reopen, tx: Transaction) -> Answer:
    """Back to the departments that had answered, or that had not when it was closed (发回重办)."""
    ticket, shares = await the_ticket(tx, args.ticket_id)
    state = tickets.after(ticket, "reopen")
    opened = replace(ticket, state=state, round=ticket.round + 1, closed_at=None, satisfied=None)
    fresh: dict[str, object] = dict.fromkeys(("delivered_at", "accepted_at", "contacted_at", "answered_at"))
    back = [step(order, "reopen", returned_from=None, **fresh) for order in shares if "reopen" in orders.allowed(order)]
    await store.ticket.save(tx, [opened])
    await store.order.save(tx, back)
    store.ticket.note(
        tx, [Entry(args.ticket_id, None, "reopened", args.by, {"reason": args.reason, "round": opened.round})]
    )
    await store.delivery.add(
        tx,
        [
            Webhook(
                order.department,
                "work_order.reopened",
                {**payload.assigned(ticket.brief, order), "reason": args.reason, "round": opened.round},
                order.ticket_id,
                order.work_order_id,
            )
            for order in back
        ],
    )
    tx.publish(
        says.TicketReopened(
            ticket_id=args.ticket_id,
            by=args.by,
            reason=args.reason,
            work_order_ids=tuple(order.work_order_id for order in back),
            departments=tuple(ground.department_of(order) for order in back),
        )
    )
    return Answer(200, {**ticket_standing(opened), "work_order_ids": [order.work_order_id for order in back]})
