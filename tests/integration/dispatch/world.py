"""Everybody around dispatch: the classifier's events, departments with their systems, agents, an administrator."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from libs.shared.contracts.classification import Department, JoinPolicy, Situation, TicketClassified
from libs.shared.contracts.intake import Customer, Place, Ticket, TicketAmended
from libs.shared.contracts.sla_timer import Clock, ClockBreached, ClockWarned
from libs.shared.events import Event, uuid7
from tests.running import Harness

DELIVERY_KEY = b"k" * 32
METER, REPAIR, MARKETING = (
    Department(code="meter", name="计量中心"),
    Department(code="repair", name="抢修班"),
    Department(code="marketing", name="市场营销部"),
)
PATIENCE = 15.0  # s until a test gives up waiting

Behaviour = Callable[[int], Awaitable[web.Response]]


async def until(holds: Callable[[], Awaitable[Any]], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until it holds; gives what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
    return found


@dataclass(frozen=True)
class Received:
    """One request that reached a department's system."""

    department: str
    id: str
    headers: dict[str, str]
    body: bytes
    at: float  # monotonic

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


@dataclass
class Desk:
    """The departments' systems behind one port. `behaviours[department](n)` answers the n-th request (from 1)."""

    port: int
    received: list[Received] = field(default_factory=list)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        desk = cls(0)
        app = web.Application()
        app.router.add_route("*", "/{department}", desk.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        desk.port = runner.addresses[0][1]
        try:
            yield desk
        finally:
            desk.let_go.set()
            await runner.cleanup()

    async def answer(self, request: web.Request) -> web.Response:
        department = request.match_info["department"]
        body = await request.read()
        headers = dict(request.headers)
        self.received.append(Received(department, headers.get("webhook-id", ""), headers, body, time.monotonic()))
        self.counts[department] += 1
        behaviour = self.behaviours.get(department)
        return await behaviour(self.counts[department]) if behaviour else web.Response(status=204)

    def url(self, department: str) -> str:
        return f"http://127.0.0.1:{self.port}/{department}"

    def at(self, department: str, kind: str | None = None) -> list[Received]:
        return [each for each in self.received if each.department == department and kind in (None, each.type)]

    async def hang(self, _: int) -> web.Response:
        await self.let_go.wait()
        return web.Response(status=204)


def status(code: int, **headers: str) -> Behaviour:
    """Always that status."""

    async def answer(_: int) -> web.Response:
        return web.Response(status=code, headers=headers, text="no" if code >= 300 else None)

    return answer


def first(count: int, behaviour: Behaviour) -> Behaviour:
    """The first requests so, the rest well."""

    async def answer(number: int) -> web.Response:
        return await behaviour(number) if number <= count else web.Response(status=204)

    return answer


@dataclass
class World:
    """Dispatch and everybody around it."""

    harness: Harness
    desk: Desk
    admin: httpx.AsyncClient
    agent: httpx.AsyncClient
    platform: httpx.AsyncClient
    supervisor: httpx.AsyncClient
    departments: dict[str, httpx.AsyncClient]
    secrets: dict[str, str] = field(default_factory=dict)
    heard: list[Event] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(cls, harness: Harness, desk: Desk) -> AsyncIterator[Self]:
        async with AsyncExitStack() as stack:

            async def client(principal: str, scope: str) -> httpx.AsyncClient:
                return await stack.enter_async_context(harness.client(principal, scope))

            yield cls(
                harness,
                desk,
                admin=await client("root", "admin"),
                agent=await client("a1", "agent"),
                platform=await client("platform", "publish"),
                supervisor=await client("chief", "supervise"),
                departments={d.code: await client(d.code, "department") for d in (METER, REPAIR, MARKETING)},
            )

    async def endpoint(self, department: str, **changes: Any) -> dict[str, Any]:
        """Give the department an endpoint at the desk."""
        body = {"url": self.desk.url(department), "networks": ["127.0.0.0/8"], **changes}
        answer = await self.admin.put(f"/v1/endpoints/{department}", json=body)
        assert answer.status_code in (200, 201), answer.text
        found: dict[str, Any] = answer.json()
        if found["secret"]:
            self.secrets[department] = found["secret"]
        return found

    async def classify(self, *executing: Department, **changes: Any) -> UUID:
        """A new ticket, classified to these departments; gives its id."""
        event = classified(*(executing or (METER,)), **changes)
        await self.hear(event)
        return event.ticket_id

    async def hear(self, *events: Event) -> list[Event]:
        said = await self.harness.hear(*events)
        self.heard.extend(said)
        return said

    async def said(self, kind: type[Event], ticket_id: UUID | None = None) -> list[Any]:
        """What dispatch has published of that kind so far."""
        self.heard.extend(await self.harness.said())
        return [
            event
            for event in self.heard
            if isinstance(event, kind) and ticket_id in (None, getattr(event, "ticket_id", None))
        ]

    async def orders(self, ticket_id: UUID) -> dict[str, dict[str, Any]]:
        """The ticket's work orders by department, the newest of each."""
        ticket = (await self.agent.get(f"/v1/tickets/{ticket_id}")).json()
        return {order["department"]: order for order in ticket["work_orders"]}

    async def ticket(self, ticket_id: UUID) -> dict[str, Any]:
        found: dict[str, Any] = (await self.agent.get(f"/v1/tickets/{ticket_id}")).json()
        return found

    async def do(self, who: str, order: dict[str, Any], move: str, **body: Any) -> httpx.Response:
        """A department's command on a work order, under a key of its own."""
        client = self.departments.get(who) or getattr(self, who)
        return await post(client, f"/v1/work-orders/{order['work_order_id']}/{move}", **body)

    async def done(self, who: str, order: dict[str, Any], move: str, **body: Any) -> dict[str, Any]:
        """The same, which must succeed."""
        answer = await self.do(who, order, move, **body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def work(self, ticket_id: UUID, department: str, text: str = "已处理") -> None:
        """Accept, contact, answer."""
        order = (await self.orders(ticket_id))[department]
        await self.done(department, order, "accept")
        await self.done(department, order, "contacted")
        await self.done(department, order, "answer", text=text)

    async def arrives(self, department: str, kind: str, count: int = 1, seconds: float = PATIENCE) -> list[Received]:
        """Wait for webhooks of that kind at a department."""

        async def there() -> list[Received]:
            found = self.desk.at(department, kind)
            return found if len(found) >= count else []

        found: list[Received] = await until(there, f"{count} {kind} at {department}", seconds)
        return found

    async def deliveries(self, ticket_id: UUID, state: str | None = None) -> list[dict[str, Any]]:
        query = {"ticket_id": str(ticket_id)} | ({"state": state} if state else {})
        found: list[dict[str, Any]] = (await self.admin.get("/v1/deliveries", params=query)).json()["items"]
        return found

    async def settled(self, ticket_id: UUID, state: str, count: int = 1, seconds: float = PATIENCE) -> Any:
        """Wait until so many of the ticket's deliveries are in that state."""

        async def there() -> list[dict[str, Any]]:
            found = await self.deliveries(ticket_id, state)
            return found if len(found) >= count else []

        return await until(there, f"{count} deliveries {state}", seconds)

    def genuine(self, received: Received) -> bool:
        """Whether an independent library takes the signature."""
        Webhook(self.secrets[received.department]).verify(received.body, received.headers)
        return True


async def post(client: httpx.AsyncClient, path: str, key: str | None = None, **body: Any) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key or str(uuid4())})


