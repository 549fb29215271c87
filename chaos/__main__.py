"""`python -m chaos`: see docs/reliability.md. Exit code 0: lost 0, doubled 0, early 0; 1: a finding; 2: not played."""

import asyncio
import contextlib
import logging
import secrets
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop
from rich.console import Console

from chaos import report, schedule, stage
from chaos.disk import Disk
from chaos.member import MemberError
from chaos.play import Plan, PlayError, Run, play
from demo.api import ApiError
from deploy.local.backend import BackendError
from deploy.local.place import PROJECT, STATE, Place
from deploy.local.stack import StackError
from reconcile import Unseen

RESULTS = PROJECT / "chaos" / "results"


def _replicas(_: click.Context, __: click.Parameter, text: str) -> dict[str, int]:
    found = dict(stage.REPLICAS)
    for part in filter(None, text.split(",")):
        service, *rest = part.split("=")
        number = "".join(rest)
        if service not in found or number not in ("1", "2", "3"):
            raise click.BadParameter(f"{part}: expected SERVICE=1, 2 or 3, such as dispatch=2")
        found[service] = int(number)
    return found


@click.command(help=__doc__)
@click.option("--minutes", default=3.0, show_default=True, help="How long faults strike.")
@click.option("--tickets", type=click.IntRange(min=1), help="Instead: until so many tickets are in.")
@click.option("--rate", default=20.0, show_default=True, help="Tickets a second.")
@click.option("--seed", type=int, help="Draws the faults; the same seed, the same faults. Default: a new one.")
@click.option("--only", multiple=True, metavar="FAULT", help=f"Only these: {', '.join(sorted(schedule.kinds()))}.")
@click.option("--outage", type=float, metavar="SECONDS", help="Ends each round of faults with an outage so long.")
@click.option("--replicas", default="", callback=_replicas, help="Processes of services, such as intake=1,dispatch=3.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the run is written; default: chaos/results/….")
@click.option("--keep", is_flag=True, help="Keep the data and logs of the stores and services too.")
def main(
    *,
    minutes: float,
    tickets: int | None,
    rate: float,
    seed: int | None,
    only: tuple[str, ...],
    outage: float | None,
    replicas: dict[str, int],
    folder: Path | None,
    keep: bool,
) -> None:
    """Play a run and say how it went."""
    console = Console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its broker is away on purpose
    if wrong := sorted(set(only) - schedule.kinds()):
        raise click.BadParameter(f"no such fault: {', '.join(wrong)}", param_hint="--only")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    folder = (folder or RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-seed-{seed}").absolute()
    if folder.exists() and any(folder.iterdir()):
        raise click.BadParameter(f"{folder} is not empty", param_hint="--folder")
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(STATE / "chaos")
    if place.held():
        console.print(f"chaos: a run is under way in {place.folder}", markup=False)
        sys.exit(2)
    if "outage" in only and outage is None:
        outage = 60.0
    clear(place)
    place.make()
    plan = Plan(seed, minutes * 60, rate, place, folder, only, tickets, outage, replicas)
    console.print(f"chaos: seed {seed}, {rate:g} tickets a second; {folder}", markup=False, soft_wrap=True)
    try:
        run = uvloop.run(_interruptible(plan, console))
    except (PlayError, MemberError, ApiError, BackendError, StackError, Unseen) as error:
        console.print(f"chaos: {error}", markup=False, soft_wrap=True)
        console.print(f"chaos: the logs are kept in {place.folder / 'logs'}", markup=False, soft_wrap=True)
        sys.exit(2)
    except asyncio.CancelledError:
        console.print("chaos: interrupted; everything is stopped")
        sys.exit(130)
    report.write(run)
    report.show(run, console)
    if run.well and not keep:
        clear(place)
    elif not run.well:
        console.print(f"chaos: the logs are kept in {place.folder / 'logs'}", markup=False, soft_wrap=True)
    sys.exit(0 if run.well else 1)


async def _interruptible(plan: Plan, console: Console) -> Run:
    """SIGTERM and Ctrl-C stop everything in good order."""
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    return await play(plan, console)


def clear(place: Place) -> None:
    """Forget a run's data. Nothing of it may run any more."""
    Disk(place).unmount()
    place.delete()
    with contextlib.suppress(OSError):
        shutil.rmtree(place.folder)


if __name__ == "__main__":
    main(prog_name="python -m chaos")
