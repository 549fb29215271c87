"""Timers on real Postgres: each point once, never early, whoever fires, whatever stops meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.engine import Dialect
from sqlalchemy.event import listen

from libs.shared import run
from libs.shared.contracts.sla_timer import ClockBreached, ClockWarned, Escalated
from libs.shared.events import Event
from libs.shared.service import Running
from services.sla_timer import timers
from services.sla_timer.main import service
from services.sla_timer.store import timer
from tests.integration.sla_timer.story import METER, Story, count
from tests.running import Harness

DIALECT: Dialect = import_module("sqlalchemy.dialects.postgresql.asyncpg").dialect()
DUE_IN = timedelta(milliseconds=400)


async def fire_all(running: Running) -> None:
    """Fire until nothing is due."""
    while await timers.tick(running):
        pass


@asynccontextmanager
async def replica(sla: Harness) -> AsyncIterator[Running]:
    """A second process of the service on the same database."""
    async with run.started(service, sla.running.settings) as (running, _):
        yield running


@asynccontextmanager
async def owner(running: Running) -> AsyncIterator["asyncio.Task[None]"]:
    """The loop that fires timers, as the process would run it."""
    task = asyncio.create_task(timers.run(running))
    try:
        yield task
    finally:
        running.stopping.set()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 20) -> None:
    """Poll until the condition holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


def points(said: list[Event]) -> list[tuple[str, int]]:
    """(clock kind, percent) of every warning and breach, in order."""
    found: list[tuple[str, int]] = []
    for event in said:
        if isinstance(event, ClockWarned):
            found.append((event.clock.kind, event.percent))
        elif isinstance(event, ClockBreached):
            found.append((event.clock.kind, 100))
    return found


async def test_a_clock_already_over_at_its_start_passes_all_its_points_in_order(sla: Harness) -> None:
    story = Story(timedelta(hours=2, minutes=30))
    await sla.hear(story.assigned())
    await fire_all(sla.running)
    said = await sla.said()
    for kind, percents in (("accept", [50, 80, 100, 150]), ("first_contact", [50, 80, 100])):
        assert [percent for which, percent in points(said) if which == kind] == percents
    told = [(event.percent, event.level, event.to) for event in said if isinstance(event, Escalated)]
    assert [each for each in told if each[0] == 150] == [(150, "interview", "leader")]
    assert Counter(level for _, level, _ in told) == {"executing": 2, "lead": 2, "supervisor": 2, "interview": 1}
    assert [event.envelope.version for event in said] == list(range(2, 2 + len(said)))


async def test_points_of_one_moment_are_fired_earliest_deadline_first(sla: Harness) -> None:
    stories = [Story(timedelta(minutes=15 + number)) for number in range(10)]
    await sla.hear(*[story.assigned() for story in stories])
    await timers.tick(sla.running)
    fired = [event.clock for event in await sla.said() if isinstance(event, ClockWarned)]
    assert len(fired) == 10
    assert all(first.due_at <= second.due_at for first, second in pairwise(fired))


async def test_the_tickets_clock_warns_every_department_that_still_works_on_it(sla: Harness) -> None:
    story, other = Story(timedelta(hours=49)), uuid4()
    await sla.hear(story.assigned(), story.assigned(work_order_id=other, department=METER))
    await fire_all(sla.running)
    said = [event for event in await sla.said() if isinstance(event, Escalated) and event.clock.kind == "resolve"]
    assert [(event.percent, event.to, event.missing) for event in said] == [(50, "meter", ()), (50, "repair", ())]


async def test_the_tickets_clock_goes_to_the_lead_when_no_department_is_left(sla: Harness) -> None:
    story = Story(timedelta(hours=49))
    await sla.hear(story.assigned(), story.answered())
    await fire_all(sla.running)
    (event,) = [event for event in await sla.said() if isinstance(event, Escalated)]
    assert (event.percent, event.level, event.to, event.missing) == (50, "lead", "lead", ("executing",))


async def test_ten_thousand_timers_due_at_once_fire_once_each_and_none_early(sla: Harness) -> None:
    now = datetime.now(UTC)
    # Half of the 30 minutes to accept will be over soon, for all of them in the same microsecond.
    age = timedelta(minutes=15) - timedelta(seconds=5)
    stories = [Story(age, now=now) for _ in range(10_000)]
    for first in range(0, len(stories), 500):
        await sla.hear(*[story.assigned() for story in stories[first : first + 500]])
    async with replica(sla) as second:

        async def empty() -> bool:
            await asyncio.gather(timers.tick(sla.running), timers.tick(second))
            return not await sla.rows("SELECT 1 FROM timer WHERE fire_at < now() + interval '1 min' LIMIT 1")

        await until(empty, 60)
    said = await sla.said()
    warned = [event for event in said if isinstance(event, ClockWarned)]
    assert len(warned) == 10_000
    assert len({event.clock.clock_id for event in warned}) == 10_000
    halfway = timedelta(minutes=15)
    assert all(event.occurred_at >= event.clock.started_at + halfway for event in warned)
    assert count(said)["Escalated"] == 10_000
    rows = await sla.rows(
        "SELECT count(*) AS n, min(percent) AS p FROM timer WHERE fire_at < now() + interval '30 min'"
    )
    assert [tuple(row) for row in rows] == [(10_000, 80)]


