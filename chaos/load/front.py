"""What stands before the departments' receivers: passes webhooks on, or misbehaves as receivers do."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

import aiohttp
from aiohttp import web

Habit: TypeAlias = Literal[
    "hang",  # takes the request, never answers
    "reset",  # takes the request, resets the connection
    "lose",  # the department deals with it, but the answer is lost
    "redirect",  # 302 to an address of its own, which nobody may follow
    "gone",  # 410
    "throttle",  # 429 with Retry-After
    "fail",  # 500
    "twice",  # the department deals with it; its answer is sent twice on one connection
]
HABITS: Final[tuple[Habit, ...]] = get_args(Habit)
TWICE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
PASSED_ON = ("Content-Type", "Retry-After")


@dataclass
class Front:
    """`habits`: department → how its receiver misbehaves now. `counts`: how often each habit was met."""

    targets: Mapping[str, str]  # department → its real receiver
    habits: dict[str, Habit] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    followed: int = 0  # redirects that somebody followed: none may be
    port: int = 0
    _session: aiohttp.ClientSession | None = None

    def url(self, department: str) -> str:
        """The address that dispatch knows."""
        return f"http://127.0.0.1:{self.port}/{department}"

    async def take(self, request: web.Request) -> web.StreamResponse:
        """One webhook."""
        code = request.match_info["department"]
        body = await request.read()
        habit = self.habits.get(code)
        if habit:
            self.counts[habit] += 1
        match habit:
            case "hang":
                await asyncio.sleep(60)
                return web.Response(status=504)
            case "reset":
                return self._reset(request)
            case "redirect":
                return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{self.port}/elsewhere/{code}"})
            case "gone":
                return web.Response(status=410)
            case "throttle":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "fail":
                return web.Response(status=500)
        status, headers, answer = await self._pass(code, request, body)
        if habit == "lose" and status < 300:
            return self._reset(request)
        if habit == "twice" and status < 300 and request.transport is not None:
            request.transport.write(TWICE)
        return web.Response(status=status, headers=headers, body=answer)

    async def _pass(self, code: str, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        assert self._session is not None
        kept = {k: v for k, v in request.headers.items() if k.lower().startswith(("webhook-", "content-type", "trace"))}
        try:
            async with self._session.post(self.targets[code], data=body, headers=kept) as answer:
                passed = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
                return answer.status, passed, await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return 502, {}, b""

    def _reset(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _elsewhere(self, _: web.Request) -> web.Response:
        self.followed += 1
        return web.Response(status=200)


@contextlib.asynccontextmanager
async def opened(targets: Mapping[str, str]) -> AsyncIterator[Front]:
    """A front for these receivers."""
    front = Front(targets)
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/elsewhere/{department}", front._elsewhere)
    app.router.add_post("/{department}", front.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    patience = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200), timeout=patience) as session:
        front._session = session
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            front.port = runner.addresses[0][1]
            yield front
        finally:
            await runner.cleanup()
