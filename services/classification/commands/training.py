"""`zhida classification train …` and `evaluate …`."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from libs.shared.db import Poison
from libs.shared.service import Running
from services.classification import labelled, registry, store
from services.classification.commands.run import by_option, matrix_of, read_files, with_running
from services.classification.domain import evaluation, linear
from services.classification.domain.classifier import Classifier, LabelError
from services.classification.domain.matrix import Matrix
from services.classification.show import comparison_lines, evaluation_lines, report_lines

if TYPE_CHECKING:  # scikit-learn, which only training needs, is loaded when a training begins
    from services.classification import learning
    from services.classification.domain.training import Trained


def _columns(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--group-column", help="Column that names near-duplicate groups; found without it too."),
        click.option("--label-column", help="Column with the label: situation, category, class or leading department."),
        click.option("--text-columns", default="", help="One column, or title and text: title,body."),
    ):
        command = option(command)
    return command


def _labelled(files: tuple[Path, ...], text_columns: str, label: str | None, group: str | None) -> labelled.Labelled:
    return read_files(files, text_columns, label_column=label, group_column=group)


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@_columns
@click.option("--decisions/--no-decisions", default=True, show_default=True, help="Learn from decisions too.")
@click.option("--activate/--no-activate", default=True, show_default=True, help="Put it in force unless it is worse.")
@click.option("--force", is_flag=True, help="Put it in force even if it is worse than the model in force.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the model to this file and use no database.")
@click.option("--pack", default="power_95598", help="With --out: the pack whose labels they are.", show_default=True)
@by_option
def train(
    files: tuple[Path, ...],
    text_columns: str,
    label_column: str | None,
    group_column: str | None,
    *,
    decisions: bool,
    activate: bool,
    force: bool,
    out: Path | None,
    pack: str,
    by: str,
) -> None:
    """Train a model on labelled FILES (CSV) and on what reviewers decided.

    It is judged on near-duplicate groups that it has not seen, kept with its report, and put in force unless it is
    worse than the model in force (exit code 3 then).
    """
    data = _labelled(files, text_columns, label_column, group_column) if files else labelled.NOTHING
    if out:
        try:
            trained = _learn(data, registry.read_pack(pack))
        except Poison as error:
            raise click.ClickException(str(error)) from None
        out.write_bytes(linear.dump(trained.model))
        click.echo(f"wrote {out}")
        return

    async def work(running: Running) -> "learning.Outcome":
        from services.classification import learning

        async with learning.noted(running, by) as note:
            matrix = await matrix_of(running)
            decided = await store.review.learnable(running) if decisions else []
            rows = learning.with_decisions(data, [(row.title, row.text, row.situation) for row in decided], matrix)
            trained = await asyncio.to_thread(_learn, rows, matrix)
            note.outcome = await learning.keep(running, trained, rows, matrix, by=by, activate=activate, force=force)
        return note.outcome

    outcome: learning.Outcome = with_running(work)
    if outcome.comparison:
        click.echo("\n".join(comparison_lines(outcome.comparison)))
    if outcome.active:
        click.echo(f"in force: model {outcome.version}")
        return
    click.echo(f"kept, not in force ({outcome.reason}): model {outcome.version}")
    if activate:
        raise SystemExit(3)


def _learn(data: labelled.Labelled, matrix: Matrix) -> "Trained":
    from services.classification import learning

    columns = TextColumn("{task.description:18}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=1.0)
        trained = learning.learn(
            data, matrix, lambda what, done: progress.update(task, description=what, completed=done)
        )
    for label, rows in sorted(trained.dropped.items()):
        click.echo(f"left out: {rows} rows of '{label}', which has too few different texts", err=True)
    click.echo(f"{len(trained.rows)} rows in {trained.groups} near-duplicate groups, cross-validated by group:")
    click.echo("\n".join(report_lines(trained.report)))
    return trained


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_columns
@click.option("--type-column", help="Column with the business type; found by its usual names without it.")
@click.option("--model", "version", help="Default: the model in force. `none`: the matrix alone.")
@click.option("--model-file", type=click.Path(path_type=Path), help="A file of `train --out`; uses no database.")
@click.option("--pack", help="With --model-file, or alone: judge this pack, without a database.")
@click.option("--json", "as_json", is_flag=True, help="The whole report as JSON on standard output.")
@click.option(
    "--plots", type=click.Path(path_type=Path, file_okay=False), help="Draw coverage, calibration, confusion."
)
def evaluate(
    files: tuple[Path, ...],
    text_columns: str,
    label_column: str | None,
    group_column: str | None,
    *,
    type_column: str | None,
    version: str | None,
    model_file: Path | None,
    pack: str | None,
    as_json: bool,
    plots: Path | None,
) -> None:
    """Classify labelled FILES (CSV) and compare: accuracy, F1, confusion, coverage, calibration, time a ticket; and
    the business type where the files have one.
    """
    data = read_files(
        files, text_columns, label_column=label_column, group_column=group_column, type_column=type_column
    )

    async def in_database(running: Running) -> Classifier:
        in_force = await store.registry.in_force(running)
        chosen = None if version == "none" else version or in_force.get("model")
        found = await registry.model_of(running, chosen) if chosen else None
        return Classifier(await matrix_of(running), found)

    try:
        if pack or model_file:
            stored = linear.load(model_file.read_bytes()) if model_file else None
            classifier = Classifier(registry.read_pack(pack or "power_95598"), stored)
        else:
            classifier = with_running(in_database)
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("classifying", total=len(data.texts))
            found = evaluation.evaluate(
                classifier,
                data.titles,
                data.texts,
                data.labels,
                lambda count: progress.advance(task, count),
                types=data.types,
            )
    except (LabelError, linear.ModelError, OSError, Poison) as error:
        raise click.ClickException(str(error)) from None
    if plots:
        _draw(found, plots)
    if as_json:
        click.echo(json.dumps({**asdict(found), "matrix": classifier.matrix.version}, ensure_ascii=False))
    else:
        click.echo("\n".join(evaluation_lines(found)))


def _draw(found: evaluation.Evaluation, folder: Path) -> None:
    """Write the plots. Raises ClickException where nothing can draw them."""
    try:
        from services.classification import plot
    except ImportError:
        raise click.ClickException("--plots needs matplotlib: pip install 'zhida[plots]'") from None
    try:
        for path in plot.draw(found.report, folder):
            click.echo(f"wrote {path}", err=True)
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}") from None
