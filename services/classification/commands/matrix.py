"""`zhida classification matrix …`."""

from typing import Any

import click

from libs.shared.db import Poison
from libs.shared.service import Running
from services.classification import registry, store
from services.classification.commands.run import by_option, matrix_of, reason_option, with_running
from services.classification.show import matrix_lines


@click.group()
def matrix() -> None:
    """The responsibility matrix: load, show, check, put in force again."""


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
        _, found = registry.read_pack(pack)
    except Poison as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"good: {next(matrix_lines(found, full=False))}")


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
