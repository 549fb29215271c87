"""`zhida dispatch delivery-key | reseal | reassign`."""

import base64
import secrets
from collections.abc import Sequence
from uuid import UUID

import click
import uvloop

from libs.shared import run
from libs.shared.command import Refused
from libs.shared.service import Running
from libs.shared.settings import read
from services.dispatch import reassigning, store
from services.dispatch.command import reassignment
from services.dispatch.command.reassignment import Start
from services.dispatch.delivery import signing
from services.dispatch.delivery.signing import SealBroken
from services.dispatch.domain.reassignment import Reassignment, Scope
from services.dispatch.main import service
from services.dispatch.settings import KEY_BYTES, DispatchSettings


@click.group()
def group() -> None:
    """Commands of dispatch alone."""


@group.command("delivery-key")
def delivery_key() -> None:
    """Print a fresh key for ZHIDA_DELIVERY_KEY or ZHIDA_DELIVERY_KEY_FILE: it seals the endpoints' secrets."""
    click.echo(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())


@group.command("reassign")
@click.option("--from", "source", required=True, help="Code of the department whose open work orders are moved.")
@click.option("--to", "target", required=True, help="Code of the department that gets them.")
@click.option("--situation", "situations", multiple=True, help="Only those of this situation (code); may be repeated.")
@click.option("--category", help="Only those with a level of this name.")
@click.option("--reason", help="Why, for the history; required unless --dry-run.")
@click.option("--by", default="operator", show_default=True, help="Who orders it, for the history.")
@click.option("--dry-run", is_flag=True, help="Only say what would be moved.")
def reassign(
    *,
    source: str,
    target: str,
    situations: Sequence[str],
    category: str | None,
    reason: str | None,
    by: str,
    dry_run: bool,
) -> None:
    """Move all open work orders of a department to another one, and wait until it is done."""
    if not (dry_run or reason):
        raise click.UsageError("--reason is required")
    scope = Scope(source, target, tuple(situations) or None, category)

    async def work() -> None:
        async with run.started(service, read(DispatchSettings)) as (running, _):
            await (_preview(running, scope) if dry_run else _reassign(running, Start(scope, reason or "", by)))

    try:
        uvloop.run(work())
    except Refused as error:
        raise click.ClickException(str(error)) from None


async def _preview(running: Running, scope: Scope) -> None:
    async with running.transaction() as tx:
        found = await reassignment.preview(scope, tx)
    for each in found["situations"]:
        click.echo(f"{each['total']:>8}  {each['code']} {each['name']}, {each['skipped']} of them to be skipped")
    click.echo(f"{found['total']:>8}  in all, {found['skipped']} of them to be skipped: the other has a share there")


async def _reassign(running: Running, args: Start) -> None:
    async with running.transaction() as tx:
        answer = await reassignment.start(args, tx)
    if isinstance(answer, Refused):
        raise answer
    click.echo(f"reassignment {answer.body['reassignment_id']}")
    with click.progressbar(length=1, label=f"{args.scope.source} → {args.scope.target}") as bar:

        def told(job: Reassignment) -> None:
            bar.length = max(job.total, 1)
            bar.update(job.moved + job.skipped - bar.pos)

        job = await reassigning.follow(running, UUID(answer.body["reassignment_id"]), told)
    click.echo(f"{job.moved} moved, {job.skipped} skipped")


@group.command("reseal")
def reseal_keys() -> None:
    """Seal every endpoint's key under the first delivery key; afterwards the others can be taken away."""

    async def work() -> int:
        async with run.started(service, read(DispatchSettings)) as (running, _):
            return await reseal(running)

    try:
        click.echo(f"{uvloop.run(work())} keys resealed")
    except SealBroken as error:
        raise click.ClickException(str(error)) from None


async def reseal(running: Running) -> int:
    """Seal every endpoint's key anew; gives how many. Raises SealBroken, with nothing changed."""
    delivery_keys: tuple[bytes, ...] = running.resources.delivery_keys
    stored = await store.endpoint.every_key(running)
    async with running.transaction(f"endpoint:{each.department}" for each in stored) as tx:
        for each in stored:
            place = signing.place(each.department, each.key_id)
            key = signing.unseal(each.sealed, delivery_keys, place)
            await store.endpoint.reseal(tx, each.key_id, signing.seal(key, delivery_keys, place))
    return len(stored)
