"""Events in: work orders to the executing departments, amendments straight after them, retries cut by the clocks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

from libs.shared.contracts.classification import (
    Department,
    HotEventClosed,
    HotEventDissolved,
    HotEventJoined,
    HotEventLeft,
    MatrixPublished,
    TicketClassified,
)
from libs.shared.contracts.intake import TicketAmended
from libs.shared.contracts.sla_timer import Clock, ClockBreached, ClockWarned
from libs.shared.db import Transaction
from libs.shared.keep import timely
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.dispatch import reason_file, store
from services.dispatch.command import ground
from services.dispatch.delivery.sender import Sender
from services.dispatch.domain import payload
from services.dispatch.domain import ticket as tickets
from services.dispatch.domain.cell import Tally
from services.dispatch.domain.endpoint import Webhook
from services.dispatch.domain.member import Member
from services.dispatch.domain.order import WorkOrder
from services.dispatch.domain.reason import Reasons
from services.dispatch.domain.ticket import Entry, Ticket
from services.dispatch.settings import DispatchSettings
from services.dispatch.store.owner import Owners

FALL_BACK = 80  # percent of the accept clock: the inbox must be left time to act. Before: one more attempt at once


@dataclass
class Resources:
    """What a process of dispatch keeps in memory."""

    delivery_keys: tuple[bytes, ...]  # the current one first; none: no webhooks
    reasons: Reasons = field(default_factory=dict)  # why a work order may be returned
    known: set[tuple[str, str]] = field(default_factory=set)  # departments (code, name) that are in the table
    owners: Owners = field(default_factory=Owners)


@asynccontextmanager
async def opened(running: Running) -> AsyncIterator[Resources]:
    """Read the delivery keys and the reasons of returns. Raises SettingsError."""
    assert isinstance(running.settings, DispatchSettings)
    yield Resources(running.settings.delivery_keys(), reason_file.load(running.settings.return_reasons))


async def send_deliveries(running: Running) -> None:
    """The sender, for as long as the process runs."""
    if not running.resources.delivery_keys:
        # Departments can still work from their lists, so the process is as ready as it can be.
        log.error("nothing_is_sent", reason="neither ZHIDA_DELIVERY_KEY nor ZHIDA_DELIVERY_KEY_FILE is set")
        await running.stopping.wait()
        return
    await Sender(running, running.resources.delivery_keys).run()


async def assign(events: list[TicketClassified], tx: Transaction) -> None:
    """Give each executing department its work order, all at once; none where a hot event's master works for it."""
    events = await timely(events, tx, store.ticket.KNOWN, tx.running.settings.ticket_months)
    ids = [event.ticket_id for event in events]
    known = await store.ticket.tickets(tx, ids)
    _know(tx, [each for event in events for each in (*event.executing_departments, event.lead_department)])
    new = {event.ticket_id: tickets.brief(event) for event in events if event.ticket_id not in known}
    followed = await store.member.live(tx, {event.hot_event for event in events if event.hot_event})
    masters = [event.ticket_id for event in events if event.ticket.hot_event == event.ticket_id]
    orders = [
        order
        for event in events
        if event.ticket_id in new and event.hot_event not in followed
        for order in ground.work_orders(tx, event.ticket_id, tickets.executing(event))
    ]
    await store.ticket.add(tx, list(new.values()), masters)
    await store.member.begin(tx, masters, hot_event=True)
    await store.member.wish(
        tx,
        [
            Member(event.ticket_id, event.hot_event, "joining", tickets.executing(event), True, "classification", None)
            for event in events
            if event.ticket_id in new and event.hot_event
        ],
    )
    await ground.send_out(tx, new, orders)
    again = [event for event in events if event.ticket_id in known]
    if again:
        shares = await store.order.of_tickets(tx, [event.ticket_id for event in again])
        for event in again:
            await _reassign(event, tx, known[event.ticket_id], shares.get(event.ticket_id, []))


async def _reassign(event: TicketClassified, tx: Transaction, ticket: Ticket, shares: Sequence[WorkOrder]) -> None:
    """The ticket was classified again: departments that have a share keep it, others are told to stop or to begin.

    A ticket that has its answer is left alone; for one that follows a master, that one's departments work on.
    """
    detail = {"situation": event.situation.code, "matrix_version": event.matrix_version, "late": ticket.state != "open"}
    store.held.write(tx, [Entry(event.ticket_id, None, "classified_again", event.decided_by, detail)])
    if ticket.state != "open":
        return
    brief = tickets.brief(event)
    if ticket.is_member:
        await store.ticket.rebrief(tx, brief)
        members = await store.member.some(tx, [event.ticket_id])
        await store.member.keep(tx, [replace(each, departments=tickets.executing(event)) for each in members])
        return
    wanted, dropped = tickets.moved(tickets.executing(event), shares)
    cancelled = [ground.step(order, "cancel") for order in dropped]
    new = ground.work_orders(tx, event.ticket_id, wanted)
    await store.ticket.rebrief(tx, brief)
    store.held.write(tx, cancelled)
    await store.court.void(tx, [(order, event.decided_by) for order in cancelled])
    await store.delivery.cancel(tx, cancelled)
    await store.delivery.add(tx, ground.stopped(cancelled, "classified_again"))
    for order in cancelled:
        tx.publish(ground.cancelled(order, "classified_again"))
    await ground.send_out(tx, {event.ticket_id: brief}, new)
    if brief.situation_code != ticket.brief.situation_code:  # who keeps a share works in another cell from now on
        kept = [order for order in shares if not order.gone and order not in dropped]
        store.cell.count(tx, [Tally(brief, order, assigned=1) for order in kept])
    ticket = replace(ticket, brief=brief, transfers=ticket.transfers + min(len(cancelled), len(new)))
    gone = {order.work_order_id: order for order in cancelled}
    shares = [gone.get(order.work_order_id, order) for order in shares]
    ground.conclude(tx, ticket, [*shares, *new])


