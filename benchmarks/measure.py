"""What a benchmark finds: values beside their baseline and their goal; as a table, as JSON and as a plot."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of a benchmark's table. Make it with `measured`, which works out `ratio`, `goal` and `met`."""

    measure: str
    value: float
    unit: str
    baseline: float | None = None  # of the same unit, from the same run
    ratio: float | None = None  # value ÷ baseline
    goal: str | None = None  # "≥ 0.80": of the ratio where there is a baseline, else of the value
    met: bool | None = None
    note: str = ""
    score: float | None = None  # share of the goal that was reached; 1 or more: met


def measured(
    measure: str,
    value: float,
    unit: str,
    *,
    baseline: float | None = None,
    least: float | None = None,
    most: float | None = None,
    note: str = "",
) -> Measure:
    """A measure. The goal, `least` or `most`, is one of the ratio where a baseline is given, else of the value."""
    ratio = None if baseline is None else value / baseline if baseline else float("inf") if value else 1.0
    judged = value if ratio is None else ratio
    if least is not None:
        score = judged / least if least else 1.0
        return Measure(measure, value, unit, baseline, ratio, f"≥ {least:g}", judged >= least, note, score)
    if most is not None:
        score = most / judged if judged else float("inf") if most else 1.0
        return Measure(measure, value, unit, baseline, ratio, f"≤ {most:g}", judged <= most, note, score)
    return Measure(measure, value, unit, baseline, ratio, note=note)


def table(title: str, measures: Sequence[Measure]) -> Table:
    """The measures as one table; what misses its goal is red."""
    shown = Table(title=escape(title), title_justify="left", header_style="bold")
    shown.add_column("measure", overflow="fold")
    for name in ("value", "baseline", "ratio", "goal"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("")
    for each in measures:
        mark = {True: "[green]met[/green]", False: "[red]missed[/red]", None: ""}[each.met]
        note = f"\n[dim]{escape(each.note)}[/dim]" if each.note else ""
        shown.add_row(
            escape(each.measure) + note,
            f"{number(each.value)} {each.unit}".rstrip(),
            "" if each.baseline is None else number(each.baseline),
            "" if each.ratio is None else f"{each.ratio:.3f}",
            each.goal or "",
            mark,
        )
    return shown


def number(value: float) -> str:
    """Three significant figures, whole numbers from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def save(
    folder: Path, name: str, title: str, *, measures: Sequence[Measure], machine: Mapping[str, Any], details: Any
) -> None:
    """Write `<name>.json`: the machine, the measures, and whatever else the benchmark wants to keep."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "name": name,
        "title": title,
        "machine": dict(machine),
        "measures": [
            {key: finite(value) for key, value in asdict(each).items() if key != "score"} for each in measures
        ],
        "details": details,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, default=str, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def plot(folder: Path, name: str, title: str, machine: Mapping[str, Any], draw: Any) -> None:
    """Write `<name>.png`; `draw(axes)` fills it."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.set_title(title, loc="left")
    figure.supxlabel(f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('commit')}", fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=120)


def bars(axes: Axes, measures: Sequence[Measure]) -> None:
    """How much of its goal each measure reached: a bar that crosses the line has met it."""
    judged = [each for each in measures if each.score is not None][::-1]
    shares = [min(each.score or 0.0, 3.0) for each in judged]
    colours = ["tab:green" if each.met else "tab:red" for each in judged]
    axes.barh([f"{each.measure}\n{each.goal}" for each in judged], shares, color=colours, height=0.6)
    for place, (each, share) in enumerate(zip(judged, shares, strict=True)):
        reached = f"{each.ratio:.2f}" if each.ratio is not None else f"{number(each.value)} {each.unit}"
        axes.text(share, place, f" {reached}", va="center", fontsize=9)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlim(0, max([1.2, *(share * 1.2 for share in shares)]))
    axes.set_xlabel("share of the goal (1: met; cut at 3)")


def show(console: Console, title: str, measures: Sequence[Measure], machine: Mapping[str, Any]) -> None:
    """Print the table with the machine named below it."""
    console.print(table(title, measures))
    words = ("cpu", "cores", "memory_gib", "system", "python", "kafka", "postgres", "durability", "commit")
    console.print(", ".join(f"{word} {machine[word]}" for word in words if word in machine), style="dim", markup=False)
