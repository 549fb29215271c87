"""All open work orders of a department go to another one: without a court, each once, whatever breaks off under way."""

import asyncio
import base64
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from libs.shared.contracts import dispatch as says
from services.dispatch import reassigning, store
from services.dispatch.command import reassignment
from services.dispatch.domain.reassignment import Reassignment
from services.dispatch.store.reassignment import Overtaken
from tests.integration.dispatch.test_cost import counted
from tests.integration.dispatch.test_court import REASON, returned
from tests.integration.dispatch.world import DELIVERY_KEY, METER, REPAIR, Desk, World, classified, post
from tests.running import Harness, eventually

PATH = "/v1/reassignments"
MOVE = {"from_department": "meter", "to_department": "repair", "reason": "机构调整，计量业务划转"}
PROGRAM = "from libs.operate.cli import main; main()"


async def ordered(world: World, **changes: Any) -> str:
    """A reassignment that is not carried out yet; gives its id."""
    answer = await post(world.supervisor, PATH, **{**MOVE, **changes})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["reassignment_id"])


async def carried_out(world: World, **changes: Any) -> dict[str, Any]:
    """A reassignment from its order to its end."""
    id_ = await ordered(world, **changes)
    while await reassigning.step(world.harness.running):
        pass
    found: dict[str, Any] = (await world.supervisor.get(f"{PATH}/{id_}")).json()
    assert (found["state"], found["left"]) == ("done", 0)
    return found


async def items(world: World, id_: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await world.admin.get(f"{PATH}/{id_}/items", params=query)).json()["items"]
    return found


async def many(harness: Harness, count: int) -> list[UUID]:
    """So many tickets of the meter department."""
    events = [classified(METER) for _ in range(count)]
    for start in range(0, count, 500):
        await harness.take([harness.record(event) for event in events[start : start + 500]])
    return [event.ticket_id for event in events]


async def test_open_work_orders_are_moved_without_a_court_and_everybody_hears(world: World) -> None:
    await world.classify(REPAIR)
    for department in ("meter", "repair"):
        await world.endpoint(department)
    ticket_id = await world.classify(METER)
    old = (await world.orders(ticket_id))["meter"]
    await world.done("meter", old, "accept")
    done = await carried_out(world)
    assert (done["total"], done["moved"], done["skipped"], done["by"]) == (1, 1, 0, "chief")
    orders = await world.orders(ticket_id)
    assert (orders["meter"]["state"], orders["repair"]["state"]) == ("reassigned", "assigned")
    assert orders["repair"]["reassigned_from"] == old["work_order_id"]
    [cancelled] = await world.said(says.WorkOrderCancelled)
    assert (cancelled.reason, cancelled.reassigned_to) == ("reassigned", REPAIR)
    [*_, assigned] = await world.said(says.WorkOrderAssigned, ticket_id)
    assert (str(assigned.reassigned_from), assigned.department) == (old["work_order_id"], REPAIR)
    [told] = await world.arrives("meter", "work_order.cancelled")
    assert (told.data["reason"], told.data["reassigned_to"]) == ("reassigned", "repair")
    found = await world.arrives("repair", "work_order.assigned")
    assert found[-1].data["work_order_id"] == orders["repair"]["work_order_id"]
    [line] = [each for each in (await world.ticket(ticket_id))["timeline"] if each["what"] == "reassigned"]
    assert (line["by"], line["detail"]["reason"]) == ("chief", MOVE["reason"])
    [item] = await items(world, done["reassignment_id"])
    assert (item["result"], item["successor"]) == ("moved", orders["repair"]["work_order_id"])
    await world.work(ticket_id, "repair")
    [answered] = await world.said(says.TicketAnswered)
    assert (answered.measures.transfers, answered.measures.hops) == (1, 2)  # no ruling, and no question
    assert await world.said(says.ReturnRuled) == []


async def test_what_has_ended_and_where_the_other_has_a_share_is_skipped_with_the_reason(world: World) -> None:
    both = await world.classify(METER, REPAIR)
    answered = await world.classify(METER)
    id_ = await ordered(world)
    job = await store.reassignment.find(world.harness.running, UUID(id_))
    assert job
    await reassignment.advance(world.harness.running, job)  # listed
    await world.work(answered, "meter")  # meanwhile
    late = await world.classify(METER)  # younger than the reassignment
    while await reassigning.step(world.harness.running):
        pass
    found = {each["ticket_id"]: (each["result"], each["reason"]) for each in await items(world, id_)}
    assert found == {str(both): ("skipped", "has_a_share"), str(answered): ("skipped", "ended")}
    assert (await world.orders(both))["meter"]["state"] == "assigned"
    assert (await world.orders(late))["meter"]["state"] == "assigned"
    assert [each["result"] for each in await items(world, id_, result="left")] == []


