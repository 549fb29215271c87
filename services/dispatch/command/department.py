"""What an executing department may do with its work order besides working it off: return it, ask, add evidence."""

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
class Return:
    """Not ours. `by` is the caller's principal, here and below."""

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
    store.ticket.note(tx, [entry(order, "returned", args.by, reason_code=args.reason_code, reason=args.reason)])
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
    await store.ticket.save(tx, [replace(ticket, messages=ticket.messages + 1)])
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
    store.ticket.note(tx, [entry(order, "evidence_added", args.by, kind=args.kind)])
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
