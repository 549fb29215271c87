"""Channels: notices sent to a real receiver, tried again, failed visibly, tried again by a person."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from sqlalchemy import text
from standardwebhooks import Webhook

from libs.shared.contracts.notification import NotificationFailed, NotificationSent
from services.notification import sender
from tests.integration.notification.facts import answered, asked, clock, escalated, warned
from tests.running import Harness

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
LOOPBACK = ["127.0.0.0/8"]


@dataclass
class Robot:
    """A receiver that answers as it is told."""

    status: int = 200
    answer: str = '{"errcode": 0}'
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=self.status, text=self.answer, headers=self.headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Robot]:
    """A receiver on a port of its own."""
    robot = Robot()
    app = web.Application()
    app.router.add_post("/{any:.*}", robot.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    robot.url = f"http://{host}:{port}/send?token=t"
    try:
        yield robot
    finally:
        await runner.cleanup()


async def put(desk: Harness, name: str, url: str, **body: Any) -> tuple[int, Any]:
    """Set up a channel; status and JSON."""
    wanted = {"url": url, "recipients": ["supervisor:*"], "networks": LOOPBACK, **body}
    async with desk.client("root", "admin") as client:
        answer = await client.put(f"/v1/channels/{name}", json=wanted)
    return answer.status_code, answer.json()


async def failed(desk: Harness, state: str = "failed") -> list[Any]:
    """Deliveries in a state, as a supervisor sees them."""
    async with desk.client("sup", "supervise") as client:
        items: list[Any] = (await client.get("/v1/notifications", params={"state": state})).json()["items"]
    return items


async def due_now(desk: Harness) -> None:
    """Let the next attempts be due."""
    async with desk.running.transaction() as tx:
        await tx.run(text("UPDATE delivery SET next_at = now() WHERE state = 'pending'"))


async def test_the_control_group_hears_what_it_asked_for_once(desk: Harness) -> None:
    async with receiving() as robot:
        recipients = ["supervisor:*", "department:lead"]
        status, view = await put(desk, "group", robot.url, format="robot", recipients=recipients)
        assert status == 200
        assert view["url"].endswith("/send?…")
        ticket, about = uuid4(), clock(uuid4())
        await desk.hear(
            answered("a1"),
            escalated(ticket, about, "lead", "lead"),
            escalated(ticket, about, "supervisor", "sup"),
            asked("a1"),
        )
        assert await sender.round_(desk.running) == 1
        ((headers, body),) = robot.got
    message = json.loads(body)
    assert message["msgtype"] == "text"
    assert message["text"]["content"].startswith("升级至归口部门：接单已用去 80%\n抢修班")
    assert headers["content-type"] == "application/json"
    said = [event for event in await desk.said() if isinstance(event, NotificationSent)]
    assert [(event.channel, event.number) for event in said] == [("group", None)]
    assert await failed(desk, "sent") != []


async def test_a_program_gets_the_notice_signed(desk: Harness) -> None:
    async with receiving() as robot:
        status, view = await put(desk, "system", robot.url, recipients=["agent:a1"], secret=SECRET, language="en")
        assert (status, view["signed"]) == (200, True)
        await desk.hear(answered("a1"), answered("a2"))
        assert await sender.round_(desk.running) == 1
        ((headers, body),) = robot.got
    notice = Webhook(SECRET).verify(body, headers)
    assert (notice["recipient"], notice["number"], notice["title"]) == (
        {"kind": "agent", "id": "a1"},
        1,
        "Answered: 小区停电",
    )


async def test_only_the_kinds_asked_for_are_sent(desk: Harness) -> None:
    async with receiving() as robot:
        await put(desk, "group", robot.url, recipients=["department:*"], kinds=["clock_breached"])
        await desk.hear(warned(uuid4(), clock(uuid4())), asked("a1"))
        assert await sender.round_(desk.running) == 0
        assert robot.got == []


async def test_a_refused_notice_is_tried_again_under_the_same_id_and_then_fails_visibly(desk: Harness) -> None:
    async with receiving() as robot:
        robot.status = 500
        await put(desk, "group", robot.url)
        fact = escalated(uuid4(), clock(uuid4()), "supervisor", "sup")
        await desk.hear(fact)
        attempts = 0
        while await sender.round_(desk.running):
            attempts += 1
            waiting = await failed(desk, "pending")
            if waiting:
                assert (waiting[0]["attempts"], waiting[0]["reason"]) == (attempts, "HTTP 500")
                assert await sender.round_(desk.running) == 0
                await due_now(desk)
        assert attempts == 9
        assert len({headers["webhook-id"] for headers, _ in robot.got}) == 1
        (said,) = [event for event in await desk.said() if isinstance(event, NotificationFailed)]
        assert (said.ticket_id, said.channel, said.attempts, said.reason) == (fact.ticket_id, "group", 9, "HTTP 500")
        (item,) = await failed(desk)
        assert (item["state"], item["status"], item["next_at"]) == ("failed", 500, None)

        robot.status = 200
        async with desk.client("sup", "supervise") as client:
            path, once = f"/v1/notifications/{item['id']}/retry", {"Idempotency-Key": "again"}
            assert (await client.post(path, headers=once)).status_code == 202
            assert (await client.post(path, headers=once)).status_code == 202
            assert (await client.post(path, headers={"Idempotency-Key": "more"})).status_code == 409
            assert (await client.post(path)).status_code == 400
            unknown = f"/v1/notifications/{uuid4()}/retry"
            assert (await client.post(unknown, headers=once)).status_code == 404
        assert await sender.round_(desk.running) == 1
        assert [event.channel for event in await desk.said() if isinstance(event, NotificationSent)] == ["group"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": '{"errcode": 45009, "errmsg": "too fast"}'}, "errcode 45009"),
        ({"status": 302, "headers": {"location": "http://127.0.0.1:1/"}}, "HTTP 302"),
        ({"status": 429, "headers": {"retry-after": "120"}}, "HTTP 429"),
    ],
)
async def test_what_a_robot_refuses_is_tried_later(desk: Harness, change: dict[str, Any], reason: str) -> None:
    async with receiving() as robot:
        for name, value in change.items():
            setattr(robot, name, value)
        await put(desk, "group", robot.url, format="robot")
        await desk.hear(escalated(uuid4(), clock(uuid4()), "supervisor", "sup"))
        assert await sender.round_(desk.running) == 1
        assert len(robot.got) == 1
    (item,) = await failed(desk, "pending")
    assert (item["attempts"], item["reason"]) == (1, reason)
    rows = await desk.rows("SELECT next_at > now() + interval '100 s' AS later FROM delivery")
    assert [row.later for row in rows] == [reason == "HTTP 429"]


async def test_nothing_is_sent_to_a_network_that_is_not_listed(desk: Harness) -> None:
    async with receiving() as robot:
        await put(desk, "group", robot.url)
        async with desk.running.transaction() as tx:  # as if the network had been taken back meanwhile
            await tx.run(text("UPDATE channel SET networks = '{10.0.0.0/8}'"))
        await desk.hear(escalated(uuid4(), clock(uuid4()), "supervisor", "sup"))
        await sender.round_(desk.running)
        assert robot.got == []
    (item,) = await failed(desk, "pending")
    assert item["reason"].startswith("url refused: the address is loopback")


async def test_a_receiver_that_is_away_is_tried_later(desk: Harness) -> None:
    async with receiving() as robot:
        await put(desk, "group", robot.url)
    await desk.hear(escalated(uuid4(), clock(uuid4()), "supervisor", "sup"))
    await sender.round_(desk.running)
    (item,) = await failed(desk, "pending")
    assert (item["attempts"], item["reason"]) == (1, "cannot connect")


async def test_what_waits_for_a_removed_channel_fails_at_once(desk: Harness) -> None:
    async with receiving() as robot:
        await put(desk, "group", robot.url)
        await desk.hear(escalated(uuid4(), clock(uuid4()), "supervisor", "sup"))
        async with desk.client("root", "admin") as client:
            assert (await client.delete("/v1/channels/group")).status_code == 204
            assert (await client.delete("/v1/channels/group")).status_code == 404
            assert (await client.get("/v1/channels/group")).status_code == 404
            assert (await client.get("/v1/channels")).json() == {"items": [], "next": None}
        await sender.round_(desk.running)
        await desk.hear(escalated(uuid4(), clock(uuid4()), "supervisor", "sup"))
        assert await sender.round_(desk.running) == 0
        assert robot.got == []
    assert [item["reason"] for item in await failed(desk)] == ["channel_removed"]


async def test_a_late_result_of_another_process_counts_once(desk: Harness) -> None:
    async with receiving() as robot:
        await put(desk, "group", robot.url)
        await desk.hear(escalated(uuid4(), clock(uuid4()), "supervisor", "sup"))
        await asyncio.gather(sender.round_(desk.running), sender.round_(desk.running))
        assert {headers["webhook-id"] for headers, _ in robot.got} != set()
    assert len([event for event in await desk.said() if isinstance(event, NotificationSent)]) == 1


async def test_the_loop_sends_what_is_queued(desk: Harness) -> None:
    async with receiving() as robot:
        await put(desk, "group", robot.url)
        task = asyncio.create_task(sender.run(desk.running))
        await desk.hear(escalated(uuid4(), clock(uuid4()), "supervisor", "sup"))
        deadline = asyncio.get_running_loop().time() + 15
        while not await failed(desk, "sent"):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
        desk.running.stopping.set()
        await asyncio.wait_for(task, 15)
        assert len(robot.got) == 1
    assert await desk.rows("SELECT 1 FROM lease WHERE name = 'channels'") == []


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("Group!", {}, "name"),
        ("inbox", {}, "name"),
        ("group", {"url": "ftp://example.com/x"}, "url"),
        ("group", {"url": "http://169.254.169.254/latest"}, "url"),
        ("group", {"url": "http://example.com/x", "networks": []}, "url"),
        ("group", {"url": "https://user:pass@example.com/"}, "url"),
        ("group", {"url": "https://e.com/" + "x" * 3000}, "url"),
        ("group", {"networks": ["0.0.0.0/0"]}, "networks"),
        ("group", {"networks": ["loopback"]}, "networks"),
        ("group", {"recipients": []}, "recipients"),
        ("group", {"recipients": ["agent:a1", "boss:x"]}, "recipients.1"),
        ("group", {"recipients": ["boss:*"]}, "recipients.0"),
        ("group", {"kinds": ["gossip"]}, "kinds.0"),
        ("group", {"format": "fax"}, "format"),
        ("group", {"language": "fr"}, "language"),
        ("group", {"secret": "short"}, "secret"),
        ("group", {"colour": "red"}, "colour"),
    ],
)
async def test_a_faulty_channel_is_refused_by_field(
    shared_desk: Harness, name: str, change: dict[str, Any], field: str
) -> None:
    status, body = await put(shared_desk, name, **{"url": "http://127.0.0.1:9/", **change})
    assert status == 422
    assert [error["field"] for error in body["errors"]] == [field]


@pytest.mark.parametrize("scopes", [("agent",), ("supervise",), ("publish",)])
async def test_only_an_administrator_sets_up_channels(shared_desk: Harness, scopes: tuple[str, ...]) -> None:
    async with shared_desk.client("someone", *scopes) as client:
        answer = await client.put("/v1/channels/group", json={"url": "https://example.com", "recipients": ["agent:*"]})
    assert answer.status_code == 403


async def test_channels_are_listed_page_by_page_without_their_secrets(shared_desk: Harness) -> None:
    for name in ("c1", "c2", "c3"):
        await put(shared_desk, name, "http://127.0.0.1:9/x?token=secret", secret=SECRET)
    seen, after = [], None
    async with shared_desk.client("root", "admin") as client:
        while True:
            page = (await client.get("/v1/channels", params={"limit": 2, **({"after": after} if after else {})})).text
            assert "secret" not in page
            assert SECRET not in page
            seen += [item["name"] for item in json.loads(page)["items"]]
            after = json.loads(page)["next"]
            if after is None:
                break
    assert seen == ["c1", "c2", "c3"]