def classified(
    *executing: Department,
    ticket_id: UUID | None = None,
    join_policy: JoinPolicy = "all",
    lead: Department = MARKETING,
    agent_id: str | None = "a1",
    situation: str = "meter_fast",
) -> TicketClassified:
    """What classification says of a ticket that was received a minute ago."""
    now = datetime.now(UTC)
    return TicketClassified(
        ticket_id=ticket_id or uuid7(now - timedelta(minutes=1)),
        ticket=Ticket(
            channel="95598",
            external_ref=uuid4().hex,
            agent_id=agent_id,
            title="电表走得太快",
            text="家里电表走得特别快,请核实。",
            place=Place(area_code="320102", address="鼓楼区中山路"),
            customer=Customer(customer_id="c1", star=4, sensitive=True),
            opened_at=now - timedelta(minutes=5),
        ),
        business_type="complaint",
        complaint_object="external",
        situation=Situation(code=situation, name="电表计量不准", path=("投诉", "计量", "计量准确性")),
        lead_department=lead,
        executing_departments=executing,
        supervisor="chief",
        sla_class="maintenance",
        join_policy=join_policy,
        urgency="urgent",
        risk="normal",
        matrix_version="power-1",
        model_version=None,
        probability=0.9,
        margin=0.5,
        words=("电表",),
        decided_by="matrix",
    )


def amended(ticket_id: UUID, text: str = "补充:门锁已换") -> TicketAmended:
    return TicketAmended(ticket_id=ticket_id, amendment_id=uuid7(datetime.now(UTC)), text=text, by="a1")


def clock(order: dict[str, Any], kind: Any = "accept", due_in: float = 900.0) -> Clock:
    now = datetime.now(UTC)
    return Clock(
        clock_id=uuid4(),
        kind=kind,
        work_order_id=UUID(order["work_order_id"]),
        department=Department(code=order["department"], name=order["department_name"]),
        lead_department=MARKETING,
        supervisor="chief",
        started_at=now,
        due_at=now + timedelta(seconds=due_in),
        limit_seconds=1800,
    )


def warned(order: dict[str, Any], percent: int, **changes: Any) -> ClockWarned:
    return ClockWarned(ticket_id=UUID(order["ticket_id"]), clock=clock(order, **changes), percent=percent)


def breached(order: dict[str, Any], **changes: Any) -> ClockBreached:
    return ClockBreached(ticket_id=UUID(order["ticket_id"]), clock=clock(order, **changes))


def by_ticket(received: Sequence[Received]) -> dict[str, list[Received]]:
    found: dict[str, list[Received]] = defaultdict(list)
    for each in received:
        found[each.data["ticket_id"]].append(each)
    return found
