"""`zhida dispatch delivery-key | reseal`."""

import base64
import secrets

import click
import uvloop

from libs.shared import run
from libs.shared.service import Running
from libs.shared.settings import read
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
