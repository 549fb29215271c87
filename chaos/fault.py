"""Every kind of fault: how it strikes, how it heals, and from when to when its recovery is measured."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import psutil
from aiokafka.errors import KafkaError

from chaos import record
from chaos.load.front import Front, Habit
from chaos.proxy import Mode
from chaos.schedule import SERVICES, Strike
from chaos.stage import Stage
from chaos.watch import Watch
from demo.api import Api, ApiError
from deploy.local import kafka
from deploy.local.backend import Store
from reconcile.ledger import Ledger

SESSION: Final = 10.0  # s until Kafka's group gives a silent consumer's partitions to another
WORKER_LIMIT: Final = SESSION + 2  # s, from a process's death
LIMITS: Final[Mapping[Store, float]] = {"postgres": 2.0, "kafka": 5.0}  # s, from when the store takes connections
CATCH_UP: Final = 1.2  # of an outage
PATIENCE: Final = 90.0  # s in which a service must be back
REACH: Final = 15.0  # s in which a point must be reached
CHAOS_DELAY: Final = 0.15  # s that a slow link adds each way
PARKED: Final = 2.0  # s that a poisoned ticket's events wait before an operator gives the poison up


@dataclass
class Outcome:
    """How a fault went. Times are seconds; `recovery` None: not measured, or not within PATIENCE."""

    strike: Strike
    at: float  # since the start of the run
    recovery: float | None = None
    limit: float | None = None
    note: str = ""
    skipped: bool = False

    @property
    def late(self) -> bool:
        """Whether it took longer than it may."""
        return self.limit is not None and not self.skipped and (self.recovery is None or self.recovery > self.limit)


@dataclass
class Faults:
    """What faults are done with. `operators`: every service under an administrator's key; `recent`: a ticket under way."""

    stage: Stage
    watch: Watch
    front: Front
    ledger: Ledger
    operators: Mapping[str, Api]
    recent: Callable[[], str | None]
    started: float
    draw: random.Random
    outcomes: list[Outcome] = field(default_factory=list)
    poisoned: list[str] = field(default_factory=list)  # tickets of their own that got an unreadable record

    async def strike(self, strike: Strike) -> Outcome:
        """Let one fault happen and wait until it is over."""
        outcome = Outcome(strike, time.monotonic() - self.started)
        self.outcomes.append(outcome)
        deed: Callable[[Strike, Outcome], Awaitable[None]] = _DEEDS[strike.kind].__get__(self)
        try:
            await deed(strike, outcome)
        except (KafkaError, TimeoutError) as error:  # our own records did not get through: a fault like any other
            outcome.note += f" (not finished: {type(error).__name__})"
        return outcome

    # Processes

    async def _kill(self, strike: Strike, outcome: Outcome) -> None:
        ends = await self.watch.ends()
        member = self.stage.members[strike.target]
        await member.kill()
        await self._back(outcome, ends, (member.service,), WORKER_LIMIT)

    async def _kill_at(self, strike: Strike, outcome: Outcome) -> None:
        """A point is passed only by whoever has the work; every process of the service is tried."""
        service = self.stage.members[strike.target].service
        members = sorted(self.stage.of(service), key=lambda each: each.name != strike.target)
        for member in members:
            if member.alive:
                await member.arm(strike.detail)
        deadline = time.monotonic() + REACH
        while time.monotonic() < deadline:
            dead = [member for member in members if not member.alive]
            if dead:
                ends = await self.watch.ends()
                for member in members:
                    await self._disarm(member.name, strike.detail)
                outcome.note = f"{dead[0].name} died there"
                await self._back(outcome, ends, (service,), WORKER_LIMIT)
                return
            await asyncio.sleep(0.02)
        for member in members:
            await self._disarm(member.name, strike.detail)
        outcome.note = f"nobody came there in {REACH:.0f} s"

    async def _disarm(self, name: str, point: str) -> None:
        member = self.stage.members[name]
        if member.alive:
            with contextlib.suppress(OSError):
                await member.arm(point, "spare")

    async def _zombie(self, strike: Strike, outcome: Outcome) -> None:
        """It stops with work in hand, another takes over, it wakes up and goes on: its writes must be fenced off."""
        member = self.stage.members[strike.target]
        if strike.detail != "anywhere":
            await member.arm(strike.detail, "stop")
            if not await member.halted(REACH):
                await self._disarm(member.name, strike.detail)
                outcome.note = "did not come there"
                member.freeze()
        else:
            member.freeze()
        began, ends = time.monotonic(), await self.watch.ends()
        await self._back(outcome, ends, (member.service,), WORKER_LIMIT)
        await asyncio.sleep(max(strike.seconds - (time.monotonic() - began), 0))
        member.resume()
        ends = await self.watch.ends()
        again = await self.watch.passed(ends, (member.service,), PATIENCE)
        outcome.note += f" asleep {time.monotonic() - began:.1f} s" if again is not None else " never came back"

    async def _outage(self, strike: Strike, outcome: Outcome) -> None:
        members = self.stage.of(strike.target)
        for member in members:
            member.down = True
            await member.kill()
        await asyncio.sleep(strike.seconds)
        began = time.monotonic()
        for member in members:
            member.down = False
            await member.start()
        while time.monotonic() - began < strike.seconds * 3 + PATIENCE:
            ends = await self.watch.ends()
            await asyncio.sleep(1)
            fences = await self.watch.fences()
            if all(at >= ends.get(part, 0) for held in fences.values() for part, at in held.items()):
                outcome.recovery = time.monotonic() - began
                break
        outcome.limit = CATCH_UP * strike.seconds

    # Stores

    async def _postgres_stop(self, strike: Strike, outcome: Outcome) -> None:
        await asyncio.to_thread(self.stage.stack.programs.signal, "postgres", "QUIT")
        await self._store_back("postgres", strike, outcome)

    async def _postgres_kill(self, strike: Strike, outcome: Outcome) -> None:
        await asyncio.to_thread(self.stage.stack.local.kill, "postgres")
        await self._store_back("postgres", strike, outcome)

    async def _backend_kill(self, strike: Strike, outcome: Outcome) -> None:
        """kill -9 of one server process: Postgres ends all sessions and recovers by itself."""
        pid = self.stage.stack.programs.status("postgres").pid
        children = [child for child in psutil.Process(pid).children() if "zhida_" in " ".join(child.cmdline())]
        if not children:
            outcome.note, outcome.skipped = "no session to kill", True
            return
        self.draw.choice(children).kill()
        await self._from_opening("postgres", outcome)

    async def _broker_kill(self, strike: Strike, outcome: Outcome) -> None:
        await asyncio.to_thread(self.stage.stack.local.kill, "kafka")
        await self._store_back("kafka", strike, outcome)

    async def _broker_restart(self, strike: Strike, outcome: Outcome) -> None:
        await asyncio.to_thread(self.stage.stack.local.stop, "kafka")
        await self._store_back("kafka", strike, outcome)

    async def _store_back(self, store: Store, strike: Strike, outcome: Outcome) -> None:
        programs = self.stage.stack.programs
        while True:
            state = (await asyncio.to_thread(programs.status, store)).state
            if state in ("STOPPED", "EXITED", "FATAL") and not self.stage.place.holder(store):
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(strike.seconds)
        starting = asyncio.create_task(asyncio.to_thread(self.stage.stack.local.start, store))
        try:
            await self._from_opening(store, outcome)
        finally:
            await starting

    async def _from_opening(self, store: Store, outcome: Outcome) -> None:
        """Measure from when the store takes connections again."""
        down = time.monotonic()
        while True:
            if await self._opens(store):
                break
            await asyncio.sleep(0.02)
        outcome.note += f" away {time.monotonic() - down:.1f} s"
        await self._back(outcome, await self.watch.ends(), SERVICES, LIMITS[store])

    async def _opens(self, store: Store) -> bool:
        try:
            if store == "postgres":
                connection = await asyncpg.connect(self.stage.stack.backend.owner_database_url, timeout=2)
                await connection.close(timeout=2)
            else:
                port = self.stage.place.port(kafka.CLIENT_PORT)
                _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 2)
                writer.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async def _disk_full(self, strike: Strike, outcome: Outcome) -> None:
        disk = self.stage.disk
        if disk.reason is not None:
            outcome.skipped, outcome.note = True, disk.reason
            return
        before = disk.refusals()
        await disk.fill()
        try:
            await asyncio.sleep(strike.seconds)
        finally:
            await disk.empty()
        outcome.note = f"Postgres refused {disk.refusals() - before} times for want of room"
        await self._back(outcome, await self.watch.ends(), SERVICES, None)

    # Network

    async def _cut(self, strike: Strike, outcome: Outcome) -> None:
        outcome.note = f"{await self.stage.lines.cut([strike.target])} connections reset"
        await self._back(outcome, await self.watch.ends(), self._behind(strike.target), None)

    async def _refuse(self, strike: Strike, outcome: Outcome) -> None:
        await self._link(strike, outcome, "refuse")

    async def _slow(self, strike: Strike, outcome: Outcome) -> None:
        await self._link(strike, outcome, "slow", CHAOS_DELAY)

    async def _hold(self, strike: Strike, outcome: Outcome) -> None:
        await self._link(strike, outcome, "hold")

    async def _half_open(self, strike: Strike, outcome: Outcome) -> None:
        await self._link(strike, outcome, "deaf")

    async def _link(self, strike: Strike, outcome: Outcome, mode: Mode, delay: float = 0.0) -> None:
        count = await self.stage.lines.change([strike.target], mode, delay)
        try:
            await asyncio.sleep(strike.seconds)
        finally:
            await self.stage.lines.change([strike.target], "pass")
        outcome.note = f"{count} connections, {strike.seconds:.1f} s"
        await self._back(outcome, await self.watch.ends(), self._behind(strike.target), None)

    def _behind(self, link: str) -> tuple[str, ...]:
        name = link.partition(":")[2]
        return (self.stage.members[name].service,) if name else SERVICES

    # Time, records, receivers

    async def _clock(self, strike: Strike, outcome: Outcome) -> None:
        member = self.stage.members[strike.target]
        if not member.steps:
            outcome.skipped, outcome.note = True, "libfaketime cannot be loaded on this machine"
            return
        member.set_clock(int(strike.detail))
        await asyncio.sleep(strike.seconds)
        await self._back(outcome, await self.watch.ends(), (member.service,), None)
        member.set_clock(0)
        await asyncio.sleep(1)

    async def _poison(self, strike: Strike, outcome: Outcome) -> None:
        """Nobody's, or a ticket's that is under way: then its events are parked until an operator gives it up."""
        own = self.recent() if strike.target == "flow" and self.draw.random() < 0.5 else None
        servers = self.stage.stack.backend.kafka_bootstrap_servers
        key = await record.poison(servers, self.ledger, strike.target, strike.detail, ticket=own, draw=self.draw)
        await self._back(outcome, await self.watch.ends(), SERVICES, None)
        if own and strike.detail not in ("null-key", "unknown-type"):
            self.poisoned.append(key)
            await asyncio.sleep(PARKED)
            outcome.note = f"a ticket's own: given up at {await self.give_up(key)} services"

    async def give_up(self, key: str) -> int:
        """What an operator does with a ticket's buried record: discard it, so that what waits behind goes on."""
        count = 0
        for api in self.operators.values():
            with contextlib.suppress(ApiError):
                for row in (await api.get("/v1/dead", key=key, show="buried"))["items"]:
                    await api.post(f"/v1/dead/{row['id']}/discard", {}, key=f"discard-{row['id']}")
                    count += 1
        return count

    async def _replay(self, strike: Strike, outcome: Outcome) -> None:
        count = await record.replay(self.stage.stack.backend.kafka_bootstrap_servers, self.ledger, strike.target)
        outcome.note = f"{count} records again"
        await self._back(outcome, await self.watch.ends(), SERVICES, None)

    async def _receiver(self, strike: Strike, outcome: Outcome) -> None:
        habit: Habit = strike.detail  # type: ignore[assignment]
        before = self.front.counts[habit]
        self.front.habits[strike.target] = habit
        await asyncio.sleep(strike.seconds)
        self.front.habits.pop(strike.target, None)
        outcome.note = f"{self.front.counts[habit] - before} requests met it"
        if habit == "gone":
            await self.enable(strike.target)

    async def enable(self, department: str) -> None:
        """What an administrator does once a department's endpoint is well again."""
        body = {"url": self.front.url(department), "networks": ["127.0.0.0/8"], "timeout_seconds": 3}
        while True:
            with contextlib.suppress(ApiError):
                await self.operators["dispatch"].put(f"/v1/endpoints/{department}", body)
                return
            await asyncio.sleep(0.5)

    async def _back(
        self, outcome: Outcome, ends: Mapping[tuple[str, int], int], services: tuple[str, ...], limit: float | None
    ) -> None:
        """Measure until these services have read past `ends`."""
        outcome.recovery, outcome.limit = await self.watch.passed(ends, services, PATIENCE), limit


_DEEDS: Final = {
    "kill": Faults._kill,
    "kill-at": Faults._kill_at,
    "zombie": Faults._zombie,
    "outage": Faults._outage,
    "postgres-immediate-stop": Faults._postgres_stop,
    "postgres-kill": Faults._postgres_kill,
    "postgres-backend-kill": Faults._backend_kill,
    "broker-kill": Faults._broker_kill,
    "broker-restart": Faults._broker_restart,
    "disk-full": Faults._disk_full,
    "cut": Faults._cut,
    "refuse": Faults._refuse,
    "slow": Faults._slow,
    "hold": Faults._hold,
    "half-open": Faults._half_open,
    "clock-step": Faults._clock,
    "poison": Faults._poison,
    "replay": Faults._replay,
    "receiver": Faults._receiver,
}
