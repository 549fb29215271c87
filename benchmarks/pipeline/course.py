"""One pipeline under load: Zhida's or the bare one, with the same publisher and the same receivers."""

import asyncio
import contextlib
import gc
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg

from benchmarks.bare.pipeline import wire
from benchmarks.bare.pipeline.table import SCHEMA
from benchmarks.pipeline import ticket
from benchmarks.pipeline.publisher import Publisher, publishing
from benchmarks.pipeline.receiver import Receiver, receiving
from benchmarks.pipeline.ticket import Tickets
from benchmarks.place import Place, Spent
from demo.api import Api
from libs.shared.events import INBOUND

HOPS = ("intake", "classification", "dispatch", "clocks", "stages")
BACKLOG = 1500  # tickets under way while the highest rate is sought
DRAIN = 60.0  # s in which something must arrive while anything is missing
STRIDE = 1000  # webhooks waited for at once
START = 120.0  # s that the bare programs have to begin


@dataclass(frozen=True)
class Part:
    """What one measured part brought."""

    rate: float  # tickets a second that reached their departments while it lasted
    offered: float  # a second
    left: int  # under way at its end
    drained: float  # s until the last of them had arrived
    first: int  # number of its first ticket
    last: int  # and of the one behind its last
    cpu_ms: Mapping[str, float]  # a ticket, by program, and `all`
    busy: float  # cores in use, on average


@dataclass(frozen=True)
class Reckoning:
    """What became of everything that was offered."""

    offered: int  # tickets
    lost: int  # (ticket, department) that no webhook reached
    doubled: int  # webhooks under a second id for the same (ticket, department)
    copies: int  # webhooks that came again under their id
    strange: int  # webhooks for a department that does not execute the ticket
    seconds: Mapping[int, float]  # by number: handed over → the last of its webhooks received


@dataclass
class Pipeline:
    """Tickets in at one end, webhooks out at the other."""

    place: Place
    publisher: Publisher
    receiver: Receiver
    tickets: Tickets
    database_url: str
    table: str  # where tickets stand with their reference
    _each: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        sums, total = [], 0
        for form in self.tickets.forms:
            sums.append(total)
            total += len(form.departments)
        self._each = [*sums, total]

    @property
    def webhooks_each(self) -> float:
        """Departments of a ticket, on average."""
        return self._each[-1] / len(self.tickets.forms)

    @property
    def expected(self) -> int:
        """Webhooks for all that was published."""
        rounds, rest = divmod(len(self.publisher.sent), len(self.tickets.forms))
        return rounds * self._each[-1] + self._each[rest]

    @property
    def under_way(self) -> int:
        """Tickets published whose webhooks have not all come: by the number of webhooks that are missing."""
        return math.ceil((self.expected - len(self.receiver.webhooks)) / self.webhooks_each)

    async def closed(self, seconds: float, backlog: int = BACKLOG, *, warm: float = 0.0) -> Part:
        """As fast as it goes with so many under way; `warm` seconds of the same go before and do not count."""
        if warm:
            await self.publisher.closed(warm, lambda: self.under_way, backlog)
        return await self._part(self.publisher.closed(seconds, lambda: self.under_way, backlog))

    async def open(self, seconds: float, rate: float, *, warm: float = 0.0) -> Part:
        """So many a second, whatever becomes of them; `warm` as for `closed`."""
        if warm:
            await self.publisher.open(warm, rate)
        return await self._part(self.publisher.open(seconds, rate))

    async def drain(self) -> float:
        """Wait until everything has arrived, or nothing has for DRAIN; gives how long it took."""
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            while (count := len(self.receiver.webhooks)) < self.expected:
                await self.receiver.until(min(self.expected, count + STRIDE), DRAIN)
        return time.monotonic() - began

    async def _part(self, publishing: Any) -> Part:
        first, before = len(self.publisher.sent), len(self.receiver.webhooks)
        with self.place.spending() as spent:
            await publishing
        arrived = (len(self.receiver.webhooks) - before) / self.webhooks_each
        offered, left = len(self.publisher.sent) - first, self.under_way
        return Part(
            rate=arrived / spent.seconds,
            offered=offered / spent.seconds,
            left=left,
            drained=await self.drain(),
            first=first,
            last=first + offered,
            cpu_ms=_rounded(spent, arrived),
            busy=sum(spent.cpu_ms.values()) / 1000 / spent.seconds,
        )

    async def reckon(self) -> Reckoning:
        """Hold every webhook against every ticket that was offered."""
        database = await asyncpg.connect(self.database_url, timeout=10, command_timeout=120)
        try:
            rows = await database.fetch(f"SELECT ticket_id, external_ref FROM {self.table}")
        finally:
            await database.close(timeout=5)
        numbers = {str(row["ticket_id"]): self.tickets.number(row["external_ref"]) for row in rows}
        came: Counter[tuple[int, str]] = Counter()
        last: dict[int, float] = {}
        strange = 0
        for ticket_id, department, at in self.receiver.webhooks.values():
            number = numbers.get(ticket_id)
            if number is None or department not in self.tickets.departments(number):
                strange += 1
                continue
            came[number, department] += 1
            last[number] = max(at, last.get(number, 0.0))
        sent = self.publisher.sent
        return Reckoning(
            offered=len(sent),
            lost=sum((n, code) not in came for n in range(len(sent)) for code in self.tickets.departments(n)),
            doubled=sum(count - 1 for count in came.values()),
            copies=self.receiver.copies,
            strange=strange,
            seconds={number: at - sent[number] for number, at in last.items()},
        )


