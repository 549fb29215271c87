"""sla_timer on a database of its own for each test."""

from collections.abc import AsyncIterator

import pytest

from services.sla_timer.main import service
from tests.running import Harness, harness


@pytest.fixture
async def sla(database: str) -> AsyncIterator[Harness]:
    """The service, opened, without loops: a test calls `timers.tick` itself."""
    async with harness(service, database) as running:
        yield running


@pytest.fixture(scope="module")
async def shared_sla(module_database: str) -> AsyncIterator[Harness]:
    """One service for all tests of a module that change nothing another would see."""
    async with harness(service, module_database) as running:
        yield running
