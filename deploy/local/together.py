"""Several calls side by side; what has not begun when one fails, or when Ctrl-C comes, never begins."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run(calls: Iterable[Callable[[], Result]], width: int) -> Iterator[Result]:
    """The results in the order of the calls, of which at most `width` run at a time. Raises what a call raised."""
    pool = ThreadPoolExecutor(width)
    try:
        for future in [pool.submit(call) for call in calls]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
