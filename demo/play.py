"""The demo's course: start everything, let all parties play until every ticket is closed, then measure and reconcile.

Errors:
    PlayError   the demo could not be played to its end; the text says why
"""

import asyncio
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from rich.console import Console

from demo import agent, collect, department, key, measure, publisher, report, reviewer
from demo.api import Api, Refused, Unanswered
from demo.fact import Facts, Sent
from demo.progress import Show
from demo.reconciliation import reconcile
from demo.watch import Standing, Watch
from deploy.local import access, stack
from deploy.local.place import Place
from deploy.local.stack import Stack

POLICY = Path(__file__).parent / "policy.yaml"
LOOK = 0.5  # s between two looks at how far everything is
STALLED = 60.0  # s without any change after which there is no use in waiting
PLATFORM, ADMIN, REVIEWER, SUPERVISOR = "call-centre", "administrator", "demo-reviewer", "demo-supervisor"


class PlayError(Exception):
    """The demo could not be played to its end."""


@dataclass(frozen=True)
class Plan:
    """What to play."""

    tickets: Sequence[dict[str, Any]]
    pack: str  # name or absolute path
    rate: float  # records published a second
    keep: bool
    place: Place
    seed: int


def play(plan: Plan, console: Console) -> bool:
    """Play it; whether everything balances. What was started is stopped, however this ends."""
    settings = {"ZHIDA_MATRIX_PACK": plan.pack, "ZHIDA_SLA_POLICY": str(POLICY)}

    def say(text: object) -> None:
        console.print(f"demo: {text}", markup=False, soft_wrap=True)

    say(f"{len(plan.tickets)} tickets, responsibility matrix {plan.pack}; data and logs in {plan.place.folder}")
    with stack.running(plan.place, fresh=True, settings=settings, say=say) as running:
        try:
            facts = uvloop.run(_perform(plan, running, console, say))
        except* (Refused, Unanswered) as group:
            raise PlayError(f"a player failed: {group.exceptions[0]}") from None
        report.example(console, facts)
        console.print()
        report.figures(console, measure.measure(facts))
        balanced = report.balance(console, facts, reconcile(facts), plan.place.folder / "findings.txt")
        if plan.keep:
            say(f"everything is left running; addresses and keys: {access.grant(running)}. Ctrl-C stops it")
            signal.pause()
        say("stopping")
        return balanced


async def _perform(plan: Plan, running: Stack, console: Console, say: Callable[[object], None]) -> Facts:
    """Bring in departments, agents and the people beside the flow, and let them play."""
    watch = await Watch.open(running.backend.owner_database_url, running.backend.kafka_bootstrap_servers)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))
    try:
        if (await watch.look()).received or await watch.written():
            raise PlayError("the Kafka or Postgres it was given already holds tickets; ZHIDA_BACKEND=local has its own")
        own = await key.create(running, "classification", {REVIEWER: ("review",)})
        classification = Api(session, running.url("classification"), own[REVIEWER])
        matrix = await classification.get("/v1/matrix")
        departments = sorted(
            {code for situation in matrix["situations"] for code in (*situation["executing"], situation["lead"])}
        )
        people = {PLATFORM: ("publish",), ADMIN: ("admin",), SUPERVISOR: ("supervise",)}
        keys = await key.create(running, "dispatch", {**people, **dict.fromkeys(departments, ("department",))})
        own = await key.create(running, "notification", {PLATFORM: ("publish",)})
        dispatch_url, folder = running.url("dispatch"), plan.place.folder / "departments"
        shutil.rmtree(folder, ignore_errors=True)
        names = sorted({desk(ticket) for ticket in plan.tickets})
        agents = agent.Agents(
            platform=Api(session, dispatch_url, keys[PLATFORM]),
            notices=Api(session, running.url("notification"), own[PLATFORM]),
            names=names,
            seed=plan.seed,
        )
        with department.played(folder, dispatch_url, {code: keys[code] for code in departments}, plan.seed) as halls:
            say(f"{len(departments)} departments, played by {len(halls)} processes, register their webhooks")
            urls = await asyncio.to_thread(department.addresses, halls)
            await department.register(Api(session, dispatch_url, keys[ADMIN]), halls, urls)
            say(f"{len(names)} agents at their screens, a reviewer, a supervisor; {plan.rate:g} records a second")
            players = [
                agents.work(),
                reviewer.review(classification),
                reviewer.supervise(Api(session, dispatch_url, keys[SUPERVISOR])),
            ]
            sent = await _until_rest(
                plan,
                running.backend.kafka_bootstrap_servers,
                watch,
                agents=agents,
                players=players,
                console=console,
            )
            return await collect.gather(
                running.backend.owner_database_url,
                running.backend.kafka_bootstrap_servers,
                logs=[hall.log for hall in halls],
                sent=sent,
                seen=agents.seen,
                followed=set(names),
            )
    finally:
        await session.close()
        await watch.close()


async def _until_rest(
    plan: Plan, kafka: str, watch: Watch, *, agents: agent.Agents, players: Sequence[Any], console: Console
) -> list[Sent]:
    """Publish everything, and wait until nothing is left to be done or nothing moves any more."""
    records = publisher.records(plan.tickets, plan.seed)
    published = 0

    def report_published(count: int) -> None:
        nonlocal published
        published = count

    async with asyncio.TaskGroup() as tasks:
        playing = [tasks.create_task(player) for player in players]
        publishing = tasks.create_task(publisher.publish(kafka, records, plan.rate, report_published))
        with Show(console, len(records)) as show:
            last: tuple[Standing, int, int] | None = None
            moved, quiet = time.monotonic(), 0
            while quiet < 2 and time.monotonic() - moved < STALLED:
                standing = await watch.look()
                show.update(published, standing, len(agents.answered))
                now = standing, len(agents.seen), published
                moved, last = (time.monotonic(), now) if now != last else (moved, last)
                done = publishing.done() and standing.at_rest and agents.count == standing.notices
                quiet = quiet + 1 if done else 0
                await asyncio.sleep(LOOK)
        if quiet < 2:
            console.print(f"demo: nothing has moved for {STALLED:g} s; see what is missing", markup=False)
        for task in playing:
            task.cancel()
        return await publishing


def desk(ticket: dict[str, Any]) -> str:
    """The agent on whose screen a ticket's answer appears; where nobody took the call, the desk of its channel."""
    return str(ticket.get("agent_id") or f"desk.{ticket.get('channel')}")
