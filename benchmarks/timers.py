"""Timers with millions pending, beside bare SQL: fires a second, lateness, a burst beside the flow, cold start.

Own options: `--set pending=10_000_000` (the reference; usual 1,000,000), `--set burst=100_000`, `--set flow=800` (work
orders a second that sla_timer hears meanwhile). `--seconds`: how long 1,000 timers a second come due (reference 60).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.bare import timers as bare
from benchmarks.measure import Measure, measured
from benchmarks.place import Options, Place
from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import WorkOrderAssigned
from libs.shared.contracts.sla_timer import ClockWarned
from libs.shared.events import CLOCKS, FLOW, Envelope, encode, header_pairs, uuid7

NAME = "timers"
TITLE = "Timers beside bare SQL"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PROGRAM = "from deploy.local.leash import leash; leash(); from libs.operate.cli import main; main()"
PATIENCE = 120.0  # s
RATE = 1000  # timers a second
EVENT = 460  # bytes of a warning
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UUID7 = """CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7'
    || substr(md5(random()::text), 1, 3) || 'a' || substr(md5(random()::text), 1, 15) AS uuid)"""

# Tickets `at` various times, then what sla_timer would have written of them: the first timer of each clock is pending.
FUTURE = "SELECT now() - interval '10 min' + make_interval(secs => n * 259200.0 / {count}) AS at"
SOON = "SELECT to_timestamp({begin}) - interval '15 min' + make_interval(secs => n * {seconds} / {count}) AS at"
CLOCKS_OF = "('accept', 1800), ('first_contact', 7200), ('resolve', 345600)"
LOAD = """
    CREATE TEMP TABLE seed AS SELECT at, {uuid7} AS ticket, {uuid7} AS work_order, n
        FROM ({at}, n FROM generate_series(1, {count}) AS n) AS s;
    INSERT INTO stream SELECT CAST(ticket AS text), 1, '{trace}' FROM seed ORDER BY at;
    INSERT INTO ticket SELECT ticket FROM seed ORDER BY at;
    INSERT INTO work_order (id, ticket_id, department) SELECT work_order, ticket, 'd' || n % 20 FROM seed ORDER BY at;
    WITH started AS (
        INSERT INTO clock (id, ticket_id, work_order_id, kind, department, department_name, lead, lead_name, supervisor,
            started_at, due_at, limit_seconds, rule, sla_class, star)
        SELECT {uuid7}, ticket, CASE WHEN kind <> 'resolve' THEN work_order END, kind,
            CASE WHEN kind <> 'resolve' THEN 'd' || n % 20 END, CASE WHEN kind <> 'resolve' THEN '抢修班' END, 'lead',
            '生产设备管理部', 'supervisor', at, at + make_interval(secs => seconds), seconds, 'limits', 'maintenance', 3
        FROM seed, (VALUES {clocks}) AS k(kind, seconds) ORDER BY at RETURNING id, ticket_id, started_at, limit_seconds)
    INSERT INTO timer (fire_at, id, ticket_id, generation, percent)
        SELECT started_at + make_interval(secs => limit_seconds / 2), id, ticket_id, 0, 50 FROM started ORDER BY 1;
    DROP TABLE seed"""


async def run(place: Place, options: Options) -> list[Measure]:
    """See the module."""
    pending, burst = options.number("pending", 1_000_000), options.number("burst", 100_000)
    seconds, flow = options.length(10), options.number("flow", 800)
    place.say(f"timers: bare SQL with {pending:,} pending")
    plain = await bare.fires(await place.database("bare_timers"), pending, burst, EVENT)
    await place.database("bare_timers")  # empty again: its disk space is needed
    await place.prepare()
    async with _connected(place) as connection:
        place.say(f"timers: loading {pending:,} pending ones")
        await _load(connection, pending // 3, FUTURE, CLOCKS_OF)
        cold, fired, cpu = await _cold(place, connection, burst)
        late, early, said = await _lateness(place, connection, seconds)
        drained, kept, before = await _burst(place, connection, burst, flow)
    place.details |= {"bare": plain, "fires": fired, "cpu_ms_a_fire": cpu, "lateness_s": said}
    note = f"next timer and two events out of each; with one event out only bare SQL does {plain['one']:,.0f}/s"
    return [
        measured(f"fires with {pending:,} pending", fired, "/s", baseline=plain["same"], least=0.7, note=note),
        measured(f"lateness on the topic at {RATE:,}/s, p99", late * 1000, "ms", most=50),
        measured("fired early", early, "", most=0),
        measured(f"{burst:,} due in one second: drained after", drained, "s", most=3),
        measured("the flow meanwhile", kept, "/s", baseline=before, least=0.7, note=f"{flow} work orders/s offered"),
        measured("cold start: process started → first overdue timer fired", cold, "s", most=2),
    ]


@contextlib.asynccontextmanager
async def _connected(place: Place) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(place.owner_database_url, server_settings={"search_path": "sla_timer"})
    try:
        yield connection
    finally:
        await connection.close()


async def _load(connection: Connection, count: int, at: str, clocks: str, **more: float) -> None:
    """So many tickets with these clocks running; `at`: when they began."""
    text = LOAD.format(uuid7=UUID7, at=at.format(count=count, **more), count=count, trace=TRACE, clocks=clocks)
    await connection.execute(text, timeout=7200)
    await connection.execute("ANALYZE stream; ANALYZE clock; ANALYZE timer; ANALYZE work_order", timeout=3600)


@contextlib.contextmanager
def _process(place: Place, **settings: str) -> Iterator[float]:
    """sla_timer as a process of its own, ended by `place.end("sla_timer-own")`; gives when it was started."""
    began = time.time()
    surroundings = place.stack.environment("sla_timer") | {"ZHIDA_RUN_HTTP": "false"} | settings
    place.spawn("sla_timer-own", "-c", PROGRAM, "sla_timer", "run", environment=surroundings)
    yield began


async def _left(connection: Connection, until: float) -> datetime | None:
    """The earliest timer due before that time (unix seconds), None when all are fired."""
    statement = "SELECT fire_at FROM timer WHERE fire_at <= to_timestamp($1) ORDER BY fire_at LIMIT 1"
    found: datetime | None = await connection.fetchval(statement, until)
    return found


async def _emptied(connection: Connection, until: float) -> float:
    """Wait until every timer due before that time has been fired; gives when that was seen (unix seconds)."""
    deadline = time.time() + PATIENCE
    while await _left(connection, until):
        if time.time() > deadline:
            raise TimeoutError("the timers were not fired in time")
        await asyncio.sleep(0.02)
    return time.time()


async def _cold(place: Place, connection: Connection, burst: int) -> tuple[float, float, dict[str, float]]:
    """Seconds from a process's start to its first fired timer, then timers a second until all overdue ones are fired.

    Without relay and consumer, as the bare statement has none.
    """
    place.say(f"timers: {burst:,} overdue ones, then the process starts")
    await _load(connection, burst, SOON, "('accept', 1800)", begin=time.time() - 2, seconds=1.0)
    until = time.time()
    first = await _left(connection, until)
    with _process(place, ZHIDA_RUN_RELAY="false", ZHIDA_RUN_CONSUMER="false") as began:
        while await _left(connection, until) == first:
            if time.time() > began + PATIENCE:
                raise TimeoutError("no timer was fired")
            await asyncio.sleep(0.005)
        cold, start = time.time() - began, time.perf_counter()
        with place.spending() as spent:
            await _emptied(connection, until)
        fired = burst / (time.perf_counter() - start)
    await place.end("sla_timer-own")
    await connection.execute("DELETE FROM outbox", timeout=600)
    await connection.execute("VACUUM timer, outbox, clock, stream", timeout=3600)
    return cold, fired, spent.each(burst)


async def _lateness(
    place: Place, connection: Connection, seconds: float
) -> tuple[float, int, dict[str, dict[str, float]]]:
    """p99 from a timer's time to its warning's arrival at a consumer of the topic; how many were said early."""
    consumer = AIOKafkaConsumer(CLOCKS, bootstrap_servers=place.kafka, auto_offset_reset="latest")
    await consumer.start()
    with _process(place):
        await asyncio.sleep(5)
        count = int(RATE * seconds)
        place.say(f"timers: {RATE:,} a second for {seconds:.0f} s")
        begin = time.time() + 3 + count / 20_000
        await _load(connection, count, SOON, "('accept', 1800)", begin=begin, seconds=seconds)
        heard: list[float] = []
        said: list[float] = []
        early = 0
        while len(heard) < count:
            got = await consumer.getmany(timeout_ms=1000)
            now = time.time()
            if not got and now > begin + seconds + PATIENCE:
                raise TimeoutError(f"{len(heard)} of {count} warnings were heard")
            for record in (record for records in got.values() for record in records):
                headers = dict(record.headers)
                if headers["ce_type"].decode() == ClockWarned.type:
                    due = _due(orjson.loads(record.value))
                    heard.append(now - due)
                    said.append(datetime.fromisoformat(headers["ce_time"].decode()).timestamp() - due)
                    early += said[-1] < -1e-5
    await consumer.stop()
    found = {"said": _percentiles(said), "heard": _percentiles(heard)}
    return found["heard"]["p99"], early, found


def _due(body: dict[str, object]) -> float:
    clock = body["clock"]
    assert isinstance(clock, dict)
    started = datetime.fromisoformat(str(clock["started_at"]))
    return (started + timedelta(seconds=int(clock["limit_seconds"])) * int(str(body["percent"])) / 100).timestamp()


async def _burst(place: Place, connection: Connection, burst: int, flow: int) -> tuple[float, float, float]:
    """Seconds until a burst is drained; work orders handled a second meanwhile, and before."""
    place.say(f"timers: {burst:,} in one second beside {flow} work orders a second")
    await asyncio.sleep(2)
    begin = time.time() + 12 + burst / 15_000
    await _load(connection, burst, SOON, "('accept', 1800)", begin=begin, seconds=1.0)
    producing = asyncio.create_task(_produce(place, flow, begin + 8))
    async with _connected(place) as other:
        await asyncio.sleep(max(begin - 4 - time.time(), 0))
        handled = "SELECT count(*) FROM ticket"
        first, at = await other.fetchval(handled), time.perf_counter()
        await asyncio.sleep(max(begin - time.time(), 0))
        second, middle = await other.fetchval(handled), time.perf_counter()
        ended = await _emptied(connection, begin + 1)
        third, end = await other.fetchval(handled), time.perf_counter()
    producing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await producing
    await place.end("sla_timer-own")
    return ended - begin - 1, (third - second) / (end - middle), (second - first) / (middle - at)


async def _produce(place: Place, rate: int, until: float) -> None:
    """Work orders on the flow, so many a second, every 20 ms some."""
    producer = AIOKafkaProducer(bootstrap_servers=place.kafka, acks="all", linger_ms=5)
    await producer.start()
    try:
        began, sent = time.time(), 0
        while time.time() < until:
            waiting: list[asyncio.Future[object]] = []
            while sent < (time.time() - began) * rate:
                now = datetime.now(UTC)
                event = _assigned(uuid7(now), uuid7(now), now)
                headers = header_pairs(event.type, Envelope(uuid7(now), "dispatch", now, 1, TRACE))
                waiting.append(await producer.send(FLOW, encode(event), key=event.key.encode(), headers=headers))
                sent += 1
            await asyncio.gather(*waiting)
            await asyncio.sleep(0.02)
    finally:
        await producer.stop()


def _assigned(ticket: UUID, order: UUID, now: datetime) -> WorkOrderAssigned:
    return WorkOrderAssigned(
        ticket_id=ticket,
        work_order_id=order,
        department=Department(code="d1", name="抢修班"),
        lead_department=Department(code="lead", name="生产设备管理部"),
        supervisor="supervisor",
        agent_id="agent",
        sla_class="maintenance",
        star=3,
        urgency="normal",
        opened_at=now,
        situation="停电",
    )


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, p90, p99 and the most."""
    ordered = sorted(values)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
    return {name: ordered[round((len(ordered) - 1) * share)] for name, share in shares.items()}
