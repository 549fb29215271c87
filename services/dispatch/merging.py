"""The owner of merging: carries out who is to follow a master and who is not, and has members follow what it does.

One process holds the lease `merging`. Losing it in mid-work is harmless: a step is one transaction that locks the
master and its members and finds anew what there is to do.
"""

from dataclasses import replace
from uuid import UUID

from libs.shared.db import Transaction
from libs.shared.service import Running
from services.dispatch import store
from services.dispatch.command import agent, merge
from services.dispatch.store.held import held

LEASE = "merging"
LEASE_SECONDS = 15.0  # a step may take the 10 s of a statement
LOOK_SECONDS = 1.0
STEP = 200  # tickets of one transaction


async def run(running: Running) -> None:
    """Do so until the process stops; what the database refuses begins again."""
    try:
        while not running.stopping.is_set():
            await look(running)
            await running.wait(LEASE, LOOK_SECONDS)
    finally:
        await running.release(LEASE)


async def look(running: Running) -> None:
    """All that there is to do now, a step for each master in turn; nothing while another process is at it."""
    masters = await store.member.to_do(running)
    while masters and not running.stopping.is_set() and await running.hold(LEASE, LEASE_SECONDS):
        masters = [master_id for master_id in masters if await advance(running, master_id)]


async def advance(running: Running, master_id: UUID) -> bool:
    """Carry out the next wishes of a master's members, else have the next ones follow it; False: nothing was left."""
    ids = await _next(running, master_id)
    async with running.transaction({str(master_id), *map(str, ids)}) as tx:
        await store.order.load(tx)
        master, known = held(tx).tickets.get(master_id), await store.member.master(tx, master_id)
        live = master is not None and master.is_master and known is not None and not known.dissolved_by
        rows = await store.member.some(tx, ids)
        joining = [row for row in rows if row.master_id == master_id and row.state == "joining"]
        leaving = [row for row in rows if row.master_id == master_id and row.state == "leaving"]
        if live and master:
            await merge.join(tx, master, joining)
        elif known and known.dissolved_by:
            staying = [row for row in rows if row.master_id == master_id and row.state in ("joining", "member")]
            leaving += [replace(row, by=known.dissolved_by, reason=known.reason) for row in staying]
        await merge.leave(tx, leaving)
        if live and master:
            await merge.follow(tx, master, ids)
        if ids:
            return bool(live or (known and known.dissolved_by))
        if master is not None and master.state != "closed" and known is not None:
            answered = known.over and master.state == "answered" and await store.member.all_closed(tx, master_id)
            if known.dissolved_by or answered:
                await agent.close([agent.Close(master_id, known.dissolved_by or merge.ITSELF, None)], tx)
        if not await _next(tx, master_id):
            await store.member.done(tx, master_id)
        return False


async def _next(source: Transaction | Running, master_id: UUID) -> list[UUID]:
    """The tickets of the next step: those on the way to or from the master, else those that have yet to follow it."""
    known = await store.member.master(source, master_id)
    master = (await store.ticket.tickets(source, [master_id])).get(master_id)
    if known is None:
        return []
    if found := await store.member.moving(source, master_id, STEP) if master or known.dissolved_by else []:
        return found
    if known.dissolved_by:
        return await store.member.first(source, master_id, STEP)
    return await store.member.behind(source, master, STEP) if master else []
