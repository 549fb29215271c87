"""Departments played by hand: a web server that keeps each webhook byte for byte, and answers as it is told."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from aiohttp import web

from tests.e2e.zhida import ADMIN, PATIENCE, Secrets, Zhida


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request that reached a department."""

    department: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


@dataclass
class Departments:
    """Every department that has an endpoint here, and what it got."""

    zhida: Zhida
    port: int
    webhooks: list[Webhook] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)  # department → status to answer instead of 204

    async def open(self, *departments: str) -> None:
        """Make their endpoints, as an administrator does."""
        for code in departments:
            url = f"http://127.0.0.1:{self.port}/{code}"
            await endpoint(self.zhida, code, url)

    async def until(
        self, department: str, kind: str, ticket_id: str | UUID, *, count: int = 1, seconds: float = PATIENCE
    ) -> Webhook:
        """The latest webhook of that type about a ticket, once `count` different ones have come."""
        deadline = time.monotonic() + seconds
        while True:
            found = {
                each.id: each
                for each in self.webhooks
                if (each.department, each.type, each.data.get("ticket_id")) == (department, kind, str(ticket_id))
            }
            if len(found) >= count:
                return list(found.values())[-1]
            assert time.monotonic() < deadline, f"{department} got no {kind} about {ticket_id}"
            await asyncio.sleep(0.05)

    async def take(self, request: web.Request) -> web.Response:
        """Keep a webhook."""
        code = request.match_info["department"]
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.webhooks.append(Webhook(code, headers, await request.read()))
        return web.Response(status=self.refuses.get(code, 204))


async def endpoint(zhida: Zhida, department: str, url: str) -> Secrets:
    """Give a department its endpoint, or another one; the keys it verifies webhooks with."""
    body = {"url": url, "networks": ["127.0.0.0/8"]}
    answer = await zhida.insist(ADMIN, "PUT", f"dispatch/v1/endpoints/{department}", body)
    if answer["secret"]:
        zhida.secrets[department] = Secrets(answer["secret"], answer["public_key"])
    elif department not in zhida.secrets:  # the answer that held it was lost
        answer = await zhida.insist(ADMIN, "POST", f"dispatch/v1/endpoints/{department}/rotate", {"overlap_seconds": 0})
        zhida.secrets[department] = Secrets(answer["secret"], answer["public_key"])
    return zhida.secrets[department]


@contextlib.asynccontextmanager
async def played(zhida: Zhida) -> AsyncIterator[Departments]:
    """A server for departments played by hand."""
    departments = Departments(zhida, 0)
    app = web.Application()
    app.router.add_post("/{department}", departments.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        departments.port = runner.addresses[0][1]
        yield departments
    finally:
        await runner.cleanup()
