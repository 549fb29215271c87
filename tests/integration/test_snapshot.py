"""A session that holds a snapshot open keeps dead rows from being cleaned; what is polled must not walk over them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.shared import relay, run
from services.dispatch.delivery.lane import LATE
from services.dispatch.store import delivery
from services.sla_timer.store import timer
from tests import plan
from tests.running import Harness, harness

ROUNDS = 20  # of 500 rows, written and done with while the snapshot is held
WORSE, MARGIN = 1.5, 8  # a poll may look at so many times the blocks of before, and some more for splits of an index

SAY = """INSERT INTO outbox (event_id, topic, key, type, version, occurred_at, traceparent, body)
    SELECT gen_random_uuid(), 't', n::text, 'x', 1, now(), '00-', '{}' FROM generate_series(1, 500) n RETURNING id"""
ARM = """INSERT INTO timer SELECT clock_timestamp() - interval '1 second', gen_random_uuid(), gen_random_uuid(), 0, 50
    FROM generate_series(1, 500) RETURNING fire_at, id"""
POST = """
    INSERT INTO delivery (delivery_id, department, ticket_id, type, body, traceparent, state, created_at, due_at,
        give_up_at)
    SELECT gen_random_uuid(), 'd', gen_random_uuid(), 'x', '{}', '', 'pending', now(),
        now() - make_interval(secs => :seconds), now() + interval '1 day'
    FROM generate_series(1, 500) RETURNING 1"""


@asynccontextmanager
async def held_snapshot(owner_url: str) -> AsyncIterator[None]:
    """Somebody else's session, without our timeouts, that looked once and then forgot to end its transaction."""
    engine = create_async_engine(owner_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        await connection.execute(text("SELECT count(*) FROM pg_class"))
        yield
    await engine.dispose()


async def blocks(h: Harness, statement: Any, parameters: Mapping[str, Any]) -> int:
    """Blocks one poll looks at."""
    async with h.running.engine.connect() as connection:
        prepared = await plan.prepare(connection, "poll", statement)
        done = await prepared.carried_out(parameters)
        await connection.exec_driver_sql('DEALLOCATE "poll"')
        await connection.commit()
    return done.buffers


async def test_relay_polls_as_fast_while_a_snapshot_is_held(database: str) -> None:
    async with harness(run.load("dispatch"), database) as h:
        before = await _relayed(h)
        async with held_snapshot(database):
            assert await _relayed(h) <= WORSE * before + MARGIN


async def _relayed(h: Harness) -> int:
    """Events said and sent, then what the relay's next look costs."""
    ids: list[int] = []
    for _ in range(ROUNDS):
        ids = [row.id for row in await h.rows(SAY)]
        await h.rows("DELETE FROM outbox WHERE id = ANY(CAST(:ids AS bigint[])) RETURNING 1", ids=ids)
    return await blocks(h, relay.PENDING, {"floor": max(ids), "gaps": [max(ids) - 3]})


async def test_timers_are_looked_for_as_fast_while_a_snapshot_is_held(database: str) -> None:
    async with harness(run.load("sla_timer"), database) as h:
        before = await _fired(h)
        async with held_snapshot(database):
            after = await _fired(h)
        for name in before:
            assert after[name] <= WORSE * before[name] + MARGIN, name


async def _fired(h: Harness) -> dict[str, int]:
    """Timers set and fired, then what the owner's next looks cost, behind the last that it fired."""
    place = timer.START
    for _ in range(ROUNDS):
        rows = await h.rows(ARM)
        place = max((row.fire_at, row.id) for row in rows)
        await h.rows("DELETE FROM timer RETURNING 1")
    after = {"after_fire": place[0], "after_id": place[1]}
    soon = datetime.now(UTC) + timedelta(seconds=1)
    return {
        "head": await blocks(h, timer.HEAD, {"seconds": 0.25, **after}),
        "take": await blocks(h, timer.taking(1000), {"now": soon, **after}),
    }


async def test_due_deliveries_are_looked_for_as_fast_while_a_snapshot_is_held(database: str) -> None:
    async with harness(run.load("dispatch"), database) as h:
        before = await _delivered(h)
        async with held_snapshot(database):
            assert await _delivered(h) <= WORSE * before + MARGIN


async def _delivered(h: Harness) -> int:
    """Deliveries made and settled one second after the other, then what the next look of a lane costs."""
    for second in range(ROUNDS, 0, -1):
        await h.rows(POST, seconds=second)
        await h.rows("UPDATE delivery SET state = 'delivered' WHERE state = 'pending' RETURNING 1")
    floor = h.running.now() - LATE
    return await blocks(h, delivery.DUE, {"departments": ["d"], "rooms": [64], "floors": [floor], "held": []})
