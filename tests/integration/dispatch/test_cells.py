"""Cells of the matrix: how many work orders came back, and the word to their owner where it is too often."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from libs.shared.contracts import dispatch as says
from services.dispatch.main import service
from tests.integration.dispatch.test_court import REASON
from tests.integration.dispatch.world import DELIVERY_KEY, MARKETING, METER, REPAIR, Desk, World, classified
from tests.running import Harness, harness


@asynccontextmanager
async def judged(database: str, desk: Desk, **limits: Any) -> AsyncIterator[World]:
    """dispatch with limits of its own."""
    key = base64.b64encode(DELIVERY_KEY).decode()
    async with harness(service, database, delivery_key=key, **limits) as dispatch, World.open(dispatch, desk) as world:
        await world.hear(classified(REPAIR, MARKETING, situation="other"))  # so that these departments are known
        yield world


async def give_back(world: World, count: int, decision: str = "uphold", to: str = "repair", **ruling: Any) -> None:
    """The meter department gets so many work orders and returns each; it is ruled so."""
    events = [classified(METER) for _ in range(count)]
    await world.hear(*events)
    for event in events:
        order = (await world.orders(event.ticket_id))["meter"]
        await world.done("meter", order, "return", **REASON)
        target = {"department": to} if decision == "uphold" else {}
        await world.done("marketing", order, "ruling", decision=decision, **target, **ruling)


async def cells(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/cells", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_work_orders_and_returns_are_counted_per_situation_and_department(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.hear(*(classified(METER, REPAIR) for _ in range(5)))
        await give_back(world, 2, matrix_wrong=True)
        await give_back(world, 1, "reject")
        found = {each["department"]: each for each in await cells(world.supervisor)}
    counts = ("assigned", "returned", "upheld", "rejected", "matrix_wrong", "rate")
    assert [found["meter"][name] for name in counts] == [8, 3, 2, 1, 2, 0.25]
    assert [found["repair"][name] for name in counts] == [7, 0, 0, 0, 0, 0]  # two of them after an upheld return
    assert (found["meter"]["situation"], found["meter"]["lead_department"]) == ("meter_fast", "marketing")


async def test_who_keeps_a_share_when_classified_again_works_in_the_new_cell(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        ticket_id = await world.classify(METER)
        await world.hear(classified(METER, REPAIR, ticket_id=ticket_id, situation="meter_slow"))
        found = {(each["situation"], each["department"]): each["assigned"] for each in await cells(world.supervisor)}
    assert found == {("meter_fast", "meter"): 1, ("meter_slow", "meter"): 1, ("meter_slow", "repair"): 1}


async def test_cells_are_listed_by_rate_in_pages_and_a_lead_department_sees_its_own(
    dispatch: Harness, desk: Desk
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.hear(*(classified(REPAIR, situation=f"s{number}") for number in range(5)))
        await world.hear(classified(METER, lead=REPAIR, situation="led_by_repair"))
        await give_back(world, 1)
        everybody = await cells(world.platform, months=12)
        assert everybody[0]["department"] == "meter"
        assert everybody[0]["rate"] == 1
        assert len(everybody) == 8
        paged: list[dict[str, Any]] = []
        after = None
        while True:
            query = {"limit": 3, **({"after": after} if after else {})}
            page = (await world.supervisor.get("/v1/cells", params=query)).json()
            paged += page["items"]
            after = page["next"]
            if after is None:
                break
        assert paged == everybody
        assert [each["rate"] for each in await cells(world.supervisor, above=0.5)] == [1]
        assert {each["department"] for each in await cells(world.supervisor, department="repair")} == {"repair"}
        assert [each["situation"] for each in await cells(world.departments["repair"])] == ["led_by_repair"]
        assert len(await cells(world.departments["marketing"])) == 7
        assert (await world.agent.get("/v1/cells")).status_code == 403
        assert (await world.supervisor.get("/v1/cells", params={"above": 2})).status_code == 422


async def test_the_returns_of_a_cell_are_shown_with_reasons_and_rulings(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.hear(classified(REPAIR))
        await give_back(world, 2, note="属抢修")
        await give_back(world, 1, "reject")
        path = "/v1/cells/meter_fast/meter/returns"
        found = (await world.departments["marketing"].get(path)).json()["items"]
        assert [each["decision"] for each in found] == ["reject", "uphold", "uphold"]
        assert {each["reason_code"] for each in found} == {"not_ours"}
        assert (found[1]["note"], found[1]["reassigned_to"]) == ("属抢修", "repair")
        first = (await world.supervisor.get(path, params={"limit": 2})).json()
        rest = (await world.supervisor.get(path, params={"limit": 2, "after": first["next"]})).json()
        assert [*first["items"], *rest["items"]] == found
        assert (await world.departments["repair"].get(path)).json()["items"] == []


async def test_a_cell_returned_too_often_is_brought_to_its_owner_once_with_the_evidence(
    database: str, desk: Desk
) -> None:
    async with judged(database, desk, dispute_work_orders=4, dispute_rate=0.5) as world:
        await world.hear(*(classified(METER) for _ in range(2)))
        await give_back(world, 1, to="marketing")
        assert await world.said(says.CellDisputed) == []  # 1 of 3
        await give_back(world, 2, matrix_wrong=True)  # 3 of 5: passed by the last of them
        [event] = await world.said(says.CellDisputed)
        assert event.cell == event.key == "meter_fast:meter"
        assert (event.situation, event.situation_name, event.month) == (
            "meter_fast",
            "电表计量不准",
            f"{datetime.now(UTC):%Y-%m}",
        )
        assert (event.department, event.lead_department, event.supervisor) == (METER, MARKETING, "chief")
        assert (event.assigned, event.returned, event.upheld, event.matrix_wrong) == (5, 3, 3, 2)
        assert event.suggested_department == REPAIR
        rulings = await world.said(says.ReturnRuled)
        assert list(event.tickets) == [each.ticket_id for each in reversed(rulings)]
        await give_back(world, 1)
        assert len(await world.said(says.CellDisputed)) == 1
        [cell] = await cells(world.supervisor, above=0.5)
        assert cell["disputed_at"]
        await world.hear(*(classified(METER) for _ in range(10)))  # 4 of 16: below
        await give_back(world, 10)  # 14 of 26
        assert len(await world.said(says.CellDisputed)) == 2


async def test_a_ruling_is_counted_in_the_month_in_which_its_work_order_was_assigned(
    dispatch: Harness, desk: Desk
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.hear(classified(REPAIR))
        ticket_id = await world.classify(METER)
        order = (await world.orders(ticket_id))["meter"]
        await dispatch.rows(
            "UPDATE work_order SET created_at = created_at - interval '40 days' WHERE department = 'meter' RETURNING 1"
        )
        await world.done("meter", order, "return", **REASON)
        assert {each["returned"] for each in await cells(world.supervisor, department="meter")} == {0}
        [cell] = await cells(world.supervisor, department="meter", months=3)
        assert (cell["assigned"], cell["returned"]) == (1, 1)
