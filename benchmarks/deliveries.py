"""Webhooks, signed, guarded and recorded, beside bare HTTP clients; what one hanging endpoint costs the others.

Own option: `--set count=20_000`, deliveries of one measured part. `--seconds`: how long the bare clients post, and how
long deliveries are offered at half of the rate found (reference 30).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import asyncpg
import httpx

from benchmarks.measure import Measure, measured
from benchmarks.place import Options, Place
from deploy.local.place import free
from services.dispatch.domain import payload

NAME = "deliveries"
TITLE = "Deliveries beside bare HTTP clients"
ENDPOINTS, AT_A_TIME = 20, 8
AT_A_TIME_BARE = {"aiohttp": ENDPOINTS * AT_A_TIME, "httpx": ENDPOINTS}  # httpx becomes slower with each further one
HANGING = "/0"
PATIENCE = 120.0  # s
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DATA = {
    "title": "停电报修",
    "text": "小区三号楼整栋停电, 空气开关已合上, 邻居家也没有电, 老人在家需要用电。" * 4,
    "urgency": "normal",
    "situation": {"code": "FAULT-01-02", "name": "低压线路故障"},
    "due": {"accept": "2026-11-22T08:30:00Z", "first_contact": "2026-11-22T10:00:00Z"},
    "links": {"work_order": "/v1/work-orders/019ac0de-0000-7000-8000-000000000000"},
}
UUID7 = """CAST(lpad(to_hex(CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)), 12, '0') || '7'
    || substr(md5(CAST(random() AS text)), 1, 3) || 'a' || substr(md5(CAST(random() AS text)), 1, 15) AS uuid)"""
LOAD = f"""
    WITH seed AS (
        SELECT n, {UUID7} AS ticket, {UUID7} AS work_order, {UUID7} AS id FROM generate_series(1, $1) AS n),
    streams AS (INSERT INTO stream SELECT CAST(ticket AS text), 3, $2 FROM seed),
    orders AS (
        INSERT INTO work_order (work_order_id, ticket_id, department, department_name, state, created_at)
        SELECT work_order, ticket, 'bench-' || n % $3, 'bench', 'assigned', now() FROM seed)
    INSERT INTO delivery (delivery_id, department, ticket_id, work_order_id, type, body, traceparent, state, created_at,
        due_at, give_up_at)
    SELECT id, 'bench-' || n % $3, ticket, work_order, 'work_order.assigned', $4, $2, 'pending', now(), now(),
        now() + interval '1 day' FROM seed RETURNING delivery_id, extract(epoch FROM clock_timestamp())"""
LEFT = "SELECT EXISTS (SELECT FROM delivery WHERE state = 'pending' AND department <> 'bench-0')"

Log = Mapping[str, tuple[str, float]]  # webhook-id → path, first arrival (unix seconds)


async def run(place: Place, options: Options) -> list[Measure]:
    """See the module."""
    seconds, count = options.length(5), options.number("count", 20_000)
    body = payload.body("work_order.assigned", datetime.now(UTC), DATA)
    ports = [port for port in range(28_200, 28_300) if free(port)][:2]
    well, ill = (f"http://127.0.0.1:{port}" for port in ports)
    place.spawn("receiver", "-m", "benchmarks.bare.receiver", str(ports[0]))
    place.spawn("receiver-ill", "-m", "benchmarks.bare.receiver", str(ports[1]), HANGING)
    for port in ports:
        await listening(port)
    plain = {kind: await _bare(place, kind, well, seconds, len(body.encode())) for kind in AT_A_TIME_BARE}
    await place.prepare({"ZHIDA_RUN_RELAY": "false", "ZHIDA_RUN_CONSUMER": "false"})
    await place.start("dispatch")
    key = await place.key("dispatch", "benchmark", "admin")
    connection = await asyncpg.connect(place.owner_database_url, server_settings={"search_path": "dispatch"})
    bench = Bench(place, connection, key, body)
    try:
        await bench.point(well)
        await bench.send(1000, well)  # warm
        await connection.execute("ANALYZE")
        place.say(f"deliveries: {count:,} to {ENDPOINTS} endpoints")
        with place.spending() as spent:
            log, rate = await bench.send(count, well)
        normal = others(log)
        quick = await bench.offer(rate / 2, seconds, well)
        place.say("deliveries: the same with one endpoint that hangs")
        await bench.point(ill)
        log, _ = await bench.send(count, ill, hanging=True)
        hindered = others(log)
        slow = await bench.offer(rate / 2, seconds, ill, hanging=True)
    finally:
        await connection.close()
    place.details |= {"bare": plain, "cpu_ms_a_delivery": spent.each(count), "p99_ms": {"normal": quick, "hang": slow}}
    return [
        measured("delivered", rate, "/s", baseline=plain["aiohttp"], least=0.5, note="baseline: bare aiohttp"),
        measured("delivered", rate, "/s", baseline=plain["httpx"], least=8, note="baseline: bare httpx"),
        measured("one of 20 hangs: the others' rate", hindered, "/s", baseline=normal, least=0.95),
        measured("one of 20 hangs: the others' p99 at half rate", slow, "ms", baseline=quick, most=1.2),
    ]


async def _bare(place: Place, kind: str, url: str, seconds: float, size: int) -> float:
    """POSTs a second of a bare client."""
    place.say(f"deliveries: bare {kind}")
    at_a_time = str(AT_A_TIME_BARE[kind])
    words = ("-m", "benchmarks.bare.poster", kind, url, str(ENDPOINTS), at_a_time, str(seconds), str(size))
    name = f"bare-{kind}"
    process = place.spawn(name, *words)
    await asyncio.to_thread(process.wait, seconds + PATIENCE)
    await place.end(name)
    done, began, ended, spent = place.stack.place.log(name).read_text().split()
    place.details[f"{name}_cpu_ms"] = float(spent) / max(int(done), 1) * 1000
    return int(done) / (float(ended) - float(began))


async def listening(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + PATIENCE
    while free(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens on port {port}")
        await asyncio.sleep(0.05)


def others(log: Log) -> float:
    """Deliveries a second to all endpoints but the one that may hang."""
    times = [at for path, at in log.values() if path != HANGING]
    return len(times) / (max(times) - min(times))


class Bench:
    """Endpoints, deliveries put into dispatch's table, and the receivers' log of them."""

    def __init__(self, place: Place, connection: "asyncpg.Connection[asyncpg.Record]", key: str, body: str) -> None:
        self.place, self.connection, self.body = place, connection, body
        self.http = {"base_url": place.stack.url("dispatch"), "headers": {"Authorization": f"Bearer {key}"}}

    async def point(self, url: str) -> None:
        """Have all endpoints there."""
        wish = {"networks": ["127.0.0.0/8"], "concurrency": AT_A_TIME, "timeout_seconds": 10}
        async with httpx.AsyncClient(**self.http, trust_env=False, timeout=30) as http:  # type: ignore[arg-type]
            for number in range(ENDPOINTS):
                answer = await http.put(f"/v1/endpoints/bench-{number}", json={"url": f"{url}/{number}", **wish})
                answer.raise_for_status()
        await asyncio.sleep(3)  # the sender has heard of it

    async def put(self, count: int) -> dict[str, float]:
        """That many deliveries are due from now on; gives since when (unix seconds), by id."""
        rows = await self.connection.fetch(LOAD, count, TRACE, ENDPOINTS, self.body, timeout=60)
        return {str(row[0]): float(row[1]) for row in rows}

    async def arrived(self, ids: Mapping[str, float], url: str, *, hanging: bool) -> Log:
        """The receivers' log of these, once all of them (but those that hang) have come and are recorded."""
        log: dict[str, tuple[str, float]] = {}
        expected = len(ids) - (len(ids) // ENDPOINTS if hanging else 0)
        deadline = time.monotonic() + PATIENCE
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            while len(log) < expected:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(log)} of {expected} deliveries arrived")
                await asyncio.sleep(0.25)
                for line in (await http.get(f"{url}/log")).text.splitlines():
                    path, id_, at = line.split()
                    if id_ in ids:
                        log.setdefault(id_, (path, float(at)))
        return log

    async def send(self, count: int, url: str, *, hanging: bool = False) -> tuple[Log, float]:
        """Many at once; the receivers' log, and how many a second were sent and recorded."""
        ids = await self.put(count)
        log = await self.arrived(ids, url, hanging=hanging)
        deadline = time.monotonic() + PATIENCE
        while await self.connection.fetchval(LEFT):
            if time.monotonic() > deadline:
                raise TimeoutError("not every delivery was recorded")
            await asyncio.sleep(0.1)
        ended = await self.connection.fetchval(
            "SELECT extract(epoch FROM max(settled_at)) FROM delivery WHERE state = 'delivered'"
        )
        return log, len(log) / (float(ended) - min(at for _, at in log.values()))

    async def offer(self, rate: float, seconds: float, url: str, *, hanging: bool = False) -> float:
        """Deliveries at an even rate; p99 in ms from the row to the receiver, without the one that may hang."""
        ids: dict[str, float] = {}
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            due = int(rate * passed) - len(ids)
            if due >= ENDPOINTS:
                ids |= await self.put(due - due % ENDPOINTS)
            await asyncio.sleep(0.02)
        log = await self.arrived(ids, url, hanging=hanging)
        return p99([at - ids[id_] for id_, (path, at) in log.items() if path != HANGING]) * 1000


def p99(values: Sequence[float]) -> float:
    """The value that 99 of 100 do not exceed."""
    return sorted(values)[round((len(values) - 1) * 0.99)]
