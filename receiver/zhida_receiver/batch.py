"""Joins the durable writes of concurrent requests into one, so that a disk flush is shared by all who wait for it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

_MOST: Final = 1000  # items of one write

Item = TypeVar("Item")
Kept = TypeVar("Kept")


class Batch(Generic[Item, Kept]):
    """Hands items to `write` in groups, in a thread of its own, in the order of `put`.

    `write` takes up to 1000 items and returns one result each, or raises for all of them.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Kept]]) -> None:
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Kept]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch")

    async def put(self, item: Item) -> Kept:
        """Wait until the item is written; raises what its write raised."""
        kept: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._work())
        return await kept

    async def close(self) -> None:
        """Wait for what is being written."""
        while self._writing is not None:
            await asyncio.shield(self._writing)
        self._pool.shutdown()

    async def _work(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            writing = asyncio.get_running_loop().run_in_executor(self._pool, self._write, [item for item, _ in group])
            await asyncio.wait([writing])
            error = writing.exception()
            results = [] if error is not None else writing.result()
            for place, (_, kept) in enumerate(group):
                if kept.done():  # its request was cancelled meanwhile
                    continue
                if error is not None:
                    kept.set_exception(error)
                else:
                    kept.set_result(results[place])
        self._writing = None
