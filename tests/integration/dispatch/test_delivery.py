"""The delivery engine against departments that hang, refuse, disappear, and against its own death."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web

from libs.shared import run
from libs.shared.contracts import dispatch as says
from services.dispatch import store
from services.dispatch.delivery.sender import Sender
from services.dispatch.domain.endpoint import Attempt, Delivery
from services.dispatch.main import service
from tests.integration.dispatch.conftest import sending
from tests.integration.dispatch.world import (
    DELIVERY_KEY,
    MARKETING,
    METER,
    REPAIR,
    Desk,
    World,
    amended,
    breached,
    classified,
    first,
    post,
    status,
    until,
    warned,
)
from tests.running import Harness


async def hasten(world: World) -> None:
    """Time passes: what waits for its next attempt is due now."""
    await world.harness.rows("UPDATE delivery SET due_at = now() WHERE state = 'pending' RETURNING 1")
    world.harness.running.wake("sender")


async def tried(world: World, ticket_id: UUID, attempts: int = 1) -> dict[str, Any]:
    """Wait until so many attempts of a ticket's oldest delivery are recorded."""

    async def there() -> Any:
        found = (await world.deliveries(ticket_id))[-1]
        return found["attempts"] >= attempts and found

    found: dict[str, Any] = await until(there, f"{attempts} attempts recorded")
    return found


async def test_a_failed_attempt_is_repeated_under_the_same_id_with_a_fresh_signature(world: World) -> None:
    world.desk.behaviours["meter"] = first(1, status(500))
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    failed = await tried(world, ticket_id)
    assert (failed["state"], failed["last_status"], failed["last_error"]) == ("pending", 500, "answered 500")
    wait = datetime.fromisoformat(failed["due_at"]) - datetime.fromisoformat(failed["created_at"])
    assert timedelta(seconds=5) <= wait < timedelta(seconds=8)
    await hasten(world)
    [delivered] = await world.settled(ticket_id, "delivered")
    one, two = world.desk.at("meter")
    assert one.id == two.id == delivered["delivery_id"]
    assert one.body == two.body
    assert world.genuine(one)
    assert world.genuine(two)
    [event] = await world.said(says.WorkOrderDelivered)
    assert (str(event.delivery_id), event.attempts) == (one.id, 2)
    log = (await world.admin.get(f"/v1/deliveries/{one.id}")).json()["attempt_log"]
    assert [(each["number"], each["status"], each["answer"]) for each in log] == [(1, 500, "no"), (2, 204, None)]


async def test_a_redirect_is_a_failure_and_is_not_followed(world: World) -> None:
    world.desk.behaviours["meter"] = status(307, Location=world.desk.url("elsewhere"))
    await world.endpoint("meter")
    failed = await tried(world, await world.classify(METER))
    assert (failed["state"], failed["last_status"]) == ("pending", 307)
    assert world.desk.at("elsewhere") == []


async def test_410_disables_the_endpoint_and_leaves_all_to_the_inbox(world: World) -> None:
    world.desk.behaviours["meter"] = status(410)
    await world.endpoint("meter", concurrency=1)
    events = [classified(METER) for _ in range(3)]
    await world.hear(*events)
    for event in events:
        await world.settled(event.ticket_id, "inbox")
    endpoint = (await world.admin.get("/v1/endpoints/meter")).json()
    assert (endpoint["state"], endpoint["reason"]) == ("disabled", "gone")
    failed = await world.said(says.DeliveryFailed)
    assert {event.ticket_id for event in failed} == {event.ticket_id for event in events}
    assert {event.reason for event in failed} == {"endpoint_disabled"}
    before = len(world.desk.received)
    assert [each["state"] for each in await world.deliveries(await world.classify(METER))] == ["inbox"]
    assert len(world.desk.received) == before


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_holds_the_whole_endpoint_back(world: World, code: int) -> None:
    world.desk.behaviours["meter"] = first(1, status(code, **{"Retry-After": "2"}))
    await world.endpoint("meter")
    began = time.monotonic()
    await tried(world, await world.classify(METER))
    other = await world.classify(METER)
    await world.settled(other, "delivered")
    [_, second] = world.desk.received[:2]
    assert second.at - began >= 2


