"""The demo's course: start everything, let all parties play until every ticket is closed, then measure and reconcile.

Errors:
    PlayError   the demo could not be played to its end; the text says why
"""

import asyncio
import contextlib
import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from rich.console import Console

from demo import agent, department, key, measure, publisher, report, reviewer
from demo.api import Api, ApiError
from demo.department import Hall
from demo.progress import Show
from demo.watch import Standing, Watch
from deploy.local import access, stack
from deploy.local.place import Place
from deploy.local.stack import Stack
from reconcile import Ledger, Screens, Sources, gather, judge

POLICY = Path(__file__).parent / "policy.yaml"
LOOK = 0.5  # s between two looks at how far everything is
LEDGER, SCREENS = "ledger.jsonl", "screens.jsonl"  # in the demo's place
STALLED = 60.0  # s without any change after which there is no use in waiting
PLATFORM, ADMIN, REVIEWER, SUPERVISOR = "call-centre", "administrator", "demo-reviewer", "demo-supervisor"


class PlayError(Exception):
    """The demo could not be played to its end."""


@dataclass(frozen=True)
class Plan:
    """What to play."""

    tickets: Sequence[dict[str, Any]]
    pack: str  # name or absolute path
    rate: float  # records published a second, while there is a free line
    lines: int  # tickets open at a time
    keep: bool
    place: Place
    seed: int


@dataclass(frozen=True)
class Cast:
    """Who plays, with their keys."""

    reviewer: str
    screens: str  # the platform's key at notification
    platform: str  # and at dispatch, like the next two
    admin: str
    supervisor: str
    departments: Mapping[str, str]  # code → key
    slow: str  # the department that is overworked


def play(plan: Plan, console: Console) -> bool:
    """Play it; whether everything balances. What was started is stopped, however this ends."""
    settings = {"ZHIDA_MATRIX_PACK": plan.pack, "ZHIDA_SLA_POLICY": str(POLICY)}

    def say(text: object) -> None:
        console.print(f"demo: {text}", markup=False, soft_wrap=True)

    say(f"{len(plan.tickets)} tickets, responsibility matrix {plan.pack}; data and logs in {plan.place.folder}")
    with stack.running(plan.place, fresh=True, settings=settings, say=say) as running:
        cast = uvloop.run(_invite(running))
        folder = plan.place.folder / "departments"
        shutil.rmtree(folder, ignore_errors=True)
        for name in (LEDGER, SCREENS, "findings.txt"):
            (plan.place.folder / name).unlink(missing_ok=True)
        url, seed = running.url("dispatch"), plan.seed
        with department.played(
            folder,
            url,
            cast.departments,
            processes=department.PROCESSES,
            seed=seed,
            behaviour=department.USUAL,
            special={cast.slow: department.SLOW},
        ) as halls:
            say(f"{len(cast.departments)} departments, played by {len(halls)} processes, register their webhooks")
            try:
                published = uvloop.run(_perform(plan, running, cast, halls, console))
            except ExceptionGroup as group:
                raise PlayError(f"a player failed: {_known(group)}") from None
            balanced = uvloop.run(_tell(sources(running, halls), published, console))
            if plan.keep:
                say(f"everything is left running; addresses and keys: {access.grant(running)}. Ctrl-C stops it")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
        say("stopping")
        return balanced


def sources(running: Stack, halls: Sequence[Hall]) -> Sources:
    """All that the run has left behind: the files name everything, and every ticket must be closed."""
    return Sources.of(
        running.backend.owner_database_url,
        running.backend.kafka_bootstrap_servers,
        ledgers=[running.place.folder / LEDGER],
        receipts=[hall.log for hall in halls],
        streams=[running.place.folder / SCREENS],
        whole=True,
        closed=True,
    )


async def _tell(left: Sources, published: Mapping[str, int], console: Console) -> bool:
    """Print one ticket's way, the figures and the reconciliation; whether it balances."""
    book = await gather(left)
    try:
        await report.example(console, book, left)
        console.print()
        report.figures(console, measure.measure(book, published))
        return report.balance(console, await judge(book, left), left.ledgers[0].with_name("findings.txt"))
    finally:
        book.close()


