"""The simulator plays departments as told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from zhida_receiver import new_secret, signed_headers
from zhida_receiver.simulation.plan import read
from zhida_receiver.simulation.run import Summary, simulate
from zhida_receiver.simulation.speech import speech

SECRET = new_secret()
AT_ONCE = {
    name: {"median": 0} for name in ("accept_after", "contact_after", "answer_after", "reply_after", "rule_after")
}
ROLE = {"code": "power", "api_key": "k.s", "keys": [SECRET]}


class Zhida:
    """Zhida's department API as seen from the wire: takes every command, remembers it, lists what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.keys: list[str] = []
        self.listed: list[dict[str, Any]] = []
        self.returned: list[dict[str, Any]] = []
        self.refusals: dict[str, int] = {}  # command → status
        self._changed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            if request.path.endswith("/v1/returns"):
                return web.json_response({"items": self.returned, "next": None})
            if request.path.endswith("/v1/work-orders"):
                assert request.query["state"] == "open"
                return web.json_response({"items": self.listed, "next": None})
            return web.json_response(next(item for item in self.listed if request.path.endswith(item["work_order_id"])))
        path = request.path.removeprefix("/v1/work-orders/").removeprefix("/v1/")
        self.calls.append((path, await request.json()))
        self.keys.append(request.headers["Idempotency-Key"])
        self._changed.set()
        status = self.refusals.get(path.split("/")[-1], 200)
        return web.json_response({"status": status, "detail": "no", "state": "closed"}, status=status)

    async def heard(self, *paths: str) -> None:
        """Wait until these commands have come, in this order among themselves."""
        async with asyncio.timeout(10):
            while [path for path, _ in self.calls if path in paths] != list(paths):
                self._changed.clear()
                await self._changed.wait()

    def body(self, path: str) -> Any:
        return next(body for seen, body in self.calls if seen == path)


