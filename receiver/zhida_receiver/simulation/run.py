"""Runs a plan: one web server per department in one process, until told to stop."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from zhida_receiver.app import receiver
from zhida_receiver.call import DepartmentError
from zhida_receiver.department import Department
from zhida_receiver.key import KeyFile, Verifier
from zhida_receiver.receipt import Receipts
from zhida_receiver.signature import Keys
from zhida_receiver.simulation.desk import Desk
from zhida_receiver.simulation.log import Log
from zhida_receiver.simulation.plan import Plan, PlanUnreadable, Role

_BACKLOG = 1024  # connections the system holds for a busy process


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened, over all departments of the process."""

    departments: int
    seconds: float
    counts: Counter[str]

    def __str__(self) -> str:
        count = self.counts
        return (
            f"{self.departments} departments in {self.seconds:.1f} s: {count['webhooks']} webhooks"
            f" ({count['duplicates']} duplicate, {count['refused']} refused), {count['from_list']} from the list,"
            f" {count['accept']} accepted, {count['answer']} answered, {count['return']} returned,"
            f" {count['rule']} ruled on, {count['ask_agent']} questions asked, {count['answer_question']} answered,"
            f" {count['left_lying']} left lying, {count['cancelled'] + count['overtaken']} overtaken,"
            f" {count['failed']} calls failed,"
            f" {count['dropped']} dropped in hand"
        )


async def simulate(plan: Plan, stop: asyncio.Event, announce: Callable[[str], None] = lambda _: None) -> Summary:
    """Play the plan's departments until `stop` is set; `announce` gets a line per department once it listens.

    A killed process loses no receipt and no log line of an answered webhook; started again it picks up the work
    orders it had in hand from Zhida's list.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(Log(plan.log))
        plan.receipts.parent.mkdir(parents=True, exist_ok=True)
        receipts = stack.enter_context(Receipts(plan.receipts))
        connector = aiohttp.TCPConnector(limit=plan.concurrency)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        calls = asyncio.Semaphore(plan.concurrency)
        desks: list[Desk] = []
        places: dict[str, dict[str, object]] = {}
        servers = await stack.enter_async_context(AsyncExitStack())
        for role in plan.departments:
            zhida = Department(plan.dispatch, _api_key(role), session=session)
            desk = Desk(role, plan.seed, zhida, calls, log)
            port = await servers.enter_async_context(_served(desk, receipts, plan))
            url = f"http://{plan.host}:{port}{role.path}"
            places[role.code] = {"port": port, "url": url}
            desks.append(desk)
            announce(f"{role.code} listens on {url}")
        if plan.ready is not None:
            _announce_ready(plan.ready, places)
        looking = [asyncio.create_task(_look(desk, plan.poll)) for desk in desks if plan.poll > 0]
        await stop.wait()
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        await servers.aclose()  # answers what has come in, then nothing new
        dropped = await asyncio.gather(*(desk.finish(plan.drain) for desk in desks))
    counts = Counter({"dropped": sum(dropped)})
    for desk in desks:
        counts.update(desk.counts)
    return Summary(len(desks), time.monotonic() - began, counts)


@asynccontextmanager
async def _served(desk: Desk, receipts: Receipts, plan: Plan) -> AsyncIterator[int]:
    role = desk.role
    verifier: Verifier = Keys(role.keys) if role.keys_file is None else KeyFile(role.keys_file, may_be_missing=True)
    app = receiver(
        desk.take,
        verifier,
        receipts,
        path=role.path,
        timeout=role.behaviour.hang_seconds + 5,
        on_attempt=desk.note,
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, plan.host, role.port, backlog=_BACKLOG).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _look(desk: Desk, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await desk.look()
        except DepartmentError:
            desk.counts["failed"] += 1


def _api_key(role: Role) -> str:
    if role.api_key_file is None:
        return role.api_key
    try:
        return role.api_key_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PlanUnreadable(f"departments.{role.code}.api_key_file: {error}") from None


def _announce_ready(path: Path, places: dict[str, dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.write_text(json.dumps({"pid": os.getpid(), "departments": places}, ensure_ascii=False), encoding="utf-8")
    draft.replace(path)