async def test_a_return_that_waits_is_void_and_does_not_count_against_the_new_department(world: World) -> None:
    ticket_id, _ = await returned(world)
    assert (await carried_out(world, to_department="marketing"))["moved"] == 1
    assert (await world.departments["marketing"].get("/v1/returns")).json()["items"] == []
    orders = await world.orders(ticket_id)
    assert (orders["meter"]["state"], orders["marketing"]["returns"]) == ("reassigned", 0)


async def test_a_binding_ruling_counts_against_the_new_department(world: World) -> None:
    ticket_id, order = await returned(world)
    await world.done("marketing", order, "ruling", decision="reject")
    await carried_out(world)
    new = (await world.orders(ticket_id))["repair"]
    assert (await world.done("repair", new, "return", **REASON))["ruled_by"]["kind"] == "supervisor"


async def test_situations_and_categories_narrow_what_is_moved_and_a_dry_run_moves_nothing(world: World) -> None:
    fast, slow = await world.classify(METER), await world.classify(METER, situation="meter_slow")
    both = await world.classify(METER, REPAIR)
    answer = await post(world.supervisor, PATH, **MOVE, dry_run=True)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "total": 3,
            "skipped": 1,
            "situations": [
                {"code": "meter_fast", "name": "电表计量不准", "total": 2, "skipped": 1},
                {"code": "meter_slow", "name": "电表计量不准", "total": 1, "skipped": 0},
            ],
        },
    )
    for narrow, count in (({"category": "投诉"}, 3), ({"category": "电表计量不准"}, 3), ({"category": "停电"}, 0)):
        assert (await post(world.supervisor, PATH, **MOVE, **narrow, dry_run=True)).json()["total"] == count
    assert (await world.supervisor.get(PATH)).json()["items"] == []
    assert (await carried_out(world, situations=["meter_slow"]))["moved"] == 1
    states = [(await world.orders(each))["meter"]["state"] for each in (fast, slow, both)]
    assert states == ["assigned", "reassigned", "assigned"]


async def test_a_reassignment_names_the_field_that_is_wrong_and_needs_a_supervisor(world: World) -> None:
    await world.classify(METER, REPAIR)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"from_department": "nobody"}, "from_department"),
        ({"to_department": "nobody"}, "to_department"),
        ({"to_department": "meter"}, "to_department"),
        ({"reason": ""}, "reason"),
        ({"situations": []}, "situations"),
    ]
    for changes, field in wrong:
        for dry_run in (False, True):
            refused = await post(world.supervisor, PATH, **{**MOVE, **changes, "dry_run": dry_run})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert (await post(world.departments["meter"], PATH, **MOVE)).status_code == 403
    assert (await world.supervisor.get(f"{PATH}/{UUID(int=7)}")).status_code == 404


async def test_the_same_order_under_its_key_is_one_reassignment(world: World) -> None:
    await world.classify(METER, REPAIR)
    first, again = [await post(world.supervisor, PATH, "one", **MOVE) for _ in range(2)]
    assert first.json() == again.json()
    assert len((await world.supervisor.get(PATH)).json()["items"]) == 1


