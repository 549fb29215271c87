"""What a year's tickets cost: whole lives a second, look-ups and lists with nothing, and with a million tickets stored.

`--set tickets=10000000` is the reference; the tickets are made by SQL in every service's tables. `--set readings=…` is
how often each look-up and list is asked for.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from benchmarks import lifecycle
from benchmarks.lifecycle.wire import Caller
from benchmarks.measure import Measure, measured
from benchmarks.place import Options, Place
from benchmarks.storage import load

NAME = "storage"
TITLE = "P7: lives, look-ups and lists with no tickets stored, and with many"
USUAL = 12.0  # s; 60 for the reference
TICKETS = 1_000_000
READINGS = 200  # of each kind
AT_ONCE = 4
MOST_MS = 200.0
Path = Callable[[tuple[str, str]], str]  # of a stored ticket's ids
LOOKUPS: tuple[tuple[str, str, Path], ...] = (
    ("a ticket, at intake", "intake", lambda ids: f"/v1/tickets/{ids[0]}"),
    ("a ticket's whole story, at dispatch", "dispatch", lambda ids: f"/v1/tickets/{ids[0]}"),
    ("a work order", "dispatch", lambda ids: f"/v1/work-orders/{ids[1]}"),
    ("a ticket's clocks", "sla_timer", lambda ids: f"/v1/tickets/{ids[0]}/clocks"),
)
LISTS: tuple[tuple[str, str, Path], ...] = (
    ("a department's open work orders", "dispatch", lambda _: "/v1/work-orders?department=district_bureau&limit=50"),
    ("a department's work orders, all", "dispatch", lambda _: "/v1/work-orders?department=repair_centre&state=all"),
    ("an agent's tickets", "dispatch", lambda ids: f"/v1/tickets?agent_id=A{int(ids[0][-4:], 16) % 200}"),
    ("tickets, newest first", "intake", lambda _: "/v1/tickets?limit=50"),
    ("tickets that are assigned", "intake", lambda _: "/v1/tickets?stage=assigned&limit=50"),
    ("the review queue", "classification", lambda _: "/v1/reviews?limit=50"),
    ("running clocks by deadline", "sla_timer", lambda _: "/v1/clocks?limit=50"),
    ("an agent's inbox", "notification", lambda ids: f"/v1/inbox?recipient=agent:A{int(ids[0][-4:], 16) % 200}"),
)


async def run(place: Place, options: Options) -> list[Measure]:
    """First empty, then with the tickets; services keep running, as they would."""
    seconds, tickets = options.length(USUAL), options.number("tickets", TICKETS)
    at_once = options.number("ours", lifecycle.OURS_AT_ONCE)
    readings = options.number("readings", READINGS)
    url = place.owner_database_url
    await place.prepare({"ZHIDA_MATRIX_PACK": "power_95598"})
    marks = [1, *(tickets * number // load.MONTHS for number in range(1, load.MONTHS + 1))]
    for mark in marks:
        await load.load(url, mark, mark, tickets)  # a ticket of each month: `prepare` makes its partitions
    await place.prepare({"ZHIDA_MATRIX_PACK": "power_95598"})
    await place.start()
    readers = {}
    for service in load.TABLES:
        key = await place.key(service, "root", "admin")
        readers[service] = Caller(place.stack.url(service), {"authorization": f"Bearer {key}"})
    rates = [await _rate(place, "0", seconds, at_once)]
    before = await _readings(place, readers, readings)
    place.say(f"{tickets:,} tickets: loading")
    began = time.perf_counter()
    for last, mark in pairwise(marks):
        await load.load(url, last + 1, mark - 1, tickets)
    await load.settled(url)
    place.details["loading_seconds"] = time.perf_counter() - began
    rates.append(await _rate(place, f"{tickets:,}", seconds, at_once))
    after = await _readings(place, readers, readings)
    place.details["p95_ms"] = {"0": before, f"{tickets:,}": after}
    empty, full = rates
    measures = [
        measured(f"whole lives, {tickets:,} stored", full[0], "lives/s", baseline=empty[0], least=0.9),
        measured("CPU of a life", full[1], "ms", baseline=empty[1], most=1.1),
    ]
    for kinds, what in ((LOOKUPS, "look-up"), (LISTS, "list")):
        measures += [measured(f"{what}, p95: {name}", after[name], "ms", most=MOST_MS) for name, _, _ in kinds]
    return measures


async def _rate(place: Place, name: str, seconds: float, at_once: int) -> tuple[float, float]:
    """Lives a second, CPU ms of one."""
    rate, cpu = await lifecycle.whole(place, seconds, at_once, f"lives, {name} stored")
    return rate, cpu


async def _readings(place: Place, readers: dict[str, Caller], count: int) -> dict[str, float]:
    """95th percentile of each kind of reading, ms."""
    ids = await load.sample(place.owner_database_url, count)
    found = {}
    for name, service, path in (*LOOKUPS, *LISTS):
        times = await _times(readers[service], [path(ids[number % len(ids)]) for number in range(count)])
        found[name] = statistics.quantiles(times, n=20)[18] * 1000
    return found


async def _times(reader: Caller, paths: list[str]) -> list[float]:
    left, times = list(paths), list[float]()

    async def lane() -> None:
        while left:
            path, began = left.pop(), time.perf_counter()
            status, body = await reader.ask("GET", path)
            if status != 200:
                raise RuntimeError(f"{path}: {status} {body.decode(errors='replace')}")
            times.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as lanes:
        for _ in range(AT_ONCE):
            lanes.create_task(lane())
    return times


def draw(axes: Any, measures: list[Measure], details: dict[str, Any]) -> None:
    """Each reading, empty and full, beside the limit."""
    (low, empty), (high, full) = details["p95_ms"].items()
    names = list(empty)[::-1]
    places = range(len(names))
    axes.barh([place + 0.2 for place in places], [empty[name] for name in names], 0.4, label=f"{low} stored")
    axes.barh([place - 0.2 for place in places], [full[name] for name in names], 0.4, label=f"{high} stored")
    axes.set_yticks(list(places), names)
    axes.axvline(MOST_MS, color="black", linewidth=1)
    axes.set_xlabel("p95, ms")
    axes.legend()
