"""`zhida classification matrix …`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from libs.shared.db import Poison
from libs.shared.service import Running
from services.classification import packs, registry, store
from services.classification.commands.run import by_option, matrix_of, reason_option, with_running
from services.classification.domain import sheet, skeleton
from services.classification.domain.matrix import MatrixError
from services.classification.domain.pack import form, write
from services.classification.show import matrix_lines


@click.group()
def matrix() -> None:
    """The responsibility matrix: begin, check, load, show, export, put in force again."""


@matrix.command("load")
@click.argument("pack", metavar="NAME|FILE")
@by_option
@reason_option
def load_matrix(pack: str, by: str, reason: str) -> None:
    """Put a pack in force: one that comes with Zhida, by name, or a file."""
    version = with_running(lambda running: registry.load_matrix(running, pack, by=by, reason=reason))
    click.echo(f"in force: {version}")


@matrix.command("check")
@click.argument("pack", metavar="NAME|FILE")
def check_matrix(pack: str) -> None:
    """Say everything that is wrong with a pack; changes nothing."""
    try:
        found = registry.read_pack(pack)
    except Poison as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"good: {next(matrix_lines(found, full=False))}")


@matrix.command("export")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--version", help="Default: the one in force.")
@click.option("--pack", metavar="NAME|FILE", help="Instead: this pack, without a database.")
def export_matrix(path: Path, version: str | None, pack: str | None) -> None:
    """Write a matrix as YAML, or as a workbook where FILE ends in .xlsx; `load` takes either back as it was."""
    try:
        found = registry.read_pack(pack) if pack else with_running(lambda running: matrix_of(running, version))
    except Poison as error:
        raise click.ClickException(str(error)) from None
    _write(path, form(found))
    click.echo(f"{path}: {next(matrix_lines(found, full=False))}")


@matrix.command("new")
@click.argument("categories", metavar="LIST.csv", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", required=True, help="Of the pack: small letters, digits and _.")
@click.option("--title", required=True, help="Of the pack, for people.")
@click.option("--lead", required=True, help="Name of the department that leads every category to begin with.")
@click.option("--executing", required=True, help="Name of the one that executes.")
@click.option("--supervisor", required=True, help="Name of who is told when a ticket is late.")
def new_matrix(categories: Path, path: Path, **start: str) -> None:
    """Begin a pack from any three-level list: a CSV file whose last three columns are the levels.

    Each category has one situation with its own name for a signal phrase. What is still to be done is printed; edit
    FILE (YAML, or a workbook where it ends in .xlsx), then `check` and `load` it.
    """
    if path.exists():
        raise click.ClickException(f"{path} exists already")
    try:
        raw = skeleton.form(skeleton.read(categories.read_bytes()), skeleton.Start(**start))
    except OSError as error:
        raise click.ClickException(f"{categories}: {error.strerror}") from None
    except MatrixError as error:
        raise click.ClickException("\n  ".join([f"{categories} cannot be used:", *map(str, error.problems)])) from None
    _write(path, raw)
    click.echo(f"{path}: {sum(1 for _ in _situations(raw))} categories")
    try:
        packs.read(str(path))
    except MatrixError as error:
        click.echo("\n  ".join(["still to be done before it can be loaded:", *map(str, error.problems)]))


def _situations(raw: dict[str, Any]) -> Iterator[Any]:
    for each_class in raw["classes"]:
        for group in each_class["groups"]:
            yield from group["categories"]


def _write(path: Path, raw: dict[str, Any]) -> None:
    """A form into a file of its kind. Raises ClickException."""
    try:
        data = sheet.write(raw) if path.suffix.lower() == ".xlsx" else write(raw).encode()
        path.write_bytes(data)
    except MatrixError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None


@matrix.command("show")
@click.option("--full", is_flag=True, help="Every situation with who leads and who executes.")
@click.option("--version", help="Default: the one in force.")
def show_matrix(full: bool, version: str | None) -> None:
    """Print a matrix."""
    click.echo("\n".join(matrix_lines(with_running(lambda running: matrix_of(running, version)), full)))


@matrix.command("list")
def list_matrices() -> None:
    """List matrix versions, and who put which in force when."""

    async def found(running: Running) -> Any:
        return await store.registry.matrices(running), await store.registry.history(running, "matrix")

    versions, history = with_running(found)
    for row in versions:
        click.echo(
            f"{row.version}  {row.situations} situations  loaded {row.loaded_at:%Y-%m-%d %H:%M} by {row.loaded_by}"
        )
    for row in history:
        click.echo(f"  {row.at:%Y-%m-%d %H:%M:%S}  {row.version} in force, by {row.by}  {row.reason}")


@matrix.command("activate")
@click.argument("version")
@by_option
@reason_option
def activate_matrix(version: str, by: str, reason: str) -> None:
    """Put a version that was loaded before in force again."""
    with_running(lambda running: registry.activate_matrix(running, version, by=by, reason=reason))
    click.echo(f"in force: {version}")
