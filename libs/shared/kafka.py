"""The consumer that feeds the bus. With `relay` and `metadata` the only place that speaks with Kafka.

Positions come from the fence rows; Kafka's own offsets are only a hint for people and lag tools. Correctness needs no
rebalance callback: a position is loaded before a partition's first batch, and a lost one is noticed by the fence.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.helpers import create_ssl_context
from sqlalchemy import text

from libs.shared import dead, telemetry
from libs.shared.bus import Bus, Health, Partition
from libs.shared.db import Fenced, Halted, describe
from libs.shared.metadata import topic_ids
from libs.shared.service import LONGEST_PAUSE, Record, Running
from libs.shared.settings import Settings
from libs.shared.telemetry import log

POSITIONS = text("""
    SELECT f.topic, f.partition, f.topic_id, f.next_offset, f.stopped FROM fence f
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS w(topic, partition) USING (topic, partition)""")
BEGIN = text("""
    INSERT INTO fence (topic, partition, topic_id, next_offset)
    SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:ids AS uuid[]),
        CAST(:offsets AS bigint[])) AS w(topic, partition, topic_id, next_offset) ORDER BY topic, partition
    ON CONFLICT DO NOTHING""")
STOP = text("UPDATE fence SET stopped = :why WHERE topic = :topic AND partition = :partition AND stopped IS NULL")
STOPPED = text("SELECT partition, next_offset FROM fence WHERE topic = :topic AND stopped IS NOT NULL ORDER BY 1")
ACCEPT = text("""
    UPDATE fence SET topic_id = :id, next_offset = :offset, stopped = NULL
    WHERE topic = :topic AND partition = :partition""")

# While records come fast the broker gathers them, the faster the longer: one fetch, one transaction and one pass of the
# relay for many instead of each. At 350 tickets a second that is a quarter of the CPU less, and half of p99.
FAST = 60  # records a second
GATHERED = 1024 * 1024  # bytes that are enough at once
GATHERING, PER_MS = (40, 100), 25  # ms at least and at most; in between, one for so many records a second
AT_ONCE, IDLE = 1, 250  # bytes, ms: while they come slowly


def connection(settings: Settings) -> dict[str, Any]:
    """aiokafka's connection arguments from the settings."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        arguments["ssl_context"] = create_ssl_context(cafile=settings.kafka_ca_file)
    if settings.kafka_security_protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism
        arguments["sasl_plain_username"] = settings.kafka_username
        arguments["sasl_plain_password"] = settings.kafka_password and settings.kafka_password.get_secret_value()
    return arguments


async def shut(part: Any, client: Any, seconds: float) -> None:
    """Stop a consumer or producer and the client below it, whatever comes of it.

    While a broker is away aiokafka lets the cancellation of its own tasks out of `stop`: awaited here it would end us.
    """
    for stop in (part.stop, client.close):
        stopping = asyncio.ensure_future(stop())
        await asyncio.wait({stopping}, timeout=seconds)
        if not stopping.cancel() and not stopping.cancelled():
            stopping.exception()  # looked at, so that nobody complains of it


async def accept_offset(running: Running, topic: str, partition: int | None, at: str) -> list[str]:
    """Set the positions of a topic's stopped partitions: `at` earliest, latest or an offset. One line for each."""
    rows = [row for row in await running.read(STOPPED, topic=topic) if partition in {None, row.partition}]
    if not rows:
        return []
    kafka = AIOKafkaConsumer(**connection(running.settings))
    await kafka.start()
    try:
        id_ = (await topic_ids(kafka._client))[topic]
        tps = [TopicPartition(topic, row.partition) for row in rows]
        ends = await (kafka.end_offsets(tps) if at == "latest" else kafka.beginning_offsets(tps))
    finally:
        await kafka.stop()
    lines = []
    for row, tp in zip(rows, tps, strict=True):
        offset = int(at) if at.isdigit() else ends[tp]
        await running.read(ACCEPT, topic=topic, partition=row.partition, id=id_, offset=offset)
        lines.append(f"{topic}/{row.partition}: from {row.next_offset} to {offset}")
    return lines


def _record(tp: TopicPartition, each: Any) -> Record:
    return Record(tp.topic, tp.partition, each.offset, each.key, each.value, dict(each.headers), each.timestamp)


