"""The owner of the timers: fires what is due by the database's clock, never early, each point once.

One process holds the lease `timers`. Losing it in mid-work (a paused process) is harmless: a point passes by deleting
its timer and finding the clock's generation unchanged, in one transaction, so whoever comes second finds nothing.
"""

import asyncio
from collections.abc import Sequence

from prometheus_client import Counter, Histogram
from sqlalchemy.exc import SQLAlchemyError

from libs.shared.db import Transaction
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.sla_timer.domain import clock
from services.sla_timer.domain.policy import Policy
from services.sla_timer.store import timer
from services.sla_timer.store.timer import Fired

BATCH = 1000  # timers in one transaction
LEASE_SECONDS = 6.0
LOOK_SECONDS = 0.25  # how often the owner looks for timers that another process has set
DAYS_AHEAD = 14
HOUSEKEEPING_SECONDS = 3600.0

OVERDUE = Histogram(
    "zhida_timer_overdue_seconds", "From a timer's due time to its transaction", buckets=(0.1, 1.0, 10.0, 60.0)
)
PASSED = Counter("zhida_clock_points_total", "Points that running clocks have passed", ["kind", "percent"])


async def run(running: Running) -> None:
    """Hold the lease and fire timers until the process stops; errors of the database are retried."""
    loop = asyncio.get_running_loop()
    renew_at = keep_at = 0.0  # monotonic
    owner = False
    while not running.stopping.is_set():
        try:
            if loop.time() >= renew_at:
                owner = await running.hold("timers", LEASE_SECONDS)
                renew_at = loop.time() + LEASE_SECONDS / 3
            if not owner:
                await running.pause(renew_at - loop.time())
                continue
            if loop.time() >= keep_at:
                await timer.keep_days(running, DAYS_AHEAD)
                keep_at = loop.time() + HOUSEKEEPING_SECONDS
            wait = await timer.head(running, LOOK_SECONDS)
            if wait is not None and wait <= 0:
                await tick(running)
            else:
                await running.wait("timers", LOOK_SECONDS if wait is None else min(wait, LOOK_SECONDS))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("timers.retry", error=type(error).__name__)
            renew_at = keep_at = 0.0
            await running.pause(1.0)
    if owner:
        await running.release("timers")


async def tick(running: Running, count: int = BATCH) -> int:
    """Fire up to `count` due timers in one transaction; answers how many were due."""
    async with running.transaction() as tx:
        due, fired = await timer.fire(tx, count)
        if fired:
            await _pass(tx, fired)
    return due


async def _pass(tx: Transaction, fired: Sequence[Fired]) -> None:
    policy: Policy = tx.running.resources
    of_tickets = {each.promise.ticket_id for each in fired if each.promise.department is None}
    departments = await timer.executing(tx, of_tickets) if of_tickets else {}
    timers = []
    for each in fired:
        own = each.promise.department
        executing = departments.get(each.promise.ticket_id, []) if own is None else [own.code]
        for event in clock.passed(each.promise, each.percent, executing, policy):
            tx.publish(event)
        following = clock.next_timer(each.promise, each.percent, each.generation, policy)
        if following:
            timers.append(following)
    if timers:
        await timer.add(tx, timers)
    tx.after_commit(lambda: _measure(tx, fired))


def _measure(tx: Transaction, fired: Sequence[Fired]) -> None:
    for each in fired:
        OVERDUE.observe((tx.now - each.fire_at).total_seconds())
        PASSED.labels(each.promise.kind, each.percent).inc()
