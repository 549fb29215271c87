"""What all tests share: one real Kafka and Postgres for the whole run, and an empty database for whoever asks."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local import backend, place, postgres
from deploy.local.backend import Backend, BackendError
from tests import running

THROWAWAYS = place.STATE / "tests"


@pytest.fixture(scope="session")
def stores(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Kafka and Postgres that answer; local ones start with the first test that needs them and stop with the run."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n[{text}]", end=" ", flush=True)

    own = place.throwaway(THROWAWAYS)
    with contextlib.ExitStack() as closing:
        try:
            started = closing.enter_context(backend.started(own, say=say))
        except BackendError as error:
            pytest.exit(f"no test can run without Kafka and Postgres: {error}", returncode=1)
        yield started
        asyncio.run(running.drop_copies())
    own.delete()


@pytest.fixture(scope="session")
def kafka(stores: Backend) -> str:
    """Bootstrap servers of the run's Kafka. All tests share its topics: take names of your own (`fresh_name`)."""
    return stores.kafka_bootstrap_servers


@pytest.fixture
async def database(stores: Backend) -> AsyncIterator[str]:
    """Owner's address of a new, empty database for one test."""
    name = fresh_name("test")
    yield await postgres.create_database(stores.owner_database_url, name)
    await postgres.drop_database(stores.owner_database_url, name)


@pytest.fixture(scope="module")
async def module_database(stores: Backend) -> AsyncIterator[str]:
    """Owner's address of a new, empty database for one module of tests."""
    name = fresh_name("test")
    yield await postgres.create_database(stores.owner_database_url, name)
    await postgres.drop_database(stores.owner_database_url, name)


@pytest.fixture
def own_place() -> Iterator[place.Place]:
    """A new, empty place: for `backend.private` or `stack.running`, where a test breaks things."""
    own = place.throwaway(THROWAWAYS)
    yield own
    own.delete()


def fresh_name(prefix: str) -> str:
    """A name that nothing else in this run has: for topics, consumer groups and databases."""
    return f"{prefix}_{secrets.token_hex(6)}"
