"""The calls of one simulated department: so many at a time, each in the log with how it ended."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from zhida_receiver.call import Refused
from zhida_receiver.notice import WorkOrder
from zhida_receiver.simulation.log import Log

Command = Callable[..., Awaitable[Mapping[str, Any]]]


class Phone:
    """Shares `places` with the other departments of the process."""

    def __init__(self, department: str, places: asyncio.Semaphore, log: Log, counts: Counter[str]) -> None:
        self._department = department
        self._places = places
        self._log = log
        self._counts = counts

    async def call(
        self, name: str, about: WorkOrder | Mapping[str, Any], command: Command, *details: Any, key: str, **options: Any
    ) -> None:
        """Send one command when a place is free. Raises what the command raises."""
        if isinstance(about, WorkOrder):
            about = {"ticket_id": about.ticket_id, "work_order_id": about.work_order_id}
        status: int | None = None
        async with self._places:
            sent_at = datetime.now(UTC)
            try:
                await command(*details, key=key, **options)
                status = 200
                self._counts[name] += 1
            except Refused as refusal:
                status = refusal.status
                raise
            finally:
                await self._log.write(
                    {
                        "event": "call",
                        "department": self._department,
                        "call": name,
                        "sent_at": sent_at.isoformat(),
                        "ended_at": datetime.now(UTC).isoformat(),
                        "ticket_id": about.get("ticket_id"),
                        "work_order_id": about.get("work_order_id"),
                        "status": status,  # null: no answer
                        "key": key,
                    }
                )
