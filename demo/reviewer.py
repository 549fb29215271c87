"""People beside the flow: a reviewer for what the classifier is not sure of, a supervisor who rules on returns."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from demo.api import Api, Moved

LOOK = 1.0  # s between two looks at a queue
AT_ONCE = 8
UPHOLDS = 0.7  # of the returns


async def review(classification: Api) -> None:
    """Decide every ticket in the review queue for the best candidate, until cancelled."""

    async def decide(ticket_id: str, situation: str) -> None:
        await classification.post(
            f"/v1/reviews/{ticket_id}/decide", {"situation": situation}, key=f"review-{ticket_id}"
        )

    async def look() -> list[Awaitable[None]]:
        page = await classification.get("/v1/reviews", limit=200)
        return [decide(item["ticket_id"], item["candidates"][0]["situation"]["code"]) for item in page["items"]]

    await _keep(look)


async def supervise(dispatch: Api) -> None:
    """Rule on the returns that are the supervisor's: mostly to whom the department suggests; until cancelled."""

    async def rule(case: dict[str, str]) -> None:
        suggested = case["suggested_department"] if random.random() < UPHOLDS else None
        body = {"decision": "uphold", "department": suggested} if suggested else {"decision": "reject"}
        await dispatch.post(f"/v1/work-orders/{case['work_order_id']}/ruling", body, key=f"ruling-{case['return_id']}")

    async def look() -> list[Awaitable[None]]:
        page = await dispatch.get("/v1/returns", limit=200)
        return [rule(case) for case in page["items"]]

    await _keep(look)


async def _keep(look: Callable[[], Awaitable[list[Awaitable[None]]]]) -> None:
    """Do what there is to do, again and again."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(work: Awaitable[None]) -> None:
        async with places:
            with contextlib.suppress(Moved):  # somebody was faster
                await work

    while True:
        await asyncio.gather(*(one(work) for work in await look()))
        await asyncio.sleep(LOOK)
