"""A run's course: start everything, load it, let faults strike, then quiet, drain, and the oracle's verdict.

Errors:
    PlayError   the run could not be played; the text says why
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console

from chaos import fault, schedule, stage, watch
from chaos.fault import Ground, Outcome, outside
from chaos.load import front, hall
from chaos.load.front import Front
from chaos.load.platform import Platform
from chaos.load.screen import Agents
from chaos.stage import Stage
from chaos.watch import Watch
from demo import department, key
from demo.api import Api
from deploy.local import environment
from deploy.local.place import PROJECT, Place
from reconcile import Ledger, Report, Screens, Sources, reconcile

POLICY: Final = PROJECT / "chaos" / "policy.yaml"
AGENTS: Final = 12
CALLS: Final = 128  # of one process that plays departments, at the same time
OPEN: Final = 30.0  # s of tickets that may be open before the platform waits: more than a fault lasts
POLL: Final = 20.0  # s between two looks of a department at its list, which may be long after a fault
WARM: Final = 4.0  # s of load before the first fault
GAP: Final = (0.5, 2.0)  # s between two faults
DRAIN: Final = 60.0  # s without any change after which there is no use in waiting
PLATFORM, ADMIN = "call-centre", "administrator"


class PlayError(Exception):
    """The run could not be played to its end."""


@dataclass(frozen=True)
class Plan:
    """What to play. `folder`: where all it writes lies."""

    seed: int
    seconds: float  # of faults
    rate: float  # tickets a second
    place: Place
    folder: Path
    only: Sequence[str] = ()  # kinds of faults
    tickets: int | None = None  # end after so many, however long it takes
    outage: float | None = None
    replicas: Mapping[str, int] = field(default_factory=lambda: stage.REPLICAS)
    policy: Path = POLICY  # of the clocks
    session: int | None = None  # ms after which Kafka counts a process as gone; None: as in production
    halls: int = 2  # processes that play departments
    behaviour: Mapping[str, Any] = field(default_factory=lambda: {**hall.QUICK, **hall.FAULTY})


@dataclass
class Run:
    """What came of it. Times are seconds."""

    plan: Plan
    outcomes: list[Outcome]
    deaths: list[str]  # processes that ended though nobody had ordered it
    followed: int  # redirects that were followed
    counts: Mapping[str, int]
    loaded: float  # how long the load lasted
    drained: float | None  # how long it took to come to rest; None: it did not
    left: Mapping[str, int]  # what was still to be done then
    report: Report

    @property
    def well(self) -> bool:
        """Lost 0, doubled 0, early 0."""
        return self.report.balances and not self.deaths and not self.followed and self.drained is not None


@dataclass
class Cast:
    """Everybody who plays, and what they write."""

    stage: Stage
    watch: Watch
    platform: Platform
    agents: Agents
    front: Front
    ground: Ground
    sources: Sources


async def play(plan: Plan, console: Console) -> Run:
    """Play it. What was started is stopped, however this ends."""

    def say(text: object) -> None:
        console.print(f"chaos: {text}", markup=False, soft_wrap=True)

    async with opened(plan, say) as cast:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tending = [tasks.create_task(cast.stage.tend()), tasks.create_task(cast.agents.work())]
            loading = tasks.create_task(cast.platform.run())
            await _strike(plan, cast, loading, console)
            cast.platform.stopping.set()
            say("quiet: everything heals, what is on its way arrives")
            await heal(cast)
            await loading
            loaded = time.monotonic() - began
            drained, left = await drain(cast)
            for task in tending:
                task.cancel()
        say("the oracle looks at everything" if drained is not None else f"did not come to rest: {left}")
        report = await reconcile(cast.sources)
        return Run(
            plan,
            cast.ground.outcomes,
            [each for member in cast.stage.members.values() for each in member.died],
            cast.front.followed,
            {**cast.platform.counts, **{f"agents: {k}": v for k, v in cast.agents.counts.items()},
             **{f"receivers: {k}": v for k, v in cast.front.counts.items()}, "tickets": cast.platform.tickets},
            loaded,
            drained,
            left,
            report,
        )  # fmt: skip


async def _strike(plan: Plan, cast: Cast, loading: "asyncio.Task[None]", console: Console) -> None:
    """One fault after another, until the time is over or all tickets are in."""
    members = {name: member.service for name, member in cast.stage.members.items()}
    draw = random.Random(f"{plan.seed}|gaps")
    await asyncio.sleep(WARM)
    began = cast.ground.started
    for strike in schedule.strikes(plan.seed, members, only=plan.only, outage=plan.outage):
        over = plan.tickets is None and time.monotonic() - began >= plan.seconds
        if over or loading.done():
            break
        outcome = await fault.strike(cast.ground, strike, time.monotonic() - began)
        _tell(cast, outcome, console)
        await asyncio.sleep(draw.uniform(*GAP))


def _tell(cast: Cast, outcome: Outcome, console: Console) -> None:
    back = "      -" if outcome.recovery is None else f"{outcome.recovery:6.2f}s"
    mark = "[yellow]skip[/yellow]" if outcome.skipped else "[red]late[/red]" if outcome.late else "[green]back[/green]"
    console.print(
        f"{outcome.at:7.1f}s  {mark} {back}  {len(cast.ground.outcomes):4d}  {outcome.strike.title:<58.58}"
        f" {cast.platform.tickets:7d} in {cast.agents.closed:7d} closed  [dim]{outcome.note.strip()}[/dim]",
        soft_wrap=True,
        highlight=False,
    )


async def heal(cast: Cast) -> None:
    """Everything runs, nothing misbehaves any more, and operators have given up what was poisoned."""
    cast.front.habits.clear()
    for member in cast.stage.members.values():
        member.down = False
        member.resume()
        if member.steps:
            member.set_clock(0)
        await member.start()
    await cast.stage.ready()
    for code in cast.front.targets:
        await outside.enable(cast.ground, code)
    for ticket in cast.ground.poisoned:
        await outside.give_up(cast.ground, ticket)


async def drain(cast: Cast) -> tuple[float | None, Mapping[str, int]]:
    """Wait until nothing is left to be done, or nothing moves any more; how long that took, and what is left."""
    began = moved = time.monotonic()
    last: object = None
    quiet = 0
    while quiet < 2:
        left = await cast.watch.left()
        quiet = quiet + 1 if not left and not cast.agents.busy else 0
        now = left, cast.agents.counts["shown"], cast.agents.closed
        moved, last = (time.monotonic(), now) if now != last else (moved, last)
        if time.monotonic() - moved > DRAIN:
            return None, left
        for ticket in cast.ground.poisoned:  # what reached a service only now
            await outside.give_up(cast.ground, ticket)
        await asyncio.sleep(0.5)
    return time.monotonic() - began, {}


@contextlib.asynccontextmanager
async def opened(plan: Plan, say: Callable[[object], None]) -> AsyncIterator[Cast]:
    """The stage with everybody on it; nobody plays yet."""
    settings = {"ZHIDA_SLA_POLICY": str(plan.policy)}
    names = tuple(f"A{number:03d}" for number in range(1, AGENTS + 1))
    async with contextlib.AsyncExitStack() as stack:
        scene = await stack.enter_async_context(
            stage.opened(plan.place, settings, replicas=plan.replicas, session=plan.session, say=say)
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256, force_close=False))
        )
        servers, database_url = scene.stack.backend.kafka_bootstrap_servers, scene.stack.backend.owner_database_url
        looking = await stack.enter_async_context(watch.opened(servers, database_url))

        async def api(service: str, principal: str, *scopes: str) -> Api:
            [made] = (await key.create(scene.stack, service, {principal: scopes})).values()
            return Api(session, scene.url(service), made)

        operators = {service: await api(service, ADMIN, "admin") for service in environment.services()}
        matrix = await operators["classification"].get("/v1/matrix")
        codes = sorted(
            {code for situation in matrix["situations"] for code in (*situation["executing"], situation["lead"])}
        )
        keys = await key.create(scene.stack, "dispatch", dict.fromkeys(codes, ("department",)))
        halls = stack.enter_context(
            department.played(
                plan.folder / "departments",
                scene.url("dispatch"),
                keys,
                processes=plan.halls,
                seed=plan.seed,
                behaviour=plan.behaviour,
                calls=CALLS,
                poll=POLL,
            )
        )
        urls = await asyncio.to_thread(department.addresses, halls)
        before = await stack.enter_async_context(front.opened(urls))
        await department.register(operators["dispatch"], halls, {code: before.url(code) for code in codes})
        ledger = stack.enter_context(Ledger(plan.folder / "ledger.jsonl"))
        screens = stack.enter_context(Screens(plan.folder / "screens.jsonl"))
        agents = Agents(
            await api("dispatch", PLATFORM, "publish"),
            await api("notification", PLATFORM, "publish"),
            names,
            screens,
            plan.seed,
        )
        platform = Platform(
            await api("intake", PLATFORM, "publish"),
            servers,
            ledger,
            names,
            plan.rate,
            round(plan.rate * max(OPEN, 2 * (plan.outage or 0))),
            lambda offered: offered - agents.closed,
            plan.seed,
            plan.tickets,
        )
        draw = random.Random(f"{plan.seed}|faults")
        ground = Ground(scene, looking, before, ledger, operators, agents.recent, draw)
        sources = Sources.of(
            database_url,
            servers,
            ledgers=[plan.folder / "ledger.jsonl"],
            receipts=[each.log for each in halls],
            streams=[plan.folder / "screens.jsonl"],
            closed=True,
            whole=True,
        )
        yield Cast(scene, looking, platform, agents, before, ground, sources)
