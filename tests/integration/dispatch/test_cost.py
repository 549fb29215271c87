"""What hot paths cost, in statements and in the shape of plans: the same however large the batch or the table."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from libs.shared.events import uuid7
from services.dispatch import store
from services.dispatch.delivery import record
from services.dispatch.delivery.backoff import GIVE_UP
from services.dispatch.delivery.breaker import Breaker
from services.dispatch.delivery.record import Result
from services.dispatch.domain.endpoint import Attempt
from services.dispatch.store import delivery as deliveries
from tests.integration.dispatch.world import METER, REPAIR, Desk, World, amended, classified, post
from tests.running import Harness


@contextmanager
def counted(harness: Harness) -> Iterator[list[str]]:
    """The statements that the service sends meanwhile."""
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(" ".join(statement.split())[:80])

    engine = harness.running.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_batch_of_classifications_costs_the_same_statements_whatever_its_size(
    dispatch: Harness, desk: Desk
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        await world.hear(classified(METER, REPAIR))
        counts = []
        for size in (1, 40):
            records = [dispatch.record(classified(METER, REPAIR)) for _ in range(size)]
            with counted(dispatch) as sent:
                await dispatch.take(records)
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 9, sent


async def test_a_batch_of_amendments_costs_the_same_statements_whatever_its_size(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        events = [classified(METER) for _ in range(41)]
        await world.hear(*events)
        counts = []
        for group in (events[:1], events[1:]):
            records = [dispatch.record(amended(each.ticket_id)) for each in group]
            with counted(dispatch) as sent:
                await dispatch.take(records)
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 8, sent


@pytest.mark.parametrize("move", ["accept", "contacted", "answer"])
async def test_departments_commands_share_their_statements(dispatch: Harness, desk: Desk, move: str) -> None:
    async with World.open(dispatch, desk) as world:
        events = [classified(METER) for _ in range(30)]
        await world.hear(*events)
        orders = (await world.departments["meter"].get("/v1/work-orders")).json()["items"]
        if move != "accept":
            await asyncio.gather(*[world.done("meter", order, "accept") for order in orders])
        with counted(dispatch) as sent:
            body = {"text": "已处理"} if move == "answer" else {}
            await asyncio.gather(*[world.done("meter", order, move, **body) for order in orders])
        looked = [each for each in sent if "FROM work_order o JOIN ticket" in each]
        changed = [each for each in sent if each.startswith("UPDATE")]
        assert len(changed) <= 8, changed  # two a batch: a few batches, never one for each
        assert len(looked) < 30 + 8


async def test_many_results_are_one_transaction(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        counts = []
        for size in (1, 40):
            await world.hear(*[classified(METER) for _ in range(size)])
            due = await store.delivery.due(dispatch.running, {"meter": 100}, [])
            assert len(due) == size
            now = datetime.now(UTC)
            results = [Result(Attempt(each, 1, now, 5, True, 204, None, None, None), 1, Breaker()) for each in due]
            with counted(dispatch) as sent:
                await record.results(dispatch.running, results)
            counts.append(len(sent))
        assert counts[0] == counts[1] <= 7, sent


async def test_due_deliveries_are_found_by_their_index_in_a_large_table(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("meter")
        await dispatch.rows(
            """
            INSERT INTO delivery (delivery_id, department, ticket_id, type, body, traceparent, state, created_at,
                due_at, give_up_at)
            SELECT gen_random_uuid(), 'meter', CAST(:ticket AS uuid), 'work_order.assigned', '{}', '',
                CASE WHEN n % 100 = 0 THEN 'pending' ELSE 'delivered' END, now(), now(), now() + interval '1 day'
            FROM generate_series(1, 20000) n RETURNING 1""",
            ticket=uuid7(datetime.now(UTC)),
        )
        plan = await explain(dispatch, str(deliveries.DUE), departments=["meter"], rooms=[10], held=[uuid4()])
        assert "_due_at_" in plan, plan
        assert "Seq Scan on delivery" not in plan, plan
        plan = await explain(dispatch, str(deliveries.OVERDUE), full=GIVE_UP)
        assert "Seq Scan on delivery" not in plan, plan


async def explain(harness: Harness, statement: str, **parameters: Any) -> str:
    rows = await harness.running.read(text("EXPLAIN " + statement), **parameters)
    return "\n".join(row[0] for row in rows)


async def test_a_department_with_many_settled_orders_finds_its_open_ones_at_once(world: World) -> None:
    for _ in range(3):
        ticket_id = await world.classify(METER)
        await world.work(ticket_id, "meter")
        await post(world.agent, f"/v1/tickets/{ticket_id}/close")
    ticket_id = await world.classify(METER)
    items = (await world.departments["meter"].get("/v1/work-orders", params={"limit": 1})).json()
    assert [each["ticket_id"] for each in items["items"]] == [str(ticket_id)]
    assert items["next"] is None
