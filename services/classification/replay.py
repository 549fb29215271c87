"""What-if replay: tickets of the past, or of a file, classified by what is in force and by a draft, on many cores."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any
from uuid import UUID

from libs.shared.contracts.intake import Ticket
from libs.shared.service import Running
from services.classification import store
from services.classification.domain.classifier import Classifier
from services.classification.domain.text import Reading
from services.classification.domain.what_if import Outcome, Said, Tally, said

CHUNK = 500  # tickets handed to a process at a time
NICENESS = 10  # tickets of today go before those of the past
AHEAD = 2  # chunks a process may have waiting

Named = tuple[str, dict[str, Any]]  # a ticket: what it is called in the outcome, and its fields


async def replay(
    before: Classifier,
    after: Classifier,
    tickets: AsyncIterator[Sequence[Named]],
    progress: Callable[[int], None],
    processes: int | None = None,
) -> Outcome:
    """What would be otherwise. `tickets` come in chunks; `progress` is told of each that is done.

    `processes`: how many classify; None: one a core. They end with this one, however it ends.
    """
    tally = Tally(before.matrix, after.matrix)
    number = processes or os.cpu_count() or 1
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Future[list[tuple[str, Said, Said]]]] = set()

    async def gather(room: int) -> None:
        nonlocal under_way
        while len(under_way) > room:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                tally.add(each.result())
                progress(len(each.result()))

    pool: Executor = ProcessPoolExecutor(number, get_context("spawn"), _begin, (before, after))
    try:
        async for chunk in tickets:
            under_way.add(loop.run_in_executor(pool, _both, chunk))
            await gather(number * AHEAD)
        await gather(0)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return tally.outcome


async def past(running: Running, after: UUID) -> AsyncIterator[Sequence[Named]]:
    """Tickets from the database, by their ids."""
    while rows := await store.ticket.since(running, after, CHUNK):
        yield [(str(row.id), row.ticket) for row in rows]
        after = rows[-1].id


_classifiers: list[Classifier] = []  # of this process, before and after


def _begin(before: Classifier, after: Classifier) -> None:
    os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _classifiers[:] = before, after


def _end_with_parent() -> None:
    """A pool's process would wait for work for good when the one that made it was killed."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _both(chunk: Sequence[Named]) -> list[tuple[str, Said, Said]]:
    """What both say of each ticket."""
    found: list[Any] = []
    for name, fields in chunk:
        ticket = Ticket.model_validate(fields)
        reading = Reading.of(ticket.title, ticket.text)
        both = (said(each.matrix, each.classify(ticket, reading), ticket) for each in _classifiers)
        found.append((name, *both))
    return found
