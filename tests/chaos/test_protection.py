"""The oracle turns red when any one protection is switched off, under the fault it is there for, and else is green."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from chaos import record
from chaos.load import hall
from chaos.play import Plan, opened
from deploy.local import place
from libs.shared.events import FLOW
from tests.chaos.bench import PATIENCE, Bench, now
from tests.conftest import THROWAWAYS

POLICY = Path(__file__).with_name("policy.yaml")
SESSION = 1500  # ms
TICKETS = 3


@pytest.fixture(scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    own = place.throwaway(THROWAWAYS)
    one = {"classification": 1, "dispatch": 1, "sla_timer": 1, "notification": 1, "intake": 2}
    folder = tmp_path_factory.mktemp("chaos")
    plan = Plan(1, 0, 20, own, folder, replicas=one, policy=POLICY, halls=1, behaviour=hall.QUICK, session=SESSION)
    async with opened(plan, Console().print) as cast:
        working = [asyncio.create_task(cast.agents.work()), asyncio.create_task(cast.stage.tend())]
        yield Bench(cast)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    own.delete()


async def replayed(bench: Bench) -> None:
    """Everything that was said is said again."""
    await bench.closed(TICKETS)
    await bench.rest()
    ground = bench.cast.ground
    await record.replay(ground.kafka, ground.ledger, FLOW)


async def killed_after_commit(bench: Bench) -> None:
    """Classification dies between its commit and the relay."""
    member = bench.cast.stage.members["classification"]
    await member.arm("after-commit")
    await asyncio.gather(bench.dies(member), bench.tickets(TICKETS))


async def killed_before_commit(bench: Bench) -> None:
    """Classification dies with its effects written and not committed."""
    member = bench.cast.stage.members["classification"]
    await member.arm("before-commit")
    await asyncio.gather(bench.dies(member), bench.tickets(TICKETS))


async def answered_in_time(bench: Bench) -> None:
    """Clocks are stopped before their timers are due."""
    await bench.closed(TICKETS)


async def delivered(bench: Bench) -> None:
    """Webhooks come to their departments."""
    await bench.closed(TICKETS)


async def frozen_with_a_record_in_hand(bench: Bench) -> None:
    """Intake is frozen with a bad record in hand; another process takes over and refuses it; the first wakes up."""
    await bench.rest()
    members = bench.cast.stage.of("intake")
    for member in members:
        await member.arm("inbound-fetched", "stop")
    await bench.bad_record()
    deadline = time.monotonic() + PATIENCE
    while not (asleep := [member for member in members if await member.halted(0.05)]):
        assert time.monotonic() < deadline, "no process took the record"
    ends = await bench.cast.watch.ends()
    for member in members:
        if member not in asleep:
            await member.arm("inbound-fetched", "spare")
    while any(at < ends[part] for part, at in (await bench.cast.watch.fences())["intake"].items()):
        assert time.monotonic() < deadline, "nobody took over"
        await asyncio.sleep(0.05)
    for member in asleep:
        member.resume()
    await bench.closed(TICKETS)


@dataclass(frozen=True)
class Scenario:
    """`words`: what the oracle finds when the protection is off at this service."""

    service: str
    fault: Callable[[Bench], Awaitable[None]]
    words: str


SCENARIOS = {
    "inbox": Scenario("dispatch", replayed, "classif"),
    "outbox-in-transaction": Scenario("classification", killed_after_commit, "TicketClassified stands"),
    "offset-after-commit": Scenario("classification", killed_before_commit, "and not handled it"),
    "timer-generation": Scenario("sla_timer", answered_in_time, "after it had stopped"),
    "attempt-record": Scenario("dispatch", delivered, "is still pending"),
    "fence": Scenario("intake", frozen_with_a_record_in_hand, "answered 2"),
}


@pytest.mark.parametrize("protection", SCENARIOS)
async def test_oracle_turns_red_without_the_protection_and_stays_green_with_it(bench: Bench, protection: str) -> None:
    scenario = SCENARIOS[protection]
    since = now()
    await scenario.fault(bench)
    await bench.balanced(since)

    before = await bench.told(scenario.words)
    async with bench.without(protection, scenario.service):
        await scenario.fault(bench)
        await bench.red(scenario.words, before)
