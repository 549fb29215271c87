"""The same life on Temporal: its development server on a file, a worker of its Python SDK, the same receiver."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError

from benchmarks.lifecycle.lives import Lives
from benchmarks.lifecycle.ours import ANSWER, DEPARTMENTS, MATTERS
from benchmarks.lifecycle.wire import hearing
from benchmarks.lifecycle.workflow import QUEUE, Life, Request
from benchmarks.place import Place

STARTING = 60.0  # s


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Lives]:
    """A server with an empty file, a worker, and the lives that go by them."""
    folder = Path(tempfile.mkdtemp(prefix="temporal-", dir=place.stack.place.folder))
    where = place.stack.place
    where.choose_ports("temporal", "temporal-http", "temporal-metrics")
    address = f"127.0.0.1:{where.port('temporal')}"
    ports = [str(where.port(name)) for name in ("temporal", "temporal-http", "temporal-metrics")]
    place.spawn("temporal", "-m", "benchmarks.lifecycle.server", str(folder / "state.db"), *ports)
    try:
        client = await _connect(address)
        place.spawn("temporal-worker", "-m", "benchmarks.lifecycle.worker", address)
        lives = Lives(partial(_live, client=client))
        async with hearing(lives.take) as url:
            lives.live = partial(_live, client=client, url=url)
            yield lives
    finally:
        await place.end("temporal-worker", "temporal")
        shutil.rmtree(folder, ignore_errors=True)


async def _connect(address: str) -> Client:
    runtime = Runtime(telemetry=TelemetryConfig(metrics=None), disable_environment_info=True)
    async with asyncio.timeout(STARTING):
        while True:
            try:
                return await Client.connect(address, runtime=runtime)
            except (RuntimeError, RPCError):
                await asyncio.sleep(0.2)


async def _live(lives: Lives, number: int, *, client: Client, url: str = "") -> None:
    title, text = MATTERS[number % len(MATTERS)]
    department = DEPARTMENTS[number % len(DEPARTMENTS)]
    name = f"{lives.mark}-{number}"
    request = Request(name, f"{url}/{department}", title, f"{text}第{number}户来电。")
    handle = await client.start_workflow(
        Life.run, request, id=name, task_queue=QUEUE, execution_timeout=timedelta(hours=1)
    )
    await lives.webhook(name)
    await handle.signal(Life.accept)
    await handle.signal(Life.answer, ANSWER["text"])
    await handle.signal(Life.close, True)
    await handle.result()