async def test_slowing_down_halves_the_requests_at_a_time(world: World) -> None:
    under_way, most = 0, 0

    async def busy(number: int) -> web.Response:
        nonlocal under_way, most
        if number <= 8:
            return web.Response(status=429)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return web.Response(status=204)

    world.desk.behaviours["meter"] = busy
    await world.endpoint("meter", concurrency=8)
    events = [classified(METER) for _ in range(16)]
    await world.hear(*events)
    for event in events[8:]:
        await world.settled(event.ticket_id, "delivered", seconds=60)
    assert most < 8


async def test_a_hanging_endpoint_does_not_slow_the_others(world: World) -> None:
    world.desk.behaviours["repair"] = world.desk.hang
    await world.endpoint("repair", concurrency=4, timeout_seconds=30)
    await world.endpoint("meter")
    events = [classified(METER, REPAIR) for _ in range(40)]
    began = time.monotonic()
    await world.hear(*events)
    await world.arrives("meter", "work_order.assigned", 40)
    assert time.monotonic() - began < 10
    assert len(world.desk.at("repair")) == 4
    assert {each["state"] for each in await world.deliveries(events[0].ticket_id)} <= {"delivered", "pending"}


async def test_an_endpoint_that_is_down_is_left_alone_until_it_is_back(world: World) -> None:
    world.desk.behaviours["meter"] = status(500)
    await world.endpoint("meter", concurrency=1)
    events = [classified(METER) for _ in range(30)]
    await world.hear(*events)

    async def opened() -> bool:
        return await _breaker(world, "open")

    await until(opened, "the breaker open")
    assert len(world.desk.received) == 5
    await hasten(world)
    del world.desk.behaviours["meter"]
    await world.endpoint("meter")  # an administrator's change closes it
    for event in events:
        await world.settled(event.ticket_id, "delivered")


async def test_the_breaker_survives_a_change_of_owner(dispatch: Harness, desk: Desk) -> None:
    desk.behaviours["meter"] = status(500)
    async with World.open(dispatch, desk) as world:
        async with sending(dispatch):
            await world.endpoint("meter", concurrency=1)
            await world.hear(*[classified(METER) for _ in range(10)])
            await until(lambda: _breaker(world, "open"), "the breaker open")
        count = len(desk.received)
        sender = Sender(dispatch.running, (DELIVERY_KEY,))
        await sender._own()
        assert sender.lanes["meter"].breaker.state == "open"
        assert sender.lanes["meter"].wants == 0
        assert len(desk.received) == count
        await sender._close()


async def _breaker(world: World, state: str) -> bool:
    shown: dict[str, Any] = (await world.admin.get("/v1/endpoints/meter")).json()
    return bool(shown["breaker"] == state)


async def test_order_is_kept_for_a_ticket_and_never_holds_up_another(world: World) -> None:
    async def picky(number: int) -> web.Response:
        body = world.desk.at("meter")[number - 1]
        bad = body.data["ticket_id"] == str(slow.ticket_id) and len(world.desk.at("meter", "ticket.amended")) == 0
        return web.Response(status=400 if bad and tries(str(slow.ticket_id)) <= 2 else 204)

    def tries(ticket_id: str) -> int:
        return sum(each.data["ticket_id"] == ticket_id for each in world.desk.at("meter"))

    slow, quick = classified(METER), classified(METER)
    world.desk.behaviours["meter"] = picky
    await world.endpoint("meter")
    await world.hear(slow)
    await tried(world, slow.ticket_id)
    await world.hear(amended(slow.ticket_id, "一"))
    await world.hear(amended(slow.ticket_id, "二"), quick)
    await world.settled(quick.ticket_id, "delivered")
    assert {each["state"] for each in await world.deliveries(slow.ticket_id)} == {"pending", "waiting"}
    await hasten(world)
    await tried(world, slow.ticket_id, 2)
    await hasten(world)
    await world.settled(slow.ticket_id, "delivered", 3)
    mine = [each for each in world.desk.at("meter") if each.data["ticket_id"] == str(slow.ticket_id)]
    assert [each.type for each in mine] == ["work_order.assigned"] * 3 + ["ticket.amended"] * 2
    assert [each.data["text"] for each in mine[3:]] == ["一", "二"]


