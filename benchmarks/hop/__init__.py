"""P1: one hop of the kernel (topic → effect, inbox and outbox → relay → topic) beside a bare one.

All drain the same backlog of tickets, turn about, each into an empty database; all must end with every ticket exactly
once in their table and on the topic. The rate is that of the records which come out, the first tenth left aside.
"""

import asyncio
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from pydantic import SecretStr

from benchmarks.hop.service import Hopped, hop
from benchmarks.measure import Measure, measured
from benchmarks.place import PARTITIONS, Options, Place
from deploy.local import environment
from libs.operate import schema
from libs.shared.contracts.intake import Ticket, TicketReceived
from libs.shared.events import Envelope, encode, header_pairs, uuid7
from libs.shared.settings import Settings
from libs.shared.telemetry import new_traceparent

NAME = "hop"
TITLE = "P1: one hop of the kernel beside a bare aiokafka + asyncpg hop"

SECONDS = 8.0  # of each drained backlog at RATE; 30 in the reference run
RATE = 15_000  # events a second
ROUNDS = 3
PATIENCE = 300.0  # s

EFFECT = "CREATE TABLE {schema}.effect (ticket_id uuid PRIMARY KEY, title text NOT NULL, star int NOT NULL)"
BARE = (
    "CREATE TABLE inbox (id uuid PRIMARY KEY)",
    "CREATE TABLE stream (key text PRIMARY KEY, version bigint NOT NULL) WITH (fillfactor = 60)",
    "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL,"
    " key text NOT NULL, occurred_at timestamptz NOT NULL, traceparent text NOT NULL, body bytea NOT NULL,"
    " version bigint) WITH ("
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)",
    EFFECT.format(schema="public"),
)
TEXT = (
    "客户来电反映：小区低压线路上午十点起多次跳闸，楼道照明与电梯均受影响，"
    "已持续两个多小时，请尽快派人处理并告知恢复时间。"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One drained backlog."""

    rate: float  # events a second
    effects: int
    sent: int
    cpu_ms: dict[str, float]  # for one event, by program


async def run(place: Place, options: Options) -> list[Measure]:
    """Both hops, turn about."""
    count = int(options.length(SECONDS) * RATE)
    rounds = options.number("rounds", ROUNDS)
    await place.topics(TicketReceived.topic, Hopped.topic)
    place.say(f"{count:,} tickets a round, {rounds} rounds each")
    await load(place, count)
    runs: dict[str, list[Run]] = {"bare": [], "kernel": [], "versioned": []}
    for number in range(rounds):
        for name, found in runs.items():
            found.append(await drained(place, name, number, count))
            place.say(f"{name}: {found[-1].rate:,.0f} events/s, {found[-1].cpu_ms['all']:.3f} ms of CPU an event")
    rates = {name: statistics.median(each.rate for each in found) for name, found in runs.items()}
    cpu = {name: middle(found) for name, found in runs.items()}
    place.details |= {
        "events": count,
        "rates": {name: [each.rate for each in found] for name, found in runs.items()},
        "cpu_ms": cpu,
    }
    wrong = sum(abs(each.effects - count) + abs(each.sent - count) for found in runs.values() for each in found)
    parts = ", ".join(f"{name} {used:.3f} ({cpu['bare'].get(name, 0):.3f})" for name, used in cpu["kernel"].items())
    note = f"median of {rounds}"
    return [
        measured("one hop", rates["kernel"], "events/s", baseline=rates["bare"], least=0.80, note=note),
        measured(
            "one hop ÷ bare one with contract and versions", rates["kernel"], "events/s", baseline=rates["versioned"]
        ),
        measured("CPU an event", cpu["kernel"]["all"], "ms", baseline=cpu["bare"]["all"], note=parts),
        measured("lost or doubled, any hop", wrong, "events", most=0),
    ]


def middle(runs: list[Run]) -> dict[str, float]:
    """CPU ms an event by program: the median over the runs; what is below a microsecond left out."""
    names = [name for name in runs[0].cpu_ms if name != "benchmark"]
    medians = {name: statistics.median(each.cpu_ms.get(name, 0.0) for each in runs) for name in names if name != "all"}
    return medians | {"all": sum(medians.values())}


async def load(place: Place, count: int) -> None:
    """That many tickets on the topic, each under a key of its own, as intake says them."""
    producer = AIOKafkaProducer(bootstrap_servers=place.kafka, acks="all", max_batch_size=256 * 1024)
    await producer.start()
    numbers, partitioner = list(range(PARTITIONS)), DefaultPartitioner()
    batches = {number: producer.create_batch() for number in numbers}
    try:
        for number in range(count):
            now = datetime.now(UTC)
            ticket = Ticket(
                channel="95598", external_ref=f"A{number:09}", title=f"低压线路跳闸 {number}", text=TEXT, opened_at=now
            )
            event = TicketReceived(ticket_id=uuid7(now), ticket=ticket)
            key = event.key.encode()
            partition = partitioner(key, numbers, numbers)
            headers = header_pairs(event.type, Envelope(uuid7(now), "intake", now, 1, new_traceparent()))
            record = {"key": key, "value": encode(event), "timestamp": None, "headers": headers}
            if batches[partition].append(**record) is None:
                await (await producer.send_batch(batches[partition], TicketReceived.topic, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(**record)
        for partition, batch in batches.items():
            await (await producer.send_batch(batch, TicketReceived.topic, partition=partition))
    finally:
        await producer.stop()


async def drained(place: Place, name: str, number: int, count: int) -> Run:
    """One hop from its start until everything has come out and nothing more comes."""
    url = await place.database(f"hop_{name}_{number}")
    table = "hop.effect" if name == "kernel" else "effect"
    consumer = AIOKafkaConsumer(bootstrap_servers=place.kafka)
    await consumer.start()
    try:
        parts = [TopicPartition(Hopped.topic, each) for each in range(PARTITIONS)]
        before = sum((await consumer.end_offsets(parts)).values())
        if name == "kernel":
            await kernel(place, url)
        else:
            await bare(place, url, number, "lean" if name == "bare" else name)

        async def out() -> int:
            await asyncio.sleep(0.05)
            return int(sum((await consumer.end_offsets(parts)).values()) - before)

        async with asyncio.timeout(PATIENCE):
            while (first := await out()) < count / 10:
                pass
            with place.spending() as spent:
                while (last := await out()) < count:
                    pass
        await place.end("hop")
        sent = await out()
    finally:
        await consumer.stop()
    connection = await asyncpg.connect(url)
    try:
        effects = int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()
    return Run((last - first) / spent.seconds, effects, sent, spent.each(last - first))


async def bare(place: Place, url: str, number: int, form: str) -> None:
    """The bare hop's tables and process."""
    connection = await asyncpg.connect(url)
    try:
        for statement in BARE:
            await connection.execute(statement)
    finally:
        await connection.close()
    place.spawn(
        "hop",
        "-m",
        "benchmarks.bare.hop",
        place.kafka,
        url,
        TicketReceived.topic,
        Hopped.topic,
        f"{form}-{number}",
        form,
    )


async def kernel(place: Place, url: str) -> None:
    """The kernel's tables and process."""
    runtime = environment.role_url(url, hop.name, "only-here")
    await schema.migrate(hop, Settings(database_url=SecretStr(runtime), owner_database_url=SecretStr(url)))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(EFFECT.format(schema=hop.name))
        await connection.execute(f"GRANT SELECT, INSERT ON {hop.name}.effect TO zhida_{hop.name}")
    finally:
        await connection.close()
    place.stack.place.choose_ports(hop.name)
    port = str(place.stack.place.port(hop.name))
    surroundings = {"DATABASE_URL": runtime, "KAFKA_BOOTSTRAP_SERVERS": place.kafka, "ZHIDA_HTTP_PORT": port}
    place.spawn("hop", "-m", "benchmarks.hop.service", environment=surroundings)
