"""The review queue over HTTP: order, claims, decisions, and two reviewers who want the same ticket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from libs.shared.contracts.classification import HighRiskFound, TicketClassified
from services.classification import store
from services.classification.current import current
from tests.integration.classification.conftest import received
from tests.running import Harness

Json = dict[str, Any]


@asynccontextmanager
async def reviewers(h: Harness) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    async with h.client("reviewer-li", "review") as li, h.client("reviewer-wu", "review") as wu:
        yield li, wu


async def post(
    client: httpx.AsyncClient, path: str, body: Json | None = None, key: str | None = None
) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key or uuid4().hex})


async def waiting(h: Harness, text: str = "能不能快点", **fields: Any) -> UUID:
    heard = received(text, **fields)
    await h.hear(heard)
    return heard.ticket_id


async def test_queue_has_the_next_due_first_page_by_page(classification: Harness) -> None:
    calm = [await waiting(classification) for _ in range(2)]
    regulator = await waiting(classification, channel="12398")
    urgent = [await waiting(classification, "家里有人手术") for _ in range(2)]
    await classification.rows(
        "UPDATE review SET due_at = now() - interval '1 s' WHERE ticket_id = :id RETURNING 1", id=calm[1]
    )
    async with classification.client("reviewer-li", "review") as http:
        seen: list[Json] = []
        after: str | None = None
        for _ in range(3):
            page = (await http.get("/v1/reviews", params={"limit": 2} | ({"after": after} if after else {}))).json()
            seen += page["items"]
            after = page["next"]
    assert after is None
    assert [UUID(item["ticket_id"]) for item in seen] == [calm[1], *urgent, regulator, calm[0]]
    assert [item["urgency"] for item in seen] == ["normal", "urgent", "urgent", "normal", "normal"]
    assert [item["overdue"] for item in seen] == [True] + [False] * 4
    assert all(len(item["candidates"]) == 5 for item in seen)


async def test_decision_is_said_like_any_classification_and_is_training_data(classification: Harness) -> None:
    ticket_id = await waiting(classification, title="补充")
    async with reviewers(classification) as (li, _):
        detail = (await li.get(f"/v1/reviews/{ticket_id}")).json()
        assert detail["ticket"]["text"] == "能不能快点"
        body = {"situation": "D03-2", "note": "问进度"}
        answer = await post(li, f"/v1/reviews/{ticket_id}/decide", body)
        assert answer.status_code == 200
        assert answer.json()["situation"]["code"] == "D03-2"
        assert (await li.get("/v1/reviews")).json()["items"] == []
        kept = (await li.get(f"/v1/tickets/{ticket_id}/classification")).json()
    [said] = await classification.said()
    assert isinstance(said, TicketClassified)
    assert (said.ticket_id, said.decided_by, said.probability) == (ticket_id, "reviewer-li", 1.0)
    assert (said.situation.code, said.lead_department.code, said.model_version) == ("D03-2", "marketing", None)
    assert said.ticket.title == "补充"
    assert (kept["state"], kept["decided_by"], kept["probability"]) == ("classified", "reviewer-li", 1.0)
    [row] = await store.review.learnable(classification.running)
    assert (row.title, row.text, row.situation) == ("补充", "能不能快点", "D03-2")


async def test_reviewer_may_set_business_type_and_urgency(classification: Harness) -> None:
    ticket_id = await waiting(classification)
    async with reviewers(classification) as (li, _):
        body = {"situation": "D03-2", "business_type": "complaint", "urgency": "urgent"}
        await post(li, f"/v1/reviews/{ticket_id}/decide", body)
    [said] = await classification.said()
    assert isinstance(said, TicketClassified)
    assert (said.business_type, said.urgency) == ("complaint", "urgent")


@pytest.mark.parametrize("many", [False, True])
async def test_high_risk_is_said_once_whether_it_was_high_before_the_decision_or_is_by_it(
    classification: Harness, many: bool
) -> None:
    events = [
        received("能不能快点，不然我找记者"),
        received("能不能快点，非常生气", customer={"customer_id": "c9", "sensitive": True}),
    ]
    said = await classification.hear(*events)
    before, by_it = (each.ticket_id for each in events)
    assert [each.ticket_id for each in said if isinstance(each, HighRiskFound)] == [before]
    async with reviewers(classification) as (reviewer, _):
        for each in (before, by_it):
            body = {"situation": "C04-1", "business_type": "complaint"}
            path = "/v1/reviews/decide" if many else f"/v1/reviews/{each}/decide"
            answer = await post(reviewer, path, {**body, **({"tickets": [str(each)]} if many else {})})
            assert answer.status_code == 200, answer.text
    found = [each for each in await classification.said() if isinstance(each, HighRiskFound)]
    assert [(each.ticket_id, each.supervisor) for each in found] == [(by_it, "deputy-production")]


async def test_claimed_ticket_is_kept_from_others_until_released(classification: Harness) -> None:
    ticket_id = await waiting(classification)
    path = f"/v1/reviews/{ticket_id}"
    async with reviewers(classification) as (li, wu):
        claimed = await post(li, f"{path}/claim", {"seconds": 60})
        assert (claimed.status_code, claimed.json()["claimed_by"]) == (200, "reviewer-li")
        assert (await post(li, f"{path}/claim", {})).status_code == 200
        for answer in (
            await post(wu, f"{path}/claim", {}),
            await post(wu, f"{path}/decide", {"situation": "D03-2"}),
            await post(wu, f"{path}/release"),
        ):
            assert answer.status_code == 409
            assert answer.json()["claimed_by"] == "reviewer-li"
            assert answer.json()["claimed_until"]
        assert (await wu.get("/v1/reviews")).json()["items"][0]["claimed_by"] == "reviewer-li"
        assert (await post(li, f"{path}/release")).json()["claimed_by"] is None
        assert (await post(wu, f"{path}/decide", {"situation": "D03-2"})).status_code == 200
        late = await post(li, f"{path}/decide", {"situation": "E02-1"})
    assert late.status_code == 409
    assert (late.json()["decided_by"], late.json()["situation"]) == ("reviewer-wu", "D03-2")


async def test_claim_that_has_run_out_binds_nobody(classification: Harness) -> None:
    ticket_id = await waiting(classification)
    async with reviewers(classification) as (li, wu):
        await post(li, f"/v1/reviews/{ticket_id}/claim", {})
        await classification.rows("UPDATE review SET claimed_until = now() - interval '1 s' RETURNING 1")
        assert (await wu.get(f"/v1/reviews/{ticket_id}")).json()["claimed_by"] is None
        assert (await post(wu, f"/v1/reviews/{ticket_id}/claim", {})).json()["claimed_by"] == "reviewer-wu"


async def test_of_two_reviewers_who_decide_at_once_one_is_refused(classification: Harness) -> None:
    ticket_id = await waiting(classification)
    async with reviewers(classification) as (li, wu):
        answers = await asyncio.gather(
            post(li, f"/v1/reviews/{ticket_id}/decide", {"situation": "D03-2"}),
            post(wu, f"/v1/reviews/{ticket_id}/decide", {"situation": "E02-1"}),
        )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await classification.said()) == 1
    assert len(await classification.rows("SELECT 1 FROM decision")) == 1


async def test_repeated_request_is_answered_as_before_and_said_once(classification: Harness) -> None:
    ticket_id = await waiting(classification)
    async with reviewers(classification) as (li, _):
        first = await post(li, f"/v1/reviews/{ticket_id}/decide", {"situation": "D03-2"}, key="once")
        again = await post(li, f"/v1/reviews/{ticket_id}/decide", {"situation": "D03-2"}, key="once")
        other = await post(li, f"/v1/reviews/{ticket_id}/decide", {"situation": "E02-1"}, key="once")
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 422)
    assert first.json() == again.json()
    assert len(await classification.said()) == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("decide", {"situation": "Z99"}, 422, "situation"),
        ("decide", {}, 422, "situation"),
        ("decide", {"situation": "D03-2", "departement": "x"}, 422, "departement"),
        ("decide", {"situation": "D03-2", "urgency": "later"}, 422, "urgency"),
        ("decide", {"situation": "D03-2", "note": "n" * 2001}, 422, "note"),
        ("claim", {"seconds": 5}, 422, "seconds"),
        ("claim", {"seconds": "long"}, 422, "seconds"),
    ],
)
async def test_bad_input_is_refused_with_the_field_named(
    classification: Harness, path: str, body: Json, status: int, field: str
) -> None:
    ticket_id = await waiting(classification)
    async with reviewers(classification) as (li, _):
        answer = await post(li, f"/v1/reviews/{ticket_id}/{path}", body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert len(await classification.rows("SELECT 1 FROM review")) == 1


async def test_what_is_missing_or_not_allowed_is_said(classification: Harness) -> None:
    await current(classification.running).refresh()
    nowhere = f"/v1/reviews/{uuid4()}"
    async with reviewers(classification) as (li, _), classification.client("a1", "agent") as agent:
        assert (await li.get(nowhere)).status_code == 404
        assert (await post(li, f"{nowhere}/claim", {})).status_code == 404
        assert (await post(li, f"{nowhere}/decide", {"situation": "D03-2"})).status_code == 404
        assert (await li.get("/v1/reviews", params={"after": "???"})).status_code == 422
        assert (await li.get("/v1/reviews", params={"limit": 0})).status_code == 422
        assert (await li.post(f"{nowhere}/release")).status_code == 400
        assert (await agent.get("/v1/reviews")).status_code == 403
        assert (await post(agent, f"{nowhere}/decide", {"situation": "D03-2"})).status_code == 403
        agent.headers.pop("authorization")
        assert (await agent.get("/v1/reviews")).status_code == 401
