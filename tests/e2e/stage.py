"""The demo as a process of its own."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from deploy.local.place import PROJECT, Place

TIME = 400  # s; a busy machine with two cores
TICKETS = 60


@dataclass(frozen=True)
class Played:
    """A demo that has been played: what it left behind lies in its place."""

    place: Place
    status: int | None
    told: str


@contextlib.asynccontextmanager
async def demo(place: Place, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo as a process of its own, in a place of its own; gone with the block, and all it started with it."""
    line = [sys.executable, "-m", "demo", "--place", str(place.folder), *words]
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so it is below a shell's `&`, and children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    surroundings = {**os.environ, "ZHIDA_BACKEND": "local", "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *line, cwd=PROJECT, env=surroundings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def played(place: Place) -> Played:
    """Play it to its end."""
    async with demo(place, "--limit", str(TICKETS)) as process:
        output, _ = await asyncio.wait_for(process.communicate(), TIME)
        return Played(place, process.returncode, output.decode())