async def test_a_clock_stopped_while_its_timer_is_due_never_warns(sla: Harness) -> None:
    stories = [Story(timedelta(minutes=16)) for _ in range(400)]
    await sla.hear(*[story.assigned() for story in stories])
    async with replica(sla) as second:
        stops = [sla.hear(*[story.accepted() for story in stories[first : first + 20]]) for first in range(0, 400, 20)]
        said: list[Event] = []

        async def stop() -> None:
            for each in stops:
                said.extend(await each)

        async def fire() -> None:
            while await timers.tick(second, count=7):
                pass

        await asyncio.gather(stop(), fire())
    said.extend(await sla.said())
    by_ticket: dict[str, list[str]] = {}
    for event in sorted(said, key=lambda event: event.envelope.version):
        by_ticket.setdefault(event.key, []).append(type(event).__name__)
    allowed = ["ClocksStopped"], ["ClockWarned", "Escalated", "ClocksStopped"]
    assert len(by_ticket) == 400
    assert all(events in allowed for events in by_ticket.values())


async def test_a_process_paused_in_mid_work_fires_nothing_twice(sla: Harness) -> None:
    stories = [Story(timedelta(minutes=16)) for _ in range(50)]
    await sla.hear(*[story.assigned() for story in stories])
    async with replica(sla) as second, sla.running.engine.connect() as paused:
        # What the first process would do, stopped between deleting its timers and committing.
        async with paused.begin():
            await paused.execute(text("DELETE FROM timer WHERE fire_at <= clock_timestamp()"))
            firing = asyncio.create_task(timers.tick(second))
            done, _ = await asyncio.wait({firing}, timeout=0.3)
            assert not done
        await asyncio.wait_for(firing, 20)
    assert await sla.said() == []
    assert await sla.rows("SELECT 1 FROM clock WHERE passed > 0") == []


async def test_the_loop_wakes_for_a_timer_set_meanwhile_and_never_early(sla: Harness) -> None:
    async with owner(sla.running):
        await until(lambda: sla.rows("SELECT 1 FROM lease WHERE name = 'timers'"))
        story = Story(timedelta(minutes=15) - DUE_IN)
        await sla.hear(story.assigned())
        await until(lambda: sla.rows("SELECT 1 FROM clock WHERE passed = 50"))
    warned = [event for event in await sla.said() if isinstance(event, ClockWarned)]
    (late,) = [event.occurred_at - event.clock.started_at - timedelta(minutes=15) for event in warned]
    assert timedelta(0) <= late < timedelta(milliseconds=500)


async def test_another_process_takes_over_when_the_owner_is_gone(sla: Harness) -> None:
    # A killed owner leaves its lease behind; here it ends soon.
    assert await sla.running.hold("timers", 0.5)
    await sla.hear(Story(timedelta(minutes=16)).assigned())
    async with replica(sla) as second, owner(second):
        await until(lambda: sla.rows("SELECT 1 FROM clock WHERE passed = 50"))
        holders = await sla.rows("SELECT owner FROM lease WHERE name = 'timers'")
        assert [row.owner for row in holders] == [second.owner]
    assert await sla.rows("SELECT 1 FROM lease WHERE name = 'timers'") == []


async def test_a_process_without_the_lease_fires_nothing(sla: Harness) -> None:
    assert await sla.running.hold("timers", 60)
    await sla.hear(Story(timedelta(minutes=16)).assigned())
    async with replica(sla) as second, owner(second):
        done, _ = await asyncio.wait({asyncio.create_task(second.stopping.wait())}, timeout=0.6)
        assert not done
    assert await sla.rows("SELECT 1 FROM clock WHERE passed > 0") == []


async def test_a_void_timer_is_cleared_away_in_silence(sla: Harness) -> None:
    story = Story(timedelta(minutes=16))
    await sla.hear(story.assigned(), story.accepted())
    await fire_all(sla.running)
    assert points(await sla.said()) == []
    rows = await sla.rows("SELECT 1 FROM timer t JOIN clock c USING (id) WHERE c.kind = 'accept'")
    assert rows == []


async def test_far_deadlines_wait_in_the_default_partition_and_move_to_their_day(sla: Harness) -> None:
    await sla.hear(Story().assigned(sla_class="construction", star=1), Story().assigned())
    where = "SELECT tableoid::regclass::text AS part FROM timer ORDER BY fire_at DESC LIMIT 1"
    assert [row.part for row in await sla.rows(where)] == ["timer_default"]
    made = await sla.rows("SELECT made, dropped FROM timer_days(60)")
    assert [tuple(row) for row in made] == [(46, 0)]
    day = datetime.now(UTC) + timedelta(days=45)
    assert [row.part for row in await sla.rows(where)] == [f"timer_{day:%Y%m%d}"]
    assert await sla.rows("SELECT 1 FROM timer_days(60) WHERE made > 0") == []