async def _invite(running: Stack) -> Cast:
    """Keys for all who play, and a department for each that the matrix names."""
    [reviewer_key] = (await key.create(running, "classification", {REVIEWER: ("review",)})).values()
    [screens] = (await key.create(running, "notification", {PLATFORM: ("publish",)})).values()
    async with aiohttp.ClientSession() as session:
        matrix = await Api(session, running.url("classification"), reviewer_key).get("/v1/matrix")
    executing = Counter(code for situation in matrix["situations"] for code in situation["executing"])
    codes = sorted(executing.keys() | {situation["lead"] for situation in matrix["situations"]})
    people = {PLATFORM: ("publish",), ADMIN: ("admin",), SUPERVISOR: ("supervise",)}
    keys = await key.create(running, "dispatch", {**people, **dict.fromkeys(codes, ("department",))})
    return Cast(
        reviewer=reviewer_key,
        screens=screens,
        platform=keys[PLATFORM],
        admin=keys[ADMIN],
        supervisor=keys[SUPERVISOR],
        departments={code: keys[code] for code in codes},
        slow=[code for code, _ in executing.most_common()][len(executing) // 2],
    )


async def _perform(plan: Plan, running: Stack, cast: Cast, halls: Sequence[Hall], console: Console) -> Counter[str]:
    """Let everybody play until every ticket is closed; gives how many records of each kind were published."""
    database_url, kafka = running.backend.owner_database_url, running.backend.kafka_bootstrap_servers
    names = sorted({desk(ticket) for ticket in plan.tickets})
    watch = await Watch.open(database_url, kafka)
    try:
        if (await watch.look()).received or await watch.written():
            raise PlayError("the Kafka or Postgres it was given already holds tickets; ZHIDA_BACKEND=local has its own")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

            def at(service: str, key_: str) -> Api:
                return Api(session, running.url(service), key_)

            urls = await asyncio.to_thread(department.addresses, halls)
            await department.register(at("dispatch", cast.admin), halls, urls)
            desks = at("dispatch", cast.platform), at("notification", cast.screens)
            folder = plan.place.folder
            with Ledger(folder / LEDGER) as ledger, Screens(folder / SCREENS) as screens:
                agents = agent.Agents(*desks, names, plan.seed, screens)
                players = [
                    agents.work(),
                    reviewer.review(at("classification", cast.reviewer)),
                    reviewer.supervise(at("dispatch", cast.supervisor)),
                ]
                told = f"demo: {len(names)} agents at their screens, a reviewer, a supervisor"
                console.print(told, markup=False, soft_wrap=True)
                records = publisher.records(plan.tickets, plan.seed)
                platform = publisher.Publisher(kafka, records, plan.rate, ledger)
                await _until_rest(plan, platform, watch, agents=agents, players=players, console=console)
                return Counter(record.kind for record in records[: platform.count])
    finally:
        await watch.close()


async def _until_rest(
    plan: Plan,
    platform: publisher.Publisher,
    watch: Watch,
    *,
    agents: agent.Agents,
    players: Sequence[Any],
    console: Console,
) -> None:
    """Publish everything, and wait until nothing is left to be done or nothing moves any more."""
    async with asyncio.TaskGroup() as tasks:
        playing = [tasks.create_task(player) for player in players]
        publishing = tasks.create_task(platform.run())
        with Show(console, len(platform.planned), len(plan.tickets)) as show:
            last: tuple[Standing, int, int] | None = None
            moved, quiet = time.monotonic(), 0
            while quiet < 2 and time.monotonic() - moved < STALLED:
                standing = await watch.look()
                show.update(platform.count, standing, len(agents.answered))
                full = platform.open(standing.closed, standing.refused) >= plan.lines
                (platform.room.clear if full else platform.room.set)()
                now = standing, agents.count, platform.count
                moved, last = (time.monotonic(), now) if now != last else (moved, last)
                done = publishing.done() and standing.at_rest and agents.count == standing.notices
                quiet = quiet + 1 if done else 0
                await asyncio.sleep(LOOK)
        if quiet < 2:
            console.print(f"demo: nothing has moved for {STALLED:g} s; see what is missing", markup=False)
        platform.stopped = True
        platform.room.set()
        for task in playing:
            task.cancel()
        await publishing


def desk(ticket: dict[str, Any]) -> str:
    """The agent on whose screen a ticket's answer appears; where nobody took the call, the desk of its channel."""
    return str(ticket.get("agent_id") or f"desk.{ticket.get('channel')}")


def _known(group: ExceptionGroup[Exception]) -> Exception:
    """The first thing Zhida refused or did not answer. What is none of that is a bug, and raised as it is."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            return _known(error)
        if isinstance(error, ApiError):
            return error
    raise group
