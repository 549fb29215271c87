"""The demo, as `make demo` runs it, with fewer tickets: it plays to its end and balances."""

import asyncio
import re
import signal
from pathlib import Path

import pytest

from deploy.local.place import Place
from tests.e2e.stage import TIME, Played, demo


@pytest.fixture(autouse=True)
def healthy() -> None:
    """The demo starts everything itself: nothing of what the other tests share is needed."""


def test_the_demo_plays_to_its_end_and_balances(demo_played: Played) -> None:
    told = demo_played.told
    assert demo_played.status == 0, told
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
    assert demo_played.place.held() == {}, "the demo left programs running"


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