async def test_a_step_costs_the_same_statements_whatever_its_size(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.endpoint("repair")
        await world.classify(REPAIR)
        counts = []
        for size in (1, 150):
            await many(dispatch, size)
            id_ = await ordered(world)
            with counted(dispatch) as sent:
                while await reassigning.step(dispatch.running):
                    pass
            counts.append(len(sent))
            assert (await world.supervisor.get(f"{PATH}/{id_}")).json()["moved"] == size
        assert counts[0] == counts[1], sent


async def test_what_breaks_off_under_way_is_carried_on_and_nothing_is_moved_twice(
    dispatch: Harness, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reassignment, "LISTED", 40)
    monkeypatch.setattr(reassignment, "MOVED", 15)
    async with World.open(dispatch, desk) as world:
        await world.classify(REPAIR)
        tickets = await many(dispatch, 100)
        id_ = UUID(await ordered(world))
        for number in range(200):
            job = await found(dispatch, id_)
            if job.state == "done":
                break
            task = asyncio.create_task(reassignment.advance(dispatch.running, job))
            other = asyncio.create_task(reassignment.advance(dispatch.running, job))  # who thinks it is the owner
            if number % 2:
                await asyncio.sleep(0.001 * (number % 13))
                task.cancel()
            for each in (task, other):
                with contextlib.suppress(asyncio.CancelledError, Overtaken):
                    await each
        assert (job.state, job.total, job.moved) == ("done", 100, 100)
        await moved_once(dispatch, tickets)


async def test_a_killed_command_is_carried_on_and_nothing_is_moved_twice(dispatch: Harness, desk: Desk) -> None:
    async with World.open(dispatch, desk) as world:
        await world.classify(REPAIR)
        tickets = await many(dispatch, 3000)
        command = ("dispatch", "reassign", "--from", "meter", "--to", "repair", "--reason", "机构调整")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, *command, env=environment(dispatch), stdout=asyncio.subprocess.DEVNULL
        )

        async def under_way() -> bool:
            rows = await dispatch.rows("SELECT moved FROM reassignment")
            return bool(rows and rows[0].moved)

        await eventually(under_way, every=0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        [job] = await store.reassignment.page(dispatch.running, UUID(int=2**128 - 1), 10)
        assert 0 < job.moved < 3000
        while job.state != "done":
            await reassignment.advance(dispatch.running, job)  # as who comes next does, once the lease has ended
            job = await found(dispatch, job.reassignment_id)
        assert (job.total, job.moved, job.skipped) == (3000, 3000, 0)
        await moved_once(dispatch, tickets)


async def test_the_command_shows_how_far_it_has_come_and_a_dry_run_what_would_be_moved(
    dispatch: Harness, desk: Desk
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.classify(REPAIR)
        await many(dispatch, 3)
        await world.classify(METER, REPAIR)
        told = await zhida(dispatch, "--from", "meter", "--to", "repair", "--dry-run")
        assert "4  in all, 1 of them to be skipped" in told
        told = await zhida(dispatch, "--from", "meter", "--to", "repair", "--reason", "机构调整", "--by", "chief")
        assert "3 moved, 1 skipped" in told
        [job] = (await world.supervisor.get(PATH)).json()["items"]
        assert (job["by"], job["moved"]) == ("chief", 3)
        assert "to_department: there is no such department" in await zhida(
            dispatch, "--from", "meter", "--to", "nobody", "--reason", "x"
        )
        assert "--reason is required" in await zhida(dispatch, "--from", "meter", "--to", "repair")


async def test_the_owner_begins_as_soon_as_it_is_ordered_and_gives_its_lease_back(
    dispatch: Harness, desk: Desk
) -> None:
    async with World.open(dispatch, desk) as world:
        await world.classify(REPAIR)
        await many(dispatch, 5)
        owner = asyncio.create_task(reassigning.run(dispatch.running))
        id_ = await ordered(world)

        async def done() -> bool:
            return str((await world.supervisor.get(f"{PATH}/{id_}")).json()["state"]) == "done"

        await eventually(done)
        dispatch.running.stopping.set()
        await owner
        dispatch.running.stopping.clear()
        assert await dispatch.rows("SELECT 1 FROM lease WHERE name = 'reassignments'") == []


async def found(dispatch: Harness, id_: UUID) -> Reassignment:
    job = await store.reassignment.find(dispatch.running, id_)
    assert job
    return job


async def moved_once(dispatch: Harness, tickets: Sequence[UUID]) -> None:
    """Each of these tickets has one successor, announced once, and its old share ended once."""
    rows = await dispatch.rows("SELECT ticket_id, department, state FROM work_order WHERE department <> 'marketing'")
    states: dict[UUID, list[tuple[str, str]]] = {}
    for row in rows:
        states.setdefault(row.ticket_id, []).append((row.department, row.state))
    wanted = [("meter", "reassigned"), ("repair", "assigned")]
    assert all(sorted(states[ticket_id]) == wanted for ticket_id in tickets)
    said = Counter(
        (event.ticket_id, type(event).__name__)
        for event in await dispatch.said()
        if isinstance(event, says.WorkOrderCancelled)
        or (isinstance(event, says.WorkOrderAssigned) and event.reassigned_from)
    )
    assert said == Counter(
        (ticket_id, name) for ticket_id in tickets for name in ("WorkOrderCancelled", "WorkOrderAssigned")
    )


def environment(dispatch: Harness) -> dict[str, str]:
    settings = dispatch.running.settings
    return {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "ZHIDA_DELIVERY_KEY": base64.b64encode(DELIVERY_KEY).decode(),
    }


async def zhida(dispatch: Harness, *options: str) -> str:
    """What `zhida dispatch reassign` says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        "dispatch",
        "reassign",
        *options,
        env=environment(dispatch),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return told.decode()
