"""What each fact does to the clocks. Every handler takes a batch in which a ticket stands once."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from libs.shared.contracts.dispatch import (
    MasterJoined,
    ReturnRuled,
    TicketAnswered,
    TicketClosed,
    TicketMerged,
    TicketReopened,
    WorkOrderAccepted,
    WorkOrderAnswered,
    WorkOrderAssigned,
    WorkOrderCancelled,
    WorkOrderContacted,
    WorkOrderReturned,
)
from libs.shared.contracts.sla_timer import ClockKind, ClocksStopped, StoppedClock
from libs.shared.db import Transaction
from libs.shared.keep import TicketFact, timely
from services.sla_timer import store
from services.sla_timer.domain import clock
from services.sla_timer.domain.clock import STAGES, Plan
from services.sla_timer.domain.policy import Policy

E = TypeVar("E", bound=TicketFact)
SOON = timedelta(seconds=1)  # later timers are found by the owner's own looking

WorkOrderFact = (
    WorkOrderAccepted | WorkOrderContacted | WorkOrderAnswered | WorkOrderReturned | WorkOrderCancelled | ReturnRuled
)


async def start(events: list[WorkOrderAssigned], tx: Transaction) -> None:
    """Start accept and first contact for each work order, and resolve for a ticket that has none as short."""
    events = await _timely(events, tx)
    orders = await store.assign(tx, events)
    known = await store.clocks(tx, (event.ticket_id for event in events))
    policy: Policy = tx.running.resources
    await _begin(
        tx,
        [
            clock.assign(event, orders[event.work_order_id], known.get(event.ticket_id, []), policy, tx.new_id)
            for event in events
        ],
    )


async def accept(events: list[WorkOrderAccepted], tx: Transaction) -> None:
    """The department took it on."""
    events = await _timely(events, tx)
    await store.mark(tx, _pairs(events), accepted=True)
    await _stop(tx, events, kinds=("accept",), kept=("accept",))


async def contact(events: list[WorkOrderContacted], tx: Transaction) -> None:
    """The department spoke with the customer, and so has taken it on."""
    events = await _timely(events, tx)
    await store.mark(tx, _pairs(events), accepted=True, contacted=True)
    await _stop(tx, events, kinds=STAGES, kept=STAGES)


async def answer(events: list[WorkOrderAnswered], tx: Transaction) -> None:
    """The department has answered; a first contact that did not take place is not needed any more."""
    events = await _timely(events, tx)
    await store.mark(tx, _pairs(events), ended=True)
    await _stop(tx, events, kinds=STAGES, kept=("accept",))


async def give_back(events: list[WorkOrderReturned], tx: Transaction) -> None:
    """The department's clocks stand still while its return is ruled on, in a time of its own; the ticket's goes on."""
    events = await _timely(events, tx)
    await _stop(tx, events, kinds=STAGES, kept=())
    orders = await store.orders(tx, _pairs(events))
    known = await store.clocks(tx, (event.ticket_id for event in events))
    policy: Policy = tx.running.resources
    await _begin(
        tx,
        [
            clock.judge(event, orders.get(event.work_order_id), known.get(event.ticket_id, []), policy, tx.new_id)
            for event in events
        ],
    )


async def cancel(events: list[WorkOrderCancelled], tx: Transaction) -> None:
    """Classified again, or moved to another department: this one owes nothing any more, and nobody a ruling."""
    events = await _timely(events, tx)
    await store.mark(tx, _pairs(events), ended=True)
    await _stop(tx, events, kinds=(*STAGES, "ruling"), kept=())


async def rule(events: list[ReturnRuled], tx: Transaction) -> None:
    """Upheld: the work order is over. Rejected: the department has its promises again, from the ruling."""
    events = await _timely(events, tx)
    upheld = [event for event in events if event.decision == "uphold"]
    rejected = [event for event in events if event.decision == "reject"]
    if upheld:
        await store.mark(tx, _pairs(upheld), ended=True)
        await _stop(tx, upheld, kinds=(*STAGES, "ruling"), kept=("ruling",))
    if rejected:
        await _stop(tx, rejected, kinds=("ruling",), kept=("ruling",))
        orders = await store.orders(tx, _pairs(rejected))
        known = await store.clocks(tx, (event.ticket_id for event in rejected))
        await _begin(
            tx,
            [
                clock.restart(
                    event.ticket_id,
                    [order],
                    known.get(event.ticket_id, []),
                    at=event.occurred_at,
                    new_id=tx.new_id,
                    kinds=STAGES,
                )
                for event in rejected
                if (order := orders.get(event.work_order_id))
            ],
        )


async def settle(events: list[TicketAnswered], tx: Transaction) -> None:
    """The agent has the answer: the promise to the customer is kept, departments' stages are not needed any more."""
    events = await _timely(events, tx)
    await _end(tx, events, (*STAGES, "resolve"))


