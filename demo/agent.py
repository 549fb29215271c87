"""The front-line agents: their screens (event streams), and what they do when a notice appears on one."""

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp

from demo.api import Api, Moved
from reconcile import Screens

STREAM = 40  # agents on one event stream
SCREEN = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
CUT = 25  # notices after which each stream is broken off once on purpose, to be resumed
AT_ONCE = 32
PATIENCE = 15.0  # s an agent waits for a reply before the ticket is closed without it
READING = (0.05, 0.4)  # s

ASKS, REOPENS = 0.04, 0.04  # shares of tickets
REPLIES = (
    "已核对，客户地址与工单一致，白天都可以联系。",
    "客户补充：这种情况大约从上周开始，每天傍晚最明显。",
    "客户同意上门查看，请提前半小时联系。",
)
QUESTIONS = (
    "客户还想知道大概什么时候能彻底解决，能否给一个时间？",
    "客户问处理期间需要自己准备什么，请补充说明。",
    "客户问如果再次发生应该直接联系谁？",
)
REASONS = ("回访时客户表示问题仍然存在，请重新处理。", "客户对答复不满意，认为没有回应其诉求。")


@dataclass(frozen=True, slots=True)
class Seen:
    """A notice that arrived on an agent's stream."""

    agent: str
    number: int
    id: UUID
    kind: str
    ticket_id: UUID


@dataclass
class Agents:
    """All agents. `platform`: dispatch under the platform's key; `notices`: notification under the same."""

    platform: Api
    notices: Api
    names: Sequence[str]
    seed: int
    screens: Screens  # where everything that was shown is written down
    answered: set[UUID] = field(default_factory=set)  # tickets whose answer is on a screen
    _numbers: set[tuple[str, int]] = field(default_factory=set)
    _reopened: set[UUID] = field(default_factory=set)
    _replies: dict[UUID, asyncio.Event] = field(default_factory=dict)  # by ticket
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def count(self) -> int:
        """How many different notices have come to the screens."""
        return len(self._numbers)

    async def work(self) -> None:
        """Watch every screen and act on what appears, until cancelled."""
        for name in self.names:
            self.screens.opened(name)
        groups = [self.names[start : start + STREAM] for start in range(0, len(self.names), STREAM)]
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                tasks.create_task(self._watch(group, tasks))

    async def _watch(self, names: Sequence[str], tasks: asyncio.TaskGroup) -> None:
        """One event stream, taken up again behind the last id whenever it ends."""
        last, whole = "", False
        while True:
            taken = 0
            try:
                async for name, notice in self.notices.events(names, last, SCREEN):
                    last = name
                    taken += 1
                    self._see(notice, tasks)
                    if taken == CUT and not whole:
                        whole = True
                        break
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError):
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.05)

    def _see(self, notice: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
        seen = Seen(
            agent=notice["recipient"]["id"],
            number=notice["number"],
            id=UUID(notice["notification_id"]),
            kind=notice["kind"],
            ticket_id=UUID(notice["ticket_id"]),
        )
        self.screens.shown(seen.agent, seen.number, seen.id, seen.kind, seen.ticket_id)
        if (seen.agent, seen.number) in self._numbers:
            return
        self._numbers.add((seen.agent, seen.number))
        match seen.kind:
            case "ticket_answered":
                self.answered.add(seen.ticket_id)
                tasks.create_task(self._act(self._finish(seen, notice["data"]["external_ref"])))
            case "question_asked":
                tasks.create_task(self._act(self._reply(seen, notice["data"]["question_id"])))
            case "question_answered":
                self._replies.setdefault(seen.ticket_id, asyncio.Event()).set()

    async def _act(self, deed: Coroutine[Any, Any, None]) -> None:
        async with self._places:
            with contextlib.suppress(Moved):
                await deed

    async def _finish(self, seen: Seen, reference: str) -> None:
        """Read the answer to the customer; ask on, have it done again, or close."""
        draw = random.Random(f"{self.seed}|{reference}")
        lot, ticket = draw.random(), seen.ticket_id
        await asyncio.sleep(draw.uniform(*READING))
        again = ticket in self._reopened
        if not again and lot < ASKS:
            with contextlib.suppress(Moved):
                await self._ask(seen, draw.choice(QUESTIONS))
        elif not again and lot < ASKS + REOPENS:
            self._reopened.add(ticket)
            await self._post(seen, "reopen", {"reason": draw.choice(REASONS)})
            return
        satisfied = None if draw.random() < 0.1 else draw.random() < 0.95
        await self._post(seen, "close", {"satisfied": satisfied})

    async def _ask(self, seen: Seen, text: str) -> None:
        """A further question, straight to the departments."""
        replied = self._replies.setdefault(seen.ticket_id, asyncio.Event())
        replied.clear()
        await self._post(seen, "questions", {"text": text})
        try:
            async with asyncio.timeout(PATIENCE):
                await replied.wait()
        except TimeoutError:
            return  # the department's list holds the question; the customer does not wait for it

    async def _reply(self, seen: Seen, question_id: str) -> None:
        draw = random.Random(f"{self.seed}|{seen.ticket_id}")
        await asyncio.sleep(draw.uniform(*READING))
        path = f"/v1/questions/{question_id}/answer"
        await self.platform.post(path, {"text": draw.choice(REPLIES)}, key=f"reply-{question_id}", agent=seen.agent)

    async def _post(self, seen: Seen, move: str, body: dict[str, Any]) -> None:
        path, key = f"/v1/tickets/{seen.ticket_id}/{move}", f"{move}-{seen.id}"
        await self.platform.post(path, body, key=key, agent=seen.agent)
