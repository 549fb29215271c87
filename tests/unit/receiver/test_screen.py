"""The ready-made receiver shows what came, and accepts when told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from zhida_receiver import Department, Notice, Reply, Unreachable
from zhida_receiver.screen import Screen

DATA = {
    "work_order_id": "w1",
    "ticket_id": "t1",
    "title": "小区停电",
    "text": "整个小区停电",
    "situation": {"code": "C04-2", "name": "成片停电报修"},
    "due": {"accept": "2026-11-22T04:30:00Z"},
}


def notice(kind: str = "work_order.assigned", **data: Any) -> Notice:
    return Notice("msg_1", kind, datetime(2026, 11, 22, 4, 0, tzinfo=UTC), DATA | data)


@asynccontextmanager
async def zhida(status: int) -> AsyncIterator[tuple[Department, list[str | None]]]:
    keys: list[str | None] = []

    async def accept(request: web.Request) -> web.Response:
        keys.append(request.headers.get("Idempotency-Key"))
        return web.json_response({"state": "closed", "detail": "the ticket is closed"}, status=status)

    app = web.Application()
    app.router.add_post("/v1/work-orders/w1/accept", accept)
    async with TestServer(app) as server, Department(str(server.make_url("")), "k.s", attempts=1) as department:
        yield department, keys


async def test_order_is_shown_with_all_that_matters() -> None:
    shown: list[str] = []
    assert await Screen(shown.append).take(notice()) == Reply()
    for part in ("w1", "t1", "小区停电", "整个小区停电", "成片停电报修", "时限 accept"):
        assert part in shown[0]


async def test_other_notice_is_shown_field_by_field() -> None:
    shown: list[str] = []
    await Screen(shown.append).take(notice("question.asked", question_id="q1"))
    assert shown[0] == "question.asked  msg_1"
    assert "    question_id: q1" in shown


async def test_order_is_accepted_under_a_key_that_a_repeat_would_use_again() -> None:
    shown: list[str] = []
    async with zhida(200) as (department, keys):
        await Screen(shown.append, department).take(notice())
        await Screen(shown.append, department).take(notice())
    assert keys == ["msg_1-accept"] * 2
    assert "已接单" in shown[1]


async def test_order_that_cannot_be_accepted_any_more_is_taken_all_the_same() -> None:
    shown: list[str] = []
    async with zhida(409) as (department, _):
        assert (await Screen(shown.append, department).take(notice())).status == 204
    assert "the ticket is closed" in shown[1]


async def test_order_is_left_to_the_next_delivery_when_zhida_is_away() -> None:
    async with zhida(503) as (department, _):
        with pytest.raises(Unreachable):
            await Screen(lambda _: None, department).take(notice())
