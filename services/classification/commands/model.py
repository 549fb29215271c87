"""`zhida classification model …`."""

from typing import Any

import click

from libs.shared.service import Running
from services.classification import registry, store
from services.classification.commands.run import by_option, reason_option, with_running


@click.group()
def model() -> None:
    """Trained models: list, put in force, roll back."""


@model.command("list")
def list_models() -> None:
    """List models, the latest first, with their cross-validated figures; * is in force."""

    async def found(running: Running) -> Any:
        return await store.registry.models(running), (await store.registry.in_force(running)).get("model")

    rows, in_force = with_running(found)
    for row in rows:
        mark = "*" if row.version == in_force else " "
        click.echo(
            f"{mark} {row.version}  macro-F1 {row.report['macro_f1']:.4f}  {row.report['rows']} rows  "
            f"{len(row.labels)} labels  {row.size / 1e6:.1f} MB  for {row.matrix_version}  by {row.trained_by}"
        )


@model.command("activate")
@click.argument("version", metavar="VERSION|none")
@by_option
@reason_option
def activate_model(version: str, by: str, reason: str) -> None:
    """Put a model in force, or none: then the matrix alone classifies."""
    chosen = None if version == "none" else version
    with_running(lambda running: registry.activate_model(running, chosen, by=by, reason=reason))
    click.echo(f"in force: {version}")


@model.command("rollback")
@by_option
def roll_back_model(by: str) -> None:
    """Put the model in force that was so before the present one."""
    version = with_running(lambda running: registry.roll_back_model(running, by=by))
    click.echo(f"in force: {version or 'none, the matrix alone'}")
