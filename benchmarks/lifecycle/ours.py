"""A ticket's life through the real services: handed in by HTTP, worked on by webhook and commands, closed."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import orjson

from benchmarks.lifecycle.lives import Lives
from benchmarks.lifecycle.wire import Caller, hearing
from benchmarks.place import Place

# Each is sure to be classified, to one executing department, by the matrix's own phrases.
MATTERS = (
    ("反对变电站选址", "反对在小区旁建变电站，变电站离小区太近，变电站规划公示没有征求我们意见，请重新选址。"),
    ("高压线走向", "高压线走向不合理，线路路径从居民楼上方通过，高压线从我家房顶过，高压走廊太近。"),
    ("农网改造", "农网改造一直没有做，村里线路老化多年，农村电网改造什么时候轮到我们。"),
)
DEPARTMENTS = ("district_bureau", "transmission_station")
ANSWER = {"text": "已到现场核实，问题已处理，客户认可。"}
AGENTS = 200


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Lives]:
    """Keys, departments with their endpoints, and the lives that go by them."""

    async def caller(service: str, principal: str, scope: str) -> Caller:
        key = await place.key(service, principal, scope)
        return Caller(place.stack.url(service), {"authorization": f"Bearer {key}"})

    intake, agent = await caller("intake", "platform", "publish"), await caller("dispatch", "platform", "publish")
    departments = {code: await caller("dispatch", code, "department") for code in DEPARTMENTS}
    lives = Lives(partial(_live, intake=intake, departments=departments, agent=agent))
    async with hearing(lives.take) as url:
        await _register(place, url)
        yield lives
    for each in (intake, agent, *departments.values()):
        each.close()


async def _register(place: Place, url: str) -> None:
    headers = {"authorization": f"Bearer {await place.key('dispatch', 'root', 'admin')}"}
    async with aiohttp.ClientSession(place.stack.url("dispatch"), headers=headers) as session:
        for code in DEPARTMENTS:
            body = {"url": f"{url}/{code}", "networks": ["127.0.0.0/8"], "concurrency": 64}
            async with session.put(f"/v1/endpoints/{code}", json=body) as answer:
                answer.raise_for_status()


async def _live(lives: Lives, number: int, *, intake: Caller, departments: dict[str, Caller], agent: Caller) -> None:
    title, text = MATTERS[number % len(MATTERS)]
    name = f"A{number % AGENTS}"
    ticket = {
        "channel": "95598",
        "external_ref": f"{lives.mark}-{number}",
        "agent_id": name,
        "title": title,
        "text": f"{text}第{number}户来电。",
    }
    ticket_id = (await _post(intake, "/v1/tickets", ticket))["ticket_id"]
    data = await lives.webhook(ticket_id)
    department, order = departments[data["department"]], f"/v1/work-orders/{data['work_order_id']}"
    await _post(department, f"{order}/accept", None)
    answered = await _post(department, f"{order}/answer", ANSWER)
    if answered["ticket_state"] != "answered":
        raise RuntimeError(f"answered by all departments, but the ticket is {answered['ticket_state']}")
    await _post(agent, f"/v1/tickets/{ticket_id}/close", {"satisfied": True}, X_Agent_Id=name)


async def _post(caller: Caller, path: str, body: dict[str, Any] | None, **headers: str) -> dict[str, Any]:
    raw = b"" if body is None else orjson.dumps(body)
    status, said = await caller.ask("POST", path, raw, Idempotency_Key=secrets.token_hex(12), **headers)
    if status >= 300:
        raise RuntimeError(f"{path}: {status} {said.decode(errors='replace')}")
    found: dict[str, Any] = orjson.loads(said)
    return found
