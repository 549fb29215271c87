"""`python -m demo`: the whole flow on a real Kafka and a real Postgres, from published tickets to agents' screens.

Exit code 0 only if the reconciliation balances.
"""

import sys
import time
from pathlib import Path

import click
from rich.console import Console

from demo import play, source
from demo.api import ApiError
from demo.source import SourceError
from deploy.local.backend import BackendError
from deploy.local.place import STATE, Place
from deploy.local.stack import StackError

OWN = Path(__file__).parent / "tickets.csv"


@click.command()
@click.option(
    "--tickets", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=OWN, help="A CSV file."
)
@click.option(
    "--pack", default="power_95598", show_default=True, help="Responsibility matrix: a pack's name or a file."
)
@click.option("--limit", type=click.IntRange(1), help="Only the first so many tickets.")
@click.option("--rate", type=click.FloatRange(1), default=12.0, show_default=True, help="Records published a second.")
@click.option("--lines", type=click.IntRange(1), default=200, show_default=True, help="Most tickets open at a time.")
@click.option("--keep", is_flag=True, help="Leave everything running afterwards, until Ctrl-C.")
@click.option("--place", type=click.Path(path_type=Path), default=STATE / "demo", help="Folder for its data and logs.")
@click.option("--seed", type=int, default=20261122, help="Draws what departments and agents do.")
def main(
    *, tickets: Path, pack: str, limit: int | None, rate: float, lines: int, keep: bool, place: Path, seed: int
) -> None:
    """Carry tickets from a call centre to their departments and back, and prove that none was lost or doubled."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    began = time.monotonic()
    try:
        found = source.read(tickets, limit)
        pack = str(Path(pack).absolute()) if Path(pack).is_file() else pack
        plan = play.Plan(found, pack, rate, lines, keep, Place(place), seed)
        balanced = play.play(plan, console)
    except (SourceError, BackendError, StackError, ApiError, play.PlayError) as error:
        console.print(f"demo: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("demo: stopped; nothing of it runs any more", markup=False)
        sys.exit(130)
    console.print(f"demo: {time.monotonic() - began:.0f} s in all", markup=False)
    sys.exit(0 if balanced else 1)


if __name__ == "__main__":
    main(prog_name="python -m demo")
