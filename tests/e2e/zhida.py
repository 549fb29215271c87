"""A running Zhida from outside: its HTTP APIs with their keys, the inbound topic, its tables as the owner sees them."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from deploy.local.stack import Stack
from libs.shared import keys
from libs.shared.events import INBOUND
from libs.shared.service import Running, Service
from libs.shared.settings import Settings
from tests.e2e.flow import Flow

PATIENCE = 90.0  # seconds until what must happen has happened, on a machine that others use too
UNREACHABLE = (httpx.TransportError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Who:
    """A caller: whose key is sent, with which scopes."""

    principal: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a department verifies webhooks with: whsec_… for v1, whpk_… for v1a."""

    shared: str
    public: str


PLATFORM = Who("platform", ("publish",))
SUPERVISOR = Who("supervisor", ("supervise",))
ADMIN = Who("admin", ("admin",))


def agent(name: str) -> Who:
    return Who(name, ("agent",))


def department(code: str) -> Who:
    return Who(code, ("department",))


@dataclass
class Zhida:
    """The stack and the ways into it."""

    stack: Stack
    http: httpx.AsyncClient
    flow: Flow
    secrets: dict[str, Secrets] = field(default_factory=dict)  # by department
    replicas: int = 1  # how many processes of each service callers know of
    _keys: dict[tuple[str, Who], str] = field(default_factory=dict)

    async def key(self, service: str, who: Who) -> str:
        """The caller's API key at that service, made when first asked for."""
        if (service, who) not in self._keys:
            url = self.stack.environment(service)["DATABASE_URL"]
            async with Running(Service(service), Settings(database_url=SecretStr(url))).opened() as running:
                self._keys[service, who] = await keys.create(running, who.principal, list(who.scopes), None)
        return self._keys[service, who]

    async def ask(
        self,
        who: Who | None,
        method: str,
        place: str,
        body: Any = None,
        *,
        key: str | None = "",
        replica: int = 1,
        **options: Any,
    ) -> httpx.Response:
        """One request. place: `intake/v1/tickets`. key: the Idempotency-Key, "" a new one, None none at all."""
        service, _, path = place.partition("/")
        headers = dict(options.pop("headers", {}))
        if who:
            headers["Authorization"] = f"Bearer {await self.key(service, who)}"
        if method != "GET" and key is not None:
            headers["Idempotency-Key"] = key or secrets.token_hex(16)
        if body is not None:
            options["json"] = body
        return await self.http.request(method, f"{self.stack.url(service, replica)}/{path}", headers=headers, **options)

    async def insist(self, who: Who, method: str, place: str, body: Any = None) -> dict[str, Any]:
        """Ask as a good client does: the same under the same key until there is a final answer, which must be 2xx."""
        key, replica, deadline = secrets.token_hex(16), 1, time.monotonic() + PATIENCE
        while True:
            answer: httpx.Response | None = None
            with contextlib.suppress(*UNREACHABLE):
                answer = await self.ask(who, method, place, body, key=key, replica=replica)
            if answer is not None and answer.status_code not in (429, 502, 503) and not _in_progress(answer):
                assert answer.is_success, f"{method} {place}: {answer.status_code} {answer.text}"
                found: dict[str, Any] = answer.json()
                return found
            assert time.monotonic() < deadline, f"{method} {place}: no answer but {answer}"
            replica = replica % self.replicas + 1
            await asyncio.sleep(0.1)

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """What stands in the tables, as their owner sees it; waits while Postgres is away."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connection = await asyncpg.connect(self.stack.backend.owner_database_url, timeout=5)
                try:
                    return list(await connection.fetch(sql, *arguments, timeout=30))
                finally:
                    await connection.close(timeout=5)
            except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                assert time.monotonic() < deadline, "Postgres does not answer"
                await asyncio.sleep(0.2)

    async def until(self, check: Callable[[], Awaitable[Any]], what: str, seconds: float = PATIENCE) -> Any:
        """Poll until `check` gives something true, which is returned; an error after that time."""
        deadline = time.monotonic() + seconds
        while not (found := await check()):
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
            await asyncio.sleep(0.1)
        return found

    async def started(self, *services: str, replica: int = 1) -> None:
        """Start services (all, unless named) and wait until they are ready."""
        await asyncio.to_thread(self.stack.start, *services, replica=replica)

    async def restarted(self, service: str, **settings: str) -> None:
        """Stop a service in good order and start it with these settings beside the usual ones."""
        place = self.stack.place
        usual = place.recall("settings")
        place.remember("settings", usual | settings)
        await asyncio.to_thread(self.stack.stop, service)
        await self.started(service)
        place.remember("settings", usual)


def _in_progress(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and answer.json().get("title") == "Request in progress"


@contextlib.asynccontextmanager
async def producing(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as a call-centre platform has it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, request_timeout_ms=5000
    )
    await producer.start()
    try:
        yield producer
    finally:
        with contextlib.suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(producer.stop(), 10)


async def publish(bootstrap: str, *tickets: dict[str, Any] | bytes, raw_key: bytes | None = None) -> None:
    """Put tickets on the inbound topic; given as bytes they go as they are."""
    async with producing(bootstrap) as producer:
        for ticket in tickets:
            if isinstance(ticket, bytes):
                await producer.send_and_wait(INBOUND, ticket, key=raw_key)
            else:
                name = f"{ticket['channel']}|{ticket['external_ref']}"
                await producer.send_and_wait(INBOUND, json.dumps(ticket).encode(), key=name.encode())
