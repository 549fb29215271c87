"""A record that cannot be handled is buried, its ticket's later events wait behind it in order, all others flow on."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from deploy.local.stack import StackError
from libs.shared.contracts.dispatch import TicketAnswered, WorkOrderAccepted
from libs.shared.events import FLOW, Envelope, header_pairs, uuid7
from tests.e2e import traffic
from tests.e2e.department import Departments
from tests.e2e.hand import order_of, published, solve, staged
from tests.e2e.zhida import ADMIN, SUPERVISOR, Zhida, producing

BUREAU = "district_bureau"
COMMON = ["WorkOrderAccepted", "WorkOrderContacted", "WorkOrderAnswered", "TicketAnswered"]
HURT = {"intake": [*COMMON, "NotificationSent"], "sla_timer": COMMON}  # who hears what is poisoned, and what follows


async def poison(zhida: Zhida, ticket_id: str) -> None:
    """Put a WorkOrderAccepted on the flow that nobody can read: its work order has no number."""
    now = datetime.now(UTC)
    headers = header_pairs(WorkOrderAccepted.type, Envelope(uuid7(now), "dispatch", now, 999, "00-" + "1" * 52))
    body = json.dumps({"ticket_id": ticket_id, "work_order_id": "none", "department": BUREAU}).encode()
    async with producing(zhida.stack.backend.kafka_bootstrap_servers) as producer:
        await producer.send_and_wait(FLOW, body, key=ticket_id.encode(), headers=headers)


async def test_poison_is_buried_its_ticket_parked_and_replayed_in_order_while_others_flow(
    zhida: Zhida, departments: Departments
) -> None:
    await departments.open(BUREAU)
    hurt, well = [await published(zhida, *traffic.MATTERS[4], agent_id="A2005") for _ in range(2)]
    orders = {ticket_id: await order_of(departments, BUREAU, ticket_id) for ticket_id in (hurt, well)}
    for ticket_id in (hurt, well):
        await staged(zhida, ticket_id, "delivered")
    await poison(zhida, hurt)
    for service in HURT:
        [(_, kind, reason)] = await dead(zhida, service, hurt, 1)
        assert (kind, "work_order_id" in str(reason)) == ("WorkOrderAccepted", True)

    for ticket_id in (hurt, well):
        await solve(zhida, BUREAU, orders[ticket_id], "已列入计划。")
        await zhida.flow.until(TicketAnswered, ticket_id)  # dispatch does not hear what was poisoned
    assert (await staged(zhida, well, "told"))["stage"] == "told"
    for service, kinds in HURT.items():
        found = await dead(zhida, service, hurt, 1 + len(kinds))
        assert [(kind, reason) for _, kind, reason in found[1:]] == [(kind, None) for kind in kinds]
    assert (await zhida.insist(SUPERVISOR, "GET", f"intake/v1/tickets/{hurt}"))["stage"] == "delivered"

    await asyncio.gather(*(asyncio.to_thread(give_up, zhida, service, hurt) for service in HURT))
    for service in HURT:
        assert await dead(zhida, service, hurt, 0) == []
    view = await zhida.insist(SUPERVISOR, "GET", f"intake/v1/tickets/{hurt}")
    assert view["stage"] == "told"
    reached = [view["reached"][stage] for stage in ("delivered", "accepted", "contacted", "answered", "told")]
    assert reached == sorted(reached)
    clocks = (await zhida.insist(SUPERVISOR, "GET", f"sla_timer/v1/tickets/{hurt}/clocks"))["clocks"]
    assert {each["state"] for each in clocks} == {"met"}
    await zhida.flow.read()
    assert zhida.flow.strange == 1


async def dead(zhida: Zhida, service: str, ticket_id: str, count: int) -> list[tuple[int, str, str | None]]:
    """What a service has buried and parked of a ticket, once there is so much: id, event, reason."""
    found: list[tuple[int, str, str | None]] = []

    async def there() -> bool:
        page = await zhida.insist(ADMIN, "GET", f"{service}/v1/dead?key={ticket_id}&show=all&limit=500")
        found[:] = [(each["id"], each["type"].split(".")[1], each["error"]) for each in page["items"]]
        return len(found) >= count

    await zhida.until(there, f"{service} has {count} dead events of {ticket_id}")
    return found


def give_up(zhida: Zhida, service: str, ticket_id: str) -> None:
    """What an operator does: look, try again in vain, give the one record up; the rest is replayed."""
    [line] = zhida.stack.command(service, "dead", "list", "--key", ticket_id).splitlines()
    with pytest.raises(StackError, match="still fails"):
        zhida.stack.command(service, "dead", "replay", "--key", ticket_id)
    said = zhida.stack.command(service, "dead", "discard", line.split()[0], "--yes")
    assert f"replayed {len(HURT[service])}" in said
