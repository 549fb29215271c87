"""Tickets in over HTTP: one, many, again, other, and wrong in every way."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from libs.shared.contracts.intake import TicketReceived
from tests.integration.intake.conftest import fields, post, ticket
from tests.running import Harness
from tests.unit.intake.test_submission import UNREADABLE, WRONG


async def test_one_ticket_is_received_and_said_once_masked(h: Harness, platform: httpx.AsyncClient) -> None:
    answer = await post(platform, ticket(external_ref="A-1"))
    assert answer.status_code == 202
    [event] = await h.said()
    assert isinstance(event, TicketReceived)
    assert answer.json() == {"ticket_id": str(event.ticket_id), "created": True}
    assert event.ticket.text == "2栋从前天晚上停电，联系电话138****5678，请尽快处理。"
    assert event.ticket.place.address == "幸福路1号2栋1301，联系人电话 0731-******78"
    assert event.ticket.opened_at == datetime(2024, 11, 20, 0, 30, tzinfo=UTC)
    assert event.ticket.customer.model_dump() == {"customer_id": "C-1", "star": 3, "sensitive": False}
    assert event.envelope.version == 1
    assert "张三" not in event.model_dump_json()


async def test_a_ticket_without_opened_at_was_opened_when_it_was_received(
    h: Harness, platform: httpx.AsyncClient
) -> None:
    body = ticket()
    del body["opened_at"]
    assert (await post(platform, body)).status_code == 202
    [event] = await h.said()
    assert isinstance(event, TicketReceived)
    assert event.ticket.opened_at == event.occurred_at


async def test_the_trace_of_a_request_goes_on_in_its_event(h: Harness, platform: httpx.AsyncClient) -> None:
    trace = "00-11111111111111111111111111111111-2222222222222222-01"
    platform.headers["traceparent"] = trace
    await post(platform, ticket())
    platform.headers["traceparent"] = "nonsense"
    await post(platform, ticket())
    first, second = await h.said()
    assert first.envelope.traceparent == trace
    assert len(second.envelope.traceparent) == 55


async def test_the_same_ticket_again_gives_the_same_id_and_says_nothing(
    h: Harness, platform: httpx.AsyncClient
) -> None:
    body = ticket()
    first = await post(platform, body)
    await h.said()
    again = await post(platform, body)
    assert again.status_code == 202
    assert again.json() == {"ticket_id": first.json()["ticket_id"], "created": False}
    less = {key: value for key, value in body.items() if key not in ("agent_id", "opened_at", "customer", "place")}
    assert (await post(platform, less)).json()["created"] is False
    assert await h.said() == []


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"title": "别的"}, ["title"]),
        ({"text": "2栋从前天晚上停电，联系电话13812349678，请尽快处理。"}, ["text"]),  # the same once masked
        ({"customer": {"name": "李四", "phone": "138 1234 5678"}}, ["customer.name"]),
        ({"customer": {"star": 5}}, ["customer.star"]),
        ({"place": {"address": "幸福路1号2栋1302"}}, ["place.address"]),
        ({"opened_at": "2024-11-20T08:30:01+08:00", "agent_id": "x"}, ["agent_id", "opened_at"]),
    ],
)
async def test_another_content_under_one_reference_is_a_conflict_that_names_the_fields(
    h: Harness, platform: httpx.AsyncClient, changes: dict[str, Any], differing: list[str]
) -> None:
    body = ticket()
    first = await post(platform, body)
    answer = await post(platform, body | changes)
    assert answer.status_code == 409
    assert fields(answer) == differing
    assert answer.json()["ticket_id"] == first.json()["ticket_id"]
    assert "李四" not in answer.text
    assert len(await h.said()) == 1


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_list_is_answered_item_by_item(h: Harness, platform: httpx.AsyncClient, wrapped: bool) -> None:
    known = ticket()
    await post(platform, known)
    await h.said()
    items = [
        ticket(external_ref="B-1"),
        known,
        known | {"title": "别的"},
        ticket(customer={"star": 9}),
        "nonsense",
        ticket(external_ref="B-1", title="同号"),
        ticket(external_ref="B-2"),
    ]
    answer = await post(platform, {"tickets": items} if wrapped else items)
    assert answer.status_code == 207
    body = answer.json()
    assert [result["status"] for result in body["results"]] == [202, 202, 409, 422, 422, 409, 202]
    assert [result.get("created") for result in body["results"]] == [True, False, None, None, None, None, True]
    assert (body["created"], body["existing"], body["refused"]) == (2, 1, 4)
    assert body["results"][2]["errors"][0]["field"] == "tickets.2.title"
    assert body["results"][3]["errors"] == [{"field": "tickets.3.customer.star", "reason": "must be at most 5"}]
    assert body["results"][4]["errors"] == [{"field": "tickets.4", "reason": "must be an object"}]
    assert {event.ticket.external_ref for event in await h.said() if isinstance(event, TicketReceived)} == {
        "B-1",
        "B-2",
    }


async def test_five_hundred_tickets_are_taken_in_few_statements(
    h: Harness, platform: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    from sqlalchemy import event

    event.listen(
        h.running.engine.sync_engine,
        "before_cursor_execute",
        lambda *args: statements.append(" ".join(args[2].split())),
    )
    answer = await post(platform, [ticket() for _ in range(500)])
    assert answer.status_code == 202
    assert answer.json()["created"] == 500
    writes = [statement for statement in statements if "api_key" not in statement]
    assert len(writes) <= 7, writes  # locks, stored answers, tickets, vault, outbox, answer, and one to spare
    assert len(await h.said()) == 500


async def test_many_platforms_with_the_same_tickets_in_other_orders_make_each_once(h: Harness) -> None:
    items = [ticket() for _ in range(40)]
    async with h.client("a", "publish") as one, h.client("b", "publish") as two:
        answers = await asyncio.gather(
            *(post(client, order) for client in (one, two) for order in (items, items[::-1], items[20:] + items[:20]))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert sum(answer.json()["created"] for answer in answers) == 40
    ids = [{r["external_ref"]: r["ticket_id"] for r in answer.json()["results"]} for answer in answers]
    assert all(each == ids[0] for each in ids)
    assert len(await h.said()) == 40


async def test_an_idempotency_key_replays_its_answer(h: Harness, platform: httpx.AsyncClient) -> None:
    body = ticket()
    first = await post(platform, body, "key-1")
    again = await post(platform, body, "key-1")
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(await h.said()) == 1


async def test_an_idempotency_key_with_another_body_is_refused(platform: httpx.AsyncClient) -> None:
    await post(platform, ticket(), "key-1")
    assert (await post(platform, ticket(), "key-1")).status_code == 422


async def test_a_request_without_idempotency_key_is_refused(shared: Harness, visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post("/v1/tickets", json=ticket())
    assert answer.status_code == 400
    assert fields(answer) == ["Idempotency-Key"]
    assert await shared.said() == []


@pytest.mark.parametrize(("scopes", "status"), [((), 401), (("agent",), 403), (("publish",), 202), (("admin",), 202)])
async def test_only_a_publisher_may_hand_tickets_in(h: Harness, scopes: tuple[str, ...], status: int) -> None:
    async with h.client("someone", *(scopes or ("agent",))) as client:
        if not scopes:
            client.headers["Authorization"] = "Bearer zh0.nothing"
        assert (await post(client, ticket())).status_code == status


@pytest.mark.parametrize(("changes", "named"), WRONG)
async def test_a_wrong_field_is_named(
    shared: Harness, visitor: httpx.AsyncClient, changes: dict[str, Any], named: list[str]
) -> None:
    answer = await post(visitor, ticket(**changes))
    assert answer.status_code == 422
    assert fields(answer) == named
    assert await shared.said() == []


@pytest.mark.parametrize("name", ["channel", "external_ref", "title", "text"])
async def test_a_missing_field_is_named(visitor: httpx.AsyncClient, name: str) -> None:
    body = ticket()
    del body[name]
    answer = await post(visitor, body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": name, "reason": "is missing"}]


GOOD = json.dumps(ticket(), ensure_ascii=False).encode()


@pytest.mark.parametrize(("raw", "named"), UNREADABLE)
async def test_a_body_that_cannot_be_read_is_refused(
    shared: Harness, visitor: httpx.AsyncClient, raw: bytes, named: str
) -> None:
    answer = await post(visitor, raw)
    assert answer.status_code == 400
    assert fields(answer) == [named]
    assert await shared.said() == []


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"[]", "tickets"),
        (b'{"tickets": []}', "tickets"),
        (b'{"tickets": {}}', "tickets"),
        (b'{"tickets": [1], "more": 2}', "more"),
        (b"[" + b"{}," * 500 + b"{}]", "tickets"),
        (b"17", "body"),
        (b"null", "body"),
        (GOOD[:-1] + b', "agent_id": "\\ud800"}', "agent_id"),
        (GOOD[:-1] + b', "a\\u0000b": 1}', "a�b"),
        (GOOD[:-1] + b', "\\ud800": 1}', "body"),
        (GOOD[:-1] + b', "13812345678": 1}', "138****5678"),
    ],
)
async def test_a_body_of_another_shape_is_refused(visitor: httpx.AsyncClient, raw: bytes, named: str) -> None:
    raw = raw.replace(b'"agent_id": "agent-7", ', b"")
    answer = await post(visitor, raw)
    assert answer.status_code == 422
    assert fields(answer) == [named]


async def test_a_body_of_more_than_a_megabyte_is_refused(shared: Harness, visitor: httpx.AsyncClient) -> None:
    answer = await post(visitor, b'{"text": "' + b"x" * 1024 * 1024 + b'"}')
    assert answer.status_code == 413
    assert await shared.said() == []


async def test_a_large_list_is_read_in_a_thread_and_taken(h: Harness, platform: httpx.AsyncClient) -> None:
    answer = await post(platform, [ticket(text="停电" * 3000) for _ in range(40)])
    assert answer.status_code == 202
    assert len(await h.said()) == 40


async def test_wrong_fields_are_counted_by_name(visitor: httpx.AsyncClient) -> None:
    await post(visitor, ticket(customer={"star": 9}))
    await post(visitor, [ticket(invented=1)])
    metrics = (await visitor.get("/metrics")).text
    assert 'zhida_intake_rejected_total{field="customer.star",way="http"}' in metrics
    assert 'zhida_intake_rejected_total{field="other",way="http"}' in metrics
    assert "invented" not in metrics
