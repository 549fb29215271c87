"""`zhida classification matrix draft …`."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from libs.shared.command import Answer, Refused
from libs.shared.db import Poison
from libs.shared.keep import first_id
from libs.shared.service import Running
from services.classification import draft, registry, replay, store, trial
from services.classification.api.shape_draft import ChangesBody
from services.classification.commands.run import by_option, matrix_of, reason_option, with_running, write
from services.classification.current import classifier_of, current
from services.classification.domain import pack
from services.classification.domain.draft import Change, Kind, differences
from services.classification.domain.matrix import Matrix
from services.classification.show import difference_lines, outcome_lines

number = click.argument("number", type=click.IntRange(1))


@click.group("draft")
def group() -> None:
    """Drafts of the next version: open, change, replace, try out, publish, discard."""


@group.command("open")
@click.argument("title")
@click.option("--version", help="Begins as this version is. Default: the one in force.")
@click.option("--file", "path", metavar="NAME|FILE", help="At once replaced by this pack.")
@by_option
@reason_option
def open_draft(title: str, version: str | None, path: str | None, by: str, reason: str) -> None:
    """Begin a draft."""
    wanted = _pack(path) if path else None

    async def work(running: Running) -> int:
        args = draft.Open(title, await matrix_of(running, version), by, reason)
        number: int = (await _done(running, draft.open_draft, args)).body["draft_id"]
        if wanted:
            await _done(running, draft.replace, draft.Replace(number, 1, wanted, by, reason))
        return number

    click.echo(f"draft {with_running(work)}")


@group.command("list")
@click.option("--all", "everything", is_flag=True, help="Published and discarded ones too.")
def list_drafts(everything: bool) -> None:
    """List drafts, the latest first."""
    rows = with_running(lambda running: store.draft.page(running, None if everything else "open", None, 200))
    for row in rows:
        said = row.version or (f"{len(row.problems)} faults" if row.problems else row.state)
        click.echo(
            f"{row.draft_id:5}  {row.title}  revision {row.revision}  {said}  from {row.base}  by {row.opened_by}"
        )


@group.command("show")
@number
@click.option("--history", is_flag=True, help="Every change with who made it, when and why.")
def show_draft(number: int, history: bool) -> None:
    """What a draft changes, what is wrong with it, and what its what-if gave."""

    async def found(running: Running) -> Any:
        row = await _row(running, number)
        changes = await store.draft.changes(running, number, None, 1000) if history else []
        return row, await matrix_of(running, row.base), changes

    row, base, changes = with_running(found)
    click.echo(f"draft {number}  {row.title}  {row.state}  revision {row.revision}  from {row.base}")
    for line in difference_lines([each.plain() for each in differences(pack.form(base), row.form)]):
        click.echo(line)
    for each in changes:
        click.echo(f"revision {each.revision}  {each.at:%Y-%m-%d %H:%M:%S}  {each.by}  {each.reason}")
        for line in difference_lines(each.differences):
            click.echo(f"  {line}")
    for each in row.problems:
        click.echo(f"fault: {each['place']}: {each['reason']}")
    if row.trial_state:
        click.echo(f"what-if of revision {row.tried_revision}, {row.days} days: {row.trial_state}")
    if row.outcome:
        click.echo("\n".join(outcome_lines(row.outcome)))


@group.command("set")
@number
@click.argument("kind", type=click.Choice(get_args(Kind)))
@click.argument("code")
@click.argument("cell")
@click.argument("value", metavar="VALUE")
@by_option
@reason_option
def set_cell(number: int, kind: Kind, *, code: str, cell: str, value: str, by: str, reason: str) -> None:
    """Set one cell: `draft set 3 situation A01-1 executing '[a, b]'`. VALUE is YAML; CODE of rules and matrix: ''."""
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise click.ClickException(f"VALUE is not YAML: {error}") from None
    _change(number, (Change("set", kind, code, cell, parsed),), by, reason)


@group.command("change")
@number
@click.argument("path", metavar="CHANGES.yaml", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@by_option
@reason_option
def change_draft(number: int, path: Path, by: str, reason: str) -> None:
    """Make many changes at once: a list of {op, kind, code, cell, value}, as the HTTP API takes them."""
    try:
        raw = yaml.safe_load(path.read_bytes())
        body = ChangesBody.model_validate({"revision": 1, "reason": "-", "changes": raw})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise click.ClickException("\n  ".join([f"{path} cannot be used:", *faults])) from None
    _change(number, tuple(Change(**each.model_dump()) for each in body.changes), by, reason)


@group.command("replace")
@number
@click.argument("path", metavar="NAME|FILE")
@by_option
@reason_option
def replace_draft(number: int, path: str, by: str, reason: str) -> None:
    """Replace a draft by a pack; a file with faults changes nothing."""
    wanted = _pack(path)

    async def work(running: Running) -> Answer:
        row = await _row(running, number)
        return await _done(running, draft.replace, draft.Replace(number, row.revision, wanted, by, reason))

    click.echo(f"draft {number}, revision {with_running(work).body['revision']}")


@group.command("export")
@number
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def export_draft(number: int, path: Path) -> None:
    """Write a draft as YAML, or as a workbook where FILE ends in .xlsx; `replace` takes either back."""
    write(path, with_running(lambda running: _row(running, number)).form)
    click.echo(f"{path}: draft {number}")


@group.command("what-if")
@number
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 400), help="Tickets of how many days.")
@by_option
def try_draft(number: int, days: int, by: str) -> None:
    """Try a draft out on past tickets, here and on every core; what it gives is kept with the draft."""

    async def work(running: Running) -> dict[str, Any]:
        await matrix_of(running)  # where none is in force yet, nothing shall be put in force here
        if not await running.hold("trial", trial.LEASE):
            raise Poison("another what-if is running: wait for its end")
        try:
            await _done(running, draft.try_out, draft.Try(number, days, by))
            row = await _row(running, number)
            before = (await current(running).refresh()).classifier
            first = first_id(row.asked_at - timedelta(days=days))
            after = classifier_of(pack.examine(row.form)[0], before.model)
            with Progress(console=Console(stderr=True)) as progress:
                task = progress.add_task("classifying", total=await store.ticket.count_since(running, first))
                tickets = replay.past(running, first)
                outcome = await replay.replay(before, after, tickets, lambda done: progress.advance(task, done))
            await store.draft.settle(running, row, outcome.tickets, outcome.tickets, outcome=outcome.plain())
        finally:
            await running.release("trial")
        return outcome.plain()

    click.echo("\n".join(outcome_lines(with_running(work))))


@group.command("publish")
@number
@click.option("--effective-at", type=click.DateTime(["%Y-%m-%dT%H:%M%z"]), help="2026-12-01T00:00+0800. Default: now.")
@click.option("--over", help="The version in force, where another than the draft's base came in force.")
@by_option
@reason_option
def publish_draft(number: int, effective_at: datetime | None, over: str | None, by: str, reason: str) -> None:
    """Put a draft in force, now or later; it must be valid and tried out."""

    async def work(running: Running) -> Answer:
        row = await _row(running, number)
        return await _done(running, draft.publish, draft.Publish(number, row.revision, by, reason, effective_at, over))

    body = with_running(work).body
    click.echo(f"in force from {body['effective_at']}: {body['version']}")


@group.command("discard")
@number
@by_option
@reason_option
def discard_draft(number: int, by: str, reason: str) -> None:
    """Lay a draft aside."""
    with_running(lambda running: _done(running, draft.discard, draft.Discard(number, by, reason)))
    click.echo(f"draft {number}: discarded")


def _change(number: int, changes: tuple[Change, ...], by: str, reason: str) -> None:
    async def work(running: Running) -> Answer:
        row = await _row(running, number)
        return await _done(running, draft.change, draft.Change(number, row.revision, changes, by, reason))

    body = with_running(work).body
    click.echo(f"draft {number}, revision {body['revision']}")
    for each in body["problems"]:
        click.echo(f"fault: {each['place']}: {each['reason']}")


def _pack(name_or_path: str) -> Matrix:
    try:
        return registry.read_pack(name_or_path)
    except Poison as error:
        raise click.ClickException(str(error)) from None


async def _row(running: Running, number: int) -> Any:
    row = await store.draft.one(running, number)
    if row is None:
        raise Poison(f"there is no draft {number}")
    return row


async def _done(running: Running, handler: Callable[..., Awaitable[Answer]], args: Any) -> Answer:
    """What the HTTP API does, done here. Raises Poison with all that is refused."""
    try:
        async with running.transaction(keys=[registry.LOCK]) as tx:
            return await handler(args, tx)
    except Refused as error:
        faults = [f"{each['field']}: {each['reason']}" for each in error.extra.get("errors", [])]
        raise Poison("\n  ".join([error.detail or error.title, *faults])) from None
