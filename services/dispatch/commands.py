"""`zhida dispatch delivery-key | reseal | prune`."""

import base64
import secrets
from datetime import UTC, datetime, timedelta

import click
import uvloop

from libs.operate import schema
from libs.shared import db, run
from libs.shared.service import Running
from libs.shared.settings import Settings, read
from services.dispatch import store
from services.dispatch.delivery import signing
from services.dispatch.delivery.signing import SealBroken
from services.dispatch.main import service
from services.dispatch.settings import KEY_BYTES, DispatchSettings


@click.group()
def group() -> None:
    """Commands of dispatch alone."""


@group.command("delivery-key")
def delivery_key() -> None:
    """Print a fresh key for ZHIDA_DELIVERY_KEY or ZHIDA_DELIVERY_KEY_FILE: it seals the endpoints' secrets."""
    click.echo(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())


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


@group.command("prune")
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Age of a day that goes.")
def prune_log(days: int) -> None:
    """Daily job: the log of webhook attempts gets its next days, and loses those past their age (owner role)."""
    click.echo(f"{uvloop.run(prune(read(DispatchSettings), days))} days dropped")


async def prune(settings: Settings, days: int) -> int:
    """Partitions of the attempt log: 14 days ahead made, those before `days` ago dropped; gives how many."""
    owner_url = (settings.owner_database_url or settings.database_url).get_secret_value()
    engine = db.engine(owner_url, "dispatch", None, "zhida-dispatch-prune")
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await schema.extend(connection, "attempt", "uuid", "delivery_id")
            return await schema.drop_before(connection, "attempt", datetime.now(UTC).date() - timedelta(days))
    finally:
        await engine.dispose()
