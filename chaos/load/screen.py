"""The agents: their screens (one event stream), and what they do when a notice appears on one."""

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from demo.api import Api, Moved, Refused, Unanswered
from reconcile.ledger import Screens

AT_ONCE = 48  # deeds of all agents side by side
REOPENS, ASKS = 0.02, 0.02  # shares of tickets
# A stream without a line for so long is given up and opened anew.
PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=20)


@dataclass
class Agents:
    """All agents. `dispatch`, `notices`: the services under the platform's key, which may speak for any agent."""

    dispatch: Api
    notices: Api
    names: tuple[str, ...]
    log: Screens
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    closed: int = 0  # tickets
    underway: deque[str] = field(default_factory=lambda: deque(maxlen=50))  # tickets on which something is to come
    _reopened: set[str] = field(default_factory=set)  # tickets
    _last: dict[str, int] = field(default_factory=dict)  # agent → number
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def work(self) -> None:
        """Watch every screen and act on what appears, until cancelled."""
        for name in self.names:
            self.log.opened(name)
        async with asyncio.TaskGroup() as tasks:
            last = ""
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async for name, notice in self.notices.events(self.names, last, PATIENCE):
                        last = name
                        self._see(notice, tasks)
                self.counts["streams opened anew"] += 1
                await asyncio.sleep(0.3)

    def recent(self) -> str | None:
        """A ticket that is not closed yet, as far as is known."""
        return self.underway[-1] if self.underway else None

    @property
    def busy(self) -> bool:
        """Whether a deed is under way or waits for a free hand."""
        return self.counts["deeds begun"] != self.counts["deeds ended"]

    def _see(self, notice: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
        agent, number = notice["recipient"]["id"], notice["number"]
        self.log.shown(agent, number, notice["notification_id"], notice["kind"], notice["ticket_id"])
        self.counts["shown"] += 1
        if number <= self._last.get(agent, 0):
            self.counts["shown again"] += 1
            return
        self._last[agent] = number
        match notice["kind"]:
            case "ticket_answered":
                tasks.create_task(self._act(self._finish(agent, notice)))
            case "question_asked":
                tasks.create_task(self._act(self._reply(agent, notice)))

    async def _act(self, deed: Coroutine[Any, Any, None]) -> None:
        self.counts["deeds begun"] += 1
        try:
            async with self._places:
                await deed
        except Moved:
            self.counts["overtaken"] += 1
        except Refused as refused:
            self.counts[f"refused {refused.status}"] += 1
        finally:
            self.counts["deeds ended"] += 1

    async def _finish(self, agent: str, notice: dict[str, Any]) -> None:
        """Read the answer to the customer; have it done again once, ask on, or close."""
        draw = random.Random(f"{self.seed}|{notice['data']['external_ref']}")
        ticket, name = notice["ticket_id"], notice["notification_id"]
        lot, again = draw.random(), ticket in self._reopened
        if not again and lot < REOPENS:
            self._reopened.add(ticket)
            self.underway.append(ticket)
            path, body = f"/v1/tickets/{ticket}/reopen", {"reason": "回访时客户表示问题仍然存在，请重新处理。"}
            await self._insist(agent, path, body, f"reopen-{name}")
            self.counts["reopened"] += 1
            return
        if not again and lot < REOPENS + ASKS:
            with contextlib.suppress(Moved):
                path, body = f"/v1/tickets/{ticket}/questions", {"text": "客户还想知道大概什么时候能彻底解决。"}
                await self._insist(agent, path, body, f"ask-{name}")
                self.counts["asked"] += 1
        await self._insist(agent, f"/v1/tickets/{ticket}/close", {"satisfied": draw.random() < 0.95}, f"close-{name}")
        self.closed += 1

    async def _reply(self, agent: str, notice: dict[str, Any]) -> None:
        question = notice["data"]["question_id"]
        path, body = f"/v1/questions/{question}/answer", {"text": "已核对，客户地址与工单一致，白天都可以联系。"}
        await self._insist(agent, path, body, f"reply-{question}")
        self.counts["replied"] += 1

    async def _insist(self, agent: str, path: str, body: dict[str, Any], key: str) -> None:
        """The same under the same key until there is a final answer. Raises Refused."""
        while True:
            try:
                await self.dispatch.post(path, body, key=key, agent=agent)
                return
            except Unanswered:
                continue
