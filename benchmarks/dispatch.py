"""How many signed deliveries a second dispatch makes, and what each costs in processor time.

    python -m benchmarks.dispatch OWNER_DATABASE_URL [--deliveries 10000] [--departments 13]

The departments' server is a process of its own; sender and Postgres share what is left. Uses a new database.
"""

import argparse
import asyncio
import base64
import multiprocessing
import os
import resource
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web
from sqlalchemy.engine import make_url

from deploy.local import postgres
from libs.shared.contracts.classification import Department
from services.dispatch import handlers
from services.dispatch.main import service
from tests.integration.dispatch.world import classified
from tests.running import Harness, harness

TICKS = os.sysconf("SC_CLK_TCK")


def departments_server(port: Any) -> None:
    """Takes every webhook at once."""

    async def serve() -> None:
        async def answer(request: web.Request) -> web.Response:
            await request.read()
            return web.Response(status=204)

        app = web.Application()
        app.router.add_post("/{department}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.value = runner.addresses[0][1]
        await asyncio.Event().wait()

    asyncio.run(serve())


async def measure(owner_url: str, deliveries: int, departments: int, port: int) -> None:
    """Classify tickets, then send all of their work orders, and print the figures."""
    name = f"bench_{secrets.token_hex(4)}"
    url = await postgres.create_database(owner_url, name)
    try:
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        async with harness(service, url, delivery_key=key) as dispatch:
            await run(dispatch, url, deliveries, departments, port)
    finally:
        await postgres.drop_database(owner_url, name)


async def run(dispatch: Harness, url: str, deliveries: int, departments: int, port: int) -> None:
    """One measurement on an open service."""
    codes = [Department(code=f"d{n}", name=f"部门{n}") for n in range(departments)]
    async with dispatch.client("root", "admin") as admin:
        for department in codes:
            body = {"url": f"http://127.0.0.1:{port}/{department.code}", "networks": ["127.0.0.0/8"]}
            assert (await admin.put(f"/v1/endpoints/{department.code}", json=body)).status_code == 201
    events = [classified(codes[n % departments]) for n in range(deliveries)]
    records = [dispatch.record(event) for event in events]
    began, used = time.perf_counter(), processor()
    for start in range(0, deliveries, 500):
        await dispatch.take(records[start : start + 500])
    show("classified → work orders", deliveries, time.perf_counter() - began, processor() - used, None)

    watcher = await asyncpg.connect(url)
    database = make_url(url).database
    before = await backends(watcher, database)
    began, used = time.perf_counter(), processor()
    sender = asyncio.create_task(handlers.send_deliveries(dispatch.running))
    query = "SELECT count(*) FROM dispatch.delivery WHERE state = 'pending'"
    while await watcher.fetchval(query):
        await asyncio.sleep(0.1)
    took, cost = time.perf_counter() - began, processor() - used
    theirs = await backends(watcher, database) - before
    show("deliveries, recorded", deliveries, took, cost, theirs)
    said = await watcher.fetchval("SELECT count(*) FROM dispatch.outbox WHERE type LIKE '%WorkOrderDelivered%'")
    assert said == deliveries, said
    used, began = processor(), time.perf_counter()
    await asyncio.sleep(10)
    print(f"idle: {(processor() - used) / (time.perf_counter() - began):.1%} of a core")
    dispatch.running.stopping.set()
    await sender
    await watcher.close()


def processor() -> float:
    """Processor seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def backends(connection: asyncpg.Connection, database: str | None) -> float:
    """Processor seconds of the Postgres processes that work for the service (same machine only)."""
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", database
    )
    total = 0.0
    for row in rows:
        with suppress(OSError):
            fields = Path(f"/proc/{row['pid']}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def show(what: str, count: int, seconds: float, cost: float, theirs: float | None) -> None:
    """One line of figures."""
    line = f"{what}: {count / seconds:,.0f}/s in {seconds:.1f} s; {cost / count * 1e6:,.0f} µs of processor each"
    print(line + (f", Postgres {theirs / count * 1e6:,.0f} µs" if theirs is not None else ""))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("owner_database_url")
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--departments", type=int, default=13)
    given = parser.parse_args()
    port = multiprocessing.Value("i", 0)
    child = multiprocessing.Process(target=departments_server, args=(port,), daemon=True)
    child.start()
    while not port.value:
        time.sleep(0.05)
    import uvloop

    uvloop.run(measure(given.owner_database_url, given.deliveries, given.departments, port.value))
    child.terminate()


if __name__ == "__main__":
    main()
