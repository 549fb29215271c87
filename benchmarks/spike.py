"""P9: storms. The rate leaps up and falls back, a minute each; nothing is lost and the backlog is gone soon after."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from matplotlib.axes import Axes

from benchmarks.measure import Measure, measured
from benchmarks.pipeline.course import Pipeline, zhida
from benchmarks.place import Options, Place
from deploy.local.environment import services

NAME = "spike"
TITLE = "P9: spikes of 10-150-10-250-20-350-100 tickets/s"
PATTERN = (10, 150, 10, 250, 20, 350, 100)  # tickets a second
USUAL = 10.0  # s of each step; the reference run takes 60
SMALL = 0.5  # s of the step's own tickets under way: the backlog counts as drained
LOOK = 0.1  # s


@dataclass
class Watch:
    """The backlog over time."""

    pipeline: Pipeline
    seen: list[tuple[float, int]] = field(default_factory=list)  # s since the beginning, tickets under way

    async def look(self) -> None:
        """Until cancelled."""
        began = asyncio.get_running_loop().time()
        while True:
            self.seen.append((round(asyncio.get_running_loop().time() - began, 1), self.pipeline.under_way))
            await asyncio.sleep(LOOK)

    def drained(self, begin: float, rate: float) -> float:
        """Seconds from that moment until no more than SMALL seconds of that rate were under way."""
        after = (at - begin for at, count in self.seen if at >= begin and count <= max(rate * SMALL, 1))
        return max(next(after, float("inf")), 0.0)


async def run(place: Place, options: Options) -> list[Measure]:
    """One step after the other, without a pause."""
    seconds = options.length(USUAL)
    async with zhida(place) as pipeline:
        await pipeline.open(3.0, 50)
        watch = Watch(pipeline)
        looking = asyncio.create_task(watch.look())
        ends: list[float] = []
        for rate in PATTERN:
            await pipeline.publisher.open(seconds, rate)
            ends.append(watch.seen[-1][0])
        last = await pipeline.drain()
        await asyncio.sleep(2 * LOOK)  # one more look
        looking.cancel()
        reckoning = await pipeline.reckon()
        failed = await failures(place)
    falls = [(ends[n - 1], rate) for n, rate in enumerate(PATTERN) if n and rate < PATTERN[n - 1]]
    drains = [watch.drained(begin, rate) for begin, rate in falls]
    place.details |= {"pattern": PATTERN, "seconds": seconds, "backlog": watch.seen, "ends": ends}
    return [
        measured("lost", reckoning.lost, "webhooks", most=0, note=f"of {reckoning.offered} tickets"),
        measured("doubled", reckoning.doubled + reckoning.copies, "webhooks", most=0),
        measured("events buried, attempts failed", failed, "", most=0),
        measured("backlog after each spike drained within", max(drains), "s", most=30),
        measured("backlog at the end drained within", last, "s", most=30),
        measured("largest backlog", max(count for _, count in watch.seen), "tickets"),
    ]


async def failures(place: Place) -> int:
    """Events that any service buried, and webhook attempts that did not succeed."""
    parts = [f"(SELECT count(*) FROM {name}.dead)" for name in services()]
    parts.append("(SELECT count(*) FROM dispatch.attempt WHERE status IS DISTINCT FROM 200)")
    database = await asyncpg.connect(place.owner_database_url, timeout=10)
    try:
        return int(await database.fetchval(f"SELECT {' + '.join(parts)}", timeout=60))
    finally:
        await database.close(timeout=5)


def draw(axes: Axes, measures: Sequence[Measure], details: dict[str, Any]) -> None:
    """The backlog, below the rate that makes it."""
    times = [at for at, _ in details["backlog"]]
    axes.plot(times, [count for _, count in details["backlog"]], label="tickets under way")
    begins = [0.0, *details["ends"][:-1]]
    axes.step([*begins, details["ends"][-1]], [*details["pattern"], details["pattern"][-1]], where="post",
              label="offered, tickets/s")  # fmt: skip
    axes.set_xlabel("s")
    axes.legend()
