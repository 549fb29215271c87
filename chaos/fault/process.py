"""Faults of processes: killed anywhere or at a named point, frozen until others have their work, clocks stepped."""

import asyncio
import contextlib
import time
from typing import Final

from chaos.fault.ground import PATIENCE, Ground, Outcome
from chaos.member import Member, MemberError
from chaos.schedule import Strike

SESSION: Final = 10.0  # s until Kafka's group gives a silent consumer's partitions to another
LIMIT: Final = SESSION + 2  # s, from a process's death
CATCH_UP: Final = 1.2  # of an outage
REACH: Final = 15.0  # s in which a point must be reached


async def kill(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """kill -9."""
    ends = await ground.watch.ends()
    member = ground.stage.members[strike.target]
    await member.kill()
    await ground.back(outcome, ends, (member.service,), LIMIT)


async def kill_at(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """kill -9 at a named point. Only whoever has the work comes there, so every process of the service may be hit."""
    service = ground.stage.members[strike.target].service
    members = sorted(ground.stage.of(service), key=lambda each: each.name != strike.target)
    for member in members:
        with contextlib.suppress(MemberError):
            await member.arm(strike.detail)
    deadline, dead = time.monotonic() + REACH, list[Member]()
    while not dead and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
        dead = [member for member in members if not member.alive]
    ends = await ground.watch.ends()
    for member in members:
        await _spare(member, strike.detail)
    if dead:
        outcome.note = f"{dead[0].name} died there"
        await ground.back(outcome, ends, (service,), LIMIT)
    else:
        outcome.skipped, outcome.note = True, f"nobody came there in {REACH:.0f} s"


async def zombie(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """It stops with work in hand, another takes over, it wakes up and goes on: its writes must be fenced off."""
    member = ground.stage.members[strike.target]
    if strike.detail != "anywhere":
        await member.arm(strike.detail, "stop")
        if not await member.halted(REACH):
            await _spare(member, strike.detail)
            outcome.note = "did not come there, stopped elsewhere;"
    member.freeze()
    began, ends = time.monotonic(), await ground.watch.ends()
    await ground.back(outcome, ends, (member.service,), LIMIT)
    await asyncio.sleep(max(strike.seconds - (time.monotonic() - began), 0))
    member.resume()
    slept = time.monotonic() - began
    again = await ground.watch.passed(await ground.watch.ends(), (member.service,), PATIENCE)
    back = f"{again[member.service]:.1f} s to be back" if again else "never came back"
    outcome.note += f" asleep {slept:.1f} s, {back}"


async def outage(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """A whole service is away; measured is how long it takes until nothing is behind any more."""
    members = ground.stage.of(strike.target)
    for member in members:
        member.down = True
        await member.kill()
    await asyncio.sleep(strike.seconds)
    began = time.monotonic()
    for member in members:
        member.down = False
        await member.start()
    outcome.limit = CATCH_UP * strike.seconds
    while time.monotonic() - began < strike.seconds * 3 + PATIENCE:
        ends = await ground.watch.ends()
        await asyncio.sleep(1)
        fences = await ground.watch.fences()
        if all(at >= ends.get(part, 0) for held in fences.values() for part, at in held.items()):
            outcome.recovery = time.monotonic() - began
            return


async def step(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """A process's clock is wrong for a while."""
    member = ground.stage.members[strike.target]
    if not member.steps:
        outcome.skipped, outcome.note = True, "libfaketime cannot be loaded on this machine"
        return
    member.set_clock(int(strike.detail))
    await asyncio.sleep(strike.seconds)
    await ground.back(outcome, await ground.watch.ends(), (member.service,))
    member.set_clock(0)
    await asyncio.sleep(1)


async def _spare(member: Member, point: str) -> None:
    with contextlib.suppress(MemberError):
        await member.arm(point, "spare")