async def test_a_name_that_leads_inside_is_refused_and_never_called(world: World) -> None:
    await world.endpoint("meter", url=f"https://localhost:{world.desk.port}/meter", networks=[])
    failed = await tried(world, await world.classify(METER))
    assert failed["state"] == "pending"
    assert "address refused: loopback" in failed["last_error"]
    assert world.desk.received == []


async def test_an_early_warning_tries_once_more_at_once_and_then_leaves_it_to_the_inbox(world: World) -> None:
    world.desk.behaviours["meter"] = status(500)
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await tried(world, ticket_id)
    order = (await world.orders(ticket_id))["meter"]
    await world.hear(warned(order, 50, kind="first_contact", due_in=20))
    assert (await world.deliveries(ticket_id))[0]["attempts"] == 1
    await world.hear(warned(order, 50, due_in=20))
    [delivery] = await world.settled(ticket_id, "inbox")
    assert (delivery["attempts"], delivery["reason"]) == (2, "accept_clock")
    [failed] = await world.said(says.DeliveryFailed)
    assert (failed.reason, failed.attempts, str(failed.work_order_id)) == ("accept_clock", 2, order["work_order_id"])


async def test_a_late_warning_leaves_the_ticket_to_the_inbox_now_and_later(world: World) -> None:
    world.desk.behaviours["meter"] = first(1, status(500))
    await world.endpoint("meter")
    await world.endpoint("repair")
    ticket_id = await world.classify(METER, REPAIR)
    await tried(world, ticket_id)
    await world.hear(amended(ticket_id))
    orders = await world.orders(ticket_id)
    await world.settled(ticket_id, "delivered", 2)  # both for the repair department
    await world.hear(warned(orders["meter"], 80), warned(orders["repair"], 80))
    assert len(await world.settled(ticket_id, "inbox", 2)) == 2
    [failed] = await world.said(says.DeliveryFailed)
    assert failed.department.code == "meter"
    await world.hear(amended(ticket_id))
    newest = (await world.deliveries(ticket_id))[:2]
    assert {each["department"] for each in newest} == {"meter", "repair"}
    assert {each["state"] for each in newest if each["department"] == "meter"} == {"inbox"}
    await world.settled(ticket_id, "delivered", 3)
    assert [
        each["ticket_id"] for each in (await world.departments["meter"].get("/v1/work-orders")).json()["items"]
    ] == [str(ticket_id)]


