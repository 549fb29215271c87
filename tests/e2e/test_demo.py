"""The demo, as `make demo` runs it, with fewer tickets: it plays to its end and balances."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.place import PROJECT, Place

TIME = 400  # s; a busy machine with two cores


@pytest.fixture(autouse=True)
def healthy() -> None:
    """The demo starts everything itself: nothing of what the other tests share is needed."""


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


async def test_the_demo_plays_to_its_end_and_balances(own_place: Place) -> None:
    async with demo(own_place, "--limit", "60") as process:
        output, _ = await asyncio.wait_for(process.communicate(), TIME)
    told = output.decode()
    assert process.returncode == 0, told
    assert "It balances: 69 published = 60 tickets + 2 repeats + 7 refused; 60 tickets answered and closed." in told
    assert "BAD" not in told
    for name in (
        "received",
        "work orders",
        "ticket → webhook",
        "answer → screen",
        "hand-overs a ticket",
        "clocks started",
    ):
        assert re.search(rf"^{name} ", told, re.MULTILINE), f"no line {name!r} in the table:\n{told}"
    assert own_place.held() == {}, "the demo left programs running"


async def test_ctrl_c_stops_everything_the_demo_started(own_place: Place) -> None:
    async with demo(own_place, "--limit", "60", "--rate", "1") as process, asyncio.timeout(TIME):
        assert process.stdout
        while b"agents at their screens" not in (line := await process.stdout.readline()):
            assert line, "the demo ended before it began to play"
        process.send_signal(signal.SIGINT)
        rest = (await process.stdout.read()).decode()
        assert await process.wait() == 130, rest
    assert "nothing of it runs any more" in rest
    assert own_place.held() == {}
    assert not _living(own_place.folder / "departments")


def _living(folder: Path) -> list[int]:
    """Processes that name a file below a folder on their command line."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in status.read_bytes():
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found
