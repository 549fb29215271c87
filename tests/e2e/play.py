"""Departments played by the receiver kit's simulator in a process of its own: quick, and only sometimes at fault."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from demo.department import Hall, addresses, start, stop
from tests.e2e.department import endpoint
from tests.e2e.zhida import Zhida, department

CODES = ("district_bureau", "repair_centre", "transmission_station")  # all that `traffic.MATTERS` needs
BEHAVIOUR = {
    "accept_after": {"median": 0.1, "longest": 1},
    "contact_after": {"median": 0.1, "longest": 1},
    "answer_after": {"median": 0.2, "longest": 1},
    "adds_evidence": 0.1,
    "fails": 0.02,
    "throttles": 0.01,
    "retry_after": 1,
}


@contextlib.asynccontextmanager
async def playing(zhida: Zhida, folder: Path) -> AsyncIterator[Hall]:
    """The departments of `CODES` at work, with their endpoints made known; gives where their log is."""
    roles = []
    for code in CODES:
        (folder / f"{code}.api-key").write_text(await zhida.key("dispatch", department(code)), encoding="ascii")
        roles.append({"code": code, "api_key_file": f"{code}.api-key", "keys_file": f"{code}.keys"})
    plan = {
        "dispatch": zhida.stack.url("dispatch"),
        "departments": roles,
        "log": "log.jsonl",
        "receipts": "receipts.db",
        "ready": "ready.json",
        "poll": 3,
        "behaviour": BEHAVIOUR,
    }
    hall = start(folder, plan)
    try:
        for code, url in (await asyncio.to_thread(addresses, [hall])).items():
            secrets = await endpoint(zhida, code, url)
            (folder / f"{code}.keys").write_text(f"{secrets.shared}\n{secrets.public}\n", encoding="ascii")
        yield hall
    finally:
        await asyncio.to_thread(stop, [hall])
