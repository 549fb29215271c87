"""A department's calls back: the right request, one effect however often it is sent, and typed refusals."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from zhida_receiver import Department, MoveRefused, OpenReturn, Refused, Unreachable
from zhida_receiver.call import KeyRefused, Unknown

ORDER = {"work_order_id": "w1", "ticket_id": "t1", "state": "assigned", "title": "停电"}

Respond = Callable[[web.Request], web.Response]


class Zhida:
    """Stands at the other end of the wire: records requests, answers from a list, then 200."""

    def __init__(self, *responses: Respond | int) -> None:
        self.seen: list[tuple[str, str, str | None, Any]] = []
        self._responses = list(responses)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, str(request.rel_url), request.headers.get("Idempotency-Key"), body))
        assert request.headers["Authorization"] == "Bearer key.secret"
        if not self._responses:
            return web.json_response({"state": "done"})
        respond = self._responses.pop(0)
        return web.Response(status=respond) if isinstance(respond, int) else respond(request)


@asynccontextmanager
async def department(zhida: Zhida, attempts: int = 4) -> AsyncIterator[Department]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", zhida.answer)
    async with (
        TestServer(app) as server,
        Department(str(server.make_url("/")), "key.secret", attempts=attempts, pause=0.001) as caller,
    ):
        yield caller


def problem(status: int, **members: Any) -> Respond:
    return lambda _: web.json_response({"status": status, **members}, status=status)


def dropped(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_each_command_sends_what_the_contract_says() -> None:
    zhida = Zhida()
    async with department(zhida) as caller:
        await caller.accept("w1", key="k")
        await caller.contacted("w1", note="已电话联系", key="k")
        await caller.ask_agent("w1", "表号多少?", key="k")
        await caller.answer_question("q1", "明天上午", key="k")
        await caller.answer("w1", "已复电", resolution="fixed", key="k")
        await caller.return_("w1", "not_ours", "属计量", suggested_department="metering", key="k")
        await caller.add_evidence("w1", "photo", "https://x.example/1.jpg", key="k")
        await caller.rule("w1", "uphold", department="metering", key="k")
    assert zhida.seen == [
        ("POST", "/v1/work-orders/w1/accept", "k", {}),
        ("POST", "/v1/work-orders/w1/contacted", "k", {"note": "已电话联系"}),
        ("POST", "/v1/work-orders/w1/questions", "k", {"text": "表号多少?"}),
        ("POST", "/v1/questions/q1/answer", "k", {"text": "明天上午"}),
        ("POST", "/v1/work-orders/w1/answer", "k", {"text": "已复电", "resolution": "fixed"}),
        (
            "POST",
            "/v1/work-orders/w1/return",
            "k",
            {"reason_code": "not_ours", "reason": "属计量", "suggested_department": "metering"},
        ),
        ("POST", "/v1/work-orders/w1/evidence", "k", {"kind": "photo", "uri": "https://x.example/1.jpg"}),
        ("POST", "/v1/work-orders/w1/ruling", "k", {"decision": "uphold", "department": "metering"}),
    ]


@pytest.mark.parametrize("trouble", [500, 503, 429, 409, dropped])
async def test_command_is_repeated_under_the_same_key(trouble: Respond | int) -> None:
    zhida = Zhida(trouble, trouble)
    async with department(zhida) as caller:
        assert await caller.accept("w1") == {"state": "done"}
    keys = {key for _, _, key, _ in zhida.seen}
    assert len(zhida.seen) == 3
    assert len(keys) == 1
    assert None not in keys


async def test_two_commands_without_a_given_key_have_different_ones() -> None:
    zhida = Zhida()
    async with department(zhida) as caller:
        await caller.accept("w1")
        await caller.accept("w1")
    assert zhida.seen[0][2] != zhida.seen[1][2]


async def test_retry_after_is_obeyed() -> None:
    zhida = Zhida(lambda _: web.Response(status=503, headers={"Retry-After": "0"}))
    async with department(zhida) as caller:
        await caller.accept("w1")
    assert len(zhida.seen) == 2


async def test_unreachable_zhida_is_said_so_after_all_attempts() -> None:
    zhida = Zhida(*[500] * 9)
    async with department(zhida) as caller:
        with pytest.raises(Unreachable, match="answered 500, 4 attempts"):
            await caller.accept("w1")
    assert len(zhida.seen) == 4


async def test_nobody_listening_is_unreachable() -> None:
    async with Department("http://127.0.0.1:9", "key.secret", attempts=2, pause=0.001) as caller:
        with pytest.raises(Unreachable, match="2 attempts"):
            await caller.accept("w1")


@pytest.mark.parametrize(
    ("status", "error"), [(401, KeyRefused), (403, KeyRefused), (404, Unknown), (409, MoveRefused), (422, Refused)]
)
async def test_refusal_is_typed_and_not_repeated(status: int, error: type[Refused]) -> None:
    zhida = Zhida(problem(status, title="No", detail="accepted already", state="accepted", allowed=["answer"]))
    async with department(zhida) as caller:
        with pytest.raises(error, match="accepted already") as caught:
            await caller.accept("w1")
    assert caught.value.problem["allowed"] == ["answer"]
    if isinstance(caught.value, MoveRefused):
        assert (caught.value.state, caught.value.allowed) == ("accepted", ("answer",))
    assert len(zhida.seen) == 1


async def test_every_page_of_the_list_is_walked() -> None:
    def page(number: int, following: str | None) -> Respond:
        item = {**ORDER, "work_order_id": f"w{number}"}
        return lambda _: web.json_response({"items": [item], "next": following})

    zhida = Zhida(page(1, "a/b"), page(2, None))
    async with department(zhida) as caller:
        found = [item async for item in caller.every_work_order("assigned")]
    assert [(item.order.work_order_id, item.state) for item in found] == [("w1", "assigned"), ("w2", "assigned")]
    assert [path for _, path, _, _ in zhida.seen] == [
        "/v1/work-orders?limit=100&state=assigned",
        "/v1/work-orders?limit=100&state=assigned&after=a/b",
    ]


async def test_returns_that_wait_for_a_ruling_are_read() -> None:
    found = {
        "return_id": "r1",
        "work_order_id": "w1",
        "ticket_id": "t1",
        "reason_code": "not_ours",
        "reason": "非本部门",
    }
    found |= {"suggested_department": "metering", "opened_at": "2026-11-22T12:00:00+08:00", "judge": "lead"}
    zhida = Zhida(lambda _: web.json_response({"items": [found], "next": "more"}))
    async with department(zhida) as caller:
        page = await caller.returns(limit=1)
    opened_at = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
    assert page.items == (OpenReturn("r1", "w1", "t1", "not_ours", "非本部门", "metering", opened_at),)
    assert page.after == "more"


async def test_identifiers_cannot_climb_out_of_their_path() -> None:
    zhida = Zhida()
    async with department(zhida) as caller:
        await caller.accept("../../v1/keys")
    assert ".." not in zhida.seen[0][1].split("/")


async def test_department_used_outside_its_context_says_how_to_use_it() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Department("http://127.0.0.1:9", "k").accept("w1")
