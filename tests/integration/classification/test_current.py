"""Every process follows what is in force, by itself, within seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.shared import run
from libs.shared.service import Running
from services.classification import registry
from services.classification.current import NotLoaded, current, follow
from services.classification.main import service
from tests.running import eventually, harness


@asynccontextmanager
async def following(running: Running) -> AsyncIterator[None]:
    """The loop runs, as it does in a process of the service."""
    task = asyncio.create_task(follow(running))
    try:
        yield
    finally:
        running.stopping.set()
        await asyncio.wait_for(task, 20)


async def test_every_process_has_a_new_matrix_within_seconds(database: str) -> None:
    async with (
        harness(service, database, refresh_seconds=0.1) as one,
        run.started(service, one.running.settings) as (other, _),
        following(one.running),
        following(other),
    ):

        async def all_have(pack: str) -> bool:
            return all([(await current(each).in_force()).matrix.name == pack for each in (one.running, other)])

        await eventually(lambda: all_have("power_95598"))
        await registry.load_matrix(other, "city_12345", by="owner", reason="test")
        await eventually(lambda: all_have("city_12345"))


async def test_process_is_not_ready_while_no_matrix_can_be_loaded(database: str) -> None:
    async with (
        harness(service, database, matrix_pack="no_such_pack", refresh_seconds=0.1) as one,
        following(one.running),
    ):

        async def unready() -> bool:
            return "neither a file nor one of the packs" in one.running.unready.get("matrix", "")

        async def ready() -> bool:
            return not one.running.unready

        await eventually(unready)
        await registry.load_matrix(one.running, "power_95598", by="owner", reason="mended")
        await eventually(ready)


async def test_version_that_cannot_be_loaded_leaves_the_old_one_at_work(database: str) -> None:
    async with harness(service, database, refresh_seconds=0.1) as one:
        before = await current(one.running).in_force()
        await one.rows(
            "INSERT INTO matrix (version, pack, title, source, situations, loaded_by, loaded_at)"
            " VALUES ('bad', 'bad', 'bad', 'no pack', 1, 'test', now()) RETURNING 1"
        )
        await one.rows(
            "INSERT INTO activation (kind, version, by, reason, at, effective_at, said)"
            " VALUES ('matrix', 'bad', 'test', '', now(), now(), true) RETURNING 1"
        )
        with pytest.raises(NotLoaded, match="bad cannot be used"):
            await current(one.running).refresh()
        assert await current(one.running).in_force() is before
