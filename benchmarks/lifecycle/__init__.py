"""Whole lives of tickets a second, beside the same life as a workflow on Temporal: one machine, one run.

A life: accepted → assigned → delivered (webhook) → accepted → answered → closed. With us: handed in over HTTP,
classified, a work order with its clocks, a signed webhook, three HTTP commands under Idempotency-Keys, the agent's
notice; it has ended when all that follows from it, at every service, is done and committed with fsync. On Temporal: a
workflow started, an activity that posts the webhook, one timer, three signals, its result.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.lifecycle import ours, theirs
from benchmarks.measure import Measure, measured
from benchmarks.place import Options, Place
from libs.shared.keep import first_id

NAME = "lifecycle"
TITLE = "P7: whole lives of tickets a second, beside Temporal"
USUAL = 20.0  # s; 120 for the reference
WARM = 4.0  # s, not measured
OURS_AT_ONCE, THEIRS_AT_ONCE = 300, 60  # lives under way: more make neither faster
GOAL = 25.0
THEIRS = ("benchmark", "temporal", "temporal-worker")
LEFT = """
    SELECT (SELECT count(*) FROM intake.ticket_stage WHERE ticket_id >= $1 AND stage <> 'closed')
        + (SELECT count(*) FROM sla_timer.clock WHERE ticket_id >= $1 AND state = 'running')
        + (SELECT count(*) FROM intake.outbox) + (SELECT count(*) FROM classification.outbox)
        + (SELECT count(*) FROM dispatch.outbox) + (SELECT count(*) FROM sla_timer.outbox)
        + (SELECT count(*) FROM notification.outbox)"""


async def run(place: Place, options: Options) -> list[Measure]:
    """Ours first, then Temporal's with our services stopped, so that each has the machine to itself."""
    seconds = options.length(USUAL)
    place.say("Zhida: five services")
    await place.prepare({"ZHIDA_MATRIX_PACK": "power_95598"})
    await place.start()
    rate, cpu = await whole(place, seconds, options.number("ours", OURS_AT_ONCE), "ours")
    await place.stop()
    place.say("Temporal: server and worker")
    base, base_cpu = await _theirs(place, seconds, options.number("theirs", THEIRS_AT_ONCE))
    durability = "Temporal: SQLite file, WAL, synchronous=normal: it does not wait for the disk at each commit, we do"
    return [
        measured("whole lives", rate, "lives/s", baseline=base, least=GOAL, note=durability),
        measured("CPU of a life, over all processes", cpu, "ms", baseline=base_cpu),
    ]


async def whole(place: Place, seconds: float, at_once: int, name: str) -> tuple[float, float]:
    """Lives a second through the services that run, and CPU ms of one."""
    since = first_id(datetime.now(UTC))
    async with ours.opened(place) as lives:
        await lives.run(WARM, at_once)
        await drained(place, since)
        lives.ended.clear()
        with place.spending() as spent:
            took = await lives.run(seconds, at_once)
            took += await drained(place, since)
    return _kept(place, name, lives.ended, took, spent.each(len(lives.ended)))


async def drained(place: Place, since: UUID, seconds: float = 60.0) -> float:
    """Wait until every ticket since that id is closed at every service; how long it took. Raises TimeoutError."""
    connection = await asyncpg.connect(place.owner_database_url)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            while True:
                if not await connection.fetchval(LEFT, since):
                    return time.perf_counter() - began
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def _theirs(place: Place, seconds: float, at_once: int) -> tuple[float, float]:
    async with theirs.opened(place) as lives:
        await lives.run(WARM, at_once)
        lives.ended.clear()
        with place.spending() as spent:
            took = await lives.run(seconds, at_once)
        spent.cpu_ms = {name: spent.cpu_ms[name] for name in THEIRS}  # not Kafka and Postgres, which idle beside it
        return _kept(place, "temporal", lives.ended, took, spent.each(len(lives.ended)))


def _kept(place: Place, name: str, ended: Sequence[float], took: float, cpu: dict[str, float]) -> tuple[float, float]:
    """Lives a second and CPU ms of one; the rest goes to the details."""
    quantiles = statistics.quantiles(ended, n=100)
    found: dict[str, Any] = {
        "lives": len(ended),
        "seconds": took,
        "p50_ms": quantiles[49] * 1000,
        "p99_ms": quantiles[98] * 1000,
        "cpu_ms_per_life": cpu,
    }
    place.details[name] = found
    place.say(f"{name}: {len(ended)} lives in {took:.1f} s, {cpu['all']:.1f} ms CPU each")
    return len(ended) / took, cpu["all"]
