"""Figures of the review queue, for dashboards."""

from prometheus_client import Gauge

from libs.shared.service import Running
from services.classification import store

WAITING = Gauge("zhida_reviews_waiting", "Tickets that wait for a person")
OVERDUE = Gauge("zhida_reviews_overdue", "Of them, those that have waited longer than the matrix allows")
EVERY = 15.0  # s


async def watch(running: Running) -> None:
    """Loop: count what waits."""
    while not running.stopping.is_set():
        waiting, overdue = await store.review.waiting(running)
        WAITING.set(waiting)
        OVERDUE.set(overdue)
        await running.pause(EVERY)
