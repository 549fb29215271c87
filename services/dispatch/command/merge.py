"""Tickets that follow a master (domain.md §2, §9): joining it, leaving it, doing what it does; and a person's word.

A member's own work orders end; the master's departments are told of it and work for it. What the master does (answered,
reopened) its members do after it; who is released gets work orders of its own again. All of it happens with the master
and the members concerned locked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from libs.shared.command import Answer
from libs.shared.contracts import dispatch as says
from libs.shared.db import Transaction
from services.dispatch import store
from services.dispatch.command import ground
from services.dispatch.command.agent import ticket_standing
from services.dispatch.domain import member, payload
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.member import Member
from services.dispatch.domain.order import OPEN, Illegal
from services.dispatch.domain.ticket import Entry, Ticket
from services.dispatch.store.held import held

ITSELF = "dispatch"  # who does what nobody asked for


@dataclass(frozen=True, slots=True)
class Merge:
    """This ticket is about the same matter as `into`. `by` is the caller's principal, here and below."""

    ticket_id: UUID
    into: UUID
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """It is not."""

    ticket_id: UUID
    by: str
    reason: str | None


@ground.refusing
async def merge(args: Merge, tx: Transaction) -> Answer:
    """Have a ticket follow another one; both are locked. The same twice changes nothing."""
    await store.order.load(tx)
    ticket, _ = ground.ticket_in(tx, args.ticket_id)
    master = held(tx).tickets.get(args.into)
    if args.into == args.ticket_id:
        raise ground.bad("into", "is the ticket itself")
    if master is None:
        raise ground.bad("into", "there is no such ticket, or it has not been classified yet")
    if ticket.master == args.into:
        return Answer(200, await _standing(tx, ticket))
    if ticket.is_member:
        raise Illegal(ticket.state, "merge", (), f"the ticket is merged into {ticket.master}: release it first")
    own = await store.member.master(tx, args.ticket_id) if ticket.is_master else None
    if own and own.hot_event:
        raise Illegal(ticket.state, "merge", (), "this is the master of a hot event")
    if own and await store.member.count(tx, args.ticket_id):
        raise Illegal(ticket.state, "merge", (), "tickets are merged into this one: release them first")
    if ticket.state != "open":
        allowed = tuple(tickets.MOVES[ticket.state])
        raise Illegal(ticket.state, "merge", allowed, f"only an open ticket can be merged; this one is {ticket.state}")
    if master.is_member:
        raise ground.bad("into", f"is itself merged into {master.master}", master_id=str(master.master))
    if master.state == "closed":
        raise ground.bad("into", "is closed: reopen it first")
    known = await store.member.master(tx, args.into)
    if known and known.dissolved_by and (known.hot_event or await store.member.count(tx, args.into)):
        raise ground.bad("into", f"{known.dissolved_by} has dissolved it")
    if known is None or known.dissolved_by:
        master = replace(master, master=args.into)
        store.held.write(tx, [master])
        await store.member.begin(tx, [args.into], hot_event=False)
    if ticket.is_master:
        store.held.write(tx, [replace(ticket, master=None)])
    hot_event = known is not None and known.hot_event
    wish = Member(args.ticket_id, args.into, "joining", (), hot_event, args.by, args.reason)
    await join(tx, master, [wish])
    await follow(tx, master, [args.ticket_id])
    return Answer(200, await _standing(tx, held(tx).tickets[args.ticket_id]))


@ground.refusing
async def release(args: Release, tx: Transaction) -> Answer:
    """Have a ticket go its own way again; nothing where it does."""
    await store.order.load(tx)
    ticket, _ = ground.ticket_in(tx, args.ticket_id)
    if ticket.is_member:
        rows = await store.member.some(tx, [args.ticket_id])
        await leave(tx, [replace(row, by=args.by, reason=args.reason) for row in rows])
    return Answer(200, await _standing(tx, held(tx).tickets[args.ticket_id]))


async def _standing(tx: Transaction, ticket: Ticket) -> dict[str, object]:
    master_id = ticket.master if ticket.is_member else None
    count = await store.member.count(tx, master_id) if master_id else 0
    return {**ticket_standing(ticket), "master_id": master_id, "members": count}


