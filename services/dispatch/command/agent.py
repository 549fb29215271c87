"""What the front-line agent does with a ticket: ask, reply, close, reopen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.contracts.classification import Department
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import Step, order_in, step, ticket_in
from services.dispatch.domain import order as orders
from services.dispatch.domain import payload
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.cell import Tally
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


async def ask_departments(args: list[AskDepartments], tx: Transaction) -> list[Answer | Refused]:
    """The agent's question straight to the departments; one question for each."""
    await store.order.load(tx)

    def one(each: AskDepartments) -> Step:
        ticket, shares = ticket_in(tx, each.ticket_id)
        asked = _asked(each, ticket, shares)
        questions = [
            Question(tx.new_id(), each.ticket_id, order.work_order_id, "agent", each.by, each.text, asked_at=tx.now)
            for order in asked
        ]
        pairs = list(zip(questions, asked, strict=True))
        told = [
            {"question_id": question.question_id, "work_order_id": order.work_order_id, "department": order.department}
            for question, order in pairs
        ]
        return Step(
            Answer(201, {"ticket_id": each.ticket_id, "questions": told}),
            [replace(ticket, messages=ticket.messages + 1)],
            [ground.asked(ticket, order, question) for question, order in pairs],
            webhooks=[
                Webhook(
                    order.department,
                    "question.asked",
                    payload.about(order, question_id=question.question_id, text=each.text, agent_id=each.by),
                    order.ticket_id,
                    order.work_order_id,
                )
                for question, order in pairs
            ],
            questions=questions,
        )

    return await ground.each(tx, args, one)


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


async def reply(args: list[Reply], tx: Transaction) -> list[Answer | Refused]:
    """The reply, straight back to whoever asked; the same reply twice changes nothing."""
    await store.order.load(tx)
    questions = await store.question.some(tx, [each.question_id for each in args])

    def one(each: Reply) -> Step:
        question = questions.get(each.question_id)
        if question is None:
            raise Refused(404, "Not found", "there is no such question")
        told = {
            "question_id": each.question_id,
            "work_order_id": question.work_order_id,
            "ticket_id": question.ticket_id,
        }
        if question.reply is not None:
            if question.reply == each.text:
                return Step(Answer(200, told))
            raise Illegal("answered", "answer", (), "this question has been answered")
        ticket, order = order_in(tx, question.work_order_id)
        if ticket.state == "closed":
            raise Illegal("closed", "answer", (), "the ticket is closed")
        data = payload.about(
            order, question_id=each.question_id, question=question.text, text=each.text, agent_id=each.by
        )
        webhook = Webhook(order.department, "question.answered", data, order.ticket_id, order.work_order_id)
        event = says.QuestionAnswered(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            question_id=each.question_id,
            asked_by=question.asked_by,
            department=ground.department_of(order),
            agent_id=question.asker if question.asked_by == "agent" else ticket.brief.agent_id,
            channel=ticket.brief.channel,
            text=each.text,
        )
        return Step(
            Answer(200, told),
            [replace(ticket, messages=ticket.messages + 1)],
            [event],
            webhooks=[webhook] if question.asked_by == "department" else [],
            replies=[replace(question, reply=each.text, replied_by=each.by, replied_at=tx.now)],
        )

    return await ground.each(tx, args, one)


