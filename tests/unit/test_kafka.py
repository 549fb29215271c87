"""Ending with Kafka, where aiokafka does not behave."""

import asyncio
from dataclasses import dataclass, field

from libs.shared.kafka import shut


@dataclass
class Client:
    """aiokafka's, as far as it is closed."""

    closed: int = 0

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Leaking:
    """A consumer that was fetching from a dead broker: its `stop` raises the cancellation of a task of its own."""

    client: Client = field(default_factory=Client)

    async def stop(self) -> None:
        fetching = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        fetching.cancel()
        await fetching


class Failing(Leaking):
    """One whose `stop` fails."""

    async def stop(self) -> None:
        raise OSError("gone")


class Hanging(Leaking):
    """One whose `stop` never ends."""

    async def stop(self) -> None:
        await asyncio.Event().wait()


async def test_consumer_that_cannot_stop_does_not_end_its_owner() -> None:
    for consumer in (Leaking(), Failing(), Hanging()):
        await shut(consumer, consumer.client, 0.05)
        assert consumer.client.closed == 1, consumer