async def join(tx: Transaction, master: Ticket, wishes: Sequence[Member]) -> None:
    """Tickets become members: their work orders end, the master's departments hear of them, and so does everybody.

    Who has an answer already, or follows another master, stays as it is. Have members `follow` the master next.
    """
    here, master_id = held(tx), master.brief.ticket_id
    joined: list[tuple[Member, Ticket]] = []
    out: list[Member] = []
    for wish in wishes:
        ticket = here.tickets.get(wish.ticket_id)
        if ticket and ticket.state == "open" and ticket.master is None:
            joined.append((wish, ticket))
        else:
            out.append(replace(wish, state="member" if ticket and ticket.master == master_id else "released"))
    if not joined:
        await store.member.keep(tx, out)
        return
    before = await store.member.count(tx, master_id)
    cancelled, kept, changes = [], [], list[Ticket | Entry]()
    for number, (wish, ticket) in enumerate(joined, before + 1):
        shares = [here.orders[id_] for id_ in here.shares.get(wish.ticket_id, ())]
        working = [order for order in shares if order.state in OPEN]
        departments = tuple(ground.department_of(order) for order in working) or wish.departments
        cancelled += [(order, wish.by) for order in working]
        kept.append(replace(wish, state="member", departments=departments))
        changes.append(replace(ticket, master=master_id))
        detail = {"master_id": str(master_id), "reason": wish.reason, "hot_event": wish.hot_event}
        changes.append(Entry(wish.ticket_id, None, "merged", wish.by, detail))
        for order in working:
            tx.publish(ground.cancelled(order, "merged"))
        tx.publish(
            says.TicketMerged(
                ticket_id=wish.ticket_id,
                master_id=master_id,
                hot_event=wish.hot_event,
                agent_id=ticket.brief.agent_id,
                channel=ticket.brief.channel,
                title=master.brief.title,
                members=number,
                by=wish.by,
                reason=wish.reason,
            )
        )
    named = [str(ticket.brief.ticket_id) for _, ticket in joined]
    note = Entry(master_id, None, "joined", joined[0][0].by, {"tickets": named, "members": before + len(joined)})
    store.held.write(tx, [*changes, *(ground.step(order, "cancel") for order, _ in cancelled), note])
    await store.member.keep(tx, [*kept, *out])
    await store.court.void(tx, cancelled)
    await store.delivery.cancel(tx, [order for order, _ in cancelled])
    stopped = ground.stopped([order for order, _ in cancelled], "merged", master_id=master_id)
    await store.delivery.add(tx, [*stopped, *_told(tx, master, [ticket for _, ticket in joined], before)])
    tx.publish(
        says.MasterJoined(
            ticket_id=master_id,
            tickets=tuple(ticket.brief.ticket_id for _, ticket in joined),
            members=before + len(joined),
            promised=member.promised(ticket for _, ticket in joined),
        )
    )


def _told(tx: Transaction, master: Ticket, joined: Sequence[Ticket], before: int) -> list[Webhook]:
    """What the master's departments hear of new members."""
    _, shares = ground.ticket_in(tx, master.brief.ticket_id)
    tickets_ = [payload.member(ticket.brief) for ticket in joined]
    return [
        Webhook(
            order.department,
            "work_order.joined",
            payload.about(order, members=before + len(joined), tickets=tickets_),
            order.ticket_id,
            order.work_order_id,
        )
        for order in shares
        if order.state in OPEN
    ]


async def leave(tx: Transaction, members: Sequence[Member]) -> None:
    """Members go their own ways: those without an answer get work orders again."""
    if not members:
        return
    here = held(tx)
    changes, briefs, new = list[Ticket | Entry](), {}, []
    for each in members:
        ticket = here.tickets.get(each.ticket_id)
        if ticket is None:
            continue
        shares = [here.orders[id_] for id_ in here.shares.get(each.ticket_id, ())]
        follows = ticket.master == each.master_id
        if follows:
            detail = {"master_id": str(each.master_id), "reason": each.reason}
            changes += [replace(ticket, master=None), Entry(each.ticket_id, None, "released", each.by, detail)]
            tx.publish(
                says.TicketReleased(
                    ticket_id=each.ticket_id,
                    master_id=each.master_id,
                    agent_id=ticket.brief.agent_id,
                    channel=ticket.brief.channel,
                    by=each.by,
                    reason=each.reason,
                )
            )
        if ticket.state == "open" and (follows or not shares):
            working = {order.department for order in shares if not order.gone}
            briefs[each.ticket_id] = ticket.brief
            new += ground.work_orders(tx, each.ticket_id, [one for one in each.departments if one.code not in working])
    store.held.write(tx, changes)
    await store.member.keep(tx, [replace(each, state="released") for each in members])
    await ground.send_out(tx, briefs, new)


async def follow(tx: Transaction, master: Ticket, ids: Iterable[UUID]) -> None:
    """Members do what their master did: they are answered with its answers, or open again."""
    here = held(tx)
    _, works = ground.ticket_in(tx, master.brief.ticket_id)
    for id_ in ids:
        ticket = here.tickets.get(id_)
        if ticket is None or ticket.master != master.brief.ticket_id or ticket.is_master:
            continue
        match member.behind(master, ticket):
            case "answer":
                shares = [here.orders[order] for order in here.shares.get(id_, ())]
                contact = ticket.first_contact_at or master.first_contact_at
                after = replace(ticket, state="answered", first_contact_at=contact)
                answered, said = ground.with_answers(after, [*shares, *works], tx.now)
                store.held.write(tx, [answered, Entry(id_, None, "answered_by_master", ITSELF, _name(master))])
                tx.publish(said)
            case "reopen":
                opened = replace(ticket, state="open", round=ticket.round + 1)
                store.held.write(tx, [opened, Entry(id_, None, "reopened_with_master", ITSELF, _name(master))])
                tx.publish(
                    says.TicketReopened(
                        ticket_id=id_,
                        by=ITSELF,
                        reason="the master was reopened",
                        work_order_ids=(),
                        master_id=master.brief.ticket_id,
                    )
                )


def _name(master: Ticket) -> dict[str, str]:
    return {"master_id": str(master.brief.ticket_id)}
