"""The kernel's hard cases on real Kafka and Postgres, each named after what must not happen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from sqlalchemy import text

from libs.shared import replay
from libs.shared.db import Fenced
from libs.shared.events import Envelope, encode, header_pairs, uuid7
from libs.shared.kafka import Consumer, accept_offset
from libs.shared.relay import MOST, Relay
from libs.shared.service import Service
from tests.conftest import fresh_name
from tests.integration.kernel.conftest import Booked, Deposited, deposit, made
from tests.running import TRACEPARENT, Harness, eventually

PARTITIONS = 4
SERVICE = Service(name="probe", hears={Deposited: deposit}, says=(Booked,))


@pytest.fixture
async def topic(kafka: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new topic in the place of the flow, for the events the probe hears and says."""
    name = fresh_name("flow")
    await make_topic(kafka, name)
    for kind in (Deposited, Booked):
        monkeypatch.setattr(kind, "topic", name)
    return name


async def make_topic(kafka: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    await admin.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    await eventually(lambda: _has_leaders(consumer, name))
    await consumer.stop()


async def _has_leaders(consumer: AIOKafkaConsumer, name: str) -> bool:
    await consumer._client.force_metadata_update()
    consumer._client.add_topic(name)
    return len(consumer.partitions_for_topic(name) or ()) == PARTITIONS


async def read(kafka: str, topic: str) -> list[tuple[str, int, dict[str, str]]]:
    """All of a topic: key, partition, headers, in order inside each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    tps = [TopicPartition(topic, n) for n in range(PARTITIONS)]
    consumer.assign(tps)
    ends, found = await consumer.end_offsets(tps), []
    await consumer.seek_to_beginning()
    while any([await consumer.position(tp) < ends[tp] for tp in tps]):
        for tp, records in (await consumer.getmany(timeout_ms=200)).items():
            found += [(r.key.decode(), tp.partition, {k: v.decode() for k, v in r.headers}) for r in records]
    await consumer.stop()
    return found


async def publish(kafka: str, topic: str, *amounts: tuple[UUID, int], broken: UUID | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    now = datetime.now(UTC)
    for ticket, amount in amounts:
        event = Deposited(ticket_id=ticket, amount=amount)
        headers = header_pairs(event.type, Envelope(uuid7(now), "test", now, 1, TRACEPARENT))
        body = b"{" if ticket == broken and amount == 0 else encode(event)
        await producer.send(topic, body, key=event.key.encode(), headers=headers)
    await producer.stop()


@contextlib.asynccontextmanager
async def consuming(h: Harness) -> AsyncIterator[Consumer]:
    """A consumer at work."""
    consumer = Consumer(h.running)
    task = asyncio.create_task(consumer.run())
    yield consumer
    h.running.stopping.set()
    await task
    h.running.stopping.clear()


@contextlib.asynccontextmanager
async def relaying(h: Harness) -> AsyncIterator[Relay]:
    """A relay at work."""
    relay = Relay(h.running)
    task = asyncio.create_task(relay.run())
    yield relay
    relay.last.set()
    await task


async def seen(h: Harness) -> dict[UUID, list[int]]:
    return {row.ticket_id: row.seen for row in await h.rows("SELECT ticket_id, seen FROM account")}


async def test_published_events_reach_the_handlers_in_order(database: str, kafka: str, topic: str) -> None:
    tickets = [uuid4() for _ in range(50)]
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h:
        await publish(kafka, topic, *[(ticket, n) for n in range(10) for ticket in tickets])
        async with consuming(h), relaying(h):
            await eventually(lambda: _is(h, {ticket: list(range(10)) for ticket in tickets}))
            await eventually(lambda: _empty(h))
    said = [each for each in await read(kafka, topic) if each[2]["ce_type"] == Booked.type]
    assert len(said) == 500
    for ticket in tickets:
        assert [int(headers["ce_sequence"]) for key, _, headers in said if key == str(ticket)] == list(range(1, 11))


async def _is(h: Harness, wanted: dict[UUID, list[int]]) -> bool:
    return await seen(h) == wanted


async def _empty(h: Harness) -> bool:
    return await h.rows("SELECT 1 FROM outbox LIMIT 1") == []


async def test_effect_is_never_heard_before_its_cause(database: str, kafka: str, topic: str) -> None:
    tickets = [uuid4() for _ in range(30)]
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h, consuming(h), relaying(h):
        for n in range(5):
            await publish(kafka, topic, *[(ticket, n) for ticket in tickets])
        await eventually(lambda: _is(h, {ticket: list(range(5)) for ticket in tickets}))
        await eventually(lambda: _empty(h))
    whole = await read(kafka, topic)
    for ticket in tickets:
        types = [headers["ce_type"] for key, _, headers in whole if key == str(ticket)]
        assert len(types) == 10
        for end in range(10):
            assert types[:end].count(Booked.type) <= types[:end].count(Deposited.type)


async def test_late_commit_below_the_relays_floor_is_not_left_behind_nor_overtaken(
    database: str, kafka: str, topic: str
) -> None:
    slow, quick = uuid4(), uuid4()
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h, relaying(h):
        async with h.running.transaction([str(slow)]) as late:
            late.publish(Booked(ticket_id=slow, amount=1))
            await late.flush()  # its id is drawn, its commit is not yet there
            late.said.clear()
            for n in range(20):
                async with h.running.transaction([str(quick)]) as tx:
                    tx.publish(Booked(ticket_id=quick, amount=n))
            await eventually(lambda: _only(h, 0))
        async with h.running.transaction([str(slow)]) as tx:
            tx.publish(Booked(ticket_id=slow, amount=2))
        await eventually(lambda: _empty(h))
    said = await read(kafka, topic)
    assert [int(headers["ce_sequence"]) for key, _, headers in said if key == str(slow)] == [1, 2]
    assert len(said) == 22


async def test_backlog_longer_than_one_pass_is_not_overtaken(database: str, kafka: str, topic: str) -> None:
    ticket = uuid4()
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h:
        async with h.running.transaction([str(ticket)]) as tx:
            for n in range(MOST + 10):
                tx.publish(Booked(ticket_id=ticket, amount=n))
        relay = Relay(h.running)
        assert await relay._pass() == MOST
        async with h.running.transaction([str(ticket)]) as tx:
            tx.publish(Booked(ticket_id=ticket, amount=n + 1))
        while await relay._pass():
            pass
        await relay._close()
        assert await _empty(h)
    said = [int(headers["ce_sequence"]) for _, _, headers in await read(kafka, topic)]
    assert said == list(range(1, MOST + 12))


async def _only(h: Harness, count: int) -> bool:
    [row] = await h.rows("SELECT count(*) AS count FROM outbox")
    return bool(row.count == count)


async def test_zombie_stopped_inside_a_transaction_changes_nothing(database: str, kafka: str, topic: str) -> None:
    """Both consumers hold the same position; the one that wakes up late finds the fence moved."""
    ticket = uuid4()
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h:
        await publish(kafka, topic, (ticket, 1))
        async with consuming(h):
            await eventually(lambda: _is(h, {ticket: [1]}))
        positions = dict.fromkeys([(topic, n) for n in range(PARTITIONS)], 0)
        record = h.record(Deposited(ticket_id=ticket, amount=1))
        for number in range(PARTITIONS):
            [row] = await h.rows("SELECT next_offset FROM fence WHERE partition = :n", n=number)
            if row.next_offset:
                stale = h.raw(topic, record.key, record.value, record.headers, 0)
                with pytest.raises(Fenced):
                    await h.bus.take([stale._replace(partition=number)], positions)
        assert await seen(h) == {ticket: [1]}


async def test_stopped_transaction_does_not_keep_its_locks(database: str) -> None:
    async with made(database) as h:
        ticket = uuid4()
        async with h.running.engine.connect() as stopped:
            await stopped.execute(text("SET idle_in_transaction_session_timeout = '300ms'"))
            await stopped.commit()
            await stopped.execute(text("INSERT INTO stream VALUES (:k, 1)"), {"k": str(ticket)})
            async with h.running.transaction([str(ticket)]) as tx:  # waits for the lock until the server ends it
                tx.publish(Booked(ticket_id=ticket, amount=1))
            await stopped.invalidate()
        assert len(await h.said()) == 1


async def test_unsorted_batches_of_two_consumers_do_not_deadlock(database: str) -> None:
    tickets = [uuid4() for _ in range(40)]
    async with made(database) as h:
        before = await deadlocks(h)

        async def book(order: list[UUID]) -> None:
            for _ in range(20):
                async with h.running.transaction(map(str, order)) as tx:
                    for ticket in order:
                        tx.publish(Booked(ticket_id=ticket, amount=1))

        await asyncio.gather(book(tickets), book(tickets[::-1]), book(tickets[10:] + tickets[:10]))
        assert await deadlocks(h) == before
        versions = [event.envelope.version for event in await h.said() if event.key == str(tickets[0])]
        assert versions == list(range(1, 61))


async def deadlocks(h: Harness) -> int:
    [row] = await h.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row.deadlocks)


async def test_topic_made_again_stops_its_partitions_until_a_person_accepts(
    database: str, kafka: str, topic: str
) -> None:
    ticket = uuid4()
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h:
        await publish(kafka, topic, (ticket, 1))
        async with consuming(h):
            await eventually(lambda: _is(h, {ticket: [1]}))
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.delete_topics([topic])
        await eventually(lambda: _gone(admin, topic))
        await admin.close()
        await make_topic(kafka, topic)
        await publish(kafka, topic, *[(ticket, n) for n in range(2, 6)])
        async with consuming(h):
            await eventually(lambda: _stopped(h, PARTITIONS))
            assert await seen(h) == {ticket: [1]}
            assert len(await accept_offset(h.running, topic, None, "earliest")) == PARTITIONS
            await eventually(lambda: _is(h, {ticket: [1, 2, 3, 4, 5]}))


async def _gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def _stopped(h: Harness, count: int) -> bool:
    return len(await h.rows("SELECT 1 FROM fence WHERE stopped LIKE 'topic was made again%'")) == count


async def test_position_beyond_the_log_stops_the_partition(database: str, kafka: str, topic: str) -> None:
    ticket = uuid4()
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h:
        await publish(kafka, topic, (ticket, 1))
        async with consuming(h):
            await eventually(lambda: _is(h, {ticket: [1]}))
        await h.rows("UPDATE fence SET next_offset = 1000 RETURNING 1")
        async with consuming(h):
            await eventually(lambda: _outside(h))
            assert len(h.running.unready) == PARTITIONS


async def _outside(h: Harness) -> bool:
    return len(await h.rows("SELECT 1 FROM fence WHERE stopped LIKE 'position 1000 is outside%'")) == PARTITIONS


async def test_replay_against_a_running_consumer_keeps_the_order(database: str, kafka: str, topic: str) -> None:
    ticket = uuid4()
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as h:
        await publish(kafka, topic, (ticket, 0), *[(ticket, n) for n in range(1, 200)], broken=ticket)
        async with consuming(h):
            await eventually(lambda: _parked(h, 199))
            await publish(kafka, topic, *[(ticket, n) for n in range(200, 400)])
            [first] = await h.rows("SELECT id FROM dead WHERE error IS NOT NULL")
            await replay.discard(h.running, first.id)
            await eventually(lambda: _is(h, {ticket: list(range(1, 400))}))
        assert await h.rows("SELECT 1 FROM parked_key") == []


async def _parked(h: Harness, least: int) -> bool:
    return len(await h.rows("SELECT 1 FROM dead WHERE error IS NULL")) >= least


async def test_bad_deploy_restarted_again_and_again_does_not_empty_the_topic(
    database: str, kafka: str, topic: str
) -> None:
    tickets = [uuid4() for _ in range(100)]
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka, bury_limit=5) as h:
        await publish(kafka, topic, *[(ticket, 666) for ticket in tickets])
        for _ in range(3):
            async with consuming(h):
                await eventually(lambda: _halted(h))
                await eventually(lambda: _unready(h))
        assert len(await h.rows("SELECT 1 FROM dead")) <= 5
        assert (await h.rows("DELETE FROM halt RETURNING reason"))[0].reason.startswith("6 events in a row")


async def _halted(h: Harness) -> bool:
    return len(await h.rows("SELECT 1 FROM halt")) == 1


async def _unready(h: Harness) -> bool:
    return "halt" in h.running.unready


async def test_two_replicas_share_the_partitions_and_one_dying_loses_nothing(
    database: str, kafka: str, topic: str
) -> None:
    tickets = [uuid4() for _ in range(60)]
    async with (
        made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as one,
        made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as two,
        consuming(one),
    ):
        async with consuming(two) as second:
            await publish(kafka, topic, *[(ticket, 1) for ticket in tickets])
            await eventually(lambda: _positions(second))
            await publish(kafka, topic, *[(ticket, 2) for ticket in tickets])
        await publish(kafka, topic, *[(ticket, 3) for ticket in tickets])
        await eventually(lambda: _is(one, {ticket: [1, 2, 3] for ticket in tickets}))


async def _positions(consumer: Consumer) -> bool:
    return bool(consumer.positions)


async def test_one_with_a_name_that_died_has_its_partitions_back_without_a_rebalance(
    database: str, kafka: str, topic: str
) -> None:
    ticket = uuid4()
    async with made(database, service=SERVICE, kafka_bootstrap_servers=kafka, instance="probe-1") as h:
        former = AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka,
            group_id="zhida-probe",
            group_instance_id="probe-1",
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )
        await former.start()
        generation = former._coordinator.generation
        await former.stop()  # without leaving its group: the broker hears no more of it, as of one that was killed
        async with consuming(h) as consumer:
            await publish(kafka, topic, (ticket, 1))
            await eventually(lambda: _is(h, {ticket: [1]}))
            assert consumer._kafka is not None
            assert consumer._kafka._coordinator.generation == generation


async def test_one_with_a_name_that_stops_leaves_its_partitions_to_others(
    database: str, kafka: str, topic: str
) -> None:
    async with (
        made(database, service=SERVICE, kafka_bootstrap_servers=kafka, instance="probe-1") as one,
        made(database, service=SERVICE, kafka_bootstrap_servers=kafka, instance="probe-2") as two,
        consuming(one),
    ):
        async with consuming(two) as second:
            await eventually(lambda: _positions(second))
            assert await members(kafka) == ["probe-1", "probe-2"]
        assert await members(kafka) == ["probe-1"]


async def members(kafka: str) -> list[str]:
    """The names in the probe's group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    [answer] = await admin.describe_consumer_groups(["zhida-probe"])
    await admin.close()
    return sorted(member[0].rpartition("-")[0][: len("probe-1")] for member in answer.groups[0][5])


async def test_two_relays_never_send_at_once(database: str, kafka: str, topic: str) -> None:
    ticket = uuid4()
    async with (
        made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as one,
        made(database, service=SERVICE, kafka_bootstrap_servers=kafka) as two,
        relaying(one),
        relaying(two),
    ):
        for n in range(100):
            async with (one if n % 2 else two).running.transaction([str(ticket)]) as tx:
                tx.publish(Booked(ticket_id=ticket, amount=n))
        await eventually(lambda: _empty(one))
    assert [int(headers["ce_sequence"]) for _, _, headers in await read(kafka, topic)] == list(range(1, 101))
