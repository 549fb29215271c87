"""A served application and a reader of Server-Sent Events, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from libs.shared import keys
from libs.shared.service import Running


@dataclass(frozen=True)
class Seen:
    """One event of a stream."""

    id: str
    data: dict[str, Any]

    @property
    def number(self) -> int:
        """The notice's number in its inbox."""
        return int(self.data["number"])


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application on a port of its own; stops with the block as the kernel stops it."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve())
    deadline = asyncio.get_running_loop().time() + 20
    while not server.started:
        assert asyncio.get_running_loop().time() < deadline, "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def key(running: Running, principal: str, *scopes: str) -> dict[str, str]:
    """Headers with a new key."""
    return {"Authorization": f"Bearer {await keys.create(running, principal, list(scopes), None)}"}


@asynccontextmanager
async def opened(
    url: str, headers: dict[str, str], last: str | None = None, **query: str
) -> AsyncIterator[httpx.Response]:
    """An event stream that has begun."""
    sent = {**headers, **({"Last-Event-ID": last} if last is not None else {})}
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(10, read=20), trust_env=False) as client,
        client.stream("GET", f"{url}/v1/stream", headers=sent, params=query) as response,
    ):
        yield response


async def events(response: httpx.Response) -> AsyncIterator[Seen]:
    """The events of a stream until it ends."""
    id_ = ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            id_ = value
        elif name == "data":
            yield Seen(id_, json.loads(value))


async def take(response: httpx.Response, count: int) -> list[Seen]:
    """The next `count` events."""
    seen: list[Seen] = []
    async for event in events(response):
        seen.append(event)
        if len(seen) == count:
            break
    return seen
