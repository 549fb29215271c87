"""Faults from outside: records that nobody can handle, whole topics once more, receivers that misbehave."""

import asyncio
import contextlib
from typing import Final

from chaos import record
from chaos.fault.ground import Ground, Outcome
from chaos.load.front import HABITS
from chaos.schedule import SERVICES, Strike
from demo.api import ApiError

PARKED: Final = 2.0  # s that a poisoned ticket's events wait before an operator gives the poison up


async def poison(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """Nobody's, or a ticket's that is under way: then its events are parked until an operator gives it up."""
    whose = ground.recent() if strike.target == "flow" and ground.draw.random() < 0.5 else None
    key = await record.poison(ground.kafka, ground.ledger, strike.target, strike.detail, ticket=whose, draw=ground.draw)
    own = whose is not None and strike.detail not in ("null-key", "unknown-type")
    if own:
        ground.poisoned.append(key)
    await ground.back(outcome, await ground.watch.ends(), SERVICES)
    if own:
        await asyncio.sleep(PARKED)
        outcome.note = f"a ticket's own, given up at {await give_up(ground, key)} services"


async def replay(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """A topic's records are produced once more."""
    outcome.note = f"{await record.replay(ground.kafka, ground.ledger, strike.target)} records again"
    await ground.back(outcome, await ground.watch.ends(), SERVICES)


async def receiver(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """A department's receiver misbehaves for a while."""
    [habit] = [each for each in HABITS if each == strike.detail]
    before = ground.front.counts[habit]
    ground.front.habits[strike.target] = habit
    await asyncio.sleep(strike.seconds)
    ground.front.habits.pop(strike.target, None)
    outcome.note = f"{ground.front.counts[habit] - before} requests met it"
    if habit == "gone":
        await enable(ground, strike.target)


async def give_up(ground: Ground, key: str) -> int:
    """What an operator does with a ticket's buried record: discard it, so that what waits behind goes on."""
    count = 0
    for api in ground.operators.values():
        with contextlib.suppress(ApiError):
            for row in (await api.get("/v1/dead", key=key, show="buried"))["items"]:
                await api.post(f"/v1/dead/{row['id']}/discard", {}, key=f"discard-{row['id']}")
                count += 1
    return count


async def enable(ground: Ground, department: str) -> None:
    """What an administrator does once a department's endpoint is well again."""
    body = {"url": ground.front.url(department), "networks": ["127.0.0.0/8"], "timeout_seconds": 3}
    while True:
        with contextlib.suppress(ApiError):
            await ground.operators["dispatch"].put(f"/v1/endpoints/{department}", body)
            return
        await asyncio.sleep(0.5)
