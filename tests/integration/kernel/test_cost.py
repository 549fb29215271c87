"""Counts, not seconds: what a batch costs in statements, and that the hot ones read no table whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import event, text

from libs.shared import relay
from tests.integration.kernel.conftest import Deposited
from tests.running import Harness


@contextmanager
def statements(h: Harness) -> Iterator[list[str]]:
    """What is executed meanwhile."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(h.running.engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(h.running.engine.sync_engine, "before_cursor_execute", note)


async def test_batch_of_any_size_costs_five_statements(h: Harness) -> None:
    await h.hear(Deposited(ticket_id=uuid4(), amount=1))
    for size in (1, 500):
        records = [h.record(Deposited(ticket_id=uuid4(), amount=1)) for _ in range(size)]
        with statements(h) as seen:
            await h.take(records)
        assert len(seen) == 5, seen  # fence, locks, inbox, the handler's own, outbox


async def test_batches_of_skipped_records_cost_nothing_until_the_fence_follows_in_one_statement(h: Harness) -> None:
    await h.hear(Deposited(ticket_id=uuid4(), amount=1))
    with statements(h) as seen:
        for _ in range(3):
            await h.take([h.raw("zhida.tickets.v1", b"k", b"{}", {"ce_type": b"zhida.Other.v1"}) for _ in range(500)])
        assert seen == []
        await h.bus.settle(h.positions)
        await h.bus.settle(h.positions)
    assert len(seen) == 1


async def test_relay_reads_a_long_outbox_by_its_key(h: Harness) -> None:
    await h.rows(
        "INSERT INTO outbox (event_id, topic, key, type, version, occurred_at, traceparent, body)"
        " SELECT gen_random_uuid(), 't', 'k', 'x', n, now(), '', '' FROM generate_series(1, 200000) AS n RETURNING 1"
    )
    plan = await h.running.read(text("EXPLAIN " + relay.PENDING.text), floor=150000, gaps=[3, 7])
    assert "Seq Scan" not in str(plan), plan
