"""Real processes of sla_timer: the owner of the timers stopped, continued and killed under way."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from libs.shared.contracts.sla_timer import ClockWarned
from tests.integration.sla_timer.story import Story
from tests.running import Harness

PROGRAM = "from libs.operate.cli import main; main()"
PATIENCE = 60.0  # s; a lease has to end first


@asynccontextmanager
async def process(sla: Harness) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service's loops in a process of their own, on the same database, without Kafka."""
    environment = {
        **os.environ,
        "DATABASE_URL": sla.running.settings.database_url.get_secret_value(),
        "ZHIDA_RUN_HTTP": "false",
        "ZHIDA_RUN_CONSUMER": "false",
        "ZHIDA_RUN_RELAY": "false",
        "ZHIDA_LOG_LEVEL": "error",
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, "sla_timer", "run", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGCONT)
            started.terminate()
            try:
                await asyncio.wait_for(started.wait(), 30)
            except TimeoutError:
                started.kill()
                await started.wait()


async def owner(sla: Harness, other_than: str = "") -> str:
    """Who holds the timers, once somebody else does."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        rows = await sla.rows("SELECT owner FROM lease WHERE name = 'timers' AND until > now()")
        if rows and rows[0].owner != other_than:
            return str(rows[0].owner)
        assert asyncio.get_running_loop().time() < deadline, "nobody took the timers"
        await asyncio.sleep(0.1)


async def passed(sla: Harness, count: int) -> None:
    """Until so many clocks have passed their first point."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while len(await sla.rows("SELECT 1 FROM clock WHERE kind = 'accept' AND passed = 50")) < count:
        assert asyncio.get_running_loop().time() < deadline, "the timers did not fire"
        await asyncio.sleep(0.1)


def pid(owner_: str) -> int:
    """The process in an owner's name."""
    return int(owner_.split(":")[1])


async def test_a_stopped_owner_and_a_killed_one_are_followed_by_another_and_nothing_fires_twice(sla: Harness) -> None:
    async def due(number: int) -> None:
        await sla.take([sla.record(Story(timedelta(minutes=16)).assigned()) for _ in range(number)])

    async with process(sla) as first, process(sla) as second:
        began = await owner(sla)
        await due(200)
        await passed(sla, 200)

        stopped, running = (first, second) if pid(began) == first.pid else (second, first)
        stopped.send_signal(signal.SIGSTOP)
        await due(200)
        following = await owner(sla, other_than=began)
        assert pid(following) == running.pid
        await passed(sla, 400)

        stopped.send_signal(signal.SIGCONT)
        await due(200)
        await passed(sla, 600)
        running.kill()
        await running.wait()
        await due(200)
        assert pid(await owner(sla, other_than=following)) == stopped.pid
        await passed(sla, 800)
    warned = Counter(event.clock.clock_id for event in await sla.said() if isinstance(event, ClockWarned))
    assert len(warned) == 800
    assert set(warned.values()) == {1}
    assert await sla.rows("SELECT 1 FROM lease WHERE name = 'timers'") == []
