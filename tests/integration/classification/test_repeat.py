"""Repeats on a real Postgres: found by customer, by place and by likeness, in one process or several, once."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy import event

from libs.shared import run
from libs.shared.bus import Bus
from libs.shared.contracts.classification import HighRiskFound, TicketClassified
from libs.shared.contracts.intake import TicketReceived
from libs.shared.events import Event, uuid7
from services.classification.main import service
from tests.integration.classification.conftest import received
from tests.running import Harness

NOW = datetime.now(UTC)
OUT = "家里突然没电了，电表不亮，请派人抢修"
STILL = "上次说家里没电了，电表还是不亮，请快点派人抢修"
BILL = "请问上个月电费怎么多了一百多元，是不是电表走得快"
PLACE = {"area_code": "320102001", "address": "梧桐里小区3号楼"}


def call(text: str, *, days_ago: float = 0, customer: str | None = None, **fields: Any) -> TicketReceived:
    """A ticket of that age."""
    if customer:
        fields["customer"] = {"customer_id": customer}
    return received(text, ticket_id=uuid7(NOW - timedelta(days=days_ago)), **fields)


def found(events: list[Event]) -> list[tuple[Any, int]]:
    return [(each.repeat_of, each.repeats) for each in events if isinstance(each, TicketClassified)]


async def test_similar_text_of_the_same_customer_within_the_window_is_a_repeat_and_counted(
    classification: Harness,
) -> None:
    calls = [call(text, customer="c1", days_ago=3 - n) for n, text in enumerate((OUT, STILL, OUT))]
    first, *_ = calls
    said = [found(await classification.hear(each)) for each in calls]
    assert said == [[(None, 0)], [(first.ticket_id, 1)], [(first.ticket_id, 2)]]
    rows = await classification.rows("SELECT repeat_of, repeats FROM ticket ORDER BY id")
    assert [(row.repeat_of, row.repeats) for row in rows] == [(None, 0), (first.ticket_id, 1), (first.ticket_id, 2)]


async def test_tickets_of_one_batch_see_each_other_and_those_before_it(classification: Harness) -> None:
    before = call(OUT, customer="c1", days_ago=2)
    await classification.hear(before)
    batch = [call(OUT, customer=who) for who in ("c2", "c1", "c2", "c1")]
    said = found(await classification.hear(*batch))
    assert said == [(None, 0), (before.ticket_id, 1), (batch[0].ticket_id, 1), (before.ticket_id, 2)]


async def test_other_matter_other_customer_and_long_ago_are_no_repeats(classification: Harness) -> None:
    await classification.hear(call(OUT, customer="c1", days_ago=40))
    await classification.hear(call(OUT, customer="c2", days_ago=2))
    said = await classification.hear(
        call(OUT, customer="c1"),
        call(BILL, customer="c2", business_type="inquiry"),
        call(OUT, customer="c3"),
        call(OUT),
    )
    assert set(found(said)) == {(None, 0)}


async def test_same_address_repeats_whoever_calls_and_same_area_only_with_nearly_the_same_words(
    classification: Harness,
) -> None:
    first = call(OUT, customer="c1", place=PLACE, days_ago=1)
    await classification.hear(first)
    area = {"area_code": PLACE["area_code"]}
    assert found(await classification.hear(call(STILL, customer="c2", place=PLACE))) == [(first.ticket_id, 1)]
    other = {**PLACE, "address": "清河湾花园8号楼"}
    assert found(await classification.hear(call(OUT, customer="c3", place=other))) == [(None, 0)]
    unknown = call(STILL, place=area)
    assert found(await classification.hear(unknown)) == [(None, 0)], "those before are known by customer and address"
    assert found(await classification.hear(call(STILL, customer="c4", place=area))) == [(unknown.ticket_id, 1)]
    assert found(await classification.hear(call(BILL, place=area))) == [(None, 0)], "another matter"


async def test_redelivered_ticket_counts_once(classification: Harness) -> None:
    first, second = call(OUT, customer="c1", days_ago=1), call(OUT, customer="c1")
    await classification.hear(first, second)
    assert await classification.hear(second) == []
    again = received(OUT, ticket_id=second.ticket_id, customer={"customer_id": "c1"})
    third = call(STILL, customer="c1")
    assert found(await classification.hear(again, third)) == [(first.ticket_id, 2)]


async def test_two_processes_that_read_one_customers_tickets_at_once_make_one_chain(classification: Harness) -> None:
    calls = [call(OUT, customer="c1", days_ago=1 - n / 100) for n in range(40)]
    async with run.started(service, classification.running.settings) as (running, app):
        other = Harness(running, app, Bus(running))
        await classification.hear(call(BILL))
        await asyncio.gather(*(_each(h, calls[n::2]) for n, h in enumerate((classification, other))))
    rows = await classification.rows(
        "SELECT id, repeat_of, repeats FROM ticket WHERE ticket->>'text' = :text", text=OUT
    )
    assert sorted(row.repeats for row in rows) == list(range(40))
    [first] = [row.id for row in rows if row.repeats == 0]
    assert {row.repeat_of for row in rows if row.repeats} == {first}


async def _each(h: Harness, calls: list[TicketReceived]) -> None:
    """One after the other, from a partition of this process's own."""
    for each in calls:
        record = h.record(each)
        await h.take([record._replace(topic=f"{record.topic}.{id(h)}")])


