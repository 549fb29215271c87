"""P2 and P3: the whole pipeline on one machine, from the inbound topic to the departments' webhooks, beside a bare one.

Tickets come as a storm brings them: batches on the inbound topic. The highest rate is sought with a bounded number of
tickets under way, then held open-loop: it counts only if the backlog does not grow. Time counts from the moment a
record is handed to Kafka until the last of the ticket's departments has its webhook. Publisher and receivers run in
this process, on the same cores as everything else.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from matplotlib.axes import Axes

from benchmarks.measure import Measure, measured
from benchmarks.pipeline.course import Part, Pipeline, Reckoning, bare, zhida
from benchmarks.place import Options, Place

NAME = "pipeline"
TITLE = "P2, P3: the whole pipeline, tickets in to webhooks out, beside a bare one of the same hops"
USUAL = 10.0  # s of each part; the reference run takes 300
WARM = 5.0  # s
SEEK, BESIDE = 20.0, 60.0  # s at most of a part that seeks a rate, and of one beside the held rate
STEP = 0.95  # the next rate to try where one could not be held
TRIES = 12
SLACK = 1.0  # s of tickets that may be under way when a held rate ends


async def run(place: Place, options: Options) -> list[Measure]:
    """Zhida first, then the bare programs on the same stores."""
    seconds = options.length(USUAL)
    beside = min(seconds, BESIDE)
    async with zhida(place) as pipeline:
        place.say("Zhida: the highest rate, held; then half of it, then twice")
        ours, held, tried = await highest(pipeline, seconds)
        half = await pipeline.open(beside, ours / 2, warm=min(WARM, seconds))
        over = await pipeline.open(beside, 2 * ours, warm=min(WARM, seconds))
        reckoning = await pipeline.reckon()
        place.details["zhida"] = _details(held, tried, over, half, reckoning)
    rates: dict[bool, float] = {}
    for model in (True, False):
        async with bare(place, model=model) as pipeline:
            place.say(f"The bare pipeline {'reading each text with the same matrix' if model else 'without a model'}")
            rates[model], bare_held, bare_tried = await highest(pipeline, beside)
            bare_half = await pipeline.open(beside, rates[model] / 2, warm=min(WARM, seconds))
            found = await pipeline.reckon()
            place.details["bare" if model else "bare_without_model"] = _details(
                bare_held, bare_tried, None, bare_half, found
            )
    p50, p99 = percentiles(reckoning, half)
    place.details["cumulative"] = cumulative(reckoning, half)
    return [
        measured("tickets, held", ours, "/s", least=800, note=f"{pipeline.webhooks_each:.2f} webhooks a ticket"),
        measured("tickets, held ÷ bare", ours, "/s", baseline=rates[True], least=0.65),
        measured("tickets, held ÷ bare without a model", ours, "/s", baseline=rates[False]),
        measured("goodput at twice that rate", over.rate, "/s", baseline=ours, least=0.9),
        measured("accepted → webhook at half, p50", p50 * 1000, "ms"),
        measured("accepted → webhook at half, p99", p99 * 1000, "ms", most=500),
        measured("CPU a ticket", held.cpu_ms["all"], "ms", baseline=place.details["bare"]["held"]["cpu_ms"]["all"]),
        measured("lost", reckoning.lost, "webhooks", most=0, note=f"of {reckoning.offered} tickets"),
        measured("doubled", reckoning.doubled, "webhooks", most=0),
    ]


async def highest(pipeline: Pipeline, seconds: float) -> tuple[float, Part, list[dict[str, float]]]:
    """The highest rate that is held so long, the part in which it was, and what was tried on the way."""
    warm = min(WARM, seconds)
    rate, tried = (await pipeline.closed(min(seconds, SEEK), warm=warm)).rate, []
    lengths = [SEEK, seconds] if seconds > SEEK else [seconds]  # what a short part cannot hold a long one cannot
    for left in reversed(range(TRIES)):
        held = await pipeline.open(lengths[0], rate, warm=warm)
        tried.append({"rate": rate, "s": lengths[0], "reached": held.rate, "left": held.left, "drained": held.drained})
        if held.left > rate * SLACK:
            rate *= STEP if left else 1
        elif len(lengths) == 1:
            break
        else:
            lengths.pop(0)
    return min(held.rate, rate), held, tried


def percentiles(reckoning: Reckoning, part: Part) -> tuple[float, float]:
    """p50 and p99 of a part's tickets, in seconds (nearest rank)."""
    times = sorted(reckoning.seconds[n] for n in range(part.first, part.last) if n in reckoning.seconds)
    return times[(len(times) - 1) // 2], times[max(-(-len(times) * 99 // 100) - 1, 0)]


def cumulative(reckoning: Reckoning, part: Part) -> list[float]:
    """The 1st to 100th percentile of a part's times, in milliseconds."""
    times = sorted(reckoning.seconds[n] for n in range(part.first, part.last) if n in reckoning.seconds)
    return [round(times[max(len(times) * share // 100 - 1, 0)] * 1000, 1) for share in range(1, 101)]


def _details(
    held: Part, tried: list[dict[str, float]], over: Part | None, half: Part, reckoning: Reckoning
) -> dict[str, Any]:
    p50, p99 = percentiles(reckoning, half)
    return {
        "held": asdict(held),
        "tried": tried,
        "twice": asdict(over) if over else None,
        "half": {**asdict(half), "p50_ms": round(p50 * 1000, 1), "p99_ms": round(p99 * 1000, 1)},
        "offered": reckoning.offered,
        "lost": reckoning.lost,
        "doubled": reckoning.doubled,
        "copies": reckoning.copies,
    }


def draw(axes: Axes, measures: Sequence[Measure], details: dict[str, Any]) -> None:
    """Where a ticket's CPU goes, program by program, Zhida beside the bare pipeline."""
    kinds = ("zhida", "bare", "bare_without_model")
    names = sorted({name for kind in kinds for name in details[kind]["held"]["cpu_ms"] if name != "all"})
    left = [0.0] * len(kinds)
    for name in names:
        widths = [details[kind]["held"]["cpu_ms"].get(name, 0.0) for kind in kinds]
        axes.barh(range(len(kinds)), widths, left=left, label=name)
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    labels = [f"{kind.replace('_', ' ')}\n{details[kind]['held']['rate']:,.0f} tickets/s" for kind in kinds]
    axes.set_yticks(range(len(kinds)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("CPU ms a ticket")
    axes.legend(fontsize=8, ncols=2)
