"""The owner of merging: carries out who is to follow a master and who is not, and has members follow what it does.

One process holds the lease `merging`. Losing it in mid-work is harmless: a step is one transaction that locks the
master and its members and finds anew what there is to do.
"""

from libs.shared.service import Running
from services.dispatch import store
from services.dispatch.command import merge

LEASE = "merging"
LEASE_SECONDS = 15.0  # a step may take the 10 s of a statement
LOOK_SECONDS = 1.0


async def run(running: Running) -> None:
    """Do so until the process stops; what the database refuses begins again."""
    try:
        while not running.stopping.is_set():
            await look(running)
            await running.wait(LEASE, LOOK_SECONDS)
    finally:
        await running.release(LEASE)


async def look(running: Running) -> None:
    """All that there is to do now, a step for each master in turn; nothing while another process is at it."""
    masters = await store.member.to_do(running)
    while masters and not running.stopping.is_set() and await running.hold(LEASE, LEASE_SECONDS):
        masters = [master_id for master_id in masters if await merge.advance(running, master_id)]
