"""One process of a service under the launcher: started, killed, frozen, made to die at a point, its clock stepped."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.place import PROJECT, Place

SPARED = 2.0  # s in which a process that was armed until now may still be found dead


class MemberError(Exception):
    """A process did not do what was asked of it."""


def clock_library() -> Path | None:
    """libfaketime as this machine can load it; None where it cannot."""
    spec = importlib.util.find_spec("libfaketime") if sys.platform == "linux" else None
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).rglob("libfaketime.so.1"))
    return found[0] if found else None


@dataclass
class Member:
    """`name`: `dispatch`, `dispatch-2`, … `environment`: what the service reads. `without`: switched off."""

    place: Place
    service: str
    name: str
    environment: Mapping[str, str]
    without: Sequence[str] = ()
    session: int | None = None  # ms after which Kafka counts it as gone; None: as in production
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    expected: bool = False  # its death is part of a fault
    armed_until: float = 0.0  # monotonic: until then it may die at a point
    down: bool = False  # not to be started again for now
    died: list[str] = field(default_factory=list)  # deaths that nobody ordered

    @property
    def clock(self) -> Path:
        """The file that says how far its clock is off."""
        return self.place.folder / f"clock-{self.name}"

    @property
    def steps(self) -> bool:
        """Whether its clock can be stepped."""
        return clock_library() is not None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start it; returns at once."""
        if self.alive:
            return
        surroundings = dict(self.environment)
        if library := clock_library():
            self.clock.write_text("+0\n")
            surroundings |= {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_CACHE_DURATION": "1",
            }
        line = [sys.executable, "-P", "-m", "chaos.launch", self.service]
        line += [word for name in self.without for word in ("--without", name)]
        line += ["--session-timeout", str(self.session)] if self.session else []
        with self.place.log(self.name).open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *line,
                cwd=PROJECT,
                env=surroundings,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1
        self.expected = False
        self.armed_until = 0.0

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process and self.alive:
            self.expected = True
            self.process.kill()
            await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM: in good order."""
        if self.process and self.alive:
            self.expected = True
            self.resume()
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 60)
            except TimeoutError:
                await self.kill()
                raise MemberError(f"{self.name} did not stop in 60 s after SIGTERM") from None

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.process and self.alive:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self.process and self.alive:
            self.process.send_signal(signal.SIGCONT)

    async def arm(self, point: str, deed: str = "kill") -> None:
        """Make it die (`kill`) or freeze (`stop`) when it next comes to a point; `spare`: not any more.

        Raises MemberError where it does not run.
        """
        if not self.process or not self.alive or not self.process.stdin:
            raise MemberError(f"{self.name} does not run")
        self.armed_until = time.monotonic() + (3600 if deed == "kill" else SPARED)
        try:
            self.process.stdin.write(f"{deed} {point}\n".encode())
            await self.process.stdin.drain()
        except (OSError, RuntimeError) as error:  # uvloop says RuntimeError of a pipe whose reader has gone
            raise MemberError(f"{self.name} has just ended") from error

    async def halted(self, seconds: float) -> bool:
        """Wait until it has frozen itself; whether it has (Linux: as /proc says)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process and self.alive:
            if _state(self.process.pid) == "T":
                return True
            await asyncio.sleep(0.02)
        return False

    def set_clock(self, seconds: int) -> None:
        """How far its clock is off from now on; it notices within a second."""
        partial = self.clock.with_suffix(".partial")
        partial.write_text(f"{seconds:+d}\n")
        os.replace(partial, self.clock)

    def watch(self) -> bool:
        """Note a death that nobody ordered; whether it is dead."""
        if self.process is None or self.alive:
            return False
        if not self.expected and time.monotonic() > self.armed_until:
            self.died.append(
                f"{self.name} ended by itself ({self.process.returncode}), see {self.place.log(self.name)}"
            )
        self.expected = True
        return True


def _state(pid: int) -> str:
    """T: stopped."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""
