"""Reviews many at a time: what is alike, decisions of hundreds in one transaction, and figures of their speed."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from libs.shared.contracts.classification import TicketClassified
from services.classification import figure, review, store
from services.classification.current import current
from tests.integration.classification.conftest import received
from tests.integration.classification.test_review import post, reviewers
from tests.running import Harness, eventually

RAIN = "昨天下雨以后门口那个箱子一直嗡嗡响，晚上睡不着，麻烦来人看看，{}号门口"


async def queued(h: Harness, *texts: str, **fields: Any) -> list[UUID]:
    """Tickets that wait, all heard in one batch."""
    heard = [received(text, **fields) for text in texts]
    await h.hear(*heard)
    found = {row.ticket_id for row in await h.rows("SELECT ticket_id FROM review")}
    assert {each.ticket_id for each in heard} <= found, "the texts of this test must be unclear"
    return [each.ticket_id for each in heard]


async def test_alike_tickets_are_shown_as_a_cluster_and_decided_together(classification: Harness) -> None:
    alike = sorted(await queued(classification, *(RAIN.format(number) for number in range(1, 5))))  # due together
    alone = await queued(classification, "能不能快点")
    async with reviewers(classification) as (li, wu):
        await post(wu, f"/v1/reviews/{alike[1]}/claim", {})
        page = (await li.get("/v1/reviews/clusters")).json()
        assert page["looked_at"] == 5
        [found] = page["items"]
        assert (found["size"], found["claimed"], found["tickets"]) == (4, 1, [str(each) for each in alike])
        assert found["example_text"].startswith("昨天下雨")
        assert len(found["candidates"]) == 3
        assert found["candidates"][0]["probability"] >= found["candidates"][1]["probability"]
        body = {"tickets": found["tickets"], "situation": "A03-1", "urgency": "urgent", "note": "同一台箱变"}
        answer = await post(li, "/v1/reviews/decide", body, key="once")
        again = await post(li, "/v1/reviews/decide", body, key="once")
        left = (await li.get("/v1/reviews")).json()["items"]
    assert (answer.status_code, answer.json()["decided"], answer.json()["left"]) == (207, 3, 1)
    assert again.json() == answer.json()
    results = answer.json()["results"]
    assert [each["outcome"] for each in results] == ["decided", "claimed", "decided", "decided"]
    assert (results[1]["by"], results[1]["ticket_id"]) == ("reviewer-wu", str(alike[1]))
    assert {UUID(each["ticket_id"]) for each in left} == {alike[1], *alone}
    said = await classification.said()
    assert [each.key for each in said] == [str(alike[place]) for place in (0, 2, 3)]
    for each in said:
        assert isinstance(each, TicketClassified)
        assert (each.situation.code, each.decided_by, each.urgency) == ("A03-1", "reviewer-li", "urgent")
        assert each.ticket.text.startswith("昨天下雨")
    rows = await store.review.learnable(classification.running)
    assert {row.text for row in rows} < {RAIN.format(number) for number in range(1, 5)}
    assert len(rows) == 3
    kept = await classification.rows("SELECT * FROM ticket WHERE state = 'classified'")
    assert {(row.situation, row.decided_by, row.urgency) for row in kept} == {("A03-1", "reviewer-li", "urgent")}


async def test_what_was_decided_or_never_came_is_said_of_each(classification: Harness) -> None:
    first, second, third = await queued(classification, "能不能快点", "你好", "在吗")
    nowhere = uuid4()
    async with reviewers(classification) as (li, wu):
        await post(wu, f"/v1/reviews/{first}/decide", {"situation": "D03-2"})
        await post(wu, f"/v1/reviews/{third}/split", {"parts": [{"text": "在"}, {"text": "吗"}]})
        ids = [str(each) for each in (first, second, third, nowhere, second)]
        answer = await post(li, "/v1/reviews/decide", {"tickets": ids, "situation": "A03-1"})
    results = answer.json()["results"]
    assert answer.status_code == 207
    assert [each["outcome"] for each in results] == ["decided_before", "decided", "split_before", "unknown"]
    assert (results[0]["by"], results[0]["situation"]) == ("reviewer-wu", "D03-2")
    assert datetime.fromisoformat(results[0]["at"]) <= datetime.now(UTC)
    assert results[2]["by"] == "reviewer-wu"


async def test_an_own_claim_is_no_hindrance(classification: Harness) -> None:
    [ticket_id] = await queued(classification, "能不能快点")
    async with reviewers(classification) as (li, _):
        await post(li, f"/v1/reviews/{ticket_id}/claim", {})
        answer = await post(li, "/v1/reviews/decide", {"tickets": [str(ticket_id)], "situation": "A03-1"})
    assert (answer.status_code, answer.json()["decided"]) == (200, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tickets": [], "situation": "A03-1"}, "tickets"),
        ({"tickets": [str(uuid4())] * 501, "situation": "A03-1"}, "tickets"),
        ({"tickets": ["x"], "situation": "A03-1"}, "tickets.0"),
        ({"tickets": [str(uuid4())], "situation": "Z99"}, "situation"),
        ({"tickets": [str(uuid4())]}, "situation"),
        ({"tickets": [str(uuid4())], "situation": "A03-1", "note": "a\u0000"}, "note"),
    ],
)
async def test_bad_input_is_refused_with_the_field_named(
    classification: Harness, body: dict[str, Any], field: str
) -> None:
    await current(classification.running).refresh()
    async with reviewers(classification) as (li, _):
        answer = await post(li, "/v1/reviews/decide", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_two_reviewers_race_in_every_way_and_each_ticket_is_decided_once(classification: Harness) -> None:
    ids = [str(each) for each in await queued(classification, *(f"你好{number}" for number in range(60)))]
    async with reviewers(classification) as (li, wu):
        calls = []
        for who, situation, order in ((li, "D03-2", 1), (wu, "A03-1", -1)):
            calls += [
                post(who, "/v1/reviews/decide", {"tickets": ids[n : n + 30][::order], "situation": situation})
                for n in (0, 15, 30)
            ]
            calls += [post(who, f"/v1/reviews/{each}/decide", {"situation": situation}) for each in ids[::7]]
            calls += [post(who, f"/v1/reviews/{each}/claim", {}) for each in ids[::11]]
        answers = await asyncio.gather(*calls)
        assert {answer.status_code for answer in answers} <= {200, 207, 409}
        for who in (li, wu):  # what was left because somebody had claimed it
            for each in ids:
                await post(who, f"/v1/reviews/{each}/decide", {"situation": "D03-2"})
    said = await classification.said()
    assert sorted(each.key for each in said) == sorted(ids)
    decided = {str(row.ticket_id): row for row in await classification.rows("SELECT * FROM decision")}
    assert decided.keys() == set(ids)
    for event_ in said:
        assert isinstance(event_, TicketClassified)
        row = decided[event_.key]
        assert (event_.situation.code, event_.decided_by) == (row.situation, row.by)
    assert not await classification.rows("SELECT 1 FROM review")


async def test_transactions_that_decide_crosswise_wait_for_each_other(classification: Harness) -> None:
    """As two processes would: each has its own flusher, and both want all tickets."""
    ids = await queued(classification, *(f"你好{number}" for number in range(40)))
    now = await current(classification.running).in_force()

    async def decide(order: list[UUID], by: str) -> int:
        word = review.Word(by, "A03-1", None, None, None, now.matrix)
        async with classification.running.transaction(map(str, order)) as tx:
            answer = await review.decide_many(review.DecideMany(tuple(order), word), tx)
        return int(answer.body["decided"])

    decided = await asyncio.gather(*(decide(ids[::step], f"r{step}") for step in (1, -1) for _ in range(4)))
    assert sorted(decided) == [0] * 7 + [40]
    assert len(await classification.said()) == 40


async def test_a_crash_leaves_all_of_a_decision_or_nothing(classification: Harness) -> None:
    ids = await queued(classification, "你好1", "你好2")
    now = await current(classification.running).in_force()
    word = review.Word("r", "A03-1", None, None, None, now.matrix)

    async def cut_off() -> None:
        async with classification.running.transaction(map(str, ids)) as tx:
            await review.decide_many(review.DecideMany(tuple(ids), word), tx)
            await tx.flush()
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        await cut_off()
    assert len(await classification.rows("SELECT 1 FROM review")) == 2
    assert not await classification.rows("SELECT 1 FROM decision")
    assert await classification.said() == []


async def test_statements_of_a_decision_do_not_grow_with_it(classification: Harness) -> None:
    counts = []
    async with reviewers(classification) as (li, _):
        for size in (2, 40):
            ids = await queued(classification, *(f"你好{number}" for number in range(size)))
            statements: list[str] = []
            listener = partial(_note, statements)
            event.listen(classification.running.engine.sync_engine, "before_cursor_execute", listener)
            answer = await post(li, "/v1/reviews/decide", {"tickets": [str(e) for e in ids], "situation": "A03-1"})
            event.remove(classification.running.engine.sync_engine, "before_cursor_execute", listener)
            assert answer.json()["decided"] == size
            counts.append(len(statements))
    assert counts[0] >= counts[1]  # the first one looks its key up, too


async def test_figures_are_of_all_and_of_oneself_and_by_reviewer_for_supervisors(classification: Harness) -> None:
    ids = await queued(classification, *(f"你好{number}" for number in range(6)))
    async with reviewers(classification) as (li, wu), classification.client("chief", "supervise") as chief:
        for each in ids[:3]:
            await post(li, f"/v1/reviews/{each}/claim", {})
        await classification.rows(
            "UPDATE review SET opened_at = now() - interval '100 s', claimed_at = now() - interval '10 s' RETURNING 1"
        )
        await post(li, "/v1/reviews/decide", {"tickets": [str(each) for each in ids[:3]], "situation": "A03-1"})
        await post(wu, f"/v1/reviews/{ids[3]}/decide", {"situation": "A03-1"})
        await classification.rows("UPDATE review SET due_at = now() WHERE ticket_id = :id RETURNING 1", id=ids[4])
        of_li, of_chief = [(await who.get("/v1/reviews/figures")).json() for who in (li, chief)]
        nothing = await chief.get("/v1/reviews/figures", params={"days": 0})
    assert nothing.status_code == 422
    assert (of_li["waiting"], of_li["overdue"], of_li["decided"]) == (2, 1, 4)
    assert 100 <= of_li["waited"]["median"] <= of_li["waited"]["p90"] < 200
    assert 10 <= of_li["deciding"]["median"] < 100
    assert list(of_li["reviewers"]) == ["reviewer-li"]
    assert {name: each["decided"] for name, each in of_chief["reviewers"].items()} == {
        "reviewer-li": 3,
        "reviewer-wu": 1,
    }
    assert of_chief["reviewers"]["reviewer-wu"]["deciding"] is None
    assert await store.review.waiting(classification.running) == (2, 1)


async def test_figures_of_a_new_queue_are_empty(classification: Harness) -> None:
    async with reviewers(classification) as (li, _):
        found = (await li.get("/v1/reviews/figures", params={"days": 31})).json()
        assert (await li.get("/v1/reviews/clusters")).json() == {"looked_at": 0, "items": []}
    assert (found["waiting"], found["decided"], found["waited"], found["reviewers"]) == (0, 0, None, {})


async def test_dashboards_have_what_waits(classification: Harness) -> None:
    await queued(classification, "你好")
    watching = asyncio.create_task(figure.watch(classification.running))

    async def seen() -> bool:
        return [sample.value for metric in figure.WAITING.collect() for sample in metric.samples] == [1]

    await eventually(seen)
    classification.running.stopping.set()
    await watching


def _note(statements: list[str], _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    statements.append(statement)
