"""`zhida classification matrix history …`."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from services.classification import labelled
from services.classification.domain import history
from services.classification.domain.history import Settled

LEAST = 50  # rows


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


@click.command("history")
@click.argument("path", metavar="FILE.csv", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--category", required=True, callback=_names, help="Columns of the category's levels: type,main,sub.")
@click.option(
    "--place", default="", callback=_names, help="Columns of the place, from large to small: street,community."
)
@click.option("--department", required=True, help="Column of the department that settled the ticket.")
@click.option("--time", required=True, help="Column of the ticket's time, ISO 8601; UTC without an offset.")
@click.option(
    "--held-out",
    default=0.2,
    show_default=True,
    type=click.FloatRange(0.05, 0.5),
    help="The last share of the tickets, by which the rest is judged.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Every category and place, as CSV.")
def settled_history(path: Path, *, held_out: float, out: Path | None, **columns: str | tuple[str, ...]) -> None:
    """Learn from settled tickets which department has a category at a place: for the cells of a new matrix, and its
    rules by place. Says how well that holds for the latest of them, beside a table of the most frequent ones.
    """
    category, place = (tuple(columns[name]) for name in ("category", "place"))
    rows = _read(path, category, place, str(columns["department"]), str(columns["time"]))
    found = history.score(rows, held_out)
    click.echo(f"{len(rows)} tickets, {len({each.department for each in rows})} departments")
    click.echo(
        f"the last {found.rows} by those before: {found.right:.1%} right, by the most frequent {found.look_up:.1%}"
    )
    click.echo("coverage  accuracy  least probability")
    for share, right, least in found.coverage:
        click.echo(f"{share:8.0%}  {right:8.4f}  {least:17.4f}")
    if out:
        with out.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.writer(file)
            table.writerow([*category, *place, "department", "probability", "tickets"])
            for key, department, probability, tickets in history.History(rows).cells():
                table.writerow([*key, department, f"{probability:.4f}", tickets])
        click.echo(f"{out}: written")


def _read(path: Path, category: Sequence[str], place: Sequence[str], department: str, time: str) -> list[Settled]:
    """The rows that can be used; ClickException naming what cannot be."""
    try:
        header, found = labelled.rows(path)
    except labelled.FileError as error:
        raise click.ClickException(str(error)) from None
    if missing := [name for name in (*category, *place, department, time) if name not in header]:
        raise click.ClickException(f"{path}: no column {', '.join(missing)}; it has: {', '.join(header)}")
    rows, faults = list[Settled](), list[str]()
    for line, row in found:
        try:
            at = datetime.fromisoformat((row[time] or "").strip())
        except ValueError:
            faults.append(f"line {line}: {time} is no time such as 2026-11-22T09:00:00")
            continue
        if not (row[department] or "").strip():
            faults.append(f"line {line}: {department} is empty")
            continue
        levels, places = (tuple((row[name] or "").strip() for name in names) for names in (category, place))
        rows.append(Settled(at if at.tzinfo else at.replace(tzinfo=UTC), levels, places, row[department].strip()))
    if faults:
        click.echo("\n".join([f"{len(faults)} rows left out:", *faults[: labelled.SHOWN]]), err=True)
    if len(rows) < LEAST:
        raise click.ClickException(f"{path}: {len(rows)} rows can be used, {LEAST} are needed")
    return rows
