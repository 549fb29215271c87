"""Lives of tickets that are merged, released, folded, dissolved at random: what must hold whenever all is settled."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

import pytest

from libs.shared.contracts.classification import HotEventClosed, HotEventDissolved, HotEventLeft
from libs.shared.events import uuid7
from services.dispatch import merging, store
from tests.integration.dispatch.test_merge import joined, master_of
from tests.integration.dispatch.world import METER, REPAIR, World, classified, post

MOVES = 120

# Each names what is wrong with a ticket.
WRONG = {
    "follows a ticket that follows another, or none": """
        SELECT t.ticket_id FROM ticket t JOIN ticket m ON m.ticket_id = t.master
        WHERE m.master IS DISTINCT FROM m.ticket_id""",
    "follows a master and has an open work order of its own": """
        SELECT t.ticket_id FROM ticket t JOIN work_order o USING (ticket_id)
        WHERE t.master <> t.ticket_id AND o.state IN ('assigned', 'accepted', 'reopened', 'returned')""",
    "is open, and nobody works on it": """
        SELECT ticket_id FROM ticket t WHERE state = 'open' AND (master IS NULL OR master = ticket_id)
            AND NOT EXISTS (SELECT FROM work_order o WHERE o.ticket_id = t.ticket_id
                AND o.state IN ('assigned', 'accepted', 'reopened', 'returned'))""",
    "does not stand as its master does": """
        SELECT t.ticket_id FROM ticket t JOIN ticket m ON m.ticket_id = t.master AND m.ticket_id <> t.ticket_id
        WHERE t.state <> 'closed' AND (t.state = 'open') <> (m.state = 'open')""",
    "has an older answer than its master": """
        SELECT t.ticket_id FROM ticket t JOIN ticket m ON m.ticket_id = t.master AND m.ticket_id <> t.ticket_id
        WHERE t.state = 'answered' AND t.answered_at < m.answered_at""",
    "is a member by one table only": """
        SELECT ticket_id FROM ticket t LEFT JOIN member c USING (ticket_id)
        WHERE coalesce(t.master <> t.ticket_id, false)
            <> coalesce(c.state = 'member' AND c.master_id = t.master, false)""",
    "follows a master that was dissolved": """
        SELECT t.ticket_id FROM ticket t JOIN master m ON m.master_id = t.master
        WHERE m.dissolved_by IS NOT NULL AND t.ticket_id <> t.master""",
    "is still on its way": "SELECT ticket_id FROM member WHERE state IN ('joining', 'leaving')",
    "has two open work orders of one department": """
        SELECT ticket_id FROM work_order WHERE state IN ('assigned', 'accepted', 'reopened', 'returned')
        GROUP BY ticket_id, department HAVING count(*) > 1""",
}


class Life:
    """Some tickets, two hot events, and what may happen to them."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, Random(seed)
        self.tickets: list[UUID] = []
        self.events = [uuid7(datetime.now(UTC)) for _ in range(2)]
        self.story: list[str] = []

    async def move(self) -> None:
        moves: list[Callable[[], Awaitable[str]]] = [
            self.arrive, self.arrive, self.merge, self.merge, self.release, self.answer, self.answer, self.answer,
            self.end, self.reopen, self.reopen, self.join, self.leave, self.classify_again,
        ]  # fmt: skip
        if self.random.random() < 0.05:
            moves = [self.dissolve, self.calm]
        self.story.append(await self.random.choice(moves)())

    def one(self) -> UUID:
        return self.random.choice([*self.tickets, *self.events])

    async def send(self, path: str, **body: object) -> int:
        answer = await post(self.world.agent, f"/v1/tickets/{path}", str(uuid4()), **body)
        assert answer.status_code < 500, answer.text
        return answer.status_code

    async def arrive(self) -> str:
        event = self.random.choice([None, None, *self.events])
        departments = self.random.choice([(METER,), (REPAIR,), (METER, REPAIR)])
        ticket = classified(*departments, join_policy=self.random.choice(["all", "any"]))
        await self.world.hear(ticket.model_copy(update={"hot_event": event}))
        self.tickets.append(ticket.ticket_id)
        return f"{ticket.ticket_id} of {event}"

    async def merge(self) -> str:
        one, two = self.one(), self.one()
        return f"{one} merged into {two}: {await self.send(f'{one}/merge', into=str(two))}"

    async def release(self) -> str:
        one = self.one()
        return f"{one} released: {await self.send(f'{one}/release')}"

    async def end(self) -> str:
        one = self.one()
        return f"{one} closed: {await self.send(f'{one}/close')}"

    async def reopen(self) -> str:
        one = self.one()
        return f"{one} reopened: {await self.send(f'{one}/reopen', reason='x')}"

    async def answer(self) -> str:
        department = self.random.choice(["meter", "repair"])
        orders = (await self.world.departments[department].get("/v1/work-orders?limit=500")).json()["items"]
        if not orders:
            return "nothing to answer"
        order = self.random.choice(orders)
        await self.world.do(department, order, "accept")
        answer = await self.world.do(department, order, "answer", text=f"{uuid4()}")
        return f"{order['ticket_id']} answered by {department}: {answer.status_code}"

    async def join(self) -> str:
        one, event = self.one(), self.random.choice(self.events)
        if one in self.events:
            return "an event joins none"
        await self.world.hear(joined(one, event))
        return f"{one} joins {event}"

    async def leave(self) -> str:
        one, event = self.one(), self.random.choice(self.events)
        await self.world.hear(HotEventLeft(ticket_id=one, hot_event_id=event, by="chief"))
        return f"{one} leaves {event}"

    async def classify_again(self) -> str:
        one = self.one()
        await self.world.hear(classified(self.random.choice([METER, REPAIR]), ticket_id=one, situation="other"))
        return f"{one} classified again"

    async def dissolve(self) -> str:
        event = self.random.choice(self.events)
        await self.world.hear(HotEventDissolved(hot_event_id=event, by="chief", reason=None))
        return f"{event} dissolved"

    async def calm(self) -> str:
        event = self.random.choice(self.events)
        await self.world.hear(HotEventClosed(hot_event_id=event, members=1, by="classification"))
        return f"{event} closed"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_happens_each_open_ticket_is_worked_on_by_somebody(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "STEP", 2)
    life = Life(world, seed)
    for event in life.events:
        await world.hear(master_of(event))
    for number in range(MOVES):
        await life.move()
        if number % 3 == 0:
            while await store.member.to_do(world.harness.running):
                await merging.look(world.harness.running)
            for what, query in WRONG.items():
                rows = await world.harness.rows(query)
                assert not rows, f"{rows[0].ticket_id} {what}\n" + "\n".join(life.story)
    rows = await world.harness.rows(
        "SELECT key, array_agg(version ORDER BY id) AS versions FROM outbox GROUP BY key HAVING count(*) > 1"
    )
    for row in rows:
        assert row.versions == list(range(row.versions[0], row.versions[0] + len(row.versions)))
