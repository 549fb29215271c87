"""Event streams over a real socket: at once, in order, without a hole, whatever breaks."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from sqlalchemy.event import listen

from libs.shared import keys, run
from services.notification import stream
from services.notification.api import stream as api_stream
from services.notification.domain import cursor
from services.notification.domain.cursor import Cursor
from services.notification.main import service
from services.notification.resources import Resources
from tests.integration.notification.facts import answered
from tests.integration.notification.wire import key, opened, served, take
from tests.running import Harness


@asynccontextmanager
async def replica(desk: Harness) -> AsyncIterator[FastAPI]:
    """A second process of the service on the same database."""
    async with run.started(service, desk.running.settings) as (_, app):
        yield app


def hub(desk: Harness) -> stream.Hub:
    resources: Resources = desk.running.resources
    return resources.hub


async def test_a_notice_is_on_the_screen_at_once(desk: Harness) -> None:
    headers = await key(desk.running, "a1", "agent")
    async with served(desk.app) as url, opened(url, headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        reading = asyncio.create_task(take(response, 1))
        began = time.monotonic()
        fact = answered("a1")
        await desk.hear(fact)
        (seen,) = await asyncio.wait_for(reading, 10)
        assert time.monotonic() - began < 2
    assert (seen.id, seen.number, seen.data["ticket_id"]) == ("1", 1, str(fact.ticket_id))
    assert seen.data["title"] == "工单已答复：小区停电"


async def test_a_stream_begins_with_what_is_unread(desk: Harness) -> None:
    await desk.hear(*[answered("a1") for _ in range(5)])
    headers = await key(desk.running, "a1", "agent")
    async with served(desk.app) as url:
        async with opened(url, headers) as response:
            assert [seen.number for seen in await take(response, 5)] == [1, 2, 3, 4, 5]
        async with desk.client("a1", "agent") as client:
            await client.post("/v1/inbox/read", json={"up_to": 3})
        async with opened(url, headers) as response:
            assert [seen.number for seen in await take(response, 2)] == [4, 5]
        async with opened(url, headers, after="1") as response:
            assert [seen.number for seen in await take(response, 4)] == [2, 3, 4, 5]


async def test_readers_that_break_off_and_resume_at_another_replica_miss_nothing(desk: Harness) -> None:
    total, chance = 120, random.Random(7)
    headers = await key(desk.running, "platform", "publish")
    seen: dict[str, list[int]] = defaultdict(list)

    async def publish() -> None:
        for _ in range(total // 4):
            await desk.hear(*[answered(f"a{chance.randrange(3)}") for _ in range(4)])

    async with replica(desk) as second, served(desk.app) as first_url, served(second) as second_url:
        publishing = asyncio.create_task(publish())
        last: str | None = None
        async with asyncio.timeout(60):
            turn = 0
            while sum(map(len, seen.values())) < total:
                turn += 1
                url = second_url if turn % 2 else first_url
                async with opened(url, headers, last, recipients="a0,a1,a2") as response:
                    left = total - sum(map(len, seen.values()))
                    for event in await take(response, min(left, chance.randrange(1, 12))):
                        seen[event.data["recipient"]["id"]].append(event.number)
                        last = event.id
        await publishing
    assert turn > 5
    for numbers in seen.values():
        assert numbers == list(range(1, len(numbers) + 1))


async def test_a_reader_that_takes_nothing_is_bounded_and_misses_nothing(
    desk: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "QUEUE_BYTES", 3000)
    connection = hub(desk).connect(Cursor({"agent:a1": 0}))
    await desk.hear(*[answered("a1") for _ in range(50)])
    got = b""
    deadline = time.monotonic() + 20
    while got.count(b"\ndata: ") < 50:
        assert time.monotonic() < deadline
        assert connection.size < 3000 + 2000
        got += await hub(desk).take(connection, 0.2)
        await asyncio.sleep(0)
    ids = [int(line[4:]) for line in got.split(b"\n") if line.startswith(b"id: ")]
    assert ids == list(range(1, 51))
    hub(desk).leave(connection)


async def test_a_reader_stuck_for_long_is_cut_off(desk: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "QUEUE_BYTES", 100)
    monkeypatch.setattr(stream, "STUCK_SECONDS", 0.3)
    connection = hub(desk).connect(Cursor({"agent:a1": 0}))
    await desk.hear(*[answered("a1") for _ in range(5)])
    deadline = time.monotonic() + 10
    while connection.ended is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert connection.ended == "slow"
    hub(desk).leave(connection)


async def test_a_reader_far_behind_does_not_hold_up_another_of_the_same_inbox(desk: Harness) -> None:
    await desk.hear(*[answered("a1") for _ in range(400)])
    behind = hub(desk).connect(Cursor({"agent:a1": 0}))
    ahead = hub(desk).connect(Cursor({"agent:a1": 400}))
    await desk.hear(answered("a1"))
    assert b"id: 401\n" in await hub(desk).take(ahead, 10)
    got = b""
    while b"id: 401\n" not in got:
        got += await asyncio.wait_for(hub(desk).take(behind, 10), 15)
    assert got.count(b"id: ") == 401
    hub(desk).leave(ahead)
    hub(desk).leave(behind)


async def test_all_connections_are_served_by_one_statement_a_look(desk: Harness) -> None:
    connections = [hub(desk).connect(Cursor({f"agent:a{place}": 0})) for place in range(300)]
    await desk.hear(*[answered(f"a{place}") for place in range(300)])
    for connection in connections:
        assert b"id: 1\n" in await hub(desk).take(connection, 10)
    looks: list[str] = []
    listen(
        desk.running.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: looks.append(statement),
    )
    await hub(desk).look()
    assert 1 <= len(looks) <= 2  # our look, and perhaps one of the loop beside us
    for connection in connections:
        hub(desk).leave(connection)
    assert len(hub(desk)) == 0


async def test_nobody_connected_means_no_look_at_the_database(desk: Harness) -> None:
    looks: list[str] = []
    listen(
        desk.running.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: looks.append(statement),
    )
    await desk.running.pause(0.4)
    assert looks == []


async def test_a_quiet_stream_is_kept_open_by_comments(desk: Harness) -> None:
    headers = await key(desk.running, "a1", "agent")
    async with served(desk.app) as url, opened(url, headers) as response:
        beats = 0
        async for line in response.aiter_lines():
            beats += line == ": still here"
            if beats == 3:
                break


async def test_a_stopping_process_ends_its_streams(desk: Harness) -> None:
    headers = await key(desk.running, "a1", "agent")
    async with served(desk.app) as url, opened(url, headers) as response:
        reading = asyncio.create_task(take(response, 1))
        await desk.hear(answered("a1"))
        assert len(await reading) == 1
        ending = asyncio.create_task(response.aread())
        desk.running.stopping.set()
        await asyncio.wait([ending], timeout=5)
        assert ending.done()
        assert isinstance(ending.exception(), Exception | None)
    assert len(hub(desk)) == 0


async def test_a_revoked_key_ends_its_stream(desk: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "REMEMBERED", 0.0)
    monkeypatch.setattr(api_stream, "KEY_SECONDS", 0.2)
    headers = await key(desk.running, "a1", "agent")
    async with served(desk.app) as url, opened(url, headers) as response:
        await desk.running.read(keys.REVOKE, prefix=headers["Authorization"].removeprefix("Bearer ").partition(".")[0])
        async with asyncio.timeout(10):
            assert await take(response, 1) == []


@pytest.mark.parametrize(
    ("query", "last", "status", "field"),
    [
        ({}, "abc", 422, "Last-Event-ID"),
        ({}, "99", 422, "Last-Event-ID"),
        ({"after": "-1"}, None, 422, "after"),
        ({"after": "a1=x"}, None, 422, "after"),
        ({"recipients": "a1,a2"}, "7", 422, "Last-Event-ID"),
        ({"recipients": "boss:x"}, None, 422, "recipients"),
        ({"recipients": ",".join(f"a{n}" for n in range(cursor.MOST + 1))}, None, 422, "recipients"),
        ({"recipients": "department:repair"}, None, 403, None),
    ],
)
async def test_a_bad_beginning_is_refused_by_field(
    shared_desk: Harness, query: dict[str, str], last: str | None, status: int, field: str | None
) -> None:
    async with shared_desk.client("platform", "publish", "agent") as client:
        headers = {"Last-Event-ID": last} if last else {}
        answer = await client.get("/v1/stream", params=query, headers=headers)
    assert answer.status_code == status
    assert [error["field"] for error in answer.json().get("errors", [])] == ([field] if field else [])


async def test_a_full_process_sends_readers_elsewhere(desk: Harness) -> None:
    settings = desk.running.settings.model_copy(update={"stream_limit": 1})
    async with run.started(service, settings) as (running, app), served(app) as url:
        headers = await key(running, "a1", "agent")
        async with opened(url, headers) as response, opened(url, headers) as refused:
            assert response.status_code == 200
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"


async def test_the_most_inboxes_with_long_names_resume_over_one_stream(desk: Harness) -> None:
    names = [f"{'7' * 36}-{place}" for place in range(cursor.MOST)]
    headers = await key(desk.running, "platform", "publish")
    async with served(desk.app) as url:
        await desk.hear(*[answered(name) for name in names])
        async with opened(url, headers, recipients=",".join(names)) as response:
            first = await take(response, cursor.MOST)
        await desk.hear(answered(names[-1]))
        async with opened(url, headers, first[-1].id, recipients=",".join(names)) as response:
            (seen,) = await take(response, 1)
    assert {event.data["recipient"]["id"] for event in first} == set(names)
    assert (seen.data["recipient"]["id"], seen.number) == (names[-1], 2)


async def test_a_crowd_of_readers_asks_the_database_once(desk: Harness) -> None:
    await desk.hear(*[answered(f"a{place}") for place in range(200)])
    reads: list[str] = []
    listen(
        desk.running.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: reads.append(statement),
    )
    arrivals = hub(desk).arrivals
    standings = await asyncio.gather(*[arrivals.standing([f"agent:a{place}"]) for place in range(1000)])
    assert [next(iter(each.values())).last_number for each in standings] == [1] * 200 + [0] * 800
    assert len(reads) == 1


async def test_a_crowd_under_one_key_asks_for_the_key_once(desk: Harness) -> None:
    token = (await key(desk.running, "platform", "publish"))["Authorization"].removeprefix("Bearer ")
    reads: list[str] = []
    listen(
        desk.running.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: reads.append(statement),
    )
    ring = keys.KeyRing(desk.running)
    callers = await asyncio.gather(*[ring.check(token) for _ in range(500)])
    assert {caller.principal for caller in callers if caller} == {"platform"}
    assert await ring.check(token + "x") is None
    assert len(reads) == 1
