"""Storm folding: calls about three outages among calls about everything else, folded into three master work orders.

Each outage's department answers its one master work order at the end; the clock of that part runs from the answer to
the moment the last of its members' agents has it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg
import orjson
from matplotlib.axes import Axes

from benchmarks.measure import Measure, measured
from benchmarks.pipeline import ticket
from benchmarks.pipeline.publisher import publishing
from benchmarks.pipeline.receiver import Receiver, receiving
from benchmarks.place import Options, Place
from benchmarks.spike import failures
from benchmarks.storm import call
from demo.api import Api
from libs.shared.events import INBOUND

NAME = "storm"
TITLE = "Storm folding: calls about three outages, among others"
USUAL = 60.0  # s; the reference run takes 600
CALLS = 20_000  # in 600 s
OTHERS = 0.25  # as many calls about something else, of those about the outages
PATIENCE = 120.0  # s in which something must happen

# What was joined, against what each call was about; `members` of a ticket count from its own step on.
MEMBERS = """
    SELECT m.hot_event_id, t.ticket->>'external_ref' AS reference
    FROM classification.hot_member m JOIN classification.ticket t ON t.id = m.ticket_id WHERE m.left_at IS NULL"""
MASTERS = """
    SELECT t.ticket_id, o.work_order_id, o.department, o.state FROM dispatch.ticket t
    JOIN dispatch.work_order o USING (ticket_id) WHERE t.master = t.ticket_id ORDER BY t.ticket_id"""
STANDING = """
    SELECT count(*) FILTER (WHERE master IS NOT NULL) AS merged,
        count(*) FILTER (WHERE master IS NOT NULL AND state <> 'open') AS answered, count(*) AS known
    FROM dispatch.ticket WHERE master IS DISTINCT FROM ticket_id AND external_ref LIKE 'S%'"""
ALONE = """
    SELECT count(DISTINCT o.ticket_id) FROM dispatch.work_order o JOIN dispatch.ticket t USING (ticket_id)
    WHERE t.master IS DISTINCT FROM t.ticket_id AND t.external_ref LIKE 'S%'"""
LATENCY = """
    SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM n.created_at - s.received_at))
    FROM notification.notice n JOIN intake.ticket s ON s.ticket_id = n.ticket_id WHERE n.kind = 'ticket_merged'"""


@dataclass
class Calls:
    """The calls as the inbound topic takes them; their number tells what each is about."""

    calls: Sequence[call.Call]
    drawn: int = 0

    def next(self) -> tuple[bytes, bytes]:
        """Key and value of the next one."""
        number, each = self.drawn, self.calls[self.drawn]
        self.drawn += 1
        reference = f"{'X' if each.outage is None else f'S{each.outage}'}-{number}"
        now = datetime.now(UTC).isoformat()
        fields = {"channel": "95598", "external_ref": reference, "agent_id": f"A{number % 400}", "opened_at": now}
        return f"95598|{reference}".encode(), orjson.dumps({**fields, "title": each.text[:30], **each.fields})


@dataclass
class Storm:
    """The services, their departments' receiver, and a look into the tables."""

    place: Place
    receiver: Receiver
    session: aiohttp.ClientSession
    database: "asyncpg.Connection[Any]"
    seen: list[tuple[float, int, int]] = field(default_factory=list)  # s, calls published, members

    async def look(self, calls: Calls) -> None:
        """How far it has come, every second, until cancelled."""
        began = time.monotonic()
        while True:
            self.seen.append((round(time.monotonic() - began, 1), calls.drawn, (await self.standing())["merged"]))
            await asyncio.sleep(1.0)

    async def standing(self) -> dict[str, int]:
        """merged, answered, known: calls about the outages."""
        [row] = await self.database.fetch(STANDING)
        return dict(row)

    async def settled(self, what: str) -> int:
        """Wait until that figure of STANDING grows no more; gives it."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 5.0:
            found = (await self.standing())[what]
            if found != last:
                last, since = found, time.monotonic()
            await asyncio.sleep(0.25)
        return last

    async def answer(self) -> float:
        """Every master work order gets its answer; gives the seconds until the last member has it."""
        began = time.monotonic()
        for row in await self.database.fetch(MASTERS):
            code, path = row["department"], f"/v1/work-orders/{row['work_order_id']}"
            key = await self.place.key("dispatch", code, "department")
            api = Api(self.session, self.place.stack.url("dispatch"), key)
            for move, body in (("accept", {}), ("contacted", {}), ("answer", {"text": "线路已修复，已全部送电。"})):
                await api.post(f"{path}/{move}", body, key=f"{path}/{move}")
        while (row := await self.standing())["answered"] < row["merged"]:
            if time.monotonic() - began > PATIENCE:
                return float("inf")
            await asyncio.sleep(0.05)
        return time.monotonic() - began


async def run(place: Place, options: Options) -> list[Measure]:
    """The storm, then its answers."""
    seconds = options.length(USUAL)
    count = options.number("calls", round(CALLS * seconds / 600))
    drawn = call.calls(11, count, round(count * OTHERS), datetime.now(UTC))
    calls = Calls(drawn)
    async with _storm(place) as storm, publishing(place.kafka, INBOUND, calls) as publisher:
        looking = asyncio.create_task(storm.look(calls))
        with place.spending() as spent:
            await publisher.open(seconds, len(drawn) / seconds)
        looking.cancel()
        await asyncio.wait({looking})
        await storm.settled("known")
        merged = await storm.settled("merged")
        members = await storm.database.fetch(MEMBERS)
        masters = {row["ticket_id"] for row in await storm.database.fetch(MASTERS)}
        alone = int(await storm.database.fetchval(ALONE))
        told = await storm.database.fetchval(LATENCY) or [float("inf")] * 2
        answered = await storm.answer()
        failed = await failures(place)
    outages: dict[Any, set[str]] = {}
    for row in members:
        outages.setdefault(row["hot_event_id"], set()).add(row["reference"].partition("-")[0])
    right = sum(row["reference"].startswith("S") for row in members)
    place.details |= {"seconds": seconds, "calls": count, "others": len(drawn) - count, "seen": storm.seen}
    return [
        measured("calls that are members", 100 * right / count, "%", least=95, note=f"of {count} calls"),
        measured("calls about something else among them", len(members) - right, "", most=0),
        measured("outages in one event, at most", max(map(len, outages.values()), default=0), "", most=1),
        measured("master work orders", len(masters), "", most=len(call.OUTAGES)),
        measured("calls that follow a master", 100 * merged / count, "%", least=95),
        measured("calls that had a work order of their own", alone, "", note="until their event was folded"),
        measured("call → its agent told of the event, p50", told[0] * 1000, "ms"),
        measured("p99", told[1] * 1000, "ms"),
        measured("answers given → the last member has its own", answered, "s"),
        measured("events buried, attempts failed", failed, "", most=0),
        measured("CPU a call, everything together", spent.each(len(drawn))["all"], "ms"),
    ]


@asynccontextmanager
async def _storm(place: Place) -> AsyncIterator[Storm]:
    await place.prepare({"ZHIDA_MATRIX_PACK": ticket.PACK})
    await place.start()
    database = await asyncpg.connect(place.owner_database_url, timeout=10, command_timeout=60)
    try:
        async with receiving() as receiver, aiohttp.ClientSession() as session:
            api = Api(session, place.stack.url("dispatch"), await place.key("dispatch", "bench", "admin"))
            for code in sorted({code for form in ticket.forms() for code in form.departments}):
                url = f"http://127.0.0.1:{receiver.port}/{code}"
                await api.put(f"/v1/endpoints/{code}", {"url": url, "networks": ["127.0.0.0/8"]})
            yield Storm(place, receiver, session, database)
    finally:
        await database.close(timeout=5)
    await place.stop()


def draw(axes: Axes, measures: Sequence[Measure], details: dict[str, Any]) -> None:
    """Calls and members over time."""
    times = [at for at, _, _ in details["seen"]]
    axes.plot(times, [calls for _, calls, _ in details["seen"]], label="calls")
    axes.plot(times, [merged for _, _, merged in details["seen"]], label="follow a master")
    axes.set_xlabel("s")
    axes.legend()