def _rounded(spent: Spent, tickets: float) -> dict[str, float]:
    each = {name: used / tickets for name, used in spent.cpu_ms.items()} if tickets else {}
    return {name: round(used, 3) for name, used in (each | {"all": sum(each.values())}).items()}


@asynccontextmanager
async def zhida(place: Place) -> AsyncIterator[Pipeline]:
    """All five services of Zhida, an endpoint for each department."""
    await place.prepare({"ZHIDA_MATRIX_PACK": ticket.PACK})
    await place.start()
    async with _load(place, INBOUND, place.owner_database_url, "intake.ticket", "Z") as pipeline:
        codes = sorted({code for form in pipeline.tickets.forms for code in form.departments})
        async with aiohttp.ClientSession() as session:
            api = Api(session, place.stack.url("dispatch"), await place.key("dispatch", "bench", "admin"))
            for code in codes:
                url = f"http://127.0.0.1:{pipeline.receiver.port}/{code}"
                await api.put(f"/v1/endpoints/{code}", {"url": url, "networks": ["127.0.0.0/8"]})
        yield pipeline
    await place.stop()


@asynccontextmanager
async def bare(place: Place, *, model: bool) -> AsyncIterator[Pipeline]:
    """The five bare programs. model: they read each ticket's text as Zhida does, else by a table."""
    url = await place.database(f"bare_{model:d}")
    database = await asyncpg.connect(url, timeout=10)
    await database.execute(SCHEMA)
    await database.close(timeout=5)
    await place.topics(*(wire.full(f"{model:d}", name) for name in wire.NAMES))
    async with _load(place, wire.full(f"{model:d}", "inbound"), url, "ticket", "B") as pipeline:
        own = {
            "KAFKA": place.kafka,
            "DATABASE": url,
            "RECEIVER": f"http://127.0.0.1:{pipeline.receiver.port}/",
            "RUN": f"{model:d}",
            "MODEL": f"{model:d}",
        }
        for hop in HOPS:
            place.spawn(f"bare-{hop}", "-m", "benchmarks.bare.pipeline", hop, environment=own)
        await _ready(place)
        yield pipeline
    await place.end(*(f"bare-{hop}" for hop in HOPS))


async def _ready(place: Place) -> None:
    deadline = time.monotonic() + START
    for hop in HOPS:
        log = place.stack.place.log(f"bare-{hop}")
        while "ready" not in (text := log.read_text(errors="replace")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the bare {hop} did not start: {text[-2000:]}")
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _load(place: Place, topic: str, database_url: str, table: str, prefix: str) -> AsyncIterator[Pipeline]:
    async with contextlib.AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        tickets = Tickets(f"{prefix}{time.time_ns() // 1_000_000_000}", ticket.forms())
        publisher = await stack.enter_async_context(publishing(place.kafka, topic, tickets))
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)  # as the services: what is noted lives until the end
        yield Pipeline(place, publisher, receiver, tickets, database_url, table)