async def test_a_breach_after_the_delivery_changes_nothing(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.settled(ticket_id, "delivered")
    await world.hear(breached((await world.orders(ticket_id))["meter"]))
    assert await world.said(says.DeliveryFailed) == []
    await world.hear(amended(ticket_id))
    await world.settled(ticket_id, "delivered", 2)


async def test_a_breach_leaves_what_hangs_to_the_inbox_and_a_late_success_still_counts(world: World) -> None:
    world.desk.behaviours["meter"] = world.desk.hang
    await world.endpoint("meter", timeout_seconds=30)
    ticket_id = await world.classify(METER)
    await world.arrives("meter", "work_order.assigned")
    await world.hear(breached((await world.orders(ticket_id))["meter"]))
    await world.settled(ticket_id, "inbox")
    world.desk.let_go.set()
    [delivery] = await world.settled(ticket_id, "delivered")
    assert delivery["reason"] is None
    assert len(await world.said(says.WorkOrderDelivered)) == 1


async def test_a_replayed_delivery_goes_out_under_its_id(world: World) -> None:
    world.desk.behaviours["meter"] = first(1, status(500))
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    failed = await tried(world, ticket_id)
    await world.hear(breached((await world.orders(ticket_id))["meter"]))
    await world.settled(ticket_id, "inbox")
    answer = await post(world.admin, f"/v1/deliveries/{failed['delivery_id']}/replay")
    assert answer.status_code == 202
    await world.settled(ticket_id, "delivered")
    assert len({each.id for each in world.desk.at("meter")}) == 1
    await world.hear(amended(ticket_id))  # the inbox rule is lifted with it
    await world.settled(ticket_id, "delivered", 2)
    await post(world.admin, f"/v1/deliveries/{failed['delivery_id']}/replay")
    await world.arrives("meter", "work_order.assigned", 3)
    await world.settled(ticket_id, "delivered", 2)
    assert len(await world.said(says.WorkOrderDelivered)) == 1


async def test_what_was_committed_long_after_its_time_is_sent_all_the_same(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.settled(ticket_id, "delivered")
    await world.harness.rows(
        "UPDATE delivery SET state = 'pending', settled_at = NULL, due_at = now() - interval '1 minute' RETURNING 1"
    )
    await world.settled(ticket_id, "delivered")
    assert len(world.desk.at("meter")) == 2


async def test_a_time_range_is_replayed_in_order(world: World) -> None:
    await world.endpoint("meter", state="disabled")
    began = datetime.now(UTC) - timedelta(seconds=5)
    events = [classified(METER) for _ in range(5)]
    await world.hear(*events)
    await world.hear(*[amended(event.ticket_id) for event in events])
    body = {"department": "meter", "from": began.isoformat(), "to": (began + timedelta(hours=1)).isoformat()}
    refused = await world.admin.post("/v1/deliveries/replay", json=body)
    assert refused.status_code == 409
    await world.endpoint("meter")
    answer = await world.admin.post("/v1/deliveries/replay", json=body)
    assert answer.json() == {"replayed": 10, "next": None}
    for event in events:
        await world.settled(event.ticket_id, "delivered", 2)
        mine = [each.type for each in world.desk.at("meter") if each.data["ticket_id"] == str(event.ticket_id)]
        assert mine == ["work_order.assigned", "ticket.amended"]
    assert (await world.admin.post("/v1/deliveries/replay", json=body)).json()["replayed"] == 0
    again = await world.admin.post("/v1/deliveries/replay", json={**body, "state": "delivered"})
    assert again.json()["replayed"] == 10


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-22T00:00:00"}, "from"),
        ({"to": "2020-01-01T00:00:00Z"}, "to"),
        ({"state": "lost"}, "state"),
        ({"after": "%%"}, "after"),
        ({"department": ""}, "department"),
    ],
)
async def test_a_bad_range_names_the_field(world: World, changes: dict[str, str], field: str) -> None:
    await world.endpoint("meter")
    body = {"department": "meter", "from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", **changes}
    answer = await world.admin.post("/v1/deliveries/replay", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_deliveries_are_found_by_department_and_state(world: World) -> None:
    world.desk.behaviours["repair"] = status(410)
    await world.endpoint("meter")
    await world.endpoint("repair")
    ticket_id = await world.classify(METER, REPAIR)
    await world.settled(ticket_id, "delivered")
    await world.settled(ticket_id, "inbox")
    for query, count in (
        ({"department": "meter"}, 1),
        ({"department": "repair", "state": "inbox"}, 1),
        ({"department": "meter", "state": "delivered"}, 1),
        ({"department": "meter", "state": "inbox"}, 0),
        ({"ticket_id": str(ticket_id)}, 2),
        ({"ticket_id": str(ticket_id), "department": "meter"}, 1),
    ):
        items = (await world.admin.get("/v1/deliveries", params=query)).json()["items"]
        assert len(items) == count, query
    answer = await world.admin.get("/v1/deliveries")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "department")


async def test_what_was_not_sent_in_a_day_goes_to_the_inbox(world: World) -> None:
    world.desk.behaviours["meter"] = status(500)
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await tried(world, ticket_id)
    await world.harness.rows(
        "UPDATE delivery SET created_at = now() - interval '1 day', give_up_at = now() RETURNING 1"
    )
    [delivery] = await world.settled(ticket_id, "inbox")
    assert delivery["reason"] == "exhausted"
    [failed] = await world.said(says.DeliveryFailed)
    assert failed.reason == "exhausted"


async def test_a_late_result_may_only_mark_success(world: World) -> None:
    running = world.harness.running
    await world.endpoint("meter", state="disabled")
    ticket_id = await world.classify(METER)
    [row] = await world.deliveries(ticket_id)
    now = datetime.now(UTC)
    delivery = Delivery(UUID(row["delivery_id"]), "meter", ticket_id, b"{}", "", 0, now, now)

    def attempt(number: int, *, ok: bool) -> Attempt:
        now = datetime.now(UTC)
        return Attempt(
            delivery=delivery,
            number=number,
            at=now,
            ms=1,
            ok=ok,
            status=200 if ok else 500,
            error=None,
            answer=None,
            next_at=None if ok else now + timedelta(hours=1),
        )

    async def record(each: Attempt) -> str:
        async with running.transaction([str(ticket_id)]) as tx:
            await store.delivery.record(tx, [each])
        return str((await world.deliveries(ticket_id))[0]["state"])

    assert await record(attempt(1, ok=False)) == "inbox"
    assert await record(attempt(7, ok=True)) == "delivered"
    assert await record(attempt(8, ok=False)) == "delivered"
    assert len((await world.admin.get(f"/v1/deliveries/{row['delivery_id']}")).json()["attempt_log"]) == 3


