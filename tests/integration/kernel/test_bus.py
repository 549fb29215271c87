"""Records in: nothing lost, nothing twice, nothing out of order, whatever the batch holds."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from libs.shared import replay
from libs.shared.bus import Bus
from libs.shared.db import Fenced, Halted, Poison, describe
from libs.shared.events import Envelope, uuid7
from tests.integration.kernel.conftest import Booked, Deposited, Withdrawn, deposit, made
from tests.running import TRACEPARENT, Harness


def a_ticket() -> UUID:
    return uuid7(datetime.now(UTC))


async def totals(h: Harness) -> dict[UUID, tuple[int, list[int]]]:
    return {row.ticket_id: (row.total, row.seen) for row in await h.rows("SELECT * FROM account")}


async def test_batch_becomes_effects_and_events_with_gapless_versions(h: Harness) -> None:
    one, two = a_ticket(), a_ticket()
    said = await h.hear(
        Deposited(ticket_id=one, amount=5),
        Withdrawn(ticket_id=one, amount=2),
        Deposited(ticket_id=two, amount=7),
        Deposited(ticket_id=one, amount=1),
    )
    assert await totals(h) == {one: (4, [5, -2, 1]), two: (7, [7])}
    assert [(e.key, e.amount, e.envelope.version) for e in said if isinstance(e, Booked) and e.ticket_id == one] == [
        (str(one), 5, 1),
        (str(one), -2, 2),
        (str(one), 1, 3),
    ]
    later = await h.hear(Deposited(ticket_id=one, amount=9))
    assert later[0].envelope.version == 4
    assert later[0].envelope.traceparent == TRACEPARENT


async def test_redelivered_event_is_dropped(h: Harness) -> None:
    event = Deposited(ticket_id=a_ticket(), amount=5)
    now = datetime.now(UTC)
    event.enveloped(Envelope(uuid7(now), "test", now, 1, TRACEPARENT))
    assert len(await h.hear(event, event)) == 1
    assert await h.hear(event) == []
    assert (await totals(h))[event.ticket_id][0] == 5


async def test_unknown_type_is_skipped_and_the_fence_follows_with_what_is_heard_next(h: Harness) -> None:
    unheard = [h.raw("zhida.tickets.v1", b"k", b"not json", {"ce_type": b"zhida.Unheard.v1"}, 6)]
    unheard.append(h.raw("zhida.clocks.v1", b"k", b"{}", {"ce_type": b"zhida.Unheard.v1"}, 3))
    await h.take(unheard)
    assert h.positions == {("zhida.tickets.v1", 0): 7, ("zhida.clocks.v1", 0): 4}
    assert await fences(h) == {"zhida.tickets.v1": 0, "zhida.clocks.v1": 0}
    await h.take([h.record(Deposited(ticket_id=a_ticket(), amount=1), offset=7)])
    assert await fences(h) == {"zhida.tickets.v1": 8, "zhida.clocks.v1": 4}
    assert await h.rows("SELECT * FROM dead") == []


async def test_zombie_that_only_skipped_finds_the_fence_moved_when_it_follows(h: Harness) -> None:
    await h.take([h.raw("zhida.tickets.v1", b"k", b"{}", {"ce_type": b"zhida.Unheard.v1"})])
    other = Bus(h.running)
    await other.take([h.record(Deposited(ticket_id=a_ticket(), amount=1), offset=0)], {("zhida.tickets.v1", 0): 0})
    with pytest.raises(Fenced):
        await h.bus.settle(h.positions)
    assert await fences(h) == {"zhida.tickets.v1": 1}


async def test_time_outside_transactions_is_the_databases_and_not_this_machines(h: Harness) -> None:
    h.running.set_clock(datetime(2020, 1, 1, tzinfo=UTC))
    assert h.running.now().year == 2020
    async with h.running.transaction() as tx:
        assert abs(h.running.now() - tx.now) < timedelta(seconds=5)


async def fences(h: Harness) -> dict[str, int]:
    return {row.topic: row.next_offset for row in await h.rows("SELECT topic, next_offset FROM fence")}


async def test_zombie_with_an_old_position_changes_nothing(h: Harness) -> None:
    ticket = a_ticket()
    await h.take([h.record(Deposited(ticket_id=ticket, amount=1), offset=0)])
    zombie = {("zhida.tickets.v1", 0): 0}
    with pytest.raises(Fenced):
        await h.bus.take([h.record(Deposited(ticket_id=ticket, amount=1), offset=0)], zombie)
    assert (await totals(h))[ticket][0] == 1


async def test_poison_is_buried_its_ticket_parked_and_others_flow(h: Harness) -> None:
    sick, well = a_ticket(), a_ticket()
    await h.hear(
        Deposited(ticket_id=well, amount=1),
        Deposited(ticket_id=sick, amount=666),
        Deposited(ticket_id=well, amount=2),
        Withdrawn(ticket_id=sick, amount=3),
    )
    await h.hear(Deposited(ticket_id=sick, amount=4), Deposited(ticket_id=well, amount=3))
    assert await totals(h) == {well: (6, [1, 2, 3])}
    dead = await h.rows("SELECT type, error FROM dead ORDER BY id")
    assert [row.type for row in dead] == ["zhida.Deposited.v1", "zhida.Withdrawn.v1", "zhida.Deposited.v1"]
    assert dead[0].error == "Poison: 666 cannot be booked"
    assert [row.error for row in dead[1:]] == [None, None]
    assert (await h.rows("SELECT key, count FROM parked_key"))[0] == (str(sick), 3)


async def test_database_refusing_a_value_is_poison(h: Harness) -> None:
    await h.hear(Deposited(ticket_id=a_ticket(), amount=667))
    [row] = await h.rows("SELECT error FROM dead")
    assert row.error.startswith("DBAPIError: ")


async def test_errors_in_logs_say_what_and_where_but_no_values(h: Harness) -> None:
    ticket = a_ticket()
    with pytest.raises(DBAPIError) as caught:
        async with h.running.transaction() as tx:
            await deposit([Deposited(ticket_id=ticket, amount=667)], tx)
    assert str(2**70)[:9] in str(caught.value)
    assert describe(caught.value).startswith("DataError (SQLSTATE 22000) in ")
    assert str(2**70)[:9] not in describe(caught.value)


async def test_broken_contract_is_buried_without_its_values(h: Harness) -> None:
    ticket = a_ticket()
    good = h.record(Deposited(ticket_id=ticket, amount=1))
    bad = h.raw(good.topic, good.key, b'{"ticket_id": "%s", "amount": "secret"}' % str(ticket).encode(), good.headers)
    after = h.record(Deposited(ticket_id=ticket, amount=2))
    await h.take([good, bad, after])
    assert (await totals(h))[ticket] == (1, [1])
    buried, parked = await h.rows("SELECT error FROM dead ORDER BY id")
    assert "amount: " in buried.error
    assert "secret" not in buried.error
    assert parked.error is None


async def test_record_without_key_is_buried_alone(h: Harness) -> None:
    headers = {"ce_type": b"zhida.Deposited.v1"}
    await h.take([h.raw("zhida.tickets.v1", None, None, headers), h.raw("zhida.tickets.v1", None, b"\xff", headers)])
    assert [row.key for row in await h.rows("SELECT key FROM dead")] == [None, None]
    assert await h.rows("SELECT * FROM parked_key") == []


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (b"a\x00b", {}),
        (bytes(range(1, 256)) * 40, {}),
        ("计".encode() * 3000, {}),
        (b"k", {"ce_id": b"\x00\xff"}),
        (b"k", {"a\x00b": b"\x00"}),
    ],
    ids=["NUL in the key", "long key of any bytes", "long key", "NUL in a header", "NUL in a header's name"],
)
async def test_record_that_no_column_could_hold_is_buried_and_the_partition_goes_on(
    h: Harness, key: bytes, headers: dict[str, bytes]
) -> None:
    ticket = a_ticket()
    good = h.record(Deposited(ticket_id=ticket, amount=1))
    bad = h.raw(good.topic, key, b"{}", {**good.headers, **headers})
    await h.take([good, bad])
    await h.take(
        [h.raw(good.topic, key, b"{}", {**good.headers, **headers}), h.record(Deposited(ticket_id=ticket, amount=2))]
    )
    assert (await totals(h))[ticket] == (3, [1, 2])
    first, second = await h.rows("SELECT key, error FROM dead ORDER BY id")
    assert (first.key, len(first.key) <= 200) == (second.key, True)
    with pytest.raises(Poison, match="still fails"):
        await replay.replay(h.running, key=first.key)


async def test_replay_keeps_the_order_and_lets_the_ticket_flow_again(
    h: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = a_ticket()
    await h.hear(Deposited(ticket_id=ticket, amount=666), Withdrawn(ticket_id=ticket, amount=3))
    await h.hear(Deposited(ticket_id=ticket, amount=4))
    with pytest.raises(Poison, match="still fails"):
        await replay.replay(h.running, key=str(ticket))
    assert len(await h.rows("SELECT * FROM dead")) == 3
    [first] = await h.rows("SELECT id FROM dead ORDER BY id LIMIT 1")
    assert await replay.discard(h.running, first.id) == 2
    assert await totals(h) == {ticket: (1, [-3, 4])}
    assert await h.rows("SELECT * FROM dead") == []
    assert await h.rows("SELECT * FROM parked_key") == []
    await h.hear(Deposited(ticket_id=ticket, amount=5))
    assert (await totals(h))[ticket][1] == [-3, 4, 5]


async def test_redelivery_of_a_parked_event_is_dropped_after_its_replay(h: Harness) -> None:
    ticket = a_ticket()
    await h.hear(Deposited(ticket_id=ticket, amount=666))
    event = Deposited(ticket_id=ticket, amount=4)
    await h.hear(event)
    [first] = await h.rows("SELECT id FROM dead ORDER BY id LIMIT 1")
    await replay.discard(h.running, first.id)
    await h.hear(event)
    assert (await totals(h))[ticket] == (4, [4])


async def test_too_many_burials_stop_the_consumer_instead_of_emptying_the_topic(database: str) -> None:
    async with made(database, bury_limit=3) as h:
        events = [Deposited(ticket_id=a_ticket(), amount=666) for _ in range(10)]
        with pytest.raises(Halted, match="4 events in a row"):
            await h.hear(*events)
        assert len(await h.rows("SELECT * FROM dead")) == 3
        assert h.positions["zhida.tickets.v1", 0] == 4


async def test_too_many_parked_stop_the_consumer(database: str) -> None:
    async with made(database, park_limit=3) as h:
        ticket = a_ticket()
        await h.hear(Deposited(ticket_id=ticket, amount=666))
        with pytest.raises(Halted, match="wait behind"):
            await h.hear(*[Deposited(ticket_id=ticket, amount=n) for n in range(5)])


async def test_raw_topic_reaches_its_handler_whatever_the_bytes(h: Harness) -> None:
    await h.take([h.raw("probe.raw", None, b"\xff\x00", {}), h.raw("probe.raw", b"k", None, {})])
    assert [row.body for row in await h.rows("SELECT body FROM raw")] == [b"\xff\x00", None]


async def test_oversized_event_is_refused_at_its_source(h: Harness) -> None:
    class Huge(Booked):
        """A large one."""

        text: str

    with pytest.raises(ValueError, match="the limit is 524288"):
        async with h.running.transaction() as tx:
            tx.publish(Huge(ticket_id=a_ticket(), amount=1, text="x" * 600_000))
    assert await h.said() == []
