"""Where a benchmark runs: a new Kafka and a new Postgres of its own, services as processes where it asks for them."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import SecretStr

from deploy.local import backend, postgres
from deploy.local import environment as local_environment
from deploy.local.backend import Say
from deploy.local.place import PROJECT, STATE
from deploy.local.place import Place as Folder
from deploy.local.stack import Stack
from libs.shared import keys
from libs.shared.service import Running, Service
from libs.shared.settings import Settings

BENCH = STATE / "bench"
PARTITIONS = 12  # as the local profile of deploy/topics.toml
ENDING = 20.0  # s a process has to end after SIGTERM


@dataclass(frozen=True)
class Options:
    """What a run was asked for."""

    seconds: float | None = None  # length of each measured part; None: the benchmark's own, fit for a laptop
    own: dict[str, str] = field(default_factory=dict)  # `--set name=value`: a benchmark's own options

    def length(self, usual: float) -> float:
        """Seconds each measured part shall last."""
        return self.seconds or usual

    def number(self, name: str, usual: int) -> int:
        """A benchmark's own option, a whole number."""
        text = self.own.get(name, "")
        try:
            return int(text.replace("_", "")) if text else usual
        except ValueError:
            raise SystemExit(f"bench: --set {name}={text}: not a whole number") from None


@dataclass
class Spent:
    """What the processes of a place used while a block ran."""

    seconds: float = 0.0
    cpu_ms: dict[str, float] = field(default_factory=dict)  # by program

    def each(self, count: int) -> dict[str, float]:
        """CPU ms by program for one of `count` tickets or events, and their sum under `all`."""
        found = {name: used / count for name, used in self.cpu_ms.items() if count}
        return found | {"all": sum(found.values())}


@dataclass
class Place:
    """Kafka and Postgres that answer, and what was started beside them."""

    stack: Stack
    details: dict[str, Any] = field(default_factory=dict)  # kept in the JSON beside the measures; `draw` gets them too
    _spawned: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.stack.backend.kafka_bootstrap_servers

    @property
    def owner_database_url(self) -> str:
        """Address of the database of the services, under the role that owns it."""
        return self.stack.backend.owner_database_url

    def say(self, text: str) -> None:
        """Tell the person who waits."""
        self.stack.say(text)

    async def database(self, name: str) -> str:
        """A new, empty database (for a baseline, or a service of the benchmark's own): its owner's address."""
        await postgres.drop_database(self.owner_database_url, name)
        return await postgres.create_database(self.owner_database_url, name)

    async def topics(self, *names: str, partitions: int = PARTITIONS) -> None:
        """Make these topics."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        finally:
            await admin.close()

    async def prepare(self, settings: Mapping[str, str] | None = None) -> None:
        """All of Zhida's topics, and every service's tables and role. settings: `ZHIDA_…` for every service."""
        await asyncio.to_thread(self.stack.prepare, settings)

    async def start(self, *services: str, replica: int = 1) -> None:
        """Start services (all, unless named) and wait until they are ready. After `prepare`."""
        await asyncio.to_thread(lambda: self.stack.start(*services, replica=replica))

    async def stop(self, *services: str) -> None:
        """End services in good order (all that run, unless named)."""
        await asyncio.to_thread(self.stack.stop, *services)

    async def key(self, service: str, principal: str, *scopes: str) -> str:
        """A new API key of the service."""
        url = SecretStr(self.stack.environment(service)["DATABASE_URL"])
        async with Running(Service(service), Settings(database_url=url)).opened() as running:
            return await keys.create(running, principal, list(scopes), None)

    def spawn(self, name: str, *words: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start `python WORDS` (such as `-m`, `benchmarks.bare.hop`, …); its output goes to the place's logs.

        It gets a pipe as standard input that ends with this process, so that it can end too, however this one does:
        `leash()` there does it. It is ended with the place.
        """
        surroundings = local_environment.outer() | dict(environment or {})
        with self.stack.place.log(name).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=PROJECT, env=surroundings, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        self._spawned[name] = process
        return process

    async def end(self, *names: str) -> None:
        """End what was spawned (all of it, unless named): SIGTERM, and after a while SIGKILL, each by its own pid."""
        wanted = [self._spawned.pop(name) for name in names or tuple(self._spawned) if name in self._spawned]
        for process in wanted:
            process.terminate()
        for process in wanted:
            try:
                await asyncio.to_thread(process.wait, ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait, ENDING)
            if process.stdin:
                process.stdin.close()

    def processes(self) -> dict[str, psutil.Process]:
        """What runs here: `kafka`, `postgres`, services, what was spawned, and this process as `benchmark`."""
        pids = {status.name: status.pid for status in self.stack.programs.statuses() if status.pid}
        pids |= {name: process.pid for name, process in self._spawned.items() if process.poll() is None}
        found = {"benchmark": psutil.Process()}
        for name, pid in pids.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[name] = psutil.Process(pid)
        return found

    def cpu_ms(self) -> dict[str, float]:
        """CPU time, user and system, each program has used since it started. Postgres: all its processes together."""
        return {name: cpu_ms(process) for name, process in self.processes().items()}

    def memory(self) -> dict[str, int]:
        """Resident bytes of each program (of Postgres: only what its processes do not share)."""
        found = {}
        for name, process in self.processes().items():
            with contextlib.suppress(psutil.Error):
                members = [process, *process.children(recursive=True)] if name != "benchmark" else [process]
                found[name] = sum(_resident(each, private=name == "postgres") for each in members)
        return found

    @contextlib.contextmanager
    def spending(self) -> Iterator[Spent]:
        """Measure what the block uses: `with place.spending() as spent: …`, then `spent.each(tickets)`."""
        spent, began, before = Spent(), time.perf_counter(), self.cpu_ms()
        yield spent
        spent.seconds = time.perf_counter() - began
        spent.cpu_ms = {name: used - before.get(name, 0.0) for name, used in self.cpu_ms().items()}


def cpu_ms(process: psutil.Process) -> float:
    """CPU milliseconds of a process and of all its children, those that have ended included."""
    own = process.pid == psutil.Process().pid
    total = 0.0
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        total = times.user + times.system
        if not own:  # what this process has started is counted by its own name
            total += times.children_user + times.children_system
            for child in process.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    inner = child.cpu_times()
                    total += inner.user + inner.system
    return total * 1000


def _resident(process: psutil.Process, *, private: bool) -> int:
    with contextlib.suppress(psutil.Error):
        memory = process.memory_info()
        return int(memory.rss - getattr(memory, "shared", 0)) if private else int(memory.rss)
    return 0


@contextlib.asynccontextmanager
async def opened(folder: Path, say: Say = print) -> AsyncIterator[Place]:
    """A place with nothing of earlier runs in it; all that runs there ends with the block, or with this process.

    Raises BackendError.
    """
    where = Folder(folder)
    stores = backend.private(where, fresh=True, say=say)
    local = await asyncio.to_thread(stores.__enter__)
    place = Place(Stack(where, local.programs, local.backend, say))
    try:
        yield place
    finally:
        await place.end()
        await asyncio.to_thread(stores.__exit__, None, None, None)
