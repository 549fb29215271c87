"""Looks at all services while the demo runs: how far the tickets are, and whether everything has come to rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.shared.events import FLOW, INBOUND
from reconcile import SERVICES
from reconcile.topic import partitions

COUNTS = """
    SELECT (SELECT count(*) FROM intake.ticket) AS received, (SELECT count(*) FROM intake.rejected) AS refused,
        (SELECT count(*) FROM intake.ticket_stage WHERE stage <> 'closed') AS underway,
        (SELECT count(*) FROM classification.ticket WHERE state = 'classified') AS classified,
        (SELECT count(*) FROM classification.review) AS in_review,
        (SELECT count(*) FROM dispatch.work_order) AS orders,
        (SELECT count(*) FROM dispatch.work_order WHERE delivered_at IS NOT NULL) AS delivered,
        (SELECT count(*) FROM dispatch.work_order WHERE answered_at IS NOT NULL) AS answered,
        (SELECT count(*) FROM dispatch.ticket WHERE state = 'closed') AS closed,
        (SELECT count(*) FROM dispatch.delivery WHERE state IN ('pending', 'waiting')) AS sending,
        (SELECT count(*) FROM sla_timer.clock WHERE state = 'running') AS clocks,
        (SELECT count(*) FROM notification.notice WHERE recipient LIKE 'agent:%') AS notices"""
UNSENT = "SELECT {}".format(" + ".join(f"(SELECT count(*) FROM {name}.outbox)" for name in SERVICES))
FENCES = " UNION ALL ".join(
    f"SELECT '{name}' AS service, topic, partition, next_offset FROM {name}.fence" for name in SERVICES
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far everything is."""

    received: int = 0
    refused: int = 0
    underway: int = 0  # tickets that are not closed in intake's eyes
    classified: int = 0
    in_review: int = 0
    orders: int = 0
    delivered: int = 0
    answered: int = 0  # work orders
    closed: int = 0  # tickets
    sending: int = 0  # webhooks on their way
    clocks: int = 0  # still running
    notices: int = 0  # in agents' inboxes
    unsent: int = 0  # events in outboxes
    unread: int = 0  # records that some service has not handled yet

    @property
    def at_rest(self) -> bool:
        """Whether nothing is left to be done."""
        left = self.underway + self.in_review + self.sending + self.clocks + self.unsent + self.unread
        return left == 0 and self.closed == self.received


@dataclass
class Watch:
    """Reads the tables under the owner's role, and where the topics end."""

    database: Any
    consumer: AIOKafkaConsumer
    parts: list[TopicPartition]

    @classmethod
    async def open(cls, database_url: str, kafka: str) -> Self:
        """Begin to look; `close` ends it."""
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
        await consumer.start()
        parts = await partitions(consumer)
        database = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
        return cls(database, consumer, parts)

    async def close(self) -> None:
        """Let the connections go."""
        await self.consumer.stop()
        await self.database.close()

    async def written(self) -> bool:
        """Whether anybody has published tickets before."""
        ends = await self.consumer.end_offsets(self.parts)
        return any(end for part, end in ends.items() if part.topic in (INBOUND, FLOW))

    async def look(self) -> Standing:
        """How far everything is now."""
        ends = await self.consumer.end_offsets(self.parts)
        fences = await self.database.fetch(FENCES)
        counts: Mapping[str, int] = dict(await self.database.fetchrow(COUNTS))
        unsent = await self.database.fetchval(UNSENT)
        unread = sum(
            max(ends[TopicPartition(row["topic"], row["partition"])] - row["next_offset"], 0) for row in fences
        )
        return Standing(**counts, unsent=unsent, unread=unread)