async def test_a_past_day_is_dropped_only_when_it_is_empty(sla: Harness, database: str) -> None:
    past = datetime.now(UTC).date() - timedelta(days=5)
    async with owner_connection(database) as connection:
        part = f"timer_{past:%Y%m%d}"
        await connection.execute(
            f"CREATE TABLE {part} PARTITION OF timer FOR VALUES FROM ('{past}Z') TO ('{past + timedelta(days=1)}Z')"
        )
        await sla.hear(Story(timedelta(days=5)).assigned())
        kept = await sla.rows("SELECT dropped FROM timer_days(14)")
        await fire_all(sla.running)
        dropped = await sla.rows("SELECT dropped FROM timer_days(14)")
    assert [row.dropped for row in kept + dropped] == [0, 1]


@asynccontextmanager
async def owner_connection(database: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection that may do everything, with the service's schema in sight."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "sla_timer"})
    try:
        yield connection
    finally:
        await connection.close()


MANY = """
    CREATE TEMP TABLE seed AS SELECT n, gen_random_uuid() AS ticket, gen_random_uuid() AS id,
        now() + interval '1 minute' * (n - 2000) AS at FROM generate_series(1, 30000) AS n;
    INSERT INTO stream SELECT ticket::text, 1 FROM seed;
    INSERT INTO work_order (id, ticket_id, department) SELECT gen_random_uuid(), ticket, 'repair' FROM seed;
    INSERT INTO clock (id, ticket_id, kind, lead, lead_name, supervisor, started_at, due_at, limit_seconds, rule,
        sla_class, star) SELECT id, ticket, 'resolve', 'lead', 'lead', 'sup', at - interval '1 day',
        at + interval '1 day', 172800, 'rule', 'maintenance', 1 FROM seed;
    INSERT INTO timer SELECT at, id, ticket, 0, 50 FROM seed;
    ANALYZE stream; ANALYZE clock; ANALYZE work_order"""


PLAN = """
    CREATE FUNCTION pg_temp.plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
    BEGIN RETURN QUERY EXECUTE 'EXPLAIN (GENERIC_PLAN) ' || statement; END $$"""


def numbered(statement: TextClause) -> str:
    """The statement as the driver sends it."""
    return str(statement.compile(dialect=DIALECT))


async def test_what_a_tick_asks_reads_no_table_from_end_to_end(sla: Harness, database: str) -> None:
    async with owner_connection(database) as connection:
        await connection.execute(MANY)
        await connection.execute(PLAN)
        await connection.execute("SET enable_seqscan = off")  # as for the service itself
        plans = {}
        for name, statement in (("take", timer.taking(timers.BATCH)), ("fire", timer.FIRE), ("head", timer.HEAD)):
            rows = await connection.fetch("SELECT pg_temp.plan($1)", numbered(statement))
            plans[name] = "\n".join(row[0] for row in rows)
    whole = [line for plan in plans.values() for line in plan.splitlines() if "Seq Scan on" in line]
    assert not whole, "\n".join(plans.values())
    assert "Hash Join" not in plans["take"], plans["take"]  # it would read every stream


async def test_looking_for_due_timers_opens_no_later_day(sla: Harness, database: str) -> None:
    async with owner_connection(database) as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE due (timestamptz, timestamptz, uuid, int) AS {numbered(timer.taking(1000))}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE due (now(), '1970-01-01Z', '{UUID(int=0)}', 0)")
    plan = "\n".join(row[0] for row in rows)
    assert "Subplans Removed: 14" in plan, plan
    assert "Seq Scan on timer" not in plan


async def test_a_burst_fires_each_timer_once_and_ends_with_nothing_due(
    sla: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "BATCH", 50)
    stories = [Story(timedelta(minutes=16)) for _ in range(505)]
    await sla.hear(*[story.assigned() for story in stories])
    async with replica(sla) as second:
        await asyncio.gather(timers.drain(sla.running, 60), timers.drain(second, 60))
    said = await sla.said()
    warned = Counter(event.clock.clock_id for event in said if isinstance(event, ClockWarned))
    assert len(warned) == 505
    assert set(warned.values()) == {1}
    assert await timers.tick(sla.running) == 0


async def test_a_thousand_timers_take_as_many_statements_as_one(sla: Harness) -> None:
    seen: list[str] = []
    listen(
        sla.running.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: seen.append(statement),
    )
    counts = []
    for number in (1, 500):
        await sla.hear(*[Story(timedelta(minutes=16)).assigned() for _ in range(number)])
        seen.clear()
        assert await timers.tick(sla.running) == number
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 6
