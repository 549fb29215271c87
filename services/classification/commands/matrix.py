"""`zhida classification matrix …`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from libs.shared.db import Poison
from libs.shared.keep import first_id
from libs.shared.service import Running
from services.classification import packs, registry, replay, store
from services.classification.commands import draft as draft_commands
from services.classification.commands import history
from services.classification.commands.run import (
    by_option,
    matrix_of,
    read_files,
    reason_option,
    with_running,
    write,
)
from services.classification.current import NotLoaded, classifier_of, current
from services.classification.domain import skeleton
from services.classification.domain.claim import heard
from services.classification.domain.classifier import Classifier
from services.classification.domain.matrix import Matrix, MatrixError
from services.classification.domain.pack import form
from services.classification.domain.text import Reading
from services.classification.domain.what_if import Outcome
from services.classification.show import heard_lines, matrix_lines, outcome_lines


def _files(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--text-columns", default="", help="Of the files: one column, or title and text: title,body."),
        click.option(
            "--tickets", "files", multiple=True, type=click.Path(path_type=Path), help="Tickets of a CSV file."
        ),
    ):
        command = option(command)
    return command


@click.group()
def matrix() -> None:
    """The responsibility matrix: begin, validate, what-if, draft, load, show, export, put in force again."""


for command in (draft_commands.group, history.settled_history):
    matrix.add_command(command)


@matrix.command("load")
@click.argument("pack", metavar="NAME|FILE")
@by_option
@reason_option
def load_matrix(pack: str, by: str, reason: str) -> None:
    """Put a pack in force: one that comes with Zhida, by name, or a file."""
    version = with_running(lambda running: registry.load_matrix(running, pack, by=by, reason=reason))
    click.echo(f"in force: {version}")


@matrix.command("validate")
@click.argument("pack", metavar="NAME|FILE")
@_files
def validate_matrix(pack: str, files: tuple[Path, ...], text_columns: str) -> None:
    """Say everything that is wrong with a pack, by the line or cell of its file; with --tickets also which situations
    claim the same tickets, which take the most and which none. Changes nothing. (`check` is the same.)
    """
    try:
        found = registry.read_pack(pack)
        named = _named(files, text_columns) if files else []
    except Poison as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"good: {next(matrix_lines(found, full=False))}")
    if named:
        with Progress(console=Console(stderr=True)) as progress:
            readings = ((name, Reading.of(each["title"], each["text"])) for name, each in progress.track(named))
            said = heard(found, readings)
        click.echo("\n".join(heard_lines(said)))


matrix.add_command(validate_matrix, "check")


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
    write(path, form(found))
    click.echo(f"{path}: {next(matrix_lines(found, full=False))}")


@matrix.command("new")
@click.argument("categories", metavar="LIST.csv", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", required=True, help="Of the pack: small letters, digits and _.")
@click.option("--title", required=True, help="Of the pack, for people.")
@click.option("--lead", required=True, help="Name of the department that leads every category to begin with.")
@click.option("--executing", required=True, help="Name of the one that executes.")
@click.option("--supervisor", required=True, help="Name of who is told when a ticket is late.")
@click.option("--post", default="值班员", show_default=True, help="Duty post of both departments.")
def new_matrix(categories: Path, path: Path, **start: str) -> None:
    """Begin a pack from any three-level list: a CSV file whose last three columns are the levels.

    Each category has one situation with its own name for a signal phrase. What is still to be done is printed; edit
    FILE (YAML, or a workbook where it ends in .xlsx), then `validate` and `load` it.
    """
    if path.exists():
        raise click.ClickException(f"{path} exists already")
    try:
        listed = skeleton.read(categories.read_bytes())
        raw = skeleton.form(listed, skeleton.Start(**start))
    except OSError as error:
        raise click.ClickException(f"{categories}: {error.strerror}") from None
    except MatrixError as error:
        raise click.ClickException("\n  ".join([f"{categories} cannot be used:", *map(str, error.problems)])) from None
    write(path, raw)
    click.echo(f"{path}: {len(listed)} categories")
    try:
        packs.read(str(path))
    except MatrixError as error:
        click.echo("\n  ".join(["still to be done before it can be loaded:", *map(str, error.problems)]))


@matrix.command("what-if")
@click.argument("draft", metavar="NAME|FILE")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 400), help="Tickets of how many days.")
@_files
@click.option("--against", metavar="NAME|FILE", help="Instead of the matrix and model in force; needs --tickets.")
@click.option("--json", "as_json", is_flag=True, help="The whole outcome as JSON on standard output.")
def what_if(
    draft: str, *, days: int, files: tuple[Path, ...], text_columns: str, against: str | None, as_json: bool
) -> None:
    """Say what would have been otherwise, had DRAFT been in force: tickets that would go elsewhere, other clocks, new
    reviews, with examples. Changes nothing.
    """
    if against and not files:
        raise click.UsageError(
            "--against needs --tickets: the tickets in the database were classified by what is in force"
        )
    try:
        after = registry.read_pack(draft)
        named = _named(files, text_columns) if files else None
        if against and named is not None:
            before = Classifier(registry.read_pack(against))
            outcome = asyncio.run(_replayed(before, after, _chunks(named), len(named)))
        else:

            async def work(running: Running) -> Outcome:
                await matrix_of(running)  # where none is in force yet, nothing shall be put in force here
                before = (await current(running).refresh()).classifier
                if named is not None:
                    return await _replayed(before, after, _chunks(named), len(named))
                first = first_id(running.now() - timedelta(days=days))
                count = await store.ticket.count_since(running, first)
                return await _replayed(before, after, replay.past(running, first), count)

            outcome = with_running(work)
    except (Poison, NotLoaded) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(outcome.plain(), ensure_ascii=False))
    else:
        click.echo("\n".join(outcome_lines(outcome.plain())))


async def _replayed(
    before: Classifier, draft: Matrix, chunks: AsyncIterator[Sequence[replay.Named]], count: int
) -> Outcome:
    """With a progress bar; a model that does not fit the draft is left aside, as it will be."""
    after = classifier_of(draft, before.model)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("classifying", total=count)
        return await replay.replay(before, after, chunks, lambda done: progress.advance(task, done))


def _named(files: tuple[Path, ...], text_columns: str) -> list[replay.Named]:
    """The tickets of files, each by its number among them."""
    found = read_files(files, text_columns, labels_wanted=False)
    at = datetime.now(UTC).isoformat()
    return [
        (f"#{number}", {"channel": "95598", "external_ref": str(number), "title": title, "text": text, "opened_at": at})
        for number, (title, text) in enumerate(zip(found.titles, found.texts, strict=True), 1)
    ]


async def _chunks(named: list[replay.Named]) -> AsyncIterator[Sequence[replay.Named]]:
    for first in range(0, len(named), replay.CHUNK):
        yield named[first : first + replay.CHUNK]


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
        taken = f"  taken back by {row.cancelled_by}" if row.cancelled_at else ""
        click.echo(f"  {row.effective_at:%Y-%m-%d %H:%M:%S}  {row.version} in force, by {row.by}  {row.reason}{taken}")


@matrix.command("activate")
@click.argument("version")
@by_option
@reason_option
def activate_matrix(version: str, by: str, reason: str) -> None:
    """Put a version that was loaded before in force again."""
    with_running(lambda running: registry.activate_matrix(running, version, by=by, reason=reason))
    click.echo(f"in force: {version}")


@matrix.command("rollback")
@by_option
@reason_option
def roll_back_matrix(by: str, reason: str) -> None:
    """Put the version in force that was so before the present one."""

    async def work(running: Running) -> str:
        version = await registry.matrix_before(running)
        await registry.activate_matrix(running, version, by=by, reason=reason or "rolled back")
        return version

    click.echo(f"in force: {with_running(work)}")
