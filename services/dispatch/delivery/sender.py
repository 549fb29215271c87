"""Sends deliveries: takes endpoints by lease, loads what is due, sends at each endpoint's own pace, records in batches.

What a crash leaves: rows that are still `pending`. They are sent again under the same webhook-id, because whether the
department got them is unknown. Leases end by themselves after a minute; a process that starts again on the same
machine takes those of its predecessor at once.
"""

import asyncio
import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from libs.shared.service import Running
from libs.shared.telemetry import RETRIES, log
from services.dispatch import store
from services.dispatch.delivery import metric, record, signing
from services.dispatch.delivery.lane import Lane
from services.dispatch.delivery.record import Result
from services.dispatch.delivery.signing import SealBroken
from services.dispatch.domain.endpoint import Delivery

LEASE = 60.0  # s
RENEW = 10.0  # s
LOOK = 2.0  # s between two looks at the endpoints
BUSY, IDLE = 0.02, 0.2  # s between two looks for due deliveries
GAP = 0.005  # s at least between two looks, however often woken
GATHER = 0.01  # s in which results of attempts are gathered into one transaction
BATCH = 500  # results in one transaction
MOST_HELD = 5000  # deliveries in memory, whatever the number of endpoints
SWEEP = 2.0  # s between two looks for what must be given up
DRAIN = 10.0  # s that requests under way have left when the process stops


