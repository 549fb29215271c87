"""Whose a work order is: its ticket and its department. Neither ever changes, so both are remembered."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import text

from libs.shared.service import Running
from services.dispatch.domain.order import WorkOrder

Owner: TypeAlias = tuple[UUID, str]  # ticket, department

OWNERS = text("""
    SELECT work_order_id, ticket_id, department FROM work_order WHERE work_order_id = ANY(CAST(:ids AS uuid[]))""")
REMEMBERED = 8_000  # work orders, some 3 MB


@dataclass
class Owners:
    """What one process remembers. Those who ask while it looks are answered together by its next look."""

    known: dict[UUID, Owner] = field(default_factory=dict)
    _wanted: set[UUID] = field(default_factory=set)
    _next: "asyncio.Task[dict[UUID, Owner]] | None" = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def remember(self, orders: Iterable[WorkOrder]) -> None:
        """Work orders that were committed; the oldest are forgotten."""
        for order in orders:
            self._keep(order.work_order_id, (order.ticket_id, order.department))

    async def find(self, running: Running, work_order_id: UUID) -> Owner | None:
        """Whose it is; None: there is no such work order."""
        if work_order_id in self.known:
            return self.known[work_order_id]
        self._wanted.add(work_order_id)
        if self._next is None:
            self._next = asyncio.create_task(self._look(running))
        return (await asyncio.shield(self._next)).get(work_order_id)

    async def _look(self, running: Running) -> dict[UUID, Owner]:
        async with self._turn:
            wanted, self._wanted, self._next = self._wanted, set(), None
            rows = await running.read(OWNERS, ids=list(wanted))
        found = {row.work_order_id: (row.ticket_id, row.department) for row in rows}
        for id_, owner in found.items():
            self._keep(id_, owner)
        return found

    def _keep(self, work_order_id: UUID, owner: Owner) -> None:
        if len(self.known) >= REMEMBERED:
            del self.known[next(iter(self.known))]
        self.known[work_order_id] = owner
