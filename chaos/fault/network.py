"""Faults of the network between services and their stores, made by the proxy."""

import asyncio
from typing import Final

from chaos.fault.ground import Ground, Outcome
from chaos.proxy import Mode
from chaos.schedule import SERVICES, Strike

DELAY: Final = 0.15  # s that a slow link adds each way
MODES: Final[dict[str, Mode]] = {"refuse": "refuse", "slow": "slow", "hold": "hold", "half-open": "deaf"}


async def cut(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """Every open connection is reset; new ones may be made at once."""
    outcome.note = f"{await ground.stage.lines.cut([strike.target])} connections reset"
    await ground.back(outcome, await ground.watch.ends(), _behind(ground, strike.target))


async def change(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """The link refuses, is slow, holds everything up, or lets answers vanish, for a while."""
    count = await ground.stage.lines.change([strike.target], MODES[strike.kind], DELAY)
    try:
        await asyncio.sleep(strike.seconds)
    finally:
        await ground.stage.lines.change([strike.target], "pass")
    outcome.note = f"{count} connections, {strike.seconds:.1f} s"
    await ground.back(outcome, await ground.watch.ends(), _behind(ground, strike.target))


def _behind(ground: Ground, link: str) -> tuple[str, ...]:
    name = link.partition(":")[2]
    return (ground.stage.members[name].service,) if name else SERVICES
