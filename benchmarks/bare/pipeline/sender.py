"""Webhooks out of memory, each row kept until its answer is written down."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import aiohttp
import orjson

from benchmarks.bare.pipeline import table
from benchmarks.bare.pipeline.wire import Said, Voice, new_id

AT_ONCE = 64
GATHER = 0.01  # s
BATCH = 500

Delivery = tuple[UUID, UUID, str, str, bytes]  # delivery, work order, ticket, department, body


class Sender:
    """Sends with so many requests at a time; what was answered 2xx is recorded in batches."""

    def __init__(self, database: Any, voice: Voice, url: str) -> None:
        self._database, self._voice, self._url = database, voice, url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=AT_ONCE), cookie_jar=aiohttp.DummyCookieJar()
        )
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._done: list[Delivery] = []
        self._workers = [asyncio.create_task(self._work()) for _ in range(AT_ONCE)]
        self._recorder = asyncio.create_task(self._record())

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Put them into the queue."""
        for delivery in deliveries:
            self._queue.put_nowait(delivery)

    async def _work(self) -> None:
        while True:
            delivery = await self._queue.get()
            id_, _, _, department, body = delivery
            headers = {"webhook-id": str(id_), "Content-Type": "application/json"}
            async with self._session.post(self._url + department, data=body, headers=headers) as answer:
                await answer.read()
                if answer.status < 300:
                    self._done.append(delivery)

    async def _record(self) -> None:
        while True:
            await asyncio.sleep(GATHER)
            while self._done:
                part, self._done = self._done[:BATCH], self._done[BATCH:]
                given = []
                for id_, order, ticket, department, _ in part:
                    said = {"ticket_id": ticket, "work_order_id": order, "department": department}
                    given.append((new_id(), id_, order, ticket, orjson.dumps(said)))
                rows = await self._database.fetch(table.DELIVERED, self._voice.forgotten(), *zip(*given, strict=True))
                new = {row[0] for row in rows}
                await self._voice.say([Said(e, "delivered", t, body) for e, _, _, t, body in given if e in new])
