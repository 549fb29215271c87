"""The receiver application: what it answers, each delivery handed over once, a repeat changing nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from zhida_receiver import Attempt, KeyFile, Notice, Receipts, Reply, new_secret, receiver, signed_headers

SECRET = new_secret()
BODY = json.dumps({"type": "work_order.assigned", "timestamp": "2026-11-22T12:00:00+08:00", "data": {}}).encode()

Client = TestClient[Any, Any]


class Desk:
    """Counts what it is handed, and replies what it is told."""

    def __init__(self, *replies: Reply | None) -> None:
        self.notices: list[Notice] = []
        self.attempts: list[Attempt] = []
        self._replies = list(replies)

    async def take(self, notice: Notice) -> Reply | None:
        self.notices.append(notice)
        return self._replies.pop(0) if self._replies else None

    async def note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)


@asynccontextmanager
async def served(
    take: Callable[[Notice], Awaitable[Reply | None]], receipts: Receipts | None = None, **options: Any
) -> AsyncIterator[Client]:
    keys = options.pop("keys", [SECRET])
    with receipts or Receipts() as kept:
        async with TestClient(TestServer(receiver(take, keys, kept, **options))) as client:
            yield client


async def send(
    client: Client, delivery_id: str = "msg_1", body: bytes = BODY, key: str = SECRET, at: datetime | None = None
) -> tuple[int, bytes]:
    headers = signed_headers(body, delivery_id, at or datetime.now(UTC), [key])
    async with client.post("/webhooks", data=body, headers=headers) as response:
        return response.status, await response.read()


async def test_delivery_is_handed_over_and_answered() -> None:
    desk = Desk()
    async with served(desk.take) as client:
        assert await send(client) == (204, b"")
    notice = desk.notices[0]
    assert (notice.id, notice.type, dict(notice.data)) == ("msg_1", "work_order.assigned", {})
    assert notice.timestamp == datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


async def test_repeat_gets_the_first_answer_and_is_not_handed_over() -> None:
    desk = Desk(Reply(200, b'{"taken":1}'), Reply(200, b'{"taken":2}'))
    async with served(desk.take, on_attempt=desk.note) as client:
        assert [await send(client) for _ in range(3)] == [(200, b'{"taken":1}')] * 3
    assert len(desk.notices) == 1
    assert [attempt.duplicate for attempt in desk.attempts] == [False, True, True]


async def test_repeat_after_a_restart_gets_the_first_answer(tmp_path: Path) -> None:
    first, second = Desk(Reply(200, b"1")), Desk(Reply(200, b"2"))
    async with served(first.take, Receipts(tmp_path / "r.db")) as client:
        await send(client)
    async with served(second.take, Receipts(tmp_path / "r.db")) as client:
        assert await send(client) == (200, b"1")
    assert second.notices == []


async def test_concurrent_repeats_wait_for_the_first() -> None:
    taken: list[str] = []
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slow(notice: Notice) -> Reply:
        taken.append(notice.id)
        begun.set()
        await gate.wait()
        return Reply(200, b"once")

    async with served(slow) as client:
        sending = [asyncio.create_task(send(client)) for _ in range(5)]
        await asyncio.wait_for(begun.wait(), 5)
        gate.set()
        assert await asyncio.gather(*sending) == [(200, b"once")] * 5
    assert taken == ["msg_1"]


async def test_refused_delivery_is_handed_over_again() -> None:
    desk = Desk(Reply(500), Reply(429, headers=(("Retry-After", "3"),)), None)
    async with served(desk.take) as client:
        assert [(await send(client))[0] for _ in range(4)] == [500, 429, 204, 204]
    assert len(desk.notices) == 3


async def test_raising_handler_is_answered_500_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    async def broken(notice: Notice) -> None:
        calls.append(notice.id)
        if len(calls) == 1:
            raise RuntimeError("the database is away")

    async with served(broken) as client:
        assert [(await send(client))[0] for _ in range(2)] == [500, 204]
    assert "the database is away" in caplog.text


async def test_slow_handler_is_cut_off_with_503() -> None:
    async def stuck(_: Notice) -> None:
        await asyncio.Event().wait()

    async with served(stuck, timeout=0.01) as client:
        assert (await send(client))[0] == 503


@pytest.mark.parametrize(
    ("case", "status", "said"),
    [
        ("wrong key", 401, "no signature belongs to a key we trust"),
        ("old", 401, "signed 3"),
        ("no signature", 400, "webhook-signature: missing"),
        ("not json", 400, "body: not JSON"),
        ("no data", 400, "data: expected an object"),
        ("no type", 400, "type: expected a name"),
        ("no time", 400, "timestamp: expected an ISO 8601 time"),
        ("naive time", 400, "timestamp: expected a time with an offset"),
        ("too large", 413, "larger than this receiver takes"),
    ],
)
async def test_bad_delivery_is_refused_with_its_reason(case: str, status: int, said: str) -> None:
    desk = Desk()
    body, key, at = BODY, SECRET, datetime.now(UTC)
    match case:
        case "wrong key":
            key = new_secret()
        case "old":
            at -= timedelta(seconds=330)
        case "not json":
            body = b"{"
        case "no data":
            body = b'{"type":"a","timestamp":"2026-11-22T12:00:00Z"}'
        case "no type":
            body = b'{"timestamp":"2026-11-22T12:00:00Z","data":{}}'
        case "no time":
            body = b'{"type":"a","data":{}}'
        case "naive time":
            body = b'{"type":"a","timestamp":"2026-11-22T12:00:00","data":{}}'
        case "too large":
            body = BODY + b" " * 5000
    headers = signed_headers(body, "msg_1", at, [key])
    if case == "no signature":
        del headers["webhook-signature"]
    async with (
        served(desk.take, on_attempt=desk.note, most_bytes=4096) as client,
        client.post("/webhooks", data=body, headers=headers) as response,
    ):
        problem = await response.json(content_type="application/problem+json")
    assert response.status == problem["status"] == status
    assert said in problem["detail"]
    assert desk.notices == []
    assert desk.attempts[0].notice is None


async def test_unknown_type_is_handed_over_too() -> None:
    desk = Desk()
    async with served(desk.take) as client:
        body = BODY.replace(b"assigned", b"a_later_invention")
        assert (await send(client, body=body))[0] == 204
    assert desk.notices[0].type == "work_order.a_later_invention"


async def test_key_file_changed_under_way_rotates_without_a_restart(tmp_path: Path) -> None:
    old, new = SECRET, new_secret()
    keys = tmp_path / "keys"
    keys.write_text(f"# from the endpoint page\n{old}\n")
    async with served(Desk().take, keys=KeyFile(keys)) as client:
        assert (await send(client, "a", key=new))[0] == 401
        keys.write_text(f"{new}\n{old}\n")
        assert [(await send(client, name, key=key))[0] for name, key in (("b", new), ("c", old))] == [204, 204]


async def test_broken_key_file_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(SECRET)
    async with served(Desk().take, keys=KeyFile(keys)) as client:
        keys.write_text("whsec_oops")
        assert (await send(client, "a", key=new_secret()))[0] == 401
        assert (await send(client, "b"))[0] == 204


async def test_receiver_may_start_before_its_keys_are_there(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    async with served(Desk().take, keys=KeyFile(keys, may_be_missing=True)) as client:
        assert (await send(client))[0] == 401
        keys.write_text(SECRET)
        assert (await send(client))[0] == 204


async def test_receiver_says_that_it_is_alive() -> None:
    async with served(Desk().take) as client, client.get("/livez") as response:
        assert response.status == 200


async def test_many_deliveries_at_once_are_each_kept(tmp_path: Path) -> None:
    desk = Desk()
    async with served(desk.take, Receipts(tmp_path / "r.db")) as client:
        answers = await asyncio.gather(*(send(client, f"msg_{number}") for number in range(200)))
    assert {status for status, _ in answers} == {204}
    with Receipts(tmp_path / "r.db") as receipts:
        assert receipts.count() == len(desk.notices) == 200
