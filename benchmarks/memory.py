"""P10: how much memory each service holds after a while under a steady load, and whether that still grows."""

import asyncio
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from benchmarks.measure import Measure, measured
from benchmarks.pipeline.course import zhida
from benchmarks.place import Options, Place
from deploy.local.environment import services

NAME = "memory"
TITLE = "P10: resident memory of each service over a soak"
USUAL = 60.0  # s; the reference run takes 1,800
RATE = 200  # tickets a second
LOOKS = 120
MOST = {"classification": 350.0}  # MB; the others 150
WARM = 0.2  # share of the soak in which a service may still grow: pools, caches, statements


async def run(place: Place, options: Options) -> list[Measure]:
    """A steady load, and a look at every process now and then."""
    seconds = options.length(USUAL)
    rate = options.number("rate", RATE)
    seen: list[tuple[float, dict[str, float]]] = []
    async with zhida(place) as pipeline:
        await pipeline.open(5.0, rate)
        publishing = asyncio.create_task(pipeline.open(seconds, rate))
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not publishing.done():
            resident = {name: size / 1e6 for name, size in place.memory().items()}
            seen.append((round(loop.time() - began, 1), {name: round(mb, 1) for name, mb in resident.items()}))
            await asyncio.wait({publishing}, timeout=max(seconds / LOOKS, 0.5))
        part = await publishing
        reckoning = await pipeline.reckon()
    place.details |= {"rate": rate, "seconds": seconds, "resident_mb": seen}
    found = []
    for name in services():
        sizes = [mb[name] for _, mb in seen]
        warm = sizes[int(len(sizes) * WARM) :]
        before, after = typical(warm[: len(warm) // 4 + 1]), typical(warm[-(len(warm) // 4 + 1) :])
        found.append(measured(f"{name}, at most", max(sizes), "MB", most=MOST.get(name, 150.0)))
        found.append(measured(f"{name}, last quarter ÷ first", after, "MB", baseline=before, most=1.05))
    rate_held = measured("tickets, steady", part.rate, "/s", note=f"{reckoning.lost} webhooks lost")
    return [*found, rate_held]


def typical(values: Sequence[float]) -> float:
    """Their median."""
    return sorted(values)[len(values) // 2]


def draw(axes: Axes, measures: Sequence[Measure], details: dict[str, Any]) -> None:
    """Resident size over time."""
    times = [at for at, _ in details["resident_mb"]]
    for name in services():
        axes.plot(times, [mb[name] for _, mb in details["resident_mb"]], label=name)
    axes.set_xlabel("s")
    axes.set_ylabel("MB")
    axes.set_ylim(0)
    axes.legend()