class Play:
    """A running simulation of one department."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.summary: Summary | None = None
        self._url = url
        self._session = session

    async def send(self, kind: str, delivery_id: str = "msg_1", **data: Any) -> int:
        body = notice(kind, **data)
        headers = signed_headers(body, delivery_id, datetime.now(UTC), [SECRET])
        async with self._session.post(self._url, data=body, headers=headers) as response:
            return response.status


def notice(kind: str, **data: Any) -> bytes:
    data = {"work_order_id": "w1", "ticket_id": "t1", "title": "停电", "text": "整栋楼没有电"} | data
    return json.dumps({"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data}).encode()


@asynccontextmanager
async def playing(zhida: Zhida, folder: Path, poll: float = 0, **behaviour: Any) -> AsyncIterator[Play]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", zhida.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        file = folder / "plan.json"
        plan = {
            "dispatch": str(server.make_url("")),
            "departments": [ROLE],
            "behaviour": {**AT_ONCE, **behaviour},
            "log": "log.jsonl",
            "receipts": "receipts.db",
            "poll": poll,
            "drain": 2,
        }
        file.write_text(json.dumps(plan))
        stop, listens = asyncio.Event(), asyncio.Queue[str]()
        running = asyncio.create_task(simulate(read(file), stop, listens.put_nowait))
        play = Play((await asyncio.wait_for(listens.get(), 5)).split()[-1], session)
        try:
            yield play
        finally:
            stop.set()
            play.summary = await asyncio.wait_for(running, 10)


def entries(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


async def test_work_order_is_accepted_contacted_and_answered(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path) as play:
        assert await play.send("work_order.assigned") == 200
        await zhida.heard("w1/accept", "w1/contacted", "w1/answer")
    assert zhida.body("w1/answer")["text"] in {text for group in speech().answers for text in group.texts}
    received = entries(tmp_path, "webhook")[0]
    assert datetime.fromisoformat(received.pop("received_at")) <= datetime.now(UTC)
    assert received == {
        "event": "webhook",
        "department": "power",
        "webhook_id": "msg_1",
        "type": "work_order.assigned",
        "ticket_id": "t1",
        "work_order_id": "w1",
        "status": 200,
        "duplicate": False,
    }
    assert [(line["call"], line["status"]) for line in entries(tmp_path, "call")] == [
        ("accept", 200),
        ("contacted", 200),
        ("answer", 200),
    ]
    assert "1 webhooks (0 duplicate, 0 refused)" in str(play.summary)
    assert "1 accepted, 1 answered" in str(play.summary)


async def test_repeated_delivery_is_worked_through_once(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path) as play:
        assert [await play.send("work_order.assigned") for _ in range(3)] == [200, 200, 200]
        await zhida.heard("w1/answer")
    assert len(zhida.calls) == 3
    assert [line["duplicate"] for line in entries(tmp_path, "webhook")] == [False, True, True]


async def test_department_that_works_twice_does_so_under_other_keys(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, works_twice=True) as play:
        await play.send("work_order.assigned")
        await play.send("work_order.assigned")
        await zhida.heard("w1/answer", "w1/answer")
    assert len(zhida.keys) == len(set(zhida.keys)) == 6


async def test_return_is_sent_once_and_the_order_taken_when_it_is_rejected(tmp_path: Path) -> None:
    zhida = Zhida()
    zhida.listed = [{"work_order_id": "w1", "ticket_id": "t1", "state": "assigned", "returns": 1}]
    async with playing(zhida, tmp_path, returns=1, suggests=["power", "metering"]) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/return")
        await play.send("return.ruled", "msg_2", decision="reject")
        await zhida.heard("w1/return", "w1/accept", "w1/contacted", "w1/answer")
    assert zhida.body("w1/return")["suggested_department"] == "metering"


async def test_upheld_return_is_nobodys_work_any_more(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, returns=1) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/return")
        await play.send("return.ruled", "msg_2", decision="uphold")
    assert [path for path, _ in zhida.calls] == ["w1/return"]


async def test_cancelled_order_is_dropped(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, answer_after=600) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/accept", "w1/contacted")
        await play.send("work_order.cancelled", "msg_2")
    assert play.summary is not None
    assert (play.summary.counts["cancelled"], play.summary.counts["dropped"]) == (1, 0)


async def test_reopened_order_is_answered_again(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/answer")
        await play.send("work_order.reopened", "msg_2")
        await zhida.heard("w1/answer", "w1/answer")


async def test_question_holds_the_answer_until_the_agent_has_replied(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, asks=1, patience=600) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/questions")
        assert "w1/answer" not in dict(zhida.calls)
        await play.send("question.answered", "msg_2", question_id="q1")
        await zhida.heard("w1/questions", "w1/answer")


async def test_unanswered_question_does_not_hold_the_answer_for_ever(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, asks=1, patience=0.01) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/questions", "w1/answer")


async def test_agents_question_is_answered(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path) as play:
        await play.send("question.asked", question_id="q7")
        await zhida.heard("questions/q7/answer")
    assert zhida.body("questions/q7/answer")["text"] in speech().replies


@pytest.mark.parametrize(
    ("upholds", "suggested", "known", "ruling"),
    [
        (1, "metering", [], ("uphold", "metering")),
        (0, "metering", [], ("reject", None)),
        (1, None, ["repair", "billing"], ("uphold", "billing")),
        (1, None, ["repair"], ("reject", None)),
    ],
)
async def test_lead_department_rules_on_a_return(
    upholds: float, suggested: str | None, known: list[str], ruling: tuple[str, str | None], tmp_path: Path
) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, upholds=upholds, suggests=known) as play:
        await play.send("return.opened", department="repair", suggested_department=suggested)
        await zhida.heard("w1/ruling")
    body = zhida.body("w1/ruling")
    assert (body["decision"], body.get("department")) == ruling


async def test_return_that_no_webhook_brought_is_found_on_the_list(tmp_path: Path) -> None:
    zhida = Zhida()
    zhida.listed = [{"work_order_id": "w8", "ticket_id": "t8", "state": "returned", "department": "repair"}]
    zhida.returned = [
        {"return_id": "r8", "work_order_id": "w8", "ticket_id": "t8", "reason_code": "not_ours", "reason": "非本部门"}
        | {"suggested_department": None, "opened_at": "2026-11-22T04:00:00Z"}
    ]
    async with playing(zhida, tmp_path, poll=0.01, suggests=["repair", "billing"]):
        await zhida.heard("w8/ruling")
    assert zhida.body("w8/ruling")["department"] == "billing"


async def test_order_left_lying_is_not_called_about(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, never_accepts=1) as play:
        await play.send("work_order.assigned")
    assert zhida.calls == []
    assert play.summary is not None
    assert play.summary.counts["left_lying"] == 1


async def test_overtaken_order_is_let_go(tmp_path: Path) -> None:
    zhida = Zhida()
    zhida.refusals["contacted"] = 409
    async with playing(zhida, tmp_path) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/accept", "w1/contacted")
    assert [path for path, _ in zhida.calls] == ["w1/accept", "w1/contacted"]
    assert play.summary is not None
    assert play.summary.counts["overtaken"] == 1


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [({"fails": 1}, 500), ({"throttles": 1}, 429), ({"hangs": 1, "hang_seconds": 0.01}, 504)],
)
async def test_faulty_attempt_is_refused_and_logged(behaviour: dict[str, Any], status: int, tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, **behaviour) as play:
        assert await play.send("work_order.assigned") == status
    assert zhida.calls == []
    assert [line["status"] for line in entries(tmp_path, "webhook")] == [status]


async def test_order_that_no_webhook_brought_is_found_on_the_list(tmp_path: Path) -> None:
    zhida = Zhida()
    zhida.listed = [
        {"work_order_id": "w5", "ticket_id": "t5", "state": "assigned"},
        {"work_order_id": "w6", "ticket_id": "t6", "state": "accepted", "contacted_at": "2026-11-22T04:00:00Z"},
        {"work_order_id": "w7", "ticket_id": "t7", "state": "returned"},
    ]
    async with playing(zhida, tmp_path, poll=0.01) as play:
        await zhida.heard("w5/accept", "w5/contacted", "w5/answer")
        await zhida.heard("w6/answer")
    assert not [path for path, _ in zhida.calls if path.startswith("w7/") or path == "w6/accept"]
    assert play.summary is not None
    assert play.summary.counts["from_list"] == 2
