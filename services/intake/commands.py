"""`zhida intake import | rejected | vault`."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import httpx
import uvloop
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from libs.shared.run import started
from libs.shared.service import Running
from libs.shared.settings import read
from services.intake import upload, vault
from services.intake.domain.columns import TARGETS, Columns, combine
from services.intake.settings import IntakeSettings
from services.intake.store import secret

REFUSED_ROWS, STOPPED, INTERRUPTED = 3, 1, 130  # exit codes
DEFAULT_URL = "http://127.0.0.1:8101"


@click.group()
def group() -> None:
    """Commands of intake alone."""


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", envvar="ZHIDA_INTAKE_URL", default=DEFAULT_URL, show_default=True, help="Where intake is.")
@click.option("--key", envvar="ZHIDA_INTAKE_KEY", help="API key with scope publish; better given as ZHIDA_INTAKE_KEY.")
@click.option("--channel", help="Channel of rows that name none.")
@click.option("--map", "maps", multiple=True, metavar="COLUMN=FIELD", help="A column's field; COLUMN= leaves it out.")
@click.option("--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A mapping in YAML.")
@click.option("--encoding", type=click.Choice(["utf-8", "gb18030"]), default="utf-8", show_default=True)
@click.option("--timezone", default="Asia/Shanghai", show_default=True, help="Of times without an offset.")
@click.option("--rejected", type=click.Path(dir_okay=False, path_type=Path), help="Default: FILE.rejected.csv, here.")
@click.option("--batch", type=click.IntRange(1, 500), default=500, show_default=True, help="Rows a request.")
@click.option("--check", is_flag=True, help="Only show which column is which field.")
def import_file(file: Path, **options: Any) -> None:
    """Hand in the rows of a CSV FILE as tickets.

    Run it again after an interruption: it goes on where it stopped, and a row is never taken twice. Exit code 0: every
    row is a ticket; 3: some rows were refused and stand in the file of rejected rows; 1: it could not go on.
    """
    console = Console(stderr=True)
    try:
        sheet = upload.look(file, options["encoding"])
        columns = _columns(sheet.header, options)
        _show(console, sheet, columns)
        if options["check"]:
            return
        if not options["key"]:
            raise click.UsageError("set ZHIDA_INTAKE_KEY to an API key with scope publish (zhida intake keys create)")
        rejected = options["rejected"] or Path(f"{file.name}.rejected.csv")
        tally = _send(console, sheet, columns, options, rejected)
    except upload.UploadError as error:
        console.print(f"stopped: {error}", style="red", highlight=False, soft_wrap=True)
        raise SystemExit(STOPPED) from None
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to go on", style="yellow")
        raise SystemExit(INTERRUPTED) from None
    click.echo(
        f"{tally.done} rows: {tally.created} new tickets, {tally.existing} were there already, {tally.refused} refused"
        + (f" (see {rejected})" if tally.refused else "")
    )
    if tally.refused:
        raise SystemExit(REFUSED_ROWS)


def _send(
    console: Console, sheet: upload.Sheet, columns: Columns, options: dict[str, Any], rejected: Path
) -> upload.Tally:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "zhida" / "imports"
    journal = upload.Journal(state, sheet.digest, repr(columns), options["url"], str(rejected.resolve()))
    earlier = journal.read()
    if earlier and earlier.done:
        console.print(f"going on after row {earlier.done}, where an earlier run stopped", highlight=False)
    headers = {"Authorization": f"Bearer {options['key']}"}
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        httpx.Client(base_url=options["url"], headers=headers, timeout=60) as client,
        Progress(*parts, console=console) as progress,
    ):
        task = progress.add_task("rows", total=sheet.count, completed=earlier.done if earlier else 0)

        def report(tally: upload.Tally) -> None:
            progress.update(task, completed=tally.done)

        return upload.send(sheet, columns, client, journal, rejected, batch=options["batch"], report=report)


def _columns(header: tuple[str, ...], options: dict[str, Any]) -> Columns:
    """What the options and the mapping file say about columns."""
    given: dict[str, Any] = {}
    if options["mapping"]:
        given = _mapping(options["mapping"])
    pairs = list(given.get("columns", {}).items())
    for word in options["maps"]:
        column, sign, name = word.rpartition("=")
        if not sign or not column:
            raise click.BadParameter(f"{word!r} is not COLUMN=FIELD", param_hint="--map")
        pairs.append((column, name))
    constants = dict(given.get("constants", {}))
    if options["channel"]:
        constants["channel"] = options["channel"]
    try:
        columns = Columns(
            combine(header, pairs),
            ZoneInfo(given.get("timezone", options["timezone"])),
            constants,
            given.get("values", {}),
        )
    except (ZoneInfoNotFoundError, ValueError) as error:
        message = f"there is no time zone {error}" if isinstance(error, ZoneInfoNotFoundError) else str(error)
        raise click.UsageError(message) from None
    missing = [name for name in ("channel", "text") if name not in constants and not columns.column_of(name)]
    if missing:
        hint = "--channel" if missing == ["channel"] else "--map COLUMN=text"
        raise click.UsageError(
            f"no column is {' and none is '.join(missing)}: say {hint} (columns: {', '.join(header)})"
        )
    return columns


def _mapping(path: Path) -> dict[str, Any]:
    """A mapping file: columns, constants, values, timezone."""

    def wrong(reason: str) -> NoReturn:
        raise click.BadParameter(f"{path}: {reason}", param_hint="--mapping")

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        wrong(str(error))
    if not isinstance(found, dict):
        wrong("must hold columns, constants, values or timezone")
    for name, value in found.items():
        if name not in ("columns", "constants", "values", "timezone"):
            wrong(f"{name}: is not known; columns, constants, values and timezone are")
        if name == "timezone":
            if not isinstance(value, str):
                wrong("timezone: must be a name such as Asia/Shanghai")
        elif not isinstance(value, dict):
            wrong(f"{name}: must be a table")
        elif name != "columns" and (unknown := [key for key in value if key not in TARGETS]):
            wrong(f"{name}.{unknown[0]}: there is no such field")
    found["columns"] = {str(column): str(name or "") for column, name in found.get("columns", {}).items()}
    found["values"] = {
        name: {str(written): meant for written, meant in table.items()}
        if isinstance(table, dict)
        else wrong(f"values.{name}: must be a table")
        for name, table in found.get("values", {}).items()
    }
    return found


def _show(console: Console, sheet: upload.Sheet, columns: Columns) -> None:
    table = Table("column", "field", title=f"{sheet.path.name}: {sheet.count} rows")
    for column in sheet.header:
        targets = [name for each, name in columns.pairs if each == column]
        table.add_row(column, ", ".join(targets) or "[dim]left out[/dim]")
    for name, value in columns.constants.items():
        table.add_row(f"[dim]always[/dim] {value}", name)
    console.print(table)


@group.group("rejected")
def rejected_group() -> None:
    """Records of the inbound topic that were refused."""


@rejected_group.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_rejected(limit: int) -> None:
    """List refused records, newest first, with what was wrong."""
    last = UUID(int=(1 << 128) - 1)
    for row in _with_running(lambda running: running.read(secret.REJECTIONS, before=last, limit=limit)):
        click.echo(f"{row.rejected_id}  {row.at:%Y-%m-%d %H:%M:%S}  {row.topic}/{row.partition}@{row.offset}  "
                   f"{row.reference}  {row.size} bytes  {row.errors}")  # fmt: skip


@rejected_group.command("show")
@click.argument("rejected_id", type=click.UUID)
@click.option("--as", "who", required=True, help="Who reads it, for the record.")
def show_rejected(rejected_id: UUID, who: str) -> None:
    """Print a refused record as it came; who reads it is recorded."""

    async def work(running: Running) -> bytes:
        async with running.transaction() as tx:
            rows = await tx.rows(secret.REJECTION, id=rejected_id)
            if not rows or not (sealed := secret.sealed(rows[0])):
                raise click.ClickException(f"there is no refused record {rejected_id}")
            await secret.audit(tx, rejected_id, who, "command line")
            found: bytes = running.resources.open(rejected_id, sealed)
            return found

    try:
        click.echo(_with_running(work), nl=False)
    except vault.VaultError as error:
        raise click.ClickException(str(error)) from None


@group.group("vault")
def vault_group() -> None:
    """Keys of the vault."""


@vault_group.command("key")
def make_key() -> None:
    """Print a new key, for ZHIDA_VAULT_KEY or a line of ZHIDA_VAULT_KEY_FILE."""
    click.echo(vault.new_key())


@vault_group.command("reseal")
def reseal() -> None:
    """Seal everything under the first key again, so that older keys can be removed."""

    async def work(running: Running) -> int:
        count = 0
        for table in ("vault", "rejected"):
            after = UUID(int=0), UUID(int=0)
            while True:
                async with running.transaction() as tx:
                    values = await secret.stale(tx, table, after, running.resources.current)
                    if not values:
                        break
                    fresh = {
                        place: running.resources.seal(place[1], running.resources.open(place[1], value))
                        for place, value in values
                    }
                    await secret.reseal(tx, table, fresh)
                after, count = values[-1][0], count + len(values)
        return count

    try:
        click.echo(f"sealed {_with_running(work)} values again")
    except vault.VaultError as error:
        raise click.ClickException(f"{error}; what was sealed again so far stays so") from None


def _with_running(work: Callable[[Running], Awaitable[Any]]) -> Any:
    from services.intake.main import service  # main loads the HTTP interface, which an import does without

    async def inside() -> Any:
        async with started(service, read(IntakeSettings)) as (running, _):
            return await work(running)

    return uvloop.run(inside())
