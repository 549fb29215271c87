"""Training on its own: the command `train` in a process of its own, when it is due, by one process of many.

What it came to the command notes itself, so that it is found where every training is: `model list`, `GET /v1/models`.
"""

import asyncio
import contextlib
import os
import sys
from datetime import datetime

from libs.shared.service import Running
from libs.shared.telemetry import log
from services.classification import store
from services.classification.settings import ClassificationSettings

LEASE, LEASE_SECONDS = "training", 60.0
LOOK_SECONDS = 30.0
MOST_SECONDS = 4 * 3600.0  # of one training
GRACE = 5.0  # s a child has to end when told to
BY = "schedule"
CHILD = "import os; os.nice(10); from libs.operate.cli import main; main()"


async def retrain(running: Running) -> None:
    """Loop: train where that is due and no other process does."""
    settings = running.settings
    assert isinstance(settings, ClassificationSettings)
    if not settings.retrain_hours:
        await running.stopping.wait()
        return
    while not running.stopping.is_set():
        if await running.hold(LEASE, LEASE_SECONDS) and await due(running, settings):
            await train(running, settings)
        await running.pause(LOOK_SECONDS)
    await running.release(LEASE)


async def due(running: Running, settings: ClassificationSettings) -> bool:
    """Whether the last training is old enough, and enough was decided since the last model."""
    hours, decisions = await store.registry.fresh(running, settings.retrain_decisions)
    return decisions >= settings.retrain_decisions and (hours is None or hours >= settings.retrain_hours)


async def train(running: Running, settings: ClassificationSettings) -> int:
    """Run `train` in a process of its own, while the lease is renewed; gives its exit code.

    It is ended where this process stops, loses the lease, or it takes too long; then nothing is kept.
    """
    began_at = await store.registry.clock(running)
    files = [each for each in settings.retrain_files.split(os.pathsep) if each]
    if missing := [each for each in files if not await asyncio.to_thread(os.path.isfile, each)]:
        await _failed(running, began_at, f"{missing[0]}: no such file")
        return 1
    log.info("training", files=len(files))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, "classification", "train", *files, "--by", BY),
        env={**os.environ, "DATABASE_URL": settings.database_url.get_secret_value()},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(MOST_SECONDS):
            code = await _watched(running, child)
    except TimeoutError:
        code = await _end(child)
    log.info("trained", exit_code=code)
    noted = any(row.began_at >= began_at for row in await store.registry.trainings(running, 1))
    if not noted and not running.stopping.is_set():
        await _failed(running, began_at, f"the training process ended with {code}")
    return code


async def _failed(running: Running, began_at: datetime, reason: str) -> None:
    log.warning("not_trained", reason=reason)
    await store.registry.trained(running, began_at, version=None, active=False, reason=reason, by=BY)


async def _watched(running: Running, child: asyncio.subprocess.Process) -> int:
    ended = asyncio.create_task(child.wait())
    try:
        while not ended.done():
            stop = asyncio.create_task(running.stopping.wait())
            await asyncio.wait({ended, stop}, timeout=LEASE_SECONDS / 3, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not ended.done() and (running.stopping.is_set() or not await running.hold(LEASE, LEASE_SECONDS)):
                return await _end(child)
        return ended.result()
    finally:
        ended.cancel()
        if child.returncode is None:
            await _end(child)


async def _end(child: asyncio.subprocess.Process) -> int:
    """End the child, gently first."""
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        return await asyncio.wait_for(child.wait(), GRACE)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        return await child.wait()
