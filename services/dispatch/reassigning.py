"""The owner of reassignments: carries them out one after the other, the oldest first, in bounded steps.

One process holds the lease `reassignments`. Losing it in mid-work is harmless: a step commits only from the place the
one before it has noted. `zhida dispatch reassign` is such an owner too, where no service runs.
"""

from collections.abc import Callable
from uuid import UUID

from libs.shared.service import Running
from services.dispatch import store
from services.dispatch.command import reassignment
from services.dispatch.domain.reassignment import Reassignment
from services.dispatch.store.reassignment import Overtaken

LEASE = "reassignments"
LEASE_SECONDS = 15.0  # a step may take the 10 s of a statement
LOOK_SECONDS = 2.0  # how often other processes' orders are looked for


async def run(running: Running) -> None:
    """Carry out what was ordered, until the process stops; what the database refuses begins again."""
    try:
        while not running.stopping.is_set():
            if not await step(running):
                await running.wait("reassignments", LOOK_SECONDS)
    finally:
        await running.release(LEASE)


async def step(running: Running) -> bool:
    """Carry the oldest on; False: none is left, or another process is at it."""
    job = await store.reassignment.unfinished(running)
    if job is None or not await running.hold(LEASE, LEASE_SECONDS):
        return False
    try:
        await reassignment.advance(running, job)
    except Overtaken:
        return False
    return True


async def follow(running: Running, id_: UUID, told: Callable[[Reassignment], None]) -> Reassignment:
    """Wait for the end of one, carrying out what no other process is at; `told` hears how far it has come."""
    try:
        while True:
            job = await store.reassignment.find(running, id_)
            assert job is not None
            told(job)
            if job.state == "done":
                return job
            if not await step(running):
                await running.pause(0.2)
    finally:
        await running.release(LEASE)
