"""Two processes of every service share the work; when one of each is killed, the others take over all of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from deploy.local import environment
from tests.e2e import ledger
from tests.e2e.zhida import Zhida


@contextlib.asynccontextmanager
async def doubled(zhida: Zhida) -> AsyncIterator[None]:
    """A second process of every service, which has what only one may have: leases of relay, timers and endpoints.

    Streams went to it too, when the first was away.
    """
    zhida.replicas = 2
    await zhida.started(replica=2)
    await asyncio.to_thread(zhida.stack.stop, *environment.services())
    await zhida.started()
    try:
        yield
    finally:
        zhida.replicas = 1
        await asyncio.to_thread(zhida.stack.stop, *environment.services(), replica=2)


async def test_the_other_replicas_take_over_when_one_of_each_service_is_killed(zhida: Zhida, tmp_path: Path) -> None:
    async with ledger.opened(zhida, tmp_path) as book, doubled(zhida):
        assert len(await owners(zhida)) == 1
        assert {screen.replica for screen in book.screens.values()} == {2}
        async with book.flowing():
            await book.come(40)
            before = await owners(zhida)
            for service in environment.services():
                await asyncio.to_thread(zhida.stack.kill, service, 2)
            await book.come(20)
        await book.reconciled()
        assert {screen.replica for screen in book.screens.values()} == {1}
        assert len(after := await owners(zhida)) == 1
        assert after != before


async def owners(zhida: Zhida) -> set[str]:
    """The processes that send to departments."""
    rows = await zhida.rows("SELECT DISTINCT owner FROM dispatch.lease WHERE name LIKE 'endpoint:%'")
    return {row["owner"] for row in rows}