async def close(events: list[TicketClosed], tx: Transaction) -> None:
    """Nothing of the ticket runs on."""
    events = await _timely(events, tx)
    await _end(tx, events, (*STAGES, "ruling", "resolve"))


async def reopen(events: list[TicketReopened], tx: Transaction) -> None:
    """Rework: the ticket and the reopened work orders have their promises again, from the reopening.

    A merged one has none of its own, its master has.
    """
    events = await _timely(events, tx)
    await store.reopen(tx, {event.ticket_id: event.work_order_ids for event in events})
    events = [event for event in events if event.master_id is None]
    orders = await store.orders(tx, [(id_, event.ticket_id) for event in events for id_ in event.work_order_ids])
    known = await store.clocks(tx, (event.ticket_id for event in events))
    await _begin(
        tx,
        [
            clock.restart(
                event.ticket_id,
                [orders[id_] for id_ in event.work_order_ids],
                known.get(event.ticket_id, []),
                at=event.occurred_at,
                new_id=tx.new_id,
                kinds=(*STAGES, "resolve"),
            )
            for event in events
        ],
    )


async def merge(events: list[TicketMerged], tx: Transaction) -> None:
    """Its master's clocks run for it. It has not ended: a work order that it gets once released starts them again."""
    events = await _timely(events, tx)
    subjects = [(event.ticket_id, None, event.occurred_at) for event in events]
    _say_stopped(tx, await store.stop(tx, subjects, (*STAGES, "ruling", "resolve"), ()))


async def join(events: list[MasterJoined], tx: Transaction) -> None:
    """The strictest promise of all that were merged into a ticket binds it."""
    events = await _timely(events, tx)
    tickets = [event.ticket_id for event in events]
    before, known = await store.joined(tx, tickets), await store.clocks(tx, tickets)
    policy: Policy = tx.running.resources
    joined, plans = {}, []
    for event in events:
        former = before.get(event.ticket_id)
        strictest, plan = clock.join(event, former, known.get(event.ticket_id, []), policy, tx.new_id)
        plans.append(plan)
        if strictest and strictest != former:
            joined[event.ticket_id] = strictest
    await store.join(tx, joined)
    await _begin(tx, plans)


async def _timely(events: list[E], tx: Transaction) -> list[E]:
    """Without those about tickets whose month is gone."""
    return await timely(events, tx, store.KNOWN, tx.running.settings.ticket_months)


def _pairs(events: Iterable[WorkOrderFact]) -> list[tuple[UUID, UUID]]:
    return [(event.work_order_id, event.ticket_id) for event in events]


async def _begin(tx: Transaction, plans: Sequence[Plan]) -> None:
    _say_stopped(tx, await store.replace(tx, [(id_, plan.ticket_id) for plan in plans for id_ in plan.replaced]))
    promises = [promise for plan in plans for promise in plan.starts]
    if not promises:
        return
    timers = [clock.first_timer(promise, tx.running.resources) for promise in promises]
    await store.start(tx, promises, timers)
    for plan in plans:
        if plan.starts:
            tx.publish(plan.said())
    if min(timer.fire_at for timer in timers) < tx.now + SOON:
        tx.after_commit(lambda: tx.running.wake("timers"))


async def _stop(
    tx: Transaction, events: Sequence[WorkOrderFact], kinds: Sequence[ClockKind], kept: Sequence[ClockKind]
) -> None:
    subjects: list[tuple[UUID, UUID | None, datetime]] = [
        (event.ticket_id, event.work_order_id, event.occurred_at) for event in events
    ]
    _say_stopped(tx, await store.stop(tx, subjects, kinds, kept))


async def _end(tx: Transaction, events: Sequence[TicketAnswered | TicketClosed], kinds: Sequence[ClockKind]) -> None:
    await store.end(
        tx, [(event.ticket_id, event.occurred_at if isinstance(event, TicketClosed) else None) for event in events]
    )
    subjects = [(event.ticket_id, None, event.occurred_at) for event in events]
    _say_stopped(tx, await store.stop(tx, subjects, kinds, ("resolve",)))


def _say_stopped(tx: Transaction, stopped: dict[UUID, list[StoppedClock]]) -> None:
    for ticket_id, clocks in stopped.items():
        tx.publish(ClocksStopped(ticket_id=ticket_id, clocks=tuple(clocks)))