async def amend(events: list[TicketAmended], tx: Transaction) -> None:
    """What the customer added goes straight to every department that has a share in the ticket, or in its master."""
    events = await timely(events, tx, store.ticket.KNOWN, tx.running.settings.ticket_months)
    await store.ticket.add_amendments(tx, events)
    ids = [event.ticket_id for event in events]
    known = await store.ticket.tickets(tx, ids)
    masters = {ticket.master for ticket in known.values() if ticket.is_member and ticket.master}
    shares = await store.order.of_tickets(tx, [*ids, *masters])
    webhooks = []
    for event in events:
        ticket = known.get(event.ticket_id)
        if ticket is None or ticket.state == "closed":
            continue
        added = {"amendment_id": event.amendment_id, "text": event.text, "at": event.occurred_at.isoformat()}
        about = ticket.master if ticket.is_member and ticket.master else event.ticket_id
        if about != event.ticket_id:
            added["member_id"] = event.ticket_id
        for order in shares.get(about, []):
            if not order.gone:
                data = payload.about(order, **added)
                webhooks.append(Webhook(order.department, "ticket.amended", data, event.ticket_id, order.work_order_id))
    await store.delivery.add(tx, webhooks)


async def join(events: list[HotEventJoined], tx: Transaction) -> None:
    """Members of a folded hot event follow its master; one that is not classified yet will say so itself."""
    ids = [event.ticket_id for event in events if event.folded]
    known = await store.ticket.tickets(tx, ids) if ids else {}
    await store.member.wish(
        tx,
        [
            Member(event.ticket_id, event.hot_event_id, "joining", (), True, event.by, None)
            for event in events
            if event.folded and event.ticket_id in known
        ],
    )


async def leave(events: list[HotEventLeft], tx: Transaction) -> None:
    """Tickets that a person took out of a hot event go their own ways again."""
    await store.member.leave(tx, [(event.ticket_id, event.hot_event_id, event.by) for event in events])


async def finish(events: list[HotEventClosed], tx: Transaction) -> None:
    """No more tickets join by themselves: the master is closed once all its members are."""
    await store.member.over(tx, {event.hot_event_id for event in events})


async def dissolve(event: HotEventDissolved, tx: Transaction) -> None:
    """All members go their own ways again, and the master ends."""
    await store.member.dissolve(tx, event.hot_event_id, event.by, event.reason)


async def hurry(events: list[ClockWarned], tx: Transaction) -> None:
    """Time to accept is running out: try the webhook once more at once, or leave it to the inbox."""
    early = [event for event in events if event.percent < FALL_BACK]
    late = [event for event in events if event.percent >= FALL_BACK]
    await store.delivery.hurry(tx, [(e.ticket_id, id_, e.clock.due_at) for e in early for id_ in _accepting(e.clock)])
    await _leave(tx, [(event.ticket_id, id_) for event in late for id_ in _accepting(event.clock)])


async def fall_back(events: list[ClockBreached], tx: Transaction) -> None:
    """A time is over. To accept: what no webhook brought is left to the inbox, and the supervisor hears of it.

    To rule on a return: the case goes to the supervisor.
    """
    await _leave(tx, [(event.ticket_id, id_) for event in events for id_ in _accepting(event.clock)])
    ids = [(e.ticket_id, e.clock.work_order_id) for e in events if e.clock.kind == "ruling" and e.clock.work_order_id]
    store.held.write(
        tx,
        [
            Entry(row.ticket_id, row.work_order_id, "ruling_overdue", "sla_timer", {"from": row.lead, "to": row.judge})
            for row in await store.court.overdue(tx, ids)
        ],
    )


async def _leave(tx: Transaction, orders: Sequence[tuple[UUID, UUID]]) -> None:
    await store.delivery.divert(tx, await store.delivery.undelivered(tx, orders), "accept_clock")


def _accepting(clock: Clock) -> list[UUID]:
    """The work order whose acceptance the clock watches."""
    return [clock.work_order_id] if clock.kind == "accept" and clock.work_order_id else []


async def know(event: MatrixPublished, tx: Transaction) -> None:
    """Remember the departments, so that a return can name any of them."""
    _know(tx, event.departments)


def _know(tx: Transaction, departments: Sequence[Department]) -> None:
    known: set[tuple[str, str]] = tx.running.resources.known
    new = {(each.code, each.name) for each in departments} - known
    tx.gather(store.ticket.know, new)
    if new:
        tx.after_commit(lambda: known.update(new))
