"""`zhida classification model …`."""

from typing import Any

import click

from libs.shared.service import Running
from services.classification import beside, registry, store
from services.classification.commands.run import by_option, reason_option, with_running
from services.classification.show import agreement_lines


@click.group()
def model() -> None:
    """Trained models: list, put in force, roll back, watch in the shadow."""


@model.command("list")
def list_models() -> None:
    """List models, the latest first, with their cross-validated figures; * is in force, + in the shadow.

    Below them what the last trainings came to.
    """

    async def found(running: Running) -> Any:
        registry = store.registry
        return await registry.models(running), await registry.in_force(running), await registry.trainings(running)

    rows, in_force, trainings = with_running(found)
    for row in rows:
        mark = "*" if row.version == in_force.get("model") else "+" if row.version == in_force.get("shadow") else " "
        click.echo(
            f"{mark} {row.version}  macro-F1 {row.report['macro_f1']:.4f}  {row.report['rows']} rows  "
            f"{len(row.labels)} labels  {row.size / 1e6:.1f} MB  for {row.matrix_version}  by {row.trained_by}"
        )
    for row in trainings:
        came = row.version or "no model"
        outcome = "in force" if row.active else f"not in force: {row.reason}" if row.version else row.reason
        click.echo(f"trained {row.began_at:%Y-%m-%d %H:%M} by {row.by}: {came}, {outcome}")


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


@model.command("shadow")
@click.argument("version", metavar="VERSION|none")
@by_option
@reason_option
def shadow_model(version: str, by: str, reason: str) -> None:
    """Put a model beside the one in force, or none: it reads every ticket and decides nothing."""
    chosen = None if version == "none" else version
    with_running(lambda running: registry.activate_model(running, chosen, by=by, reason=reason, kind="shadow"))
    click.echo(f"in the shadow: {version}")


@model.command("compare")
@click.option("--days", type=click.IntRange(1, 31), default=7, show_default=True, help="Tickets of so many days.")
def compare_models(days: int) -> None:
    """Compare the model in the shadow with what is in force: agreement, leading departments, who was right."""
    found: beside.Beside | None = with_running(lambda running: beside.compare(running, days))
    if found is None:
        raise click.ClickException("no model is in the shadow: zhida classification model shadow VERSION")
    click.echo("\n".join(agreement_lines(found)))
