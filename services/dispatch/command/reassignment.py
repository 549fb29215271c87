"""Moving all open work orders of a department: ordering it, and each bounded step of carrying it out.

A step is one transaction: some work orders are listed, or some are moved and the place is noted. It begins where the
last one that committed ended, so a crash leaves nothing half done and nothing is moved twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from libs.shared.command import Answer
from libs.shared.contracts.classification import Department
from libs.shared.db import Transaction
from libs.shared.service import Running
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.ground import Step
from services.dispatch.domain import reassignment
from services.dispatch.domain.cell import Tally
from services.dispatch.domain.reassignment import Item, Reassignment, Scope

LISTED = 2000  # work orders of one step
MOVED = 200


@dataclass(frozen=True, slots=True)
class Start:
    """Move what is in the scope, and why. `by` is the caller's principal."""

    scope: Scope
    reason: str
    by: str


@ground.refusing
async def start(args: Start, tx: Transaction) -> Answer:
    """Note that these are to be moved; the owner of the reassignments begins at once."""
    target = await _target(tx, args.scope)
    job = Reassignment(tx.new_id(), args.scope, target.name, args.reason, args.by, "listing", tx.now)
    await store.reassignment.add(tx, job)
    tx.after_commit(lambda: tx.running.wake("reassignments"))
    return Answer(202, shown(job))


async def preview(scope: Scope, tx: Transaction) -> dict[str, Any]:
    """What would be moved as things stand, by situation. Raises Refused."""
    await _target(tx, scope)
    situations = await store.reassignment.preview(tx, scope)
    total, skipped = (sum(each[name] for each in situations) for name in ("total", "skipped"))
    return {"total": total, "skipped": skipped, "situations": situations}


async def advance(running: Running, job: Reassignment) -> None:
    """Carry it on by one step. Raises store.reassignment.Overtaken where another process has done so meanwhile."""
    if job.state == "listing":
        async with running.transaction() as tx:
            ids = await store.reassignment.list_items(tx, job, LISTED)
            listed = replace(job, total=job.total + len(ids), after_id=ids[0] if ids else job.after_id)
            if len(ids) < LISTED:
                listed = replace(listed, state="moving", after_id=reassignment.FIRST)
            await store.reassignment.advance(tx, job, listed)
        return
    items = _each_ticket_once(await store.reassignment.items(running, job.reassignment_id, job.after_id, MOVED))
    async with running.transaction({str(item.ticket_id) for item in items}) as tx:
        if items:
            done = await _move(tx, job, items)
            moved = sum(item.result == "moved" for item in done)
            after = replace(
                job,
                after_id=items[-1].work_order_id,
                moved=job.moved + moved,
                skipped=job.skipped + len(done) - moved,
            )
        else:
            after = replace(job, state="done", finished_at=tx.now)
        await store.reassignment.advance(tx, job, after)


async def _move(tx: Transaction, job: Reassignment, items: Sequence[Item]) -> list[Item]:
    """Give each to the other department, unless it has ended meanwhile or that one has a share; tickets are locked."""
    await store.order.load(tx)
    here = store.held.held(tx)
    amendments = await store.ticket.amendments(tx, [item.ticket_id for item in items])
    target = Department(code=job.scope.target, name=job.target_name)
    done: list[Item] = []

    def one(item: Item) -> Step:
        order = here.orders.get(item.work_order_id)
        shares = [here.orders[id_] for id_ in here.shares.get(item.ticket_id, ())]
        why = reassignment.skipped(order, shares, target.code)
        if order is None or why:
            done.append(replace(item, result="skipped", reason=why))
            return Step(Answer(200, {}))
        ticket = here.tickets[item.ticket_id]
        gone = ground.step(order, "reassign")
        new = ground.successor(tx, order, target, reassignment.carried(order))
        done.append(replace(item, result="moved", successor=new.work_order_id))
        note = ground.entry(
            order,
            "reassigned",
            job.by,
            reason=job.reason,
            to=target.code,
            successor=str(new.work_order_id),
            reassignment_id=str(job.reassignment_id),
        )
        cancelled = ground.cancelled(order, "reassigned", target)
        return Step(
            Answer(200, {}),
            [gone, replace(ticket, transfers=ticket.transfers + 1), note],
            [cancelled, ground.assigned(ticket.brief, new)],
            webhooks=[
                *ground.stopped([order], "reassigned", reassigned_to=target.code),
                ground.announced(ticket.brief, new, amendments.get(item.ticket_id, [])),
            ],
            overtaken=[order],
            settled=[order] if order.state == "returned" else [],
            by=job.by,
            orders=[new],
            tallies=[Tally(ticket.brief, new, assigned=1)],
        )

    for answer in await ground.each(tx, items, one):
        assert isinstance(answer, Answer), answer
    await store.reassignment.record(tx, job, done)
    return done


def _each_ticket_once(items: Sequence[Item]) -> list[Item]:
    """As many of them as there are before a ticket comes again: moves of one batch do not see each other."""
    seen: set[UUID] = set()
    for place, item in enumerate(items):
        if item.ticket_id in seen:
            return list(items[:place])
        seen.add(item.ticket_id)
    return list(items)


async def _target(tx: Transaction, scope: Scope) -> Department:
    names = await store.ticket.department_names(tx, {scope.source, scope.target})
    if scope.source not in names:
        raise ground.bad("from_department", "there is no such department")
    if scope.target == scope.source:
        raise ground.bad("to_department", "is the department that the work orders have")
    if scope.target not in names:
        raise ground.bad("to_department", "there is no such department")
    return Department(code=scope.target, name=names[scope.target])


def shown(job: Reassignment) -> dict[str, Any]:
    """How far a reassignment has come, JSON-able."""
    return {
        "reassignment_id": str(job.reassignment_id),
        "from_department": job.scope.source,
        "to_department": job.scope.target,
        "situations": None if job.scope.situations is None else list(job.scope.situations),
        "category": job.scope.category,
        "reason": job.reason,
        "by": job.by,
        "state": job.state,
        "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at and job.finished_at.isoformat(),
        "total": job.total,
        "moved": job.moved,
        "skipped": job.skipped,
        "left": job.left,
    }
