"""What-if runs of drafts that were asked for over HTTP: one process of the service does them, one after the other."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from libs.shared import db
from libs.shared.db import Poison
from libs.shared.keep import first_id
from libs.shared.service import Running
from libs.shared.telemetry import log
from services.classification import replay, store
from services.classification.current import classifier_of, current
from services.classification.domain import pack
from services.classification.domain.what_if import Outcome
from services.classification.settings import ClassificationSettings

LEASE = 30.0  # s
LOOK = 2.0  # s between two looks for a run that another process was asked for
TELL = 1.0  # s between two notes of how far a run is


async def try_drafts(running: Running) -> None:
    """Loop: do what was asked for; a run that a killed process left behind is begun again."""
    while not running.stopping.is_set():
        if await running.hold("trial", LEASE):
            while not running.stopping.is_set() and (trial := await store.draft.next_trial(running)):
                await _run(running, trial)
        await running.wait("trial", LOOK)


async def _run(running: Running, trial: Row[Any]) -> None:
    """One run, until it is done, fails, is not wanted any more, or the process stops."""
    done = [0, 0]  # tickets classified, tickets in all

    async def work() -> Outcome:
        settings = running.settings
        assert isinstance(settings, ClassificationSettings)
        draft = await asyncio.to_thread(lambda: pack.examine(trial.form)[0])
        before = (await current(running).in_force()).classifier
        first = first_id(trial.asked_at - timedelta(days=trial.days))
        done[1] = await store.ticket.count_since(running, first)
        after = await asyncio.to_thread(classifier_of, draft, before.model)
        tickets = replay.past(running, first)

        def progress(count: int) -> None:
            done[0] += count

        return await replay.replay(before, after, tickets, progress, settings.what_if_processes)

    task = asyncio.create_task(work())
    try:
        while not task.done() and not running.stopping.is_set():
            if not (await running.hold("trial", LEASE) and await store.draft.progress(running, trial, *done)):
                return
            await asyncio.wait({task}, timeout=TELL)
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    if task.cancelled():
        return
    error = task.exception()
    if error is None:
        outcome = task.result()
        await store.draft.settle(running, trial, outcome.tickets, outcome.tickets, outcome=outcome.plain())
    elif isinstance(error, Exception) and db.is_poison(error):
        fault = str(error) if isinstance(error, Poison) else db.describe(error)
        log.error("what_if_failed", draft=trial.draft_id, reason=fault)
        await store.draft.settle(running, trial, *done, fault=fault)
    else:
        raise error
