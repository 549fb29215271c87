"""Faults of Postgres and Kafka: stopped at once, killed, restarted, without room on the disk."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import asyncpg
import psutil
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from chaos.fault.ground import Ground, Outcome
from chaos.schedule import SERVICES, Strike
from deploy.local.backend import Store

LIMITS: Final[Mapping[Store, float]] = {"postgres": 2.0, "kafka": 5.0}  # s, from when the store takes connections


async def postgres_stop(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """Immediate stop: as a power cut would be, but for the operating system."""
    await asyncio.to_thread(ground.stage.stack.programs.signal, "postgres", "QUIT")
    await _start_again(ground, "postgres", strike, outcome)


async def postgres_kill(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """kill -9 of the server."""
    await asyncio.to_thread(ground.stage.stack.local.kill, "postgres")
    await _start_again(ground, "postgres", strike, outcome)


async def backend_kill(ground: Ground, _: Strike, outcome: Outcome) -> None:
    """kill -9 of one server process: Postgres ends all sessions and recovers by itself."""
    pid = (await asyncio.to_thread(ground.stage.stack.programs.status, "postgres")).pid
    children = [child for child in psutil.Process(pid).children() if "zhida_" in " ".join(child.cmdline())]
    if not children:
        outcome.skipped, outcome.note = True, "no session to kill"
        return
    ground.draw.choice(children).kill()
    await asyncio.sleep(0.05)  # until the server has noticed
    await _from_opening(ground, "postgres", outcome)


async def broker_kill(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """kill -9 of the broker."""
    await asyncio.to_thread(ground.stage.stack.local.kill, "kafka")
    await _start_again(ground, "kafka", strike, outcome)


async def broker_restart(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """Stopped in good order."""
    await asyncio.to_thread(ground.stage.stack.local.stop, "kafka")
    await _start_again(ground, "kafka", strike, outcome)


async def disk_full(ground: Ground, strike: Strike, outcome: Outcome) -> None:
    """No room for the outboxes."""
    disk = ground.stage.disk
    if disk.reason is not None:
        outcome.skipped, outcome.note = True, disk.reason
        return
    before = await asyncio.to_thread(disk.refusals)
    await disk.fill()
    try:
        await asyncio.sleep(strike.seconds)
    finally:
        await disk.empty()
    outcome.note = f"Postgres refused {await asyncio.to_thread(disk.refusals) - before} times for want of room"
    await ground.back(outcome, await ground.watch.ends(), SERVICES)


async def _start_again(ground: Ground, store: Store, strike: Strike, outcome: Outcome) -> None:
    programs = ground.stage.stack.programs
    while True:
        state = (await asyncio.to_thread(programs.status, store)).state
        if state in ("STOPPED", "EXITED", "FATAL") and not ground.stage.place.holder(store):
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(strike.seconds)
    starting = asyncio.create_task(asyncio.to_thread(ground.stage.stack.local.start, store))
    try:
        await _from_opening(ground, store, outcome)
    finally:
        await starting


async def _from_opening(ground: Ground, store: Store, outcome: Outcome) -> None:
    """Measure from when the store takes connections again."""
    began = time.monotonic()
    while True:
        if await _opens(ground, store):
            break
        await asyncio.sleep(0.02)
    opened = time.monotonic()
    outcome.note = f"{opened - began:.1f} s until it took connections"
    await ground.back(outcome, await ground.watch.ends(), SERVICES, LIMITS[store])
    if outcome.recovery is not None:
        outcome.recovery = time.monotonic() - opened


async def _opens(ground: Ground, store: Store) -> bool:
    """Whether it answers a new client."""
    try:
        if store == "postgres":
            connection = await asyncpg.connect(ground.stage.stack.backend.owner_database_url, timeout=2)
            await connection.close(timeout=2)
        else:
            client = AIOKafkaClient(bootstrap_servers=ground.kafka, request_timeout_ms=2000)
            try:
                await client.bootstrap()
            finally:
                await client.close()
    except (OSError, TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True