@asynccontextmanager
async def process(dispatch: Harness, owner_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of the service that only sends."""
    settings = dispatch.running.settings
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "ZHIDA_DELIVERY_KEY": settings.delivery_key.get_secret_value(),  # type: ignore[attr-defined]
        "ZHIDA_RUN_CONSUMER": "false",
        "ZHIDA_RUN_RELAY": "false",
        "ZHIDA_RUN_HTTP": "false",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from libs.operate.cli import main; main()", "dispatch", "run", env=environment
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def test_killed_between_the_answer_and_its_record_it_sends_again_under_the_same_id(
    dispatch: Harness, desk: Desk, database: str
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        ticket_id = await world.classify(METER)
        holder = await asyncpg.connect(database)
        try:
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT FROM dispatch.stream WHERE key = $1 FOR UPDATE", str(ticket_id))
            async with process(dispatch, database) as child:
                await world.arrives("meter", "work_order.assigned", seconds=40)
                await until(lambda: _waits_for_a_lock(holder), "the result about to be recorded")
                child.send_signal(signal.SIGKILL)
                await child.wait()
            await transaction.rollback()
        finally:
            await holder.close()
        [row] = await world.deliveries(ticket_id)
        assert (row["state"], row["attempts"]) == ("pending", 0)
        began = time.monotonic()
        async with sending(dispatch):
            await world.settled(ticket_id, "delivered")
        assert time.monotonic() - began < 10  # the dead process's lease did not have to run out
        one, two = desk.at("meter")
        assert one.id == two.id
        assert one.body == two.body
        assert len(await world.said(says.WorkOrderDelivered)) == 1


async def _waits_for_a_lock(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_two_senders_never_share_an_endpoint_and_the_second_takes_over(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world, run.started(service, dispatch.running.settings) as (other, _):
        await world.endpoint("meter")
        await world.endpoint("repair")
        mine, theirs = Sender(dispatch.running, (DELIVERY_KEY,)), Sender(other, (DELIVERY_KEY,))
        await mine._own()
        await theirs._own()
        assert (set(mine.lanes), set(theirs.lanes)) == ({"meter", "repair"}, set())
        await mine._close()
        theirs.renewed = 0.0
        await theirs._own()
        assert set(theirs.lanes) == {"meter", "repair"}
        await theirs._close()


async def test_no_request_starts_when_the_lease_could_end_before_it(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter", timeout_seconds=10)
        await world.classify(METER)
        sender = Sender(dispatch.running, (DELIVERY_KEY,))
        await sender._own()
        lane = sender.lanes["meter"]
        lane.lease_until = time.monotonic() + 10 + 4.9
        await sender._load()
        assert (len(lane.queue), lane.may_start()) == (1, False)
        lane.lease_until = time.monotonic() + 10 + 5.5
        assert lane.may_start()
        await sender._close()
        assert desk.received == []


async def test_a_key_that_cannot_be_opened_sends_nothing_and_the_clock_still_leads_to_the_inbox(
    dispatch: Harness, desk: Desk
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        ticket_id = await world.classify(METER)
        sender = Sender(dispatch.running, (b"x" * 32,))
        await sender._own()
        assert sender.lanes == {}
        await world.hear(breached((await world.orders(ticket_id))["meter"]))
        await world.settled(ticket_id, "inbox")
        await sender._close()


async def test_a_lead_department_hears_of_a_return_through_its_own_endpoint(world: World) -> None:
    world.desk.behaviours["marketing"] = status(500)
    await world.endpoint("marketing")
    ticket_id = await world.classify(METER, MARKETING)
    order = (await world.orders(ticket_id))["meter"]
    await tried(world, ticket_id)
    await world.done("meter", order, "return", reason_code="not_ours", reason="x")
    states = [each["state"] for each in await world.deliveries(ticket_id)]
    assert states == ["waiting", "pending"]
