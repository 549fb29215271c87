"""A small Zhida under the launcher, with everybody on it: traffic, a protection switched off, what the oracle says."""

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chaos import record
from chaos.load.platform import Platform
from chaos.member import Member
from chaos.play import Cast
from deploy.local import environment
from libs.shared.events import INBOUND
from reconcile import reconcile

IN_MOTION = {"unread", *(f"{service}_unsent" for service in environment.services())}
PATIENCE = 60.0  # s, on a machine that others use too


@dataclass
class Bench:
    """The cast at work; each scenario has tickets of its own, told apart by when they were born."""

    cast: Cast
    seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def tickets(self, count: int) -> None:
        """Hand so many in; returns when each is confirmed."""
        before = self.cast.platform
        platform = Platform(
            before.intake,
            before.kafka,
            before.ledger,
            before.agents,
            rate=20,
            most_open=100,
            open_tickets=lambda offered: offered,
            seed=next(self.seeds),
            most=count,
        )
        await asyncio.wait_for(platform.run(), PATIENCE)

    async def closed(self, count: int) -> None:
        """So many tickets, and as many again."""
        wanted = self.cast.agents.closed + count
        await self.tickets(count)
        deadline = time.monotonic() + PATIENCE
        while self.cast.agents.closed < wanted:
            assert time.monotonic() < deadline, f"{self.cast.agents.closed} closed, {wanted} wanted"
            await asyncio.sleep(0.1)

    async def bad_record(self) -> None:
        """A record of the inbound topic that must be refused, once."""
        ledger = self.cast.ground.ledger
        offer = ledger.offered("12345|bad", None, "refused")
        async with record.producing(self.cast.ground.kafka) as producer:
            sent = await producer.send_and_wait(INBOUND, b'{"channel": ', key=b"12345|bad")
        ledger.published(offer, sent.partition, sent.offset)

    async def rest(self) -> None:
        """Wait until all is read and sent; tickets that a scenario has lost stay open."""
        deadline = time.monotonic() + PATIENCE
        while True:
            left = {name: count for name, count in (await self.cast.watch.left()).items() if name in IN_MOTION}
            if not left:
                return
            assert time.monotonic() < deadline, f"left: {left}"
            await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def without(self, protection: str, service: str) -> AsyncIterator[None]:
        """The service runs with this protection off, until the block ends."""
        await self._restart(service, (protection,))
        try:
            yield
        finally:
            await self._restart(service, ())

    async def _restart(self, service: str, without: tuple[str, ...]) -> None:
        members = self.cast.stage.of(service)
        for member in members:
            member.down = True
            member.resume()
        await asyncio.gather(*(member.stop() for member in members))
        for member in members:
            member.without, member.down = without, False
            await member.start()
        await self.cast.stage.ready(*(member.name for member in members))

    async def dies(self, member: Member) -> None:
        """Wait until an armed process has died and a new one is ready."""
        starts, deadline = member.starts, time.monotonic() + PATIENCE
        while member.starts == starts:
            assert time.monotonic() < deadline, f"{member.name} did not die"
            await asyncio.sleep(0.05)
        await self.cast.stage.ready(member.name)

    async def balanced(self, since: datetime) -> None:
        """Nothing contradicts anything about the tickets born since then, as soon as all has come to rest."""
        deadline = time.monotonic() + PATIENCE
        own = dataclasses.replace(self.cast.sources, since=since, whole=False)
        while not (report := await reconcile(own)).balances:
            assert time.monotonic() < deadline, [str(each) for each in report.findings][:20]
            await asyncio.sleep(0.2)

    async def told(self, words: str) -> int:
        """How often the oracle says these words now, of all tickets and records."""
        report = await reconcile(self.cast.sources)
        return sum(words in each.text for each in report.findings)

    async def red(self, words: str, before: int) -> None:
        """The oracle comes to say these words more often than before."""
        deadline = time.monotonic() + PATIENCE
        while await self.told(words) <= before:
            assert time.monotonic() < deadline, f"the oracle does not say '{words}'"
            await asyncio.sleep(0.2)


def now() -> datetime:
    return datetime.now(UTC)
