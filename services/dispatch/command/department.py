"""What an executing department does with its work order."""

from dataclasses import dataclass, replace
from uuid import UUID

from libs.shared.command import Answer
from libs.shared.contracts import dispatch as says
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import entry, refusing, standing, step, the_order
from services.dispatch.domain import order as orders
from services.dispatch.domain import payload
from services.dispatch.domain.court import ReturnCase
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.question import Evidence, Question


@dataclass(frozen=True, slots=True)
class Accept:
    """`by` is the caller's principal, here and below."""

    work_order_id: UUID
    by: str


@dataclass(frozen=True, slots=True)
class Contact:
    """The customer was spoken to."""

    work_order_id: UUID
    by: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Return:
    """Not ours."""

    work_order_id: UUID
    by: str
    reason_code: str
    reason: str
    suggested_department: str | None


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to the agent."""

    work_order_id: UUID
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class AddEvidence:
    """A photograph, record or sheet by its address."""

    work_order_id: UUID
    by: str
    kind: str
    uri: str
    note: str | None


@dataclass(frozen=True, slots=True)
class AnswerOrder:
    """The department's answer."""

    work_order_id: UUID
    by: str
    text: str
    resolution: str | None


@refusing
async def accept(args: Accept, tx: Transaction) -> Answer:
    """The department takes the work order on; accepting twice changes nothing."""
    _, order = await the_order(tx, args.work_order_id)
    accepted = step(order, "accept", accepted_at=tx.now)
    if order.state == "accepted":
        return Answer(200, standing(order))
    await store.order.save(tx, [accepted])
    await store.ticket.note(tx, [entry(order, "accepted", args.by)])
    tx.publish(
        says.WorkOrderAccepted(
            ticket_id=order.ticket_id, work_order_id=order.work_order_id, department=order.department
        )
    )
    return Answer(200, standing(accepted))


@refusing
async def contact(args: Contact, tx: Transaction) -> Answer:
    """The department has spoken with the customer; only the first time is an event, each is in the history."""
    ticket, order = await the_order(tx, args.work_order_id)
    contacted = step(order, "contacted", contacted_at=order.contacted_at or tx.now)
    await store.ticket.note(tx, [entry(order, "contacted", args.by, **({"note": args.note} if args.note else {}))])
    if order.contacted_at is None:
        await store.order.save(tx, [contacted])
        if ticket.first_contact_at is None:
            await store.ticket.save(tx, replace(ticket, first_contact_at=tx.now))
        tx.publish(
            says.WorkOrderContacted(
                ticket_id=order.ticket_id, work_order_id=order.work_order_id, department=order.department
            )
        )
    return Answer(200, standing(contacted, contacted_at=contacted.contacted_at))


@refusing
async def give_back(args: Return, tx: Transaction) -> Answer:
    """ "Not ours": the lead department rules on it, the supervisor on a second one or on the lead's own."""
    ticket, order = await the_order(tx, args.work_order_id)
    returned = step(order, "return", returned_from=order.state, returns=order.returns + 1)
    suggested = args.suggested_department
    if suggested == order.department:
        raise ground.bad("suggested_department", "is the department that returns the work order")
    if suggested is not None and await store.ticket.department_name(tx, suggested) is None:
        raise ground.bad("suggested_department", "there is no such department")
    kind = orders.judge(order, ticket.brief.lead)
    judge = ticket.brief.lead if kind == "lead" else ticket.brief.supervisor
    case = ReturnCase(
        return_id=tx.new_id(),
        work_order_id=order.work_order_id,
        ticket_id=order.ticket_id,
        reason_code=args.reason_code,
        reason=args.reason,
        suggested_department=suggested,
        judge_kind=kind,
        judge=judge,
        opened_at=tx.now,
    )
    await store.order.save(tx, [returned])
    await store.court.open(tx, case)
    await store.ticket.note(tx, [entry(order, "returned", args.by, reason_code=args.reason_code, reason=args.reason)])
    if kind == "lead":
        data = payload.about(
            order,
            return_id=case.return_id,
            lead_department=judge,
            reason_code=case.reason_code,
            reason=case.reason,
            suggested_department=suggested,
            situation={"code": ticket.brief.situation_code, "name": ticket.brief.situation_name},
            title=ticket.brief.title,
            text=ticket.brief.text,
        )
        await store.delivery.add(tx, [Webhook(judge, "return.opened", data, order.ticket_id, order.work_order_id)])
    tx.publish(
        says.WorkOrderReturned(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            department=ground.department_of(order),
            reason_code=case.reason_code,
            reason=case.reason,
            suggested_department=suggested,
            ruled_by=judge,
            supervisor=ticket.brief.supervisor,
        )
    )
    return Answer(200, standing(returned, return_id=case.return_id, ruled_by={"kind": kind, "judge": judge}))


@refusing
async def ask_agent(args: Ask, tx: Transaction) -> Answer:
    """A question straight to the front-line agent."""
    ticket, order = await the_order(tx, args.work_order_id)
    step(order, "questions")
    question = Question(
        tx.new_id(), order.ticket_id, order.work_order_id, "department", args.by, args.text, asked_at=tx.now
    )
    await store.question.add(tx, [question])
    await store.ticket.save(tx, replace(ticket, messages=ticket.messages + 1))
    tx.publish(
        says.QuestionAsked(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            question_id=question.question_id,
            asked_by="department",
            asker=args.by,
            department=ground.department_of(order),
            agent_id=ticket.brief.agent_id,
            channel=ticket.brief.channel,
            text=args.text,
        )
    )
    return Answer(201, standing(order, question_id=question.question_id))


@refusing
async def add_evidence(args: AddEvidence, tx: Transaction) -> Answer:
    """Evidence is welcome as long as the department has a share in the ticket, also after the answer."""
    _, order = await the_order(tx, args.work_order_id)
    step(order, "evidence")
    evidence = Evidence(
        tx.new_id(), order.ticket_id, order.work_order_id, args.kind, args.uri, args.note, added_at=tx.now
    )
    await store.question.add_evidence(tx, evidence)
    await store.ticket.note(tx, [entry(order, "evidence_added", args.by, kind=args.kind)])
    tx.publish(
        says.EvidenceAdded(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            evidence_id=evidence.evidence_id,
            kind=args.kind,
            uri=args.uri,
        )
    )
    return Answer(201, standing(order, evidence_id=evidence.evidence_id))


@refusing
async def answer(args: AnswerOrder, tx: Transaction) -> Answer:
    """The answer; when it meets the join policy, the ticket's answer goes straight to the agent."""
    ticket, order = await the_order(tx, args.work_order_id)
    if order.state == "answered" and order.answer == args.text:
        return Answer(200, standing(order, ticket_state=ticket.state))
    answered = step(order, "answer", answer=args.text, resolution=args.resolution, answered_at=tx.now)
    _, shares = await ground.the_ticket(tx, order.ticket_id)
    await store.order.save(tx, [answered])
    await store.ticket.note(tx, [entry(order, "answered", args.by)])
    tx.publish(
        says.WorkOrderAnswered(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            department=ground.department_of(order),
            text=args.text,
        )
    )
    concluded = await ground.conclude(tx, ticket, ground.put(answered, shares))
    if concluded is not ticket:
        await store.ticket.save(tx, concluded)
    return Answer(200, standing(answered, ticket_state=concluded.state))