async def test_repeats_raise_the_grievance_risk(classification: Harness) -> None:
    said = await classification.hear(*(call(OUT, customer="c1", days_ago=1 - n / 10) for n in range(4)))
    assert [each.risk for each in said if isinstance(each, TicketClassified)] == ["normal"] * 3 + ["high"]
    [found] = [each for each in said if isinstance(each, HighRiskFound)]
    assert (found.supervisor, found.repeats) == ("deputy-production", 3)


async def test_reviewers_decision_says_what_the_ticket_repeats(classification: Harness) -> None:
    unclear = "能不能快点，上次说的事到现在没有消息"
    first, second = (call(unclear, customer="c1", days_ago=days) for days in (2, 1))
    await classification.hear(first, second)
    async with classification.client("r1", "review") as http:
        path = f"/v1/reviews/{second.ticket_id}/decide"
        await http.post(path, json={"situation": "C04-1"}, headers={"Idempotency-Key": uuid4().hex})
    assert found(await classification.said()) == [(first.ticket_id, 1)]


async def test_chain_is_read_page_by_page_from_any_of_its_tickets(classification: Harness) -> None:
    calls = [call(OUT, customer="c1", days_ago=1 - n / 10) for n in range(5)]
    alone = call(BILL, customer="c2")
    await classification.hear(*calls, alone)
    async with classification.client("a1", "agent") as http:
        shown = (await http.get(f"/v1/tickets/{calls[3].ticket_id}/classification")).json()
        assert (shown["repeat_of"], shown["repeats"]) == (str(calls[0].ticket_id), 3)
        for each in calls:
            seen, after = [], None
            while True:
                params = {"limit": "2"} | ({"after": after} if after else {})
                page = (await http.get(f"/v1/tickets/{each.ticket_id}/repeats", params=params)).json()
                seen += [item["ticket_id"] for item in page["items"]]
                after = page["next"]
                if after is None:
                    break
            assert seen == [str(one.ticket_id) for one in calls]
        page = (await http.get(f"/v1/tickets/{alone.ticket_id}/repeats")).json()
        assert [item["ticket_id"] for item in page["items"]] == [str(alone.ticket_id)]
        assert (await http.get(f"/v1/tickets/{uuid4()}/repeats")).status_code == 404
        assert (await http.get(f"/v1/tickets/{alone.ticket_id}/repeats", params={"after": "x"})).status_code == 422


async def test_repeats_cost_the_same_statements_whatever_the_batch(classification: Harness) -> None:
    await classification.hear(call(OUT, customer="c0"))
    counts = []
    for size in (5, 200):
        records = [classification.record(call(OUT, customer=f"c{n % 20}", place=PLACE)) for n in range(size)]
        statements: list[str] = []
        listener = partial(_note, statements)
        event.listen(classification.running.engine.sync_engine, "before_cursor_execute", listener)
        await classification.take(records)
        event.remove(classification.running.engine.sync_engine, "before_cursor_execute", listener)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def _note(statements: list[str], _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    statements.append(statement)
