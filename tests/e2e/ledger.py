"""What a platform handed in, and the proof, by all that is left behind, that each ticket was lived through once."""

import asyncio
import contextlib
import dataclasses
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from demo import collect
from demo.fact import Facts, Seen, Sent
from demo.reconciliation import CHECKS, entry, reconcile
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
    offered: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Tickets come in for as long as the block lasts, which ends once each is accepted."""
        stop = asyncio.Event()
        flow = asyncio.create_task(traffic.flow(self.zhida, self._tickets(), stop))
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
        """Every ticket is closed, and nothing was lost or doubled on its way: all of the demo's checks hold."""
        await self.closed()
        deadline = time.monotonic() + REST
        checks = [check for check in CHECKS if check.find is not entry.inbound]  # some came by HTTP
        while True:
            facts = self._own(await self._facts())
            findings = [str(each) for result in reconcile(facts, checks) for each in result.findings]
            if not findings:
                return
            assert time.monotonic() < deadline, f"{len(findings)} findings: {findings[:20]}"
            await asyncio.sleep(0.5)

    async def _facts(self) -> Facts:
        seen = [_seen(name, shown) for name, screen in self.screens.items() for shown in screen.shown]
        references = (f"{each['channel']}|{each['external_ref']}" for each in self.offered)
        sent = [Sent("ticket", name, -1, place, datetime.now(UTC)) for place, name in enumerate(references)]
        backend = self.zhida.stack.backend
        return await collect.gather(
            backend.owner_database_url,
            backend.kafka_bootstrap_servers,
            logs=[self.log],
            sent=sent,
            seen=seen,
            followed=set(self.screens),
        )

    def _own(self, facts: Facts) -> Facts:
        """What is about this ledger's tickets: other tests have theirs in the same Zhida."""
        mine = {sent.reference for sent in facts.sent}
        received = tuple(each for each in facts.received if each.reference in mine)
        ids = {each.ticket_id for each in received}
        names = {str(id_) for id_ in ids}

        def about(items: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(each for each in items if each.ticket_id in ids)

        engines = tuple(
            dataclasses.replace(each, versions={key: count for key, count in each.versions.items() if key in names})
            for each in facts.engines
        )
        return dataclasses.replace(
            facts,
            said=tuple(each for each in facts.said if each.key in names),
            received=received,
            refused=(),
            judged=about(facts.judged),
            dispatched=about(facts.dispatched),
            orders=about(facts.orders),
            deliveries=about(facts.deliveries),
            questions=about(facts.questions),
            clocks=about(facts.clocks),
            notices=about(facts.notices),
            hooks=tuple(each for each in facts.hooks if each.ticket_id in names),
            calls=tuple(each for each in facts.calls if each.ticket_id in names),
            engines=engines,
        )


@contextlib.asynccontextmanager
async def opened(zhida: Zhida, folder: Path) -> AsyncIterator[Ledger]:
    """A new ledger, with departments and agents at work."""
    names = [f"A{secrets.token_hex(4)}" for _ in range(3)]
    async with playing(zhida, folder) as hall, followed(zhida, *names) as screens:
        ledger = Ledger(zhida, screens, hall.log)
        closing = [asyncio.create_task(_close_answered(zhida, screen)) for screen in screens.values()]
        try:
            yield ledger
        finally:
            for task in closing:
                task.cancel()
            await asyncio.gather(*closing, return_exceptions=True)


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


def _seen(name: str, shown: Any) -> Seen:
    data = shown.data
    return Seen(
        agent=name,
        number=shown.number,
        id=UUID(data["notification_id"]),
        kind=data["kind"],
        ticket_id=UUID(data["ticket_id"]),
        at=shown.at,
    )
