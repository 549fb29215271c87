"""What a platform handed in, and the proof, by all that is left behind, that each ticket was lived through once."""

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import reconcile
from reconcile import Screens, Sources
from tests.e2e import traffic
from tests.e2e.play import playing
from tests.e2e.screen import Screen, followed
from tests.e2e.zhida import Zhida, agent

AT_ONCE = 8  # tickets an agent closes side by side
REST = 60.0  # seconds in which everything must have come to rest after the last ticket was closed
STANDING = """
    SELECT s.stage, count(*) AS number FROM unnest($1::text[]) AS w(external_ref)
    LEFT JOIN intake.reference t ON t.channel = '95598' AND t.external_ref = w.external_ref
    LEFT JOIN intake.ticket_stage s USING (ticket_id) GROUP BY s.stage"""


@dataclass
class Ledger:
    """Tickets handed in for agents of its own, who close each when they see its answer."""

    zhida: Zhida
    screens: dict[str, Screen]
    log: Path  # of the simulated departments
    book: reconcile.Ledger
    since: datetime
    offered: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Tickets come in for as long as the block lasts, which ends once each is accepted."""
        stop = asyncio.Event()
        flow = asyncio.create_task(traffic.flow(self.zhida, self._tickets(), stop, self.book))
        try:
            yield
            stop.set()
            await flow
        finally:
            flow.cancel()
            await asyncio.gather(flow, return_exceptions=True)

    def _tickets(self) -> Iterator[dict[str, Any]]:
        for number in itertools.count(len(self.offered)):
            title, text = traffic.MATTERS[number % len(traffic.MATTERS)]
            name = list(self.screens)[number % len(self.screens)]
            text, customer = f"{text}第{number}户来电。", {"star": number % 5 + 1}
            self.offered.append(traffic.ticket(title, text, agent_id=name, customer=customer))
            yield self.offered[-1]

    async def come(self, count: int) -> None:
        """Wait until so many more tickets have come as far as dispatch: the flow is under way at every service."""

        async def there() -> int:
            return int((await self.zhida.rows("SELECT count(*) FROM dispatch.ticket"))[0]["count"])

        wanted = await there() + count

        async def more() -> bool:
            return await there() >= wanted

        await self.zhida.until(more, f"{count} tickets come to dispatch")

    async def closed(self, seconds: float = 120) -> None:
        """Wait until intake shows every ticket as closed."""
        references = [each["external_ref"] for each in self.offered]
        deadline = time.monotonic() + seconds
        while True:
            found = {row["stage"]: row["number"] for row in await self.zhida.rows(STANDING, references)}
            if set(found) == {"closed"}:
                return
            assert time.monotonic() < deadline, f"of {len(references)} tickets, by stage (None: lost): {found}"
            await asyncio.sleep(0.3)

    async def reconciled(self) -> None:
        """Every ticket is closed, and nothing was lost or doubled on its way: all of the oracle's checks hold."""
        await self.closed()
        deadline = time.monotonic() + REST
        while not (found := await reconcile.reconcile(self.sources())).balances:
            told = "\n".join(map(str, found.findings[:20]))
            assert time.monotonic() < deadline, f"{sum(found.failed.values())} findings:\n{told}"
            await asyncio.sleep(0.5)

    def sources(self) -> Sources:
        """All that is about this ledger's tickets: none but they were born since it was opened."""
        backend, path = self.zhida.stack.backend, self.book.path.with_name("screens.jsonl")
        path.unlink(missing_ok=True)
        with Screens(path) as screens:
            for name, screen in self.screens.items():
                screens.opened(name)
                for each in screen.shown:
                    data = each.data
                    screens.shown(name, each.number, data["notification_id"], each.kind, data["ticket_id"])
        return Sources.of(
            backend.owner_database_url,
            backend.kafka_bootstrap_servers,
            ledgers=[self.book.path],
            receipts=[self.log],
            streams=[path],
            since=self.since,
            whole=True,
            closed=True,
        )


@contextlib.asynccontextmanager
async def opened(zhida: Zhida, folder: Path) -> AsyncIterator[Ledger]:
    """A new ledger, with departments and agents at work."""
    names = [f"A{secrets.token_hex(4)}" for _ in range(3)]
    since = datetime.now(UTC)
    async with playing(zhida, folder) as hall, followed(zhida, *names) as screens:
        book = reconcile.Ledger(folder / "ledger.jsonl")
        ledger = Ledger(zhida, screens, hall.log, book, since)
        closing = [asyncio.create_task(_close_answered(zhida, screen)) for screen in screens.values()]
        try:
            yield ledger
        finally:
            for task in closing:
                task.cancel()
            await asyncio.gather(*closing, return_exceptions=True)
            book.close()


async def _close_answered(zhida: Zhida, screen: Screen) -> None:
    """The agent reads each answer to the customer and closes the ticket."""
    closed: set[str] = set()

    async def close(ticket_id: str) -> None:
        path = f"dispatch/v1/tickets/{ticket_id}/close"
        await zhida.insist(agent(screen.agent), "POST", path, {"satisfied": True})

    while True:
        answered = {each.data["ticket_id"] for each in screen.shown if each.kind == "ticket_answered"}
        async with asyncio.TaskGroup() as group:
            for ticket_id in sorted(answered - closed)[:AT_ONCE]:
                closed.add(ticket_id)
                group.create_task(close(ticket_id))
        await asyncio.sleep(0.05)
