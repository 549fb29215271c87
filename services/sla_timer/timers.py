"""The owner of the timers: fires what is due by the database's clock, never early, each point once.

One process holds the lease `timers`. Losing it in mid-work (a paused process) is harmless: a point passes by deleting
its timer and finding the clock's generation unchanged, in one transaction, so whoever comes second finds nothing.
"""

import asyncio
from dataclasses import dataclass, field

from prometheus_client import Counter, Histogram
from sqlalchemy.exc import SQLAlchemyError

from libs.shared.service import Running
from libs.shared.telemetry import log
from services.sla_timer.store import timer
from services.sla_timer.store.timer import START, Place

BATCH = 1000  # timers in one transaction
LANES = 2  # transactions at a time in a burst: one works while another waits for the disk
LEASE_SECONDS = 6.0
LOOK_SECONDS = 0.25  # how often the owner looks for timers that another process has set
WHOLE_SECONDS = 1.0  # how often it looks from the beginning, for those that were set late
GATHER_SECONDS = 0.01  # between two ticks in which little was due: a tick costs as much as a hundred timers in it
DAYS_AHEAD = 14
HOUSEKEEPING_SECONDS = 3600.0

OVERDUE = Histogram(
    "zhida_timer_overdue_seconds", "From a timer's due time to its transaction", buckets=(0.1, 1.0, 10.0, 60.0)
)
PASSED = Counter("zhida_clock_points_total", "Points that running clocks have passed", ["kind", "percent"])


async def run(running: Running) -> None:
    """Hold the lease and fire timers until the process stops; errors of the database are retried."""
    loop = asyncio.get_running_loop()
    renew_at = keep_at = whole_at = 0.0  # monotonic
    floor = START  # what was fired lies below: rows that are gone, but not cleaned away while anybody holds a snapshot
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
            if loop.time() >= whole_at:
                floor, whole_at = START, loop.time() + WHOLE_SECONDS
            wait = await timer.head(running, LOOK_SECONDS, floor)
            if wait is not None and wait <= 0:
                burst = _Burst(floor)
                if await _fire(running, BATCH, burst) == BATCH:
                    await drain(running, renew_at - loop.time(), burst)
                    whole_at = 0.0  # next points may have been overdue at birth
                else:
                    await running.pause(GATHER_SECONDS)
                floor = burst.after
            else:
                await running.wait("timers", LOOK_SECONDS if wait is None else min(wait, LOOK_SECONDS))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("timers.retry", error=type(error).__name__)
            renew_at = keep_at = whole_at = 0.0
            await running.pause(1.0)
    if owner:
        await running.release("timers")


async def tick(running: Running, count: int = BATCH) -> int:
    """Fire up to `count` due timers in one transaction; answers how many were due."""
    return await _fire(running, count, _Burst())


@dataclass
class _Burst:
    """How far those who fire together have come."""

    after: Place = START
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


async def drain(running: Running, seconds: float, burst: _Burst | None = None) -> None:
    """Fire all that is due behind a place, LANES transactions at a time, each behind the timers of the one before.

    Ends when no more is due, or after that time: a lease has to be renewed.
    """
    loop = asyncio.get_running_loop()
    burst, until = burst or _Burst(), loop.time() + seconds

    async def lane() -> None:
        while await _fire(running, BATCH, burst) == BATCH and loop.time() < until:
            pass

    ended = await asyncio.gather(*(lane() for _ in range(LANES)), return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error


async def _fire(running: Running, count: int, burst: _Burst) -> int:
    async with running.transaction() as tx:
        async with burst.turn:
            due = await timer.take(tx, count, burst.after)
            if due is None:
                return 0
            burst.after = due.last
        _, passed = await timer.fire(tx, due, running.resources)
    for each in passed:
        PASSED.labels(each.kind, each.percent).inc(len(each.overdue))
        for seconds in each.overdue:
            OVERDUE.observe(seconds)
    return len(due.ids)
