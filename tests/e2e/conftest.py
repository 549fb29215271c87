"""One Zhida for all of these tests: its own Kafka, Postgres and services, so that any of them may be killed."""

import contextlib
from collections.abc import AsyncIterator, Generator, Iterator

import httpx
import pytest

from deploy.local import backend, place, stack
from deploy.local.stack import Stack
from deploy.local.supervise import ProgramError
from tests.conftest import THROWAWAYS
from tests.e2e import stage
from tests.e2e.department import Departments, played
from tests.e2e.flow import Flow
from tests.e2e.stage import Played
from tests.e2e.zhida import Zhida


@pytest.fixture(scope="session")
def whole(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Everything, running."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n[{text}]", end=" ", flush=True)

    own = place.throwaway(THROWAWAYS)
    with stack.running(own, private=True, say=say) as running:
        yield running
    own.delete()


@pytest.fixture(scope="session")
async def zhida(whole: Stack) -> AsyncIterator[Zhida]:
    """The ways into it. Every test leaves all services running, one process each."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=20)
    async with httpx.AsyncClient(timeout=20, limits=limits, trust_env=False) as http:
        yield Zhida(whole, http, Flow(whole.backend.kafka_bootstrap_servers))


@pytest.fixture(autouse=True)
def healthy(whole: Stack) -> None:
    """What an earlier test left dead runs again, so that one failure is not many."""
    for store in backend.STORES:
        if not whole.programs.status(store).pid:
            whole.local.start(store)
    whole.start()


@pytest.fixture(scope="session")
async def demo_played() -> AsyncIterator[Played]:
    """The demo, played once for all who look at what it leaves behind."""
    own = place.throwaway(THROWAWAYS)
    yield await stage.played(own)
    own.delete()


@pytest.fixture(scope="session")
async def departments(zhida: Zhida) -> AsyncIterator[Departments]:
    """Departments played by hand."""
    async with played(zhida) as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the services logged last."""
    report = yield
    running = getattr(item, "funcargs", {}).get("whole") or getattr(item, "funcargs", {}).get("zhida")
    if report.failed and running is not None:
        programs = (running.stack if isinstance(running, Zhida) else running).programs
        with contextlib.suppress(ProgramError):  # at the very end it has stopped already
            for status in programs.statuses():
                if status.pid or status.state in ("EXITED", "FATAL"):
                    report.sections.append((f"{status.name}, {status.state}", programs.tail(status.name, 12)))
    return report
