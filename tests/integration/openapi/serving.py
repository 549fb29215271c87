"""A service on a port of its own with things in it, served by a loop in another thread while a test asks it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn

from libs.shared import keys
from libs.shared.service import Service
from tests.running import Harness, harness

T = TypeVar("T")
Names = dict[str, list[str]]  # parameter or field → values that exist
Furnish = Callable[[Harness], Coroutine[Any, Any, Names]]


@dataclass
class Served:
    """One service that answers at `url`."""

    url: str
    keys: dict[str, str]  # principal → API key
    names: Names
    harness: Harness
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def do(self, work: Coroutine[Any, Any, T], seconds: float = 30) -> T:
        """Run this where the service runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)


@contextmanager
def serving(
    service: Service, owner_url: str, furnish: Furnish, principals: dict[str, list[str]], **settings: Any
) -> Iterator[Served]:
    """The service with what `furnish` puts into it, and a key for each of the principals (name → scopes)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=f"serving {service.name}", daemon=True)
    thread.start()
    stack = AsyncExitStack()

    async def begin() -> Served:
        running = await stack.enter_async_context(harness(service, owner_url, **settings))
        url = await stack.enter_async_context(_listening(running))
        names = await furnish(running)
        made = {name: await keys.create(running.running, name, scopes, None) for name, scopes in principals.items()}
        return Served(url, made, names, running, loop)

    try:
        yield asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@asynccontextmanager
async def _listening(running: Harness) -> AsyncIterator[str]:
    config = uvicorn.Config(running.app, host="127.0.0.1", port=0, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = _leave_signals  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)


@contextmanager
def _leave_signals() -> Iterator[None]:
    yield
