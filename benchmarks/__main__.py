"""`python -m benchmarks [NAME…]`: runs benchmarks one after the other, each on a Kafka and a Postgres of its own."""

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.console import Console

import benchmarks
from benchmarks import machine, measure, place
from benchmarks.measure import Measure
from benchmarks.place import Options
from deploy.local.backend import BackendError
from deploy.local.place import PROJECT
from deploy.local.stack import StackError

RESULTS = PROJECT / "benchmarks" / "results"
FRAME = {"__main__", "bare", "leash", "machine", "measure", "place"}


def names() -> list[str]:
    """Every benchmark there is: the modules of this package that are not the frame's own."""
    return sorted(each.name for each in pkgutil.iter_modules(benchmarks.__path__) if each.name not in FRAME)


def load(name: str) -> Any:
    """The benchmark's module: NAME, TITLE, `run(place, options)`, and perhaps `draw(axes, measures, details)`."""
    return importlib.import_module(f"benchmarks.{name}")


async def run(name: str, options: Options, folder: Path, results: Path, console: Console) -> Sequence[Measure]:
    """One benchmark from an empty place to its table, its JSON and its plot."""
    module = load(name)
    say = partial(console.print, style="dim", markup=False)
    async with place.opened(folder, say) as where:
        found = await machine.describe(where.owner_database_url)
        measures: Sequence[Measure] = await module.run(where, options)
        details = where.details
    measure.show(console, module.TITLE, measures, found)
    measure.save(results, module.NAME, module.TITLE, measures=measures, machine=found, details=details)
    own = getattr(module, "draw", None)
    draw = partial(measure.bars, measures=measures)
    if own:
        draw = partial(own, measures=measures, details=details)
    measure.plot(results, module.NAME, module.TITLE, found, draw)
    console.print(f"{results / module.NAME}.json and .png", style="dim", markup=False, soft_wrap=True)
    return measures


@click.command()
@click.argument("wanted", nargs=-1, metavar="[NAME]...")
@click.option("--seconds", type=click.FloatRange(0.1), help="Length of each measured part.")
@click.option("--set", "own", multiple=True, metavar="NAME=VALUE", help="An option of the benchmark's own.")
@click.option("--place", "folder", type=click.Path(path_type=Path), default=place.BENCH, help="Folder for its data.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder for the JSON and the plots.")
@click.option("--list", "listing", is_flag=True, help="Name the benchmarks and end.")
def main(
    *, wanted: tuple[str, ...], seconds: float | None, own: tuple[str, ...], folder: Path, results: Path, listing: bool
) -> None:
    """Measure Zhida beside bare baselines on real Kafka and Postgres; all benchmarks, unless some are named."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if listing:
        for name in names():
            console.print(f"{name:<14} {load(name).TITLE}", markup=False)
        return
    if unknown := set(wanted) - set(names()):
        raise click.UsageError(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if any("=" not in each for each in own):
        raise click.UsageError("--set takes NAME=VALUE")
    options = Options(seconds, {name: value for name, _, value in (each.partition("=") for each in own)})
    missed = 0
    try:
        for name in wanted or names():
            measures = uvloop.run(run(name, options, folder, results, console))
            missed += sum(each.met is False for each in measures)
    except (BackendError, StackError) as error:
        console.print(f"bench: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("bench: stopped; nothing of it runs any more", markup=False)
        sys.exit(130)
    if missed:
        console.print(f"bench: {missed} goals missed", markup=False)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
