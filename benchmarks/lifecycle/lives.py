"""What both sides share: lives that run side by side for a while, each a course of steps that takes a webhook."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Lives:
    """Lives under way, and how long each that has ended took (s)."""

    live: Callable[["Lives", int], Awaitable[None]]  # one life by its number
    mark: str = field(default_factory=lambda: secrets.token_hex(4))  # tells one run's lives from another's
    begun: int = 0
    ended: list[float] = field(default_factory=list)
    _webhooks: dict[str, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)

    def take(self, body: bytes) -> None:
        """A webhook; one that comes again changes nothing."""
        data = orjson.loads(body)["data"]
        found = self._webhook(data["ticket_id"])
        if not found.done():
            found.set_result(data)

    async def webhook(self, ticket_id: str) -> dict[str, Any]:
        """What the webhook about that ticket says, once it has come."""
        try:
            return await asyncio.wait_for(self._webhook(ticket_id), 60)
        finally:
            del self._webhooks[ticket_id]

    def _webhook(self, ticket_id: str) -> "asyncio.Future[dict[str, Any]]":
        if ticket_id not in self._webhooks:
            self._webhooks[ticket_id] = asyncio.get_running_loop().create_future()
        return self._webhooks[ticket_id]

    async def run(self, seconds: float, at_once: int) -> float:
        """Lives for that long, so many at a time, then those begun to their end; how long all that took (s)."""
        began = time.perf_counter()

        async def lane() -> None:
            while time.perf_counter() - began < seconds:
                number, start = self.begun, time.perf_counter()
                self.begun += 1
                await self.live(self, number)
                self.ended.append(time.perf_counter() - start)

        async with asyncio.TaskGroup() as lanes:
            for _ in range(at_once):
                lanes.create_task(lane())
        return time.perf_counter() - began
