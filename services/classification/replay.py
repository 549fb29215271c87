"""What-if replay: tickets of the past, or of a file, classified by what is in force and by a draft, on every core."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from libs.shared.contracts.intake import Ticket
from services.classification.domain.classifier import Classifier
from services.classification.domain.text import Reading
from services.classification.domain.what_if import Outcome, Said, Tally, said

CHUNK = 500  # tickets handed to a process at a time
AHEAD = 2  # chunks a process may have waiting

Named = tuple[str, dict[str, Any]]  # a ticket: what it is called in the outcome, and its fields


async def replay(
    before: Classifier, after: Classifier, tickets: AsyncIterator[Sequence[Named]], progress: Callable[[int], None]
) -> Outcome:
    """What would be otherwise. `tickets` come in chunks; `progress` is told of each that is done."""
    tally = Tally(before.matrix, after.matrix)
    number = os.cpu_count() or 1
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Future[list[tuple[str, Said, Said]]]] = set()

    async def gather(room: int) -> None:
        nonlocal under_way
        while len(under_way) > room:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                tally.add(each.result())
                progress(len(each.result()))

    pool: Executor
    with ProcessPoolExecutor(number, get_context("spawn"), _begin, (before, after)) as pool:
        async for chunk in tickets:
            under_way.add(loop.run_in_executor(pool, _both, chunk))
            await gather(number * AHEAD)
        await gather(0)
    return tally.outcome


_classifiers: list[Classifier] = []  # of this process, before and after


def _begin(before: Classifier, after: Classifier) -> None:
    _classifiers[:] = before, after


def _both(chunk: Sequence[Named]) -> list[tuple[str, Said, Said]]:
    """What both say of each ticket."""
    before, after = _classifiers
    found = []
    for name, fields in chunk:
        ticket = Ticket.model_validate(fields)
        reading = Reading.of(ticket.title, ticket.text)
        found.append((name, said(before.classify(ticket, reading)), said(after.classify(ticket, reading))))
    return found
