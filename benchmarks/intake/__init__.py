"""P6: single tickets over HTTP at many connections, beside the same app without a database, and one transaction each.

All three are intake's own process and answer the same requests of the same generator, turn about. `together` is intake
as it is; `alone` gives each request a transaction of its own, as many at a time as the pool has connections; `without`
checks and masks the ticket, and answers without having kept it: the most this app could do.
"""

import asyncio
import statistics
from typing import Any

import asyncpg
import orjson

from benchmarks.measure import Measure, measured
from benchmarks.place import Options, Place, Spent
from deploy.local.stack import StackError

NAME = "intake"
TITLE = "P6: tickets taken in over HTTP"

SECONDS = 5.0  # of each measured part; 30 in the reference run
WARM = 1.0  # s before it
CONNECTIONS = 256
ROUNDS = 3
WAYS = ("together", "alone", "without")


async def run(place: Place, options: Options) -> list[Measure]:
    """The three ways, turn about."""
    seconds, rounds = options.length(SECONDS), options.number("rounds", ROUNDS)
    connections = options.number("connections", CONNECTIONS)
    await place.prepare()
    key = await place.key("intake", "platform", "publish")
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    taken = 0
    for _ in range(rounds):
        for way in WAYS:
            found, spent = await loaded(place, way, key, connections, seconds)
            rates[way].append(found["taken"] / found["seconds"])
            cpu[way].append(spent.each(found["all"]))
            taken += found["all"] if way != "without" else 0
            place.say(f"{way}: {rates[way][-1]:,.0f} tickets/s, {cpu[way][-1]['all']:.3f} ms of CPU a ticket")
    connection = await asyncpg.connect(place.owner_database_url)
    try:
        kept = int(await connection.fetchval("SELECT count(*) FROM intake.ticket", timeout=60))
    finally:
        await connection.close()
    middle = {way: statistics.median(found) for way, found in rates.items()}
    place.details |= {"connections": connections, "rates": rates, "cpu_ms": cpu, "taken": taken, "kept": kept}
    return [
        measured("intake ÷ the app without database", middle["together"], "tickets/s", baseline=middle["without"],
                 least=0.45, note=f"{connections} connections, median of {rounds}"),
        measured("intake ÷ one transaction a request", middle["together"], "tickets/s", baseline=middle["alone"],
                 least=1.9),
        measured("answered 202 and not kept", max(taken - kept, 0), "tickets", most=0),
    ]  # fmt: skip


async def loaded(place: Place, way: str, key: str, connections: int, seconds: float) -> tuple[dict[str, Any], Spent]:
    """One way under load: what the generator counted, and the CPU time of everything but the generator."""
    place.spawn("intake-server", "-m", "benchmarks.intake.server", way, environment=place.stack.environment("intake"))
    try:
        await _ready(place)
        port = str(place.stack.place.port("intake"))
        with place.spending() as spent:
            generator = place.spawn(
                "generator", "-m", "benchmarks.intake.generator", port, key, str(connections), str(WARM), str(seconds)
            )
            await asyncio.to_thread(generator.wait, WARM + seconds + 60)
        log = place.stack.place.log("generator").read_text()
        if generator.returncode:
            raise StackError(f"the generator failed:\n{log[-2000:]}")
        spent.cpu_ms.pop("benchmark", None)
        found: dict[str, Any] = orjson.loads(log.splitlines()[-1])
        return found, spent
    finally:
        await place.end("intake-server", "generator")


async def _ready(place: Place) -> None:
    for _ in range(600):
        if await asyncio.to_thread(place.stack.is_ready, "intake"):
            return
        await asyncio.sleep(0.1)
    raise StackError(f"intake is not ready:\n{place.stack.place.log('intake-server').read_text()[-2000:]}")
