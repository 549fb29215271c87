"""What a run leaves: run.json for programs, report.md for people, and the last lines on the terminal."""

import json
import platform
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.console import Console

from chaos.fault import Outcome
from chaos.play import Run
from reconcile import report as oracle


def machine() -> str:
    """What it ran on, in a few words."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.machine()}, {psutil.cpu_count()} CPUs, {memory:.0f} GB, {platform.system()} {platform.release()}"


def write(run: Run) -> None:
    """run.json, report.md, and findings.txt where there are any."""
    folder = run.plan.folder
    (folder / "run.json").write_text(json.dumps(plain(run), indent=1, ensure_ascii=False, default=str) + "\n")
    (folder / "report.md").write_text(markdown(run), encoding="utf-8")


def show(run: Run, console: Console) -> None:
    """The oracle's checks, the services' books, the recoveries and the verdict."""
    oracle.show(console, run.report, run.plan.folder / "findings.txt")
    oracle.books(console, run.report)
    console.print()
    for line in (*_recovery(run.outcomes), "", *_verdict(run)):
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    console.print(f"\nchaos: all of it: {run.plan.folder / 'report.md'}", markup=False, soft_wrap=True)


def plain(run: Run) -> Mapping[str, Any]:
    """The run as JSON-able values."""
    return {
        "seed": run.plan.seed,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "rate": run.plan.rate,
        "seconds": run.plan.seconds,
        "only": list(run.plan.only),
        "replicas": dict(run.plan.replicas),
        "well": run.well,
        "tickets": run.counts["tickets"],
        "loaded_seconds": round(run.loaded, 1),
        "drained_seconds": run.drained and round(run.drained, 1),
        "left": dict(run.left),
        "deaths": run.deaths,
        "redirects_followed": run.followed,
        "counts": dict(run.counts),
        "faults": [
            {
                "at": round(each.at, 2),
                "kind": each.strike.kind,
                "target": each.strike.target,
                "detail": each.strike.detail,
                "seconds": round(each.strike.seconds, 2),
                "recovery_seconds": each.recovery and round(each.recovery, 3),
                "limit_seconds": each.limit,
                "late": each.late,
                "skipped": each.skipped,
                "note": each.note,
            }
            for each in run.outcomes
        ],
        "oracle": oracle.plain(run.report),
    }


def markdown(run: Run) -> str:
    """The same for people."""
    plan, made = run.plan, [each for each in run.outcomes if not each.skipped]
    lines = [
        f"# Chaos, seed {plan.seed}",
        "",
        f"{run.counts['tickets']:,} tickets at {plan.rate:g} a second, {len(made)} faults of"
        f" {len({each.strike.kind for each in made})} kinds in {run.loaded:,.0f} s; at rest after another"
        f" {'—' if run.drained is None else f'{run.drained:.0f}'} s. {machine()}, {datetime.now(UTC):%Y-%m-%d}.",
        "",
        *(f"**{line}**" if line else "" for line in _verdict(run)),
        "",
        "## Recovery",
        "",
        *_recovery(run.outcomes),
        "",
        "## Checks",
        "",
        *(f"- {f'{each.count} findings' if each.count else 'ok'}: {each.check.name}" for each in run.report.results),
        "",
        "## Faults",
        "",
        "| at, s | fault | back after, s | limit, s | |",
        "|---:|---|---:|---:|---|",
    ]  # fmt: skip
    for each in run.outcomes:
        back = "" if each.recovery is None else f"{each.recovery:.2f}"
        limit = "" if each.limit is None else f"{each.limit:g}"
        note = " ".join(filter(None, ("skipped:" if each.skipped else "late:" if each.late else "", each.note)))
        lines.append(f"| {each.at:.1f} | {each.strike.title} | {back} | {limit} | {note} |")
    return "\n".join(lines) + "\n"


def _recovery(outcomes: Sequence[Outcome]) -> list[str]:
    """A table of kinds: how many, skipped, and how long until all went on."""
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for each in outcomes:
        kinds[each.strike.kind].append(each)
    lines = [
        "| fault | struck | skipped | back after: median | slowest | limit | late |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, found in sorted(kinds.items()):
        times = [each.recovery for each in found if each.recovery is not None and not each.skipped]
        limits = {each.limit for each in found if each.limit is not None}
        lines.append(
            f"| {kind} | {sum(not each.skipped for each in found)} | {sum(each.skipped for each in found)}"
            f" | {f'{statistics.median(times):.2f} s' if times else ''} | {f'{max(times):.2f} s' if times else ''}"
            f" | {f'{max(limits):g} s' if limits else ''} | {sum(each.late for each in found) if limits else ''} |"
        )
    reasons = sorted({f"- skipped: {each.strike.kind}: {each.note}" for each in outcomes if each.skipped})
    return [*lines, *(["", *reasons] if reasons else [])]


def _verdict(run: Run) -> list[str]:
    lines = []
    if run.well:
        lines.append(f"Seed {run.plan.seed}: lost 0, doubled 0, early 0.")
    else:
        lines.append(f"Seed {run.plan.seed}: something is wrong. {sum(run.report.failed.values())} findings.")
        lines += [f"{count} × not so: {name}" for name, count in run.report.failed.items()]
    if run.drained is None:
        lines.append(f"It did not come to rest; still to be done: {dict(run.left)}")
    lines += [f"A process ended by itself: {each}" for each in run.deaths]
    if run.followed:
        lines.append(f"{run.followed} redirects of receivers were followed")
    late = [each for each in run.outcomes if each.late]
    if late:
        lines.append(f"{len(late)} recoveries took longer than they may.")
    return lines
