"""dispatch on a database of its own for each test, and a server that stands for the departments' systems."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.dispatch import handlers
from services.dispatch.main import service
from tests.integration.dispatch.world import DELIVERY_KEY, Desk, World
from tests.running import Harness, harness


@pytest.fixture
async def dispatch(database: str) -> AsyncIterator[Harness]:
    """The service, opened, without its sender."""
    async with harness(service, database, delivery_key=base64.b64encode(DELIVERY_KEY).decode()) as running:
        yield running


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """The departments' systems: one server, a path for each department."""
    async with Desk.open() as desk:
        yield desk


@pytest.fixture
async def world(dispatch: Harness, desk: Desk) -> AsyncIterator[World]:
    """The service with clients for everybody, and the sender at work."""
    async with World.open(dispatch, desk) as world, sending(dispatch):
        yield world


@asynccontextmanager
async def sending(dispatch: Harness) -> AsyncIterator[None]:
    """The sender runs, as it does in a process of the service."""
    task = asyncio.create_task(handlers.send_deliveries(dispatch.running))
    try:
        yield
    finally:
        dispatch.running.stopping.set()
        await asyncio.wait_for(task, 20)
        dispatch.running.stopping.clear()
