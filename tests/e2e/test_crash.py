"""Whatever is killed in mid-flow, no ticket is lost and none is handled twice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from deploy.local.backend import Store
from tests.e2e import ledger
from tests.e2e.ledger import Ledger
from tests.e2e.zhida import Zhida

SERVICES = ("intake", "classification", "dispatch", "sla_timer", "notification")


@pytest.fixture(scope="module")
async def book(zhida: Zhida, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ledger]:
    async with ledger.opened(zhida, tmp_path_factory.mktemp("departments")) as opened:
        yield opened


@pytest.mark.parametrize("service", SERVICES)
async def test_service_killed_under_load_loses_and_doubles_nothing(zhida: Zhida, book: Ledger, service: str) -> None:
    async with book.flowing():
        await book.come(20)
        await asyncio.to_thread(zhida.stack.kill, service)
        await zhida.started(service)
        await book.come(20)
    await book.reconciled()


@pytest.mark.parametrize("store", ["kafka", "postgres"])
async def test_store_killed_in_mid_flow_loses_and_doubles_nothing(zhida: Zhida, book: Ledger, store: Store) -> None:
    async with book.flowing():
        await book.come(20)
        await asyncio.to_thread(zhida.stack.local.kill, store)
        await asyncio.to_thread(zhida.stack.local.start, store)
        await book.come(20)
    await book.reconciled()


async def test_services_stopped_in_good_order_under_load_lose_and_double_nothing(zhida: Zhida, book: Ledger) -> None:
    async with book.flowing():
        for service in SERVICES:
            await book.come(5)
            await asyncio.to_thread(zhida.stack.stop, service)
            await zhida.started(service)
        await book.come(20)
    await book.reconciled()
