"""Rulings on returns: by the lead department, the second time by the supervisor, whose ruling is final."""

from dataclasses import dataclass, replace
from uuid import UUID

from libs.shared.command import Answer, Refused
from libs.shared.contracts import dispatch as says
from libs.shared.contracts.classification import Department
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import entry, order_in, refusing, standing, step
from services.dispatch.domain import court, payload
from services.dispatch.domain import order as orders
from services.dispatch.domain.cell import Tally
from services.dispatch.domain.court import Decision, ReturnCase
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.order import Illegal, WorkOrder
from services.dispatch.domain.ticket import Ticket


@dataclass(frozen=True, slots=True)
class Rule:
    """A ruling. `department`: where an upheld return goes; None: where the returning department suggested."""

    work_order_id: UUID
    decision: Decision
    department: str | None
    note: str | None
    by: str
    scopes: frozenset[str]
    matrix_wrong: bool = False  # not this work order alone: the cell of the matrix is wrong


@refusing
async def rule(args: Rule, tx: Transaction) -> Answer:
    """Uphold a return (another department gets the work order) or reject it (back, and binding)."""
    await store.order.load(tx)
    ticket, order = order_in(tx, args.work_order_id)
    case = await store.court.pending(tx, order)
    if case is None:
        raise Illegal(order.state, args.decision, orders.allowed(order), "no return of this work order awaits a ruling")
    if not court.may_rule(case, args.by, args.scopes):
        raise Refused(403, "Forbidden", f"the {case.judge_kind} rules on this return", judge=case.judge)
    if args.matrix_wrong and args.decision != "uphold":
        raise ground.bad("matrix_wrong", "goes with an upheld return only")
    ruled = replace(ticket, rulings=ticket.rulings + 1)
    if args.decision == "reject":
        return await _reject(tx, args, ruled, order, case)
    return await _uphold(tx, args, ruled, order, case)


async def _reject(tx: Transaction, args: Rule, ticket: Ticket, order: WorkOrder, case: ReturnCase) -> Answer:
    back = step(order, "reject", returned_from=None, returns=_used(order, case))
    store.held.write(tx, [back, ticket])
    store.cell.count(tx, [Tally(ticket.brief, order, rejected=1)])
    await _write(tx, args, ticket, order, case=case, target=None)
    return Answer(200, standing(back, decision="reject"))


async def _uphold(tx: Transaction, args: Rule, ticket: Ticket, order: WorkOrder, case: ReturnCase) -> Answer:
    target = await _target(tx, args, order, case)
    _, shares = ground.ticket_in(tx, order.ticket_id)
    gone = step(order, "uphold")
    shares = ground.put(gone, shares)
    ticket = replace(ticket, transfers=ticket.transfers + 1)
    store.held.write(tx, [gone])
    await store.delivery.cancel(tx, [order])
    store.cell.count(tx, [Tally(ticket.brief, order, upheld=1, matrix_wrong=int(args.matrix_wrong))])
    await _write(tx, args, ticket, order, case=case, target=target)
    new: WorkOrder | None = None
    if target.code not in {share.department for share in shares if not share.gone}:
        # The second return of a share goes to the supervisor, whoever makes it.
        new = ground.successor(tx, order, target, _used(order, case))
        await _assign(tx, ticket, new)
        shares = [*shares, new]
    # Where the target works on the ticket already there is nothing to assign, and perhaps all have answered now.
    ground.conclude(tx, ticket, shares)
    return Answer(200, standing(gone, decision="uphold", reassigned_to=_reference(target, new)))


async def _target(tx: Transaction, args: Rule, order: WorkOrder, case: ReturnCase) -> Department:
    code = args.department or case.suggested_department
    if code is None:
        raise ground.bad("department", "required: the return is upheld and suggests no department")
    if code == order.department:
        raise ground.bad("department", "is the department that returned the work order")
    name = (await store.ticket.department_names(tx, {code})).get(code)
    if name is None:
        raise ground.bad("department", "there is no such department")
    return Department(code=code, name=name)


async def _assign(tx: Transaction, ticket: Ticket, order: WorkOrder) -> None:
    await store.order.add(tx, [order])
    store.cell.count(tx, [Tally(ticket.brief, order, assigned=1)])
    amendments = await store.ticket.amendments(tx, [order.ticket_id])
    await store.delivery.add(tx, [ground.announced(ticket.brief, order, amendments.get(order.ticket_id, []))])
    tx.publish(ground.assigned(ticket.brief, order))


def _used(order: WorkOrder, case: ReturnCase) -> int:
    """The returns that count from now on: after the supervisor's ruling, which is final, none is left."""
    return orders.MOST_RETURNS if case.judge_kind == "supervisor" else order.returns


async def _write(
    tx: Transaction, args: Rule, ticket: Ticket, order: WorkOrder, *, case: ReturnCase, target: Department | None
) -> None:
    """The ruling, in the court's book, the history, to the department and to everybody."""
    code, brief, final = target.code if target else None, ticket.brief, case.judge_kind == "supervisor"
    await store.court.rule(
        tx,
        case,
        args.decision,
        by=args.by,
        note=args.note,
        reassigned_to=code,
        matrix_wrong=args.matrix_wrong,
        situation=brief.situation_code,
    )
    detail = {"decision": args.decision, "reassigned_to": code, "matrix_wrong": args.matrix_wrong, "final": final}
    store.held.write(tx, [entry(order, "return_ruled", args.by, **detail)])
    data = payload.about(
        order,
        return_id=case.return_id,
        decision=args.decision,
        by=args.by,
        note=args.note,
        reassigned_to=code,
        matrix_wrong=args.matrix_wrong,
        final=final,
    )
    webhook = Webhook(order.department, "return.ruled", data, order.ticket_id, order.work_order_id)
    await store.delivery.add(tx, [webhook])
    tx.publish(
        says.ReturnRuled(
            ticket_id=order.ticket_id,
            work_order_id=order.work_order_id,
            department=order.department,
            decision=args.decision,
            by=args.by,
            reassigned_to=target,
            situation=brief.situation_code,
            category=brief.category_path,
            matrix_version=brief.matrix_version,
            reason_code=case.reason_code,
            matrix_wrong=args.matrix_wrong,
            final=final,
        )
    )


def _reference(target: Department, new: WorkOrder | None) -> dict[str, str | None]:
    return {"department": target.code, "work_order_id": str(new.work_order_id) if new else None}
