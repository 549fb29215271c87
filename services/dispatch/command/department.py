"""What an executing department may do with its work order besides working it off: return it, ask, add evidence."""

from dataclasses import dataclass, replace
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import Step, entry, order_in, standing, step
from services.dispatch.domain import order as orders
from services.dispatch.domain import payload
from services.dispatch.domain.cell import Tally
from services.dispatch.domain.court import ReturnCase
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.question import Evidence, Question
from services.dispatch.domain.reason import Reasons
from services.dispatch.domain.ticket import Ticket


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


async def give_back(args: list[Return], tx: Transaction) -> list[Answer | Refused]:
    """ "Not ours": the lead department rules on it, the supervisor on a second one or on the lead's own."""
    await store.order.load(tx)
    known = await store.ticket.department_names(tx, {each.suggested_department for each in args})
    reasons: Reasons = tx.running.resources.reasons

    def one(each: Return) -> Step:
        ticket, order = order_in(tx, each.work_order_id)
        returned = step(order, "return", returned_from=order.state, returns=order.returns + 1)
        suggested = each.suggested_department
        reason = reasons.get(each.reason_code)
        if reason is None:
            raise ground.bad(
                "reason_code", f"is not on the list; possible are {', '.join(reasons)}", allowed=[*reasons]
            )
        if suggested is None and "suggested_department" in reason.asks:
            raise ground.bad("suggested_department", f"required with the reason {reason.code}")
        if suggested == order.department:
            raise ground.bad("suggested_department", "is the department that returns the work order")
        if suggested is not None and suggested not in known:
            raise ground.bad("suggested_department", "there is no such department")
        kind = orders.judge(order, ticket.brief.lead)
        judge = ticket.brief.lead if kind == "lead" else ticket.brief.supervisor
        case = ReturnCase(
            return_id=tx.new_id(),
            work_order_id=order.work_order_id,
            ticket_id=order.ticket_id,
            situation=ticket.brief.situation_code,
            department=order.department,
            reason_code=each.reason_code,
            reason=each.reason,
            suggested_department=suggested,
            judge_kind=kind,
            judge=judge,
            opened_at=tx.now,
        )
        event = says.WorkOrderReturned(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            department=ground.department_of(order),
            reason_code=case.reason_code,
            reason=case.reason,
            suggested_department=suggested,
            ruled_by=judge,
            supervisor=ticket.brief.supervisor,
        )
        note = entry(order, "returned", each.by, reason_code=each.reason_code, reason=each.reason)
        return Step(
            Answer(200, standing(returned, return_id=case.return_id, ruled_by={"kind": kind, "judge": judge})),
            [returned, note],
            [event],
            webhooks=[_opened(case, ticket, order)] if kind == "lead" else [],
            cases=[case],
            tallies=[Tally(ticket.brief, order, returned=1)],
        )

    return await ground.each(tx, args, one)


def _opened(case: ReturnCase, ticket: Ticket, order: WorkOrder) -> Webhook:
    """What the lead department is told of a return."""
    data = payload.about(
        order,
        return_id=case.return_id,
        lead_department=case.judge,
        reason_code=case.reason_code,
        reason=case.reason,
        suggested_department=case.suggested_department,
        situation={"code": ticket.brief.situation_code, "name": ticket.brief.situation_name},
        title=ticket.brief.title,
        text=ticket.brief.text,
    )
    return Webhook(case.judge, "return.opened", data, order.ticket_id, order.work_order_id)


async def ask_agent(args: list[Ask], tx: Transaction) -> list[Answer | Refused]:
    """A question straight to the front-line agent."""
    await store.order.load(tx)

    def one(each: Ask) -> Step:
        ticket, order = order_in(tx, each.work_order_id)
        step(order, "questions")
        question = Question(
            tx.new_id(), order.ticket_id, order.work_order_id, "department", each.by, each.text, asked_at=tx.now
        )
        return Step(
            Answer(201, standing(order, question_id=question.question_id)),
            [replace(ticket, messages=ticket.messages + 1)],
            [ground.asked(ticket, order, question)],
            questions=[question],
        )

    return await ground.each(tx, args, one)


async def add_evidence(args: list[AddEvidence], tx: Transaction) -> list[Answer | Refused]:
    """Evidence is welcome as long as the department has a share in the ticket, also after the answer."""
    await store.order.load(tx)

    def one(each: AddEvidence) -> Step:
        _, order = order_in(tx, each.work_order_id)
        step(order, "evidence")
        evidence = Evidence(
            tx.new_id(), order.ticket_id, order.work_order_id, each.kind, each.uri, each.note, added_at=tx.now
        )
        event = says.EvidenceAdded(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            evidence_id=evidence.evidence_id,
            kind=each.kind,
            uri=each.uri,
        )
        note = entry(order, "evidence_added", each.by, kind=each.kind)
        return Step(
            Answer(201, standing(order, evidence_id=evidence.evidence_id)), [note], [event], evidence=[evidence]
        )

    return await ground.each(tx, args, one)
