"""How a command gets at the service's database, and who is said to have given it."""

import getpass
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click
import uvloop

from libs.shared import run, telemetry
from libs.shared.db import Poison
from libs.shared.service import Running
from libs.shared.settings import read
from services.classification import labelled, packs, registry, store
from services.classification.domain.matrix import Matrix, MatrixError


def with_running(work: Callable[[Running], Awaitable[Any]]) -> Any:
    service = run.load("classification")
    settings = read(service.settings)

    async def inside() -> Any:
        async with run.started(service, settings) as (running, _):
            return await work(running)

    telemetry.start(settings, service.name)
    try:
        return uvloop.run(inside())
    except Poison as error:
        raise click.ClickException(str(error)) from None


def _user() -> str:
    return f"command line: {getpass.getuser()}"


by_option = click.option("--by", default=_user, help="Who does it; kept beside the change. Default: the user's name.")
reason_option = click.option("--reason", default="", help="Why; kept beside the change.")


def read_files(files: Sequence[Path], text_columns: str, **options: Any) -> labelled.Labelled:
    """The rows of CSV files, as `labelled.read` finds them; what was read is said on standard error."""
    names = [name.strip() for name in text_columns.split(",") if name.strip()]
    try:
        found = labelled.read(files, text_columns=names, **options)
    except labelled.FileError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(found.notes), err=True)
    return found


def write(path: Path, raw: dict[str, Any]) -> None:
    """A matrix's form into a file of its kind. Raises ClickException."""
    try:
        packs.write(path, raw)
    except MatrixError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None


async def matrix_of(running: Running, version: str | None = None) -> Matrix:
    """A matrix version, or the one in force. Raises Poison where there is none."""
    return await registry.matrix_of(running, version or (await store.registry.in_force(running)).get("matrix") or "")
