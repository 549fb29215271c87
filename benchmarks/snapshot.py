"""How long polls take before and while somebody holds a snapshot open: rows that are done with cannot be cleaned then.

The same traffic, a thousand rows a second, runs twice beside each poll, free and held; both halves start with the rows
of the one before. The session that holds the snapshot is the owner's, idle in its transaction, without the services'
timeouts.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import asyncpg
from pydantic import SecretStr
from sqlalchemy import text

from benchmarks.measure import Measure, measured
from benchmarks.place import Options, Place
from deploy.local import environment
from libs.operate import schema
from libs.shared import relay
from libs.shared import run as kernel
from libs.shared.service import Running
from libs.shared.settings import Settings
from services.dispatch.delivery.lane import LATE
from services.dispatch.domain.endpoint import Look
from services.dispatch.store import delivery
from services.notification.store import inbox
from services.sla_timer.store import timer

NAME = "snapshot"
TITLE = "Polls while a snapshot is held"
SECONDS = 5.0  # of each half; the reference run takes 60
PACE = 0.05  # s for fifty rows

SAY = text("""
    INSERT INTO outbox (event_id, topic, key, type, version, occurred_at, traceparent, body)
    SELECT gen_random_uuid(), 't', n::text, 'x', 1, now(), '00-', '{}' FROM generate_series(1, 50) n RETURNING id""")
ARM = text("""
    INSERT INTO timer SELECT clock_timestamp() - interval '1 second', gen_random_uuid(), gen_random_uuid(), 0, 50
    FROM generate_series(1, 50) RETURNING fire_at, id""")
FIRE = text("DELETE FROM timer WHERE id = ANY(CAST(:ids AS uuid[])) AND fire_at >= :first RETURNING 1")
POST = text("""
    INSERT INTO delivery (delivery_id, department, ticket_id, type, body, traceparent, state, created_at, due_at,
        give_up_at)
    SELECT gen_random_uuid(), 'd', gen_random_uuid(), 'x', '{}', '', 'pending', now(), now(), now() + interval '1 day'
    FROM generate_series(1, 50) RETURNING delivery_id""")
SENT = text("UPDATE delivery SET state = 'delivered' WHERE delivery_id = ANY(CAST(:ids AS uuid[])) RETURNING 1")
TELL = text("""
    INSERT INTO recipient AS r (address, last_number) SELECT 'agent:a' || n, 1 FROM generate_series(1, 50) n
    ON CONFLICT (address) DO UPDATE SET last_number = r.last_number + 1 RETURNING last_number""")


@dataclass
class State:
    """Where the pollers stand."""

    floor: int = 0  # of the outbox
    place: timer.Place = timer.START
    number: int = 0  # of the inboxes


async def say(running: Running, state: State) -> None:
    rows = await running.read(SAY)
    state.floor = max(row.id for row in rows)
    await running.read(relay.FORGET, ids=[row.id for row in rows])


async def fire(running: Running, state: State) -> None:
    rows = await running.read(ARM)
    state.place = max((row.fire_at, row.id) for row in rows)
    await running.read(FIRE, ids=[row.id for row in rows], first=min(row.fire_at for row in rows))


async def send(running: Running, state: State) -> None:
    rows = await running.read(POST)
    await running.read(SENT, ids=[row.delivery_id for row in rows])


async def tell(running: Running, state: State) -> None:
    state.number = max(row.last_number for row in await running.read(TELL))


async def look_relay(running: Running, state: State) -> None:
    await running.read(relay.PENDING, floor=state.floor, gaps=[])


async def look_timers(running: Running, state: State) -> None:
    await timer.head(running, 0.25, state.place)


async def look_deliveries(running: Running, state: State) -> None:
    at = running.now()
    await delivery.due(running, {"d": Look(64, at - LATE, at)}, [])


async def look_streams(running: Running, state: State) -> None:
    await inbox.news(running, [(f"agent:a{n}", state.number) for n in range(1, 51)], 100)


Step = Callable[[Running, State], Awaitable[None]]
POLLS: dict[str, tuple[str, Step, Step]] = {
    "relay": ("dispatch", say, look_relay),
    "timers": ("sla_timer", fire, look_timers),
    "deliveries": ("dispatch", send, look_deliveries),
    "streams": ("notification", tell, look_streams),
}


async def run(place: Place, options: Options) -> list[Measure]:
    """One poll after the other, each in a database of its own."""
    seconds = options.length(SECONDS)
    found = []
    for name, (service_name, work, look) in POLLS.items():
        url = await place.database(f"snapshot_{name}")
        service = kernel.load(service_name)
        runtime = environment.role_url(url, service_name, "only-here")
        settings = Settings(database_url=SecretStr(runtime), owner_database_url=SecretStr(url))
        await schema.migrate(service, settings)
        state = State()
        async with Running(replace(service, opens=None), settings).opened() as running:
            free = await half(running, state, work, look, seconds)
            holder = await asyncpg.connect(url)
            try:
                await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
                held = await half(running, state, work, look, seconds)
            finally:
                await holder.close()
        place.details[name] = {"polls": len(held), "p50_ms": [p(free, 0.5), p(held, 0.5)]}
        found.append(
            measured(
                f"{name}: p99 of a poll, held ÷ free",
                p(held, 0.99),
                "ms",
                baseline=p(free, 0.99),
                most=1.5,
                note=f"p50 {p(free, 0.5):.2f} → {p(held, 0.5):.2f} ms, {len(held)} polls",
            )
        )
    return found


async def half(running: Running, state: State, work: Step, look: Step, seconds: float) -> list[float]:
    """Traffic, and a poll after each step of it; gives the polls' times in ms."""
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        step = time.perf_counter()
        await work(running, state)
        began = time.perf_counter()
        await look(running, state)
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(max(step + PACE - time.perf_counter(), 0))
    return times


def p(times: list[float], share: float) -> float:
    """That quantile, in ms."""
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]
