"""`zhida dispatch …` beyond what every service has."""

import base64

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.engine import make_url

from libs.operate import retention
from libs.shared import db
from services.dispatch import store
from services.dispatch.commands import group, reseal
from services.dispatch.delivery import signing
from services.dispatch.delivery.signing import SealBroken
from services.dispatch.handlers import Resources
from services.dispatch.main import service
from tests.integration.dispatch.world import DELIVERY_KEY, METER, Desk, World
from tests.running import Harness


def test_a_fresh_delivery_key_is_printed() -> None:
    result = CliRunner().invoke(group, ["delivery-key"])
    assert len(base64.b64decode(result.output.strip(), validate=True)) == 32
    assert result.output != CliRunner().invoke(group, ["delivery-key"]).output


async def test_the_log_of_attempts_is_kept_by_days(world: World, dispatch: Harness) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.settled(ticket_id, "delivered")
    settings = dispatch.running.settings
    rows = await dispatch.rows("SELECT CAST(tableoid AS regclass) AS place, status FROM attempt")
    assert [row.status for row in rows] == [204]
    assert rows[0].place.startswith("attempt_2")
    assert settings.owner_database_url
    owner = db.engine(settings.owner_database_url.get_secret_value(), "dispatch", None, "test")
    async with owner.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(
            text(
                "CREATE TABLE attempt_20200101 PARTITION OF attempt FOR VALUES FROM"
                " ('016f5e66-e800-7000-8000-000000000000') TO ('016f638d-4400-7000-8000-000000000000')"
            )
        )
    await owner.dispose()
    assert (await retention.retain(service, settings)).dropped == {"attempts": ["2020-01-01"]}
    assert make_url(settings.database_url.get_secret_value()).username == "zhida_dispatch"
    await world.settled(await world.classify(METER), "delivered")


async def test_a_new_delivery_key_takes_over_and_departments_notice_nothing(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        secret = (await world.endpoint("meter"))["secret"]
        new = b"n" * 32
        dispatch.running.resources = Resources((new,))
        with pytest.raises(SealBroken):
            await reseal(dispatch.running)
        dispatch.running.resources = Resources((new, DELIVERY_KEY))
        assert await reseal(dispatch.running) == 1
        [stored] = await store.endpoint.every_key(dispatch.running)
        assert signing.unseal(stored.sealed, [new], signing.place("meter", stored.key_id)).shared == secret
