"""The simulator plays departments as told, the same way every time, and forgets nothing when killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from zhida_receiver import new_secret, signed_headers
from zhida_receiver.simulation.course import course, fault
from zhida_receiver.simulation.log import Log
from zhida_receiver.simulation.plan import Behaviour, Delay, Plan, PlanUnreadable, Role, read
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
        self.refusals: dict[str, int] = {}  # command → status
        self._changed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            state = request.query["state"]
            return web.json_response({"items": [item for item in self.listed if item["state"] == state], "next": None})
        path = request.path.removeprefix("/v1/work-orders/").removeprefix("/v1/")
        self.calls.append((path, await request.json()))
        self.keys.append(request.headers["Idempotency-Key"])
        self._changed.set()
        status = self.refusals.get(path.split("/")[-1], 200)
        return web.json_response({"status": status, "detail": "no"}, status=status)

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
    assert play.summary is not None
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


async def test_return_is_sent_once_and_the_order_taken_when_it_comes_back(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, returns=1, suggests=["metering"]) as play:
        await play.send("work_order.assigned")
        await zhida.heard("w1/return")
        await play.send("work_order.assigned", "msg_2")
        await zhida.heard("w1/return", "w1/accept", "w1/contacted", "w1/answer")
    assert zhida.body("w1/return")["suggested_department"] == "metering"


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


@pytest.mark.parametrize(("upholds", "decision", "department"), [(1, "uphold", "metering"), (0, "reject", None)])
async def test_lead_department_rules_on_a_return(
    upholds: float, decision: str, department: str | None, tmp_path: Path
) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path, upholds=upholds) as play:
        await play.send("return.opened", suggested_department="metering")
        await zhida.heard("w1/ruling")
    body = zhida.body("w1/ruling")
    assert (body["decision"], body.get("department")) == (decision, department)


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


async def test_forged_delivery_is_refused_and_logged(tmp_path: Path) -> None:
    zhida = Zhida()
    async with playing(zhida, tmp_path) as play:
        forged = signed_headers(b"{}", "msg_9", datetime.now(UTC), [new_secret()])
        async with aiohttp.ClientSession() as session, session.post(play._url, data=b"{}", headers=forged) as response:
            assert response.status == 401
    line = entries(tmp_path, "webhook")[0]
    assert (line["webhook_id"], line["status"], line["type"]) == ("msg_9", 401, None)


async def test_order_that_no_webhook_brought_is_found_on_the_list(tmp_path: Path) -> None:
    zhida = Zhida()
    zhida.listed = [
        {"work_order_id": "w5", "ticket_id": "t5", "state": "assigned"},
        {"work_order_id": "w6", "ticket_id": "t6", "state": "contacted"},
    ]
    async with playing(zhida, tmp_path, poll=0.01) as play:
        await zhida.heard("w5/accept", "w5/contacted", "w5/answer")
        await zhida.heard("w6/answer")
    assert play.summary is not None
    assert play.summary.counts["from_list"] == 2


def test_same_seed_draws_the_same_course_and_shares_come_true() -> None:
    behaviour = Behaviour(returns=0.1, never_accepts=0.05, asks=0.2)
    ways = [course(behaviour, 7, "power", f"工单{number}") for number in range(4000)]
    again = [course(behaviour, 7, "power", f"工单{number}") for number in range(4000)]
    assert [(way.ending, way.asks, way.answer_after) for way in ways] == [
        (way.ending, way.asks, way.answer_after) for way in again
    ]
    endings = Counter(way.ending for way in ways)
    assert endings["return"] / 4000 == pytest.approx(0.1, abs=0.02)
    assert endings["never"] / 4000 == pytest.approx(0.05, abs=0.02)
    assert sum(way.asks for way in ways) / 4000 == pytest.approx(0.2, abs=0.03)
    other = [course(behaviour, 8, "power", f"工单{number}").ending for number in range(4000)]
    assert other != [way.ending for way in ways]


def test_delay_is_spread_around_its_median_and_cut() -> None:
    behaviour = Behaviour(answer_after=Delay(2.0, 0.5, longest=5.0))
    times = sorted(course(behaviour, 1, "power", str(number)).answer_after for number in range(2001))
    assert times[1000] == pytest.approx(2.0, rel=0.1)
    assert times[-1] == 5.0


def test_fault_is_drawn_for_each_attempt() -> None:
    behaviour = Behaviour(fails=0.3, hangs=0.1, throttles=0.1)
    found = Counter(fault(behaviour, 1, "power", "停电", attempt) for attempt in range(1, 3001))
    assert {name: round(count / 3000, 1) for name, count in found.items()} == {
        "none": 0.5,
        "fail": 0.3,
        "hang": 0.1,
        "throttle": 0.1,
    }


@pytest.mark.parametrize(
    ("about", "word"),
    [("小区停电抢修", "供电"), ("电费账单多收", "退"), ("表扬抢修师傅", "表扬"), ("举报邻居窃电", "用电")],
)
def test_answer_speaks_of_what_was_asked(about: str, word: str) -> None:
    texts = {speech().answer(about, course(Behaviour(), 1, "power", str(n)).choice)[0] for n in range(30)}
    assert any(word in text for text in texts)
    assert len(texts) > 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dispatch": None}, "dispatch: expected a text"),
        ({"sead": 1}, "sead: unknown field"),
        ({"seed": "one"}, "seed: expected a whole number"),
        ({"seed": True}, "seed: expected a whole number"),
        ({"poll": -1}, "poll: expected a number of 0 or more"),
        ({"departments": []}, "departments: at least one"),
        ({"departments": {}}, "departments: expected a list"),
        ({"departments": [{"code": "a"}]}, "departments[0]: give either keys or keys_file"),
        ({"departments": [{"code": "a", "keys": [SECRET]}]}, "departments[0]: give either api_key or api_key_file"),
        ({"departments": [ROLE, ROLE]}, "departments[0].code: power is played twice"),
        ({"behaviour": {"returns": 2}}, "departments[0].behaviour.returns: expected a share"),
        ({"behaviour": {"fails": 0.6, "hangs": 0.6}}, "fails, hangs and throttles together exceed 1"),
        ({"behaviour": {"answer_after": {"mean": 1}}}, "behaviour.answer_after.mean: unknown field"),
        ({"behaviour": {"answer_after": {}}}, "behaviour.answer_after.median: missing"),
    ],
)
def test_wrong_plan_is_refused_with_its_field(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    plan = {"dispatch": "http://x", "departments": [ROLE], "log": "l", "receipts": "r"} | change
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PlanUnreadable) as caught:
        read(tmp_path / "plan.json")
    assert said in str(caught.value)


def test_plan_reads_shared_behaviour_and_paths_beside_itself(tmp_path: Path) -> None:
    plan = {
        "dispatch": "http://x",
        "departments": [{**ROLE, "behaviour": {"asks": 0.5, "answer_after": 3}}],
        "behaviour": {"asks": 0.1, "returns": 0.2},
        "log": "logs/l",
        "receipts": "/elsewhere/r",
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    expected = Behaviour(asks=0.5, returns=0.2, answer_after=Delay(3.0))
    found = read(tmp_path / "plan.json")
    assert found.departments == (Role("power", "k.s", None, (SECRET,), None, 0, "/webhooks", expected),)
    assert isinstance(found, Plan)
    assert (found.log, found.receipts) == (tmp_path / "logs/l", Path("/elsewhere/r"))


async def test_half_a_line_left_by_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n{"half":' + b"x" * 100_000)
    async with Log(path) as log:
        await log.write({"b": 2})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 1}, {"b": 2}]


@contextmanager
def process(plan: Path, ready: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    ready.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-c",
        "from zhida_receiver.command import main; main()",
        "simulate",
        "--config",
        str(plan),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            wait_until(ready.exists)
            yield running, json.loads(ready.read_text())["departments"]["power"]["url"]
        finally:
            running.kill()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "took longer than 10 s"
        os.sched_yield()


async def test_killed_simulator_remembers_what_it_answered(tmp_path: Path) -> None:
    plan, ready = tmp_path / "plan.json", tmp_path / "ready.json"
    role = {**ROLE, "behaviour": {"never_accepts": 1}}
    plan.write_text(
        json.dumps(
            {"dispatch": "http://127.0.0.1:9", "departments": [role], "log": "log.jsonl", "receipts": "r.db"}
            | {"ready": "ready.json", "poll": 0}
        )
    )
    async with aiohttp.ClientSession() as session:
        with process(plan, ready) as (running, url):
            play = Play(url, session)
            assert await asyncio.gather(*(play.send("work_order.assigned", f"m{n}") for n in range(50))) == [200] * 50
            running.send_signal(signal.SIGKILL)
        with process(plan, ready) as (running, url):
            play = Play(url, session)
            assert await asyncio.gather(*(play.send("work_order.assigned", f"m{n}") for n in range(51))) == [200] * 51
            running.send_signal(signal.SIGTERM)
            output, _ = running.communicate(timeout=10)
    assert running.returncode == 0
    assert output.splitlines()[-1].startswith("zhida-receiver: 1 departments in ")
    found = Counter((line["webhook_id"], line["duplicate"]) for line in entries(tmp_path, "webhook"))
    assert found == {**{(f"m{n}", False): 1 for n in range(51)}, **{(f"m{n}", True): 1 for n in range(50)}}