class Consumer:
    """Feeds one running service's bus until the process stops."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.bus = Bus(running)
        self.positions: dict[Partition, int] = {}
        self.stopped: set[Partition] = set()  # wait for `offsets accept`
        self._kafka: AIOKafkaConsumer | None = None
        self._taken = 0  # records since the last second began

    async def run(self) -> None:
        """Read until the process stops; every fault but the process's end is waited out."""
        wait = 0.1
        while not self.running.stopping.is_set():
            try:
                await self._session()
                wait = 0.1
            except Exception as error:
                self._trouble("kafka", error)
                await self.running.pause(wait)
                wait = min(wait * 2, LONGEST_PAUSE)

    async def _session(self) -> None:
        """One consumer from start to stop. It outlives a broker's absence: a new one would wait until the group has
        given up the old one, a session timeout long.
        """
        kafka = AIOKafkaConsumer(
            *self.running.service.topics,
            **connection(self.running.settings),
            client_id=f"zhida-{self.running.service.name}",
            group_id=f"zhida-{self.running.service.name}",
            group_instance_id=self.running.settings.instance,
            auto_offset_reset="none",
            enable_auto_commit=False,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,  # so long may a member not know that the group gathers again
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=60_000,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            fetch_min_bytes=AT_ONCE,
            fetch_max_wait_ms=IDLE,
            max_partition_fetch_bytes=1024 * 1024,
            metadata_max_age_ms=30_000,
        )
        self._kafka = kafka
        self.positions.clear()
        self.stopped.clear()
        try:
            await kafka.start()
            tick, wait = 0.0, 0.1
            while not self.running.stopping.is_set():
                try:
                    if time.monotonic() >= tick:
                        tick = time.monotonic() + 1.0
                        await self._each_second(kafka)
                        if self.running.stopping.is_set():  # it may have waited out a halt
                            break
                    await self._position(kafka)
                    await self._poll(kafka)
                    wait = 0.1
                    self.running.unready.pop("consumer", None)
                except Fenced:
                    self.positions.clear()
                except Halted as error:
                    log.error("halted", reason=str(error))
                    await self.running.read(dead.HALT, reason=str(error))
                    self.positions.clear()
                    tick = 0.0
                except Exception as error:
                    if isinstance(error, KafkaError) and not error.retriable:
                        raise
                    self._trouble("consumer", error)
                    self.positions.clear()
                    await self._idle(kafka, wait)
                    wait = min(wait * 2, LONGEST_PAUSE)
            await self.bus.settle(self.positions)
        finally:
            await self._hint(kafka)
            if kafka._coordinator:  # one with a name leaves its group too: who stops in good order may not come back
                kafka._coordinator._group_instance_id = None
            await shut(kafka, kafka._client, 10)

    def _trouble(self, part: str, error: Exception) -> None:
        telemetry.RETRIES.labels("consumer").inc()
        self.running.unready["consumer"] = f"{part}: {type(error).__name__}"
        log.warning("retrying", part=part, error=describe(error))

    async def _idle(self, kafka: AIOKafkaConsumer, seconds: float) -> None:
        """Wait with all partitions paused, polling all the while: else the group would drop this consumer."""
        deadline = time.monotonic() + seconds
        with suppress(IllegalStateError):
            kafka.pause(*kafka.assignment())
        while time.monotonic() < deadline and not self.running.stopping.is_set():
            with suppress(KafkaError):
                await kafka.getmany(timeout_ms=0)
            await self.running.pause(min(0.2, seconds))

    async def _each_second(self, kafka: AIOKafkaConsumer) -> None:
        halted = await self.running.read(dead.HALTED)
        if halted:
            self.bus.health = Health()
            telemetry.STOPPED.labels("halt").set(1)
            self.running.unready["halt"] = f"{halted[0].reason}; waits for `zhida {self.running.service.name} resume`"
            while halted and not self.running.stopping.is_set():
                await self._idle(kafka, 1.0)
                halted = await self.running.read(dead.HALTED)
            self.positions.clear()
        telemetry.STOPPED.labels("halt").set(0)
        self.running.unready.pop("halt", None)
        self._gather(kafka)
        await self.bus.settle(self.positions)
        await self._check_topics(kafka)
        await self._hint(kafka)
        for tp in kafka.assignment():
            position = self.positions.get((tp.topic, tp.partition))
            end = kafka.highwater(tp)
            if position is not None and end is not None:
                telemetry.CONSUMER_LAG.labels(tp.topic, str(tp.partition)).set(end - position)

    def _gather(self, kafka: AIOKafkaConsumer) -> None:
        """Have the broker gather as long as the last second's records suggest."""
        rate, self._taken = self._taken, 0
        gathering = GATHERED, min(max(rate // PER_MS, GATHERING[0]), GATHERING[1])
        fetcher = kafka._fetcher
        fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = gathering if rate > FAST else (AT_ONCE, IDLE)

    async def _hint(self, kafka: AIOKafkaConsumer) -> None:
        """Tell Kafka how far we are; nothing depends on it."""
        held = {(tp.topic, tp.partition) for tp in kafka.assignment()}
        offsets = {TopicPartition(*part): offset for part, offset in self.positions.items() if part in held}
        if offsets:
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(kafka.commit(offsets), 5)

    async def _check_topics(self, kafka: AIOKafkaConsumer) -> None:
        """A topic deleted and made again has another id: its old offsets mean nothing any more."""
        if not self.positions:
            return
        ids = await topic_ids(kafka._client)
        known = await self._fences(sorted(self.positions))
        for part, row in known.items():
            found = ids.get(part[0])
            if row.stopped or (found and found != row.topic_id):
                await self._stop(part, row.stopped or f"topic was made again: its id is {found}, was {row.topic_id}")

    async def _stop(self, part: Partition, why: str) -> None:
        log.error("partition_stopped", topic=part[0], partition=part[1], why=why)
        await self.running.read(STOP, topic=part[0], partition=part[1], why=why)
        telemetry.STOPPED.labels(f"{part[0]}/{part[1]}").set(1)
        name = self.running.service.name
        self.running.unready[f"{part[0]}/{part[1]}"] = f"{why}; waits for `zhida {name} offsets accept`"
        self.positions.pop(part, None)
        self.stopped.add(part)

    async def _fences(self, parts: Sequence[Partition]) -> dict[Partition, Any]:
        topics, partitions = [topic for topic, _ in parts], [partition for _, partition in parts]
        rows = await self.running.read(POSITIONS, topics=topics, partitions=partitions)
        return {(row.topic, row.partition): row for row in rows}

    async def _position(self, kafka: AIOKafkaConsumer) -> None:
        """Load the positions of partitions that are new to us, and seek there; what was fetched before is dropped."""
        held = {(tp.topic, tp.partition) for tp in kafka.assignment()}
        for part in set(self.positions) - held:
            del self.positions[part]  # revoked
        new = sorted(held - set(self.positions))
        if not new:
            return
        known = await self._fences(new)
        for part in self.stopped & held:
            if part in known and known[part].stopped is None:
                self.stopped.discard(part)  # accepted
                self.running.unready.pop(f"{part[0]}/{part[1]}", None)
                telemetry.STOPPED.labels(f"{part[0]}/{part[1]}").set(0)
        new = [part for part in new if part not in self.stopped]
        if not new:
            return
        ids = await topic_ids(kafka._client)
        tps = [TopicPartition(*part) for part in new]
        first, last = await kafka.beginning_offsets(tps), await kafka.end_offsets(tps)
        unknown = [part for part in new if part not in known]
        if unknown:
            await self.running.read(
                BEGIN,
                topics=[topic for topic, _ in unknown],
                partitions=[partition for _, partition in unknown],
                ids=[ids[topic] for topic, _ in unknown],
                offsets=[first[TopicPartition(*part)] for part in unknown],
            )
            known |= await self._fences(unknown)
        for part in new:
            row, tp = known[part], TopicPartition(*part)
            if row.stopped:
                await self._stop(part, row.stopped)
            elif row.topic_id != ids[part[0]]:
                await self._stop(part, f"topic was made again: its id is {ids[part[0]]}, was {row.topic_id}")
            elif not first[tp] <= row.next_offset <= last[tp]:
                await self._stop(part, f"position {row.next_offset} is outside {first[tp]}..{last[tp]}")
            elif tp in kafka.assignment():
                kafka.seek(tp, row.next_offset)
                self.positions[part] = row.next_offset
                self.bus.fences.pop(part, None)
        with suppress(IllegalStateError):
            kafka.pause(*(tp for tp in kafka.assignment() if (tp.topic, tp.partition) in self.stopped))
            kafka.resume(*(tp for tp in kafka.assignment() if (tp.topic, tp.partition) in self.positions))

    async def _poll(self, kafka: AIOKafkaConsumer) -> None:
        try:
            fetched = await kafka.getmany(timeout_ms=200, max_records=self.running.settings.batch_size)
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            self.positions.clear()  # loaded, checked and sought anew
            return
        records = []
        for tp, part in fetched.items():
            position = self.positions.get((tp.topic, tp.partition))
            if position is not None:
                records += [_record(tp, each) for each in part if each.offset >= position]
        self._taken += len(records)
        if records:
            await self.bus.take(records, self.positions)
