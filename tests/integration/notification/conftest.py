"""notification on a database of its own for each test."""

from collections.abc import AsyncIterator

import pytest

from services.notification.main import service
from tests.running import Harness, harness


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Harness]:
    """The service, opened, with its streams; without the sender's loop, which a test calls itself."""
    async with harness(service, database, stream_heartbeat=0.2) as running:
        yield running


@pytest.fixture(scope="module")
async def shared_desk(module_database: str) -> AsyncIterator[Harness]:
    """One service for all tests of a module that change nothing another would see."""
    async with harness(service, module_database) as running:
        yield running
