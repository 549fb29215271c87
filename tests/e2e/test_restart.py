"""Everything stopped and started again with the same data: nothing is said, sent or shown a second time."""

import asyncio
from typing import Any

from deploy.local.backend import STORES
from tests.e2e import traffic
from tests.e2e.department import Departments
from tests.e2e.hand import order_of, published, solve, staged
from tests.e2e.screen import followed
from tests.e2e.zhida import Zhida

BUREAU, NAME = "district_bureau", "A2007"
SERVICES = ("intake", "classification", "dispatch", "sla_timer", "notification")


async def left_behind(zhida: Zhida, departments: Departments, tickets: list[str]) -> dict[str, Any]:
    """All that must not change for tickets that nobody touches."""
    await zhida.flow.read()
    streams = [
        await zhida.rows(f"SELECT key, version FROM {service}.stream WHERE key = ANY($1) ORDER BY key", tickets)
        for service in SERVICES
    ]
    return {
        "said": [len(zhida.flow.of(ticket_id)) for ticket_id in tickets],
        "versions": [[tuple(row) for row in rows] for rows in streams],
        "sent": sorted(each.id for each in departments.webhooks if each.data["ticket_id"] in tickets),
        "copies": len(zhida.flow.copies),
    }


async def test_restart_with_the_same_data_sends_nothing_again_and_keeps_positions(
    zhida: Zhida, departments: Departments
) -> None:
    await departments.open(BUREAU)
    async with followed(zhida, NAME) as screens:
        done, open_ = [await published(zhida, *traffic.MATTERS[4], agent_id=NAME) for _ in range(2)]
        await solve(zhida, BUREAU, await order_of(departments, BUREAU, done), "已处理。")
        await staged(zhida, done, "told")
        order = await order_of(departments, BUREAU, open_)
        await staged(zhida, open_, "delivered")
        before = await left_behind(zhida, departments, [done, open_])

        await asyncio.to_thread(zhida.stack.stop)
        for store in STORES:
            await asyncio.to_thread(zhida.stack.local.stop, store)
            await asyncio.to_thread(zhida.stack.local.start, store)
        positions = [await zhida.rows(f"SELECT * FROM {service}.fence ORDER BY 1, 2") for service in SERVICES]
        await zhida.started()

        # A new ticket goes all the way, so whatever was to be repeated has been.
        new = await published(zhida, *traffic.MATTERS[4], agent_id=NAME)
        await solve(zhida, BUREAU, await order_of(departments, BUREAU, new), "已处理。")
        await screens[NAME].until(new, "ticket_answered")
        await staged(zhida, new, "told")
        assert await left_behind(zhida, departments, [done, open_]) == before
        for service, kept in zip(SERVICES, positions, strict=True):
            now = await zhida.rows(f"SELECT * FROM {service}.fence ORDER BY 1, 2")
            assert [row["topic_id"] for row in now] == [row["topic_id"] for row in kept]
            assert all(a["next_offset"] <= b["next_offset"] for a, b in zip(kept, now, strict=True)), service
        await solve(zhida, BUREAU, order, "已处理。")
        await screens[NAME].until(open_, "ticket_answered")
        numbers = [shown.number for shown in screens[NAME].shown]
        assert numbers == list(range(1, len(numbers) + 1))