async def close(args: list[Close], tx: Transaction) -> list[Answer | Refused]:
    """Close tickets; departments that were still working on one are told to stop.

    Who followed a master that ends without an answer goes its own way again.
    """
    await store.order.load(tx)
    left: list[Close] = []

    def one(each: Close) -> Step:
        ticket, shares = ticket_in(tx, each.ticket_id)
        if ticket.state == "closed" and ticket.satisfied == each.satisfied:
            return Step(Answer(200, ticket_standing(ticket)))
        state = tickets.after(ticket, "close")
        if ticket.state == "open" and each.satisfied is not None:
            raise ground.bad("satisfied", "the ticket has no answer yet that the customer could judge")
        if ticket.is_master and ticket.state == "open":
            left.append(each)
        closed = replace(ticket, state=state, closed_at=tx.now, satisfied=each.satisfied)
        done = [step(order, "close") for order in shares if "close" in orders.allowed(order)]
        working = [order for order in shares if order.state in OPEN]
        note = Entry(each.ticket_id, None, "closed", each.by, {"satisfied": each.satisfied, "from": ticket.state})
        return Step(
            Answer(200, ticket_standing(closed)),
            [closed, *done, note],
            [says.TicketClosed(ticket_id=each.ticket_id, by=each.by, satisfied=each.satisfied)],
            webhooks=ground.stopped(working, "ticket_closed"),
            overtaken=working,
            settled=working,
            by=each.by,
        )

    answers = await ground.each(tx, args, one)
    for each in left:
        await store.member.dissolve(tx, each.ticket_id, each.by, "its master was closed without an answer")
    return answers


async def reopen(args: list[Reopen], tx: Transaction) -> list[Answer | Refused]:
    """Back to the departments that had answered, or that had not when it was closed (发回重办).

    With a ticket that follows a master that one is reopened, which all its other members then follow.
    """
    await store.order.load(tx)
    once = {each.ticket_id: each for each in await store.member.some(tx, [each.ticket_id for each in args])}

    def one(each: Reopen) -> Step:
        ticket, shares = ticket_in(tx, each.ticket_id)
        if not ticket.is_member or ticket.master is None:
            former = once.get(each.ticket_id)
            return _reopened(tx, each, ticket, shares, lost=former.departments if former else ())
        if ticket.master not in store.held.held(tx).tickets:
            raise Refused(409, "Changed meanwhile", "the ticket has just been merged: repeat the request")
        master, works = ticket_in(tx, ticket.master)
        own = _reopened(tx, each, ticket, (), master_id=ticket.master)
        if master.state == "open":
            return own
        joint = _reopened(tx, replace(each, ticket_id=ticket.master), master, works)
        return replace(
            joint,
            answer=own.answer,
            changes=[*joint.changes, *own.changes],
            events=[*joint.events, *own.events],
        )

    return await ground.each(tx, args, one)


def _reopened(
    tx: Transaction,
    args: Reopen,
    ticket: Ticket,
    shares: Sequence[WorkOrder],
    *,
    lost: Sequence[Department] = (),
    master_id: UUID | None = None,
) -> Step:
    """One ticket open again. Args: `lost`: departments whose share a master took that it does not follow any more."""
    fresh: dict[str, object] = dict.fromkeys(("delivered_at", "accepted_at", "contacted_at", "answered_at"))
    state = tickets.after(ticket, "reopen")
    opened = replace(ticket, state=state, round=ticket.round + 1, closed_at=None, satisfied=None)
    back = [step(order, "reopen", returned_from=None, **fresh) for order in shares if "reopen" in orders.allowed(order)]
    new = ground.work_orders(tx, args.ticket_id, lost) if not back else []
    event = says.TicketReopened(
        ticket_id=args.ticket_id,
        by=args.by,
        reason=args.reason,
        work_order_ids=tuple(order.work_order_id for order in back),
        departments=tuple(ground.department_of(order) for order in back),
        master_id=master_id,
    )
    note = Entry(args.ticket_id, None, "reopened", args.by, {"reason": args.reason, "round": opened.round})
    return Step(
        Answer(200, {**ticket_standing(opened), "work_order_ids": [order.work_order_id for order in (*back, *new)]}),
        [opened, *back, note],
        [event, *(ground.assigned(ticket.brief, order) for order in new)],
        webhooks=[
            Webhook(
                order.department,
                "work_order.reopened",
                {**payload.assigned(ticket.brief, order), "reason": args.reason, "round": opened.round},
                order.ticket_id,
                order.work_order_id,
            )
            for order in back
        ]
        + [ground.announced(ticket.brief, order, []) for order in new],
        orders=new,
        tallies=[Tally(ticket.brief, order, assigned=1) for order in new],
    )