@dataclass
class Sender:
    """The sender of one process."""

    running: Running
    keys: tuple[bytes, ...]  # delivery keys, the current one first
    lanes: dict[str, Lane] = field(default_factory=dict)
    held: dict[str, set[UUID]] = field(default_factory=lambda: defaultdict(set))  # queued, under way, unrecorded
    results: list[Result] = field(default_factory=list)  # not yet recorded
    requests: set[asyncio.Task[None]] = field(default_factory=set)
    leaving: list[Lane] = field(default_factory=list)  # replaced, with requests still under way
    unusable: dict[str, int] = field(default_factory=dict)  # endpoints that cannot be sent to, in that version
    renewed: float = 0.0  # monotonic

    async def run(self) -> None:
        """Send until the process stops, then finish what is under way."""
        await self._inherit()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._loop("endpoints", self._own, LOOK))
                group.create_task(self._loop("sweep", self._sweep, SWEEP))
                group.create_task(self._loop("results", self._record, LOOK))
                group.create_task(self._feed())
        finally:
            await self._close()

    async def _loop(self, name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do it whenever woken by that name, and at least that often; wait while the database is away."""
        while not self.running.stopping.is_set():
            if await self._tried(name, work):
                await self.running.wait(name, seconds)

    async def _tried(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            await work()
        except (SQLAlchemyError, OSError) as error:
            RETRIES.labels(f"delivery_{name}").inc()
            log.warning("retrying", part=f"delivery_{name}", error=type(error).__name__)
            await self.running.pause(0.5)
            return False
        return True

    # Whose endpoints

    async def _inherit(self) -> None:
        """Take over from processes of this machine that have ended."""
        for owner in await store.endpoint.owners(self.running):
            if owner != self.running.owner and ended(owner, self.running.owner):
                await store.endpoint.release(self.running, owner)

    async def _own(self) -> None:
        """Take what is free, renew what is ours, and follow changes of endpoints and keys."""
        seats = {seat.department: seat for seat in await store.endpoint.seats(self.running)}
        ours = {name for name, seat in seats.items() if seat.owner == self.running.owner or seat.free}
        if time.monotonic() - self.renewed >= RENEW or ours - self.lanes.keys():
            before = time.monotonic()
            ours = await store.endpoint.hold(self.running, sorted(ours), LEASE) if ours else set()
            for name in ours & self.lanes.keys():
                self.lanes[name].lease_until = before + LEASE
            self.renewed = before
        for name in self.lanes.keys() - ours:
            self._leave(name)
        open_now = {name: lane.endpoint.version for name, lane in self.lanes.items()} | self.unusable
        changed = [name for name in ours if open_now.get(name) != seats[name].version]
        if changed:
            await self._open(changed)
        await self._shut()
        for state in ("closed", "open", "half_open"):
            metric.LANES.labels(state).set(sum(lane.breaker.state == state for lane in self.lanes.values()))

    async def _open(self, names: list[str]) -> None:
        # First the versions, then the keys: keys changed in between belong to a later version, which is opened next.
        endpoints = await store.endpoint.some(self.running, names)
        stored = await store.endpoint.keys(self.running, names)
        for endpoint in endpoints:
            before = self.lanes.get(endpoint.department)
            lease_until = before.lease_until if before else self.renewed + LEASE
            self._leave(endpoint.department)
            try:
                keys = [
                    (signing.unseal(key.sealed, self.keys, signing.place(key.department, key.key_id)), key.expires_at)
                    for key in stored.get(endpoint.department, [])
                ]
                lane = Lane.open(endpoint, keys, self.running.now)
            except (SealBroken, ValueError) as error:
                # Its deliveries wait, and their accept clocks send them to the inbox.
                log.error("endpoint_unusable", department=endpoint.department, error=str(error))
                self.unusable[endpoint.department] = endpoint.version
                continue
            self.unusable.pop(endpoint.department, None)
            lane.lease_until = lease_until
            self.lanes[endpoint.department] = lane
        self.running.wake("sender")

    def _leave(self, name: str) -> None:
        lane = self.lanes.pop(name, None)
        if lane:
            lane.closing = True
            self._forget(lane.forget())
            self.leaving.append(lane)

    async def _shut(self) -> None:
        for lane in [lane for lane in self.leaving if not lane.under_way]:
            self.leaving.remove(lane)
            await lane.close()

    # What is due

    async def _feed(self) -> None:
        wait = BUSY
        while not self.running.stopping.is_set():
            loaded = 0

            async def load() -> None:
                nonlocal loaded
                loaded = await self._load()

            began = time.monotonic()
            await self._tried("feed", load)
            wait = BUSY if loaded else min(wait * 2, IDLE)
            await self.running.wait("sender", wait)
            await asyncio.sleep(max(began + GAP - time.monotonic(), 0))

    async def _load(self) -> int:
        """Fill the queues; gives how many deliveries were loaded."""
        for lane in self.lanes.values():
            self._pump(lane)
        lanes = {name: lane for name, lane in self.lanes.items() if lane.wants}
        count = sum(len(ids) for ids in self.held.values())
        metric.HELD.set(count)
        if not lanes or count >= MOST_HELD:
            return 0
        looks = {name: lane.look() for name, lane in lanes.items()}
        held = [id_ for name in lanes for id_ in self.held[name]]
        found = await store.delivery.due(self.running, looks, held)
        parts: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in found:
            parts[delivery.department].append(delivery)
        for name, lane in lanes.items():
            if self.lanes.get(name) is lane:
                new = [each for each in parts[name] if each.delivery_id not in self.held[name]]
                self.held[name].update(each.delivery_id for each in new)
                lane.load(looks[name], parts[name], new)
                self._pump(lane)
        return len(found)

    def _pump(self, lane: Lane) -> None:
        """Start what may start now."""
        while lane.may_start():
            task = asyncio.create_task(self._send(lane, lane.begin()))
            self.requests.add(task)
            task.add_done_callback(self.requests.discard)
        if lane.queue and not lane.breaker.room(self.running.now(), 0, 1):
            self._forget(lane.forget())  # not to be tried for a while: what happens to the rows meanwhile counts

    def _forget(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self.held[delivery.department].discard(delivery.delivery_id)

    async def _send(self, lane: Lane, delivery: Delivery) -> None:
        """One delivery after the other while the lane has room and a queue: a task for each would cost more."""
        while True:
            attempt, outcome = await lane.attempt(delivery)
            metric.ATTEMPTS.labels(lane.endpoint.department, outcome).inc()
            metric.ATTEMPT_SECONDS.observe(attempt.ms / 1000)
            self.results.append(Result(attempt, lane.endpoint.version, lane.breaker))
            self.running.wake("results")
            if self.running.stopping.is_set():
                return
            following = lane.begin() if lane.may_start() else None
            self._pump(lane)
            if lane.more and lane.wants:
                self.running.wake("sender")
            if following is None:
                return
            delivery = following

    # What became of it

    async def _record(self) -> None:
        while self.results:
            if not self.running.stopping.is_set():
                await asyncio.sleep(GATHER)
            batch = self.results[:BATCH]
            await record.results(self.running, batch)
            del self.results[: len(batch)]
            self._forget(result.attempt.delivery for result in batch)

    # What must be given up

    async def _sweep(self) -> None:
        if await self.running.hold("delivery_sweep", LEASE):
            while await record.overdue(self.running) and not self.running.stopping.is_set():
                pass

    async def _close(self) -> None:
        """Let requests end, record what they brought, and give the endpoints to whoever is next."""
        for name in list(self.lanes):
            self._leave(name)
        if self.requests:
            await asyncio.wait(self.requests, timeout=DRAIN)
        for task in list(self.requests):
            task.cancel()
        for lane in self.leaving:
            await lane.close()
        if self.results:
            await self._tried("results", self._record)
        with contextlib.suppress(SQLAlchemyError, OSError):
            await store.endpoint.release(self.running, self.running.owner)
            await self.running.release("delivery_sweep")


def ended(owner: str, own: str) -> bool:
    """Whether a process named `host:pid:random` ran on this machine and has ended, as far as this can be known."""
    host, pid, _ = owner.rsplit(":", 2)
    own_host, own_pid, _ = own.rsplit(":", 2)
    if host != own_host or not pid.isdigit():
        return False
    if pid == own_pid:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
