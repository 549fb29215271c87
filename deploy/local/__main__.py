"""`python -m deploy.local up|down|status|logs|reconcile|reset`: what `make up` and its like call."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from deploy.local import access, backend, environment, stack
from deploy.local.place import STATE, Place
from deploy.local.supervise import STORES, ProgramError, Programs

LINES = 100  # of each log that `logs` shows


@click.group(help=__doc__)
def cli() -> None:
    pass


@cli.command()
def up() -> None:
    """Start Kafka, Postgres and every service, and leave them running."""
    place = Place(STATE)
    fresh_start = not place.holder("supervisor")
    try:
        running = stack.kept(place, {}, say=_say)
        file = access.grant(running)
    except (backend.BackendError, stack.StackError) as error:
        _fail(error)
    except KeyboardInterrupt:
        if fresh_start:
            _say("interrupted: stopping what was started")
            Programs(place).shutdown()
        sys.exit(130)
    _show(running)
    Console(soft_wrap=True).print(f"for your shell:     . {_shown(file)}   then e.g. curl $INTAKE_URL/readyz")
    _say("it keeps running: `make status`, `make logs SERVICE=intake`, `make down`; the data stay until `make reset`")


@cli.command()
def down() -> None:
    """Stop everything that `up` started; the data stay."""
    place = Place(STATE)
    if not place.held():
        _say("nothing is running")
        return
    try:
        Programs(place).shutdown()
    except ProgramError as error:
        _fail(error)
    _say("stopped; the data are kept in .local")


@cli.command()
def status() -> None:
    """Show what runs; the exit code is 0 when everything does, 3 when something does not."""
    running = stack.joined(Place(STATE), _say)
    if running is None:
        _say("nothing is running (`make up` starts it)")
        sys.exit(3)
    sys.exit(0 if _show(running) else 3)


@cli.command()
@click.argument("names", nargs=-1)
def logs(names: tuple[str, ...]) -> None:
    """Show the end of the logs (all, or the named programs'), and follow them on a terminal."""
    place = Place(STATE)
    found = sorted(path.stem for path in (place.folder / "logs").glob("*.log"))
    if missing := [name for name in names if name not in found]:
        _fail(f"no log of {', '.join(missing)}; there are: {', '.join(found) or 'none (nothing ran yet)'}")
    files = [str(place.log(name)) for name in names or found]
    if not files:
        _fail("no logs: nothing ran yet")
    follow = ["-F"] if sys.stdout.isatty() else []
    os.execvp("tail", ["tail", "-n", str(LINES), *follow, *files])


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def reconcile(options: tuple[str, ...]) -> None:
    """Run `zhida reconcile` on what runs here; its options and exit codes."""
    running = stack.joined(Place(STATE), _say)
    if running is None:
        _say("nothing is running (`make up` starts it)")
        sys.exit(2)
    surroundings = environment.of(running.place, environment.services()[0], owner=True)
    os.execve(sys.executable, [sys.executable, "-m", "reconcile", *options], surroundings)


@cli.command()
def reset() -> None:
    """Stop everything and delete all local data: topics, tables, secrets, logs."""
    for place in _places():
        if place.held():
            _say(f"stopping what runs from {_shown(place.folder)}")
            Programs(place).shutdown()
    for place in reversed(_places()):
        place.delete()
    _say("all local data are deleted")


def _places() -> list[Place]:
    """The place of `up` and those below it (demo, tests), the outermost first."""
    locks = [path for path in (STATE, *sorted(STATE.rglob("*"))) if path.is_dir() and (path / "locks").is_dir()]
    return [Place(path) for path in locks] or [Place(STATE)]


def _show(running: stack.Stack) -> bool:
    """Print the table of what runs; whether all of it does."""
    table = Table("program", "state", "pid", "address", box=None, pad_edge=False)
    well = True
    wanted = [*(STORES if running.backend.kind == "local" else ()), *environment.services()]
    for status in running.programs.statuses():
        if not status.pid and status.name not in wanted:
            continue
        service, _, number = status.name.partition("-")
        state = status.state
        if status.name in STORES:
            address = running.backend.kafka_bootstrap_servers if status.name == "kafka" else _hidden(running)
        else:
            address = running.url(service, int(number or 1))
            if state == "RUNNING":
                state = "ready" if running.is_ready(service, int(number or 1)) else "running, not ready"
        well = well and state in ("RUNNING", "ready")
        table.add_row(status.name, state.lower(), str(status.pid or "-"), address)
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"passwords and keys: {_shown(running.place.folder / 'secrets')} (one file each, yours alone)")
    console.print(f"logs:               {_shown(running.place.folder / 'logs')}")
    return well


def _hidden(running: stack.Stack) -> str:
    """The owner's database address without its password."""
    user, _, host = running.backend.owner_database_url.removeprefix("postgresql://").partition("@")
    return f"postgresql://{user.partition(':')[0]}@{host}"


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _say(text: object) -> None:
    click.echo(f"zhida: {text}")


def _fail(text: object) -> None:
    click.echo(f"zhida: {text}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    cli(prog_name="python -m deploy.local")
