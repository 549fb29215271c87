"""An agent's screen: one stream, opened again where it breaks, from the last number it saw."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.e2e.zhida import PATIENCE, UNREACHABLE, Zhida, agent


@dataclass(frozen=True, slots=True)
class Shown:
    """One notice as it came over the stream."""

    number: int
    data: dict[str, Any]
    at: datetime

    @property
    def kind(self) -> str:
        return str(self.data["kind"])


@dataclass
class Screen:
    """What one agent was shown, in order, repeats included. `breaks`: how often the stream had to be opened again."""

    zhida: Zhida
    agent: str
    replica: int = 1  # where it was connected last
    shown: list[Shown] = field(default_factory=list)
    breaks: int = 0

    async def follow(self) -> None:
        """Show what comes, for ever; at another replica after a break, where there is one."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                await self._connected()
            self.breaks += 1
            self.replica = self.replica % self.zhida.replicas + 1
            await asyncio.sleep(0.1)

    async def _connected(self) -> None:
        headers = {
            "Authorization": f"Bearer {await self.zhida.key('notification', agent(self.agent))}",
            "Accept": "text/event-stream",
            "Last-Event-ID": str(self.shown[-1].number if self.shown else 0),
        }
        url = f"{self.zhida.stack.url('notification', self.replica)}/v1/stream"
        async with self.zhida.http.stream("GET", url, headers=headers, timeout=30) as stream:
            number = 0
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    number = int(value)
                elif name == "data" and number:
                    self.shown.append(Shown(number, json.loads(value), datetime.now(UTC)))
                    number = 0

    def of(self, ticket_id: str | UUID, kind: str) -> list[Shown]:
        """What was shown of that kind about a ticket."""
        return [each for each in self.shown if (each.data["ticket_id"], each.kind) == (str(ticket_id), kind)]

    async def until(self, ticket_id: str | UUID, kind: str, count: int = 1) -> Shown:
        """The latest notice of that kind about a ticket, once so many have come."""
        deadline = time.monotonic() + PATIENCE
        while len(found := self.of(ticket_id, kind)) < count:
            assert time.monotonic() < deadline, f"{self.agent} was not shown {count} {kind} of {ticket_id}"
            await asyncio.sleep(0.05)
        return found[-1]


@contextlib.asynccontextmanager
async def followed(zhida: Zhida, *agents: str) -> AsyncIterator[dict[str, Screen]]:
    """The screens of these agents, from the beginning of their inboxes."""
    screens = {name: Screen(zhida, name) for name in agents}
    following = [asyncio.create_task(screen.follow()) for screen in screens.values()]
    try:
        yield screens
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
