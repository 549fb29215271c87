"""One ticket split into several: said once, out of the queue, and each part what the reviewer said it is."""

import asyncio
from uuid import UUID

import pytest

from libs.shared.contracts.classification import ReviewRequested, TicketClassified, TicketSplit
from libs.shared.contracts.intake import TicketReceived
from services.classification import registry, store
from services.classification.current import current
from tests.integration.classification.conftest import received
from tests.integration.classification.test_review import Json, post, reviewers, waiting
from tests.running import Harness

TWO = {
    "parts": [
        {"title": "停电", "text": "家里突然没电了，请派人抢修", "situation": "C04-1"},
        {"text": "能不能快点"},
    ]
}


def part(said: TicketSplit, number: int) -> TicketReceived:
    """A part as intake registers it."""
    found = said.parts[number - 1]
    return received(found.text, title=found.title, ticket_id=found.ticket_id, split_from=said.ticket_id)


async def test_a_split_is_said_once_and_ends_the_review(classification: Harness) -> None:
    ticket_id = await waiting(classification, "停电了，另外能不能快点", title="两件事")
    async with reviewers(classification) as (li, wu):
        answer = await post(li, f"/v1/reviews/{ticket_id}/split", TWO | {"note": "两件事"}, key="once")
        again = await post(li, f"/v1/reviews/{ticket_id}/split", TWO | {"note": "两件事"}, key="once")
        late = await post(wu, f"/v1/reviews/{ticket_id}/decide", {"situation": "D03-2"})
        kept = (await li.get(f"/v1/tickets/{ticket_id}/classification")).json()
        assert (await li.get("/v1/reviews")).json()["items"] == []
    assert (answer.status_code, again.json()) == (200, answer.json())
    assert (late.status_code, late.json()["decided_by"], late.json()["situation"]) == (409, "reviewer-li", None)
    assert "split" in late.json()["detail"]
    [said] = await classification.said()
    assert isinstance(said, TicketSplit)
    assert (said.ticket_id, said.by) == (ticket_id, "reviewer-li")
    assert [(each.number, each.title, each.situation) for each in said.parts] == [
        (1, "停电", "C04-1"),
        (2, "两件事", None),
    ]
    assert [each["ticket_id"] for each in answer.json()["parts"]] == [str(each.ticket_id) for each in said.parts]
    assert (kept["state"], kept["decided_by"]) == ("split", "reviewer-li")


async def test_a_named_part_is_what_the_reviewer_said_and_the_other_is_found(classification: Harness) -> None:
    ticket_id = await waiting(classification, "停电了，另外能不能快点")
    async with reviewers(classification) as (li, _):
        await post(li, f"/v1/reviews/{ticket_id}/split", TWO)
    [split] = await classification.said()
    assert isinstance(split, TicketSplit)
    first, second = part(split, 1), part(split, 2)
    said = await classification.hear(first, second, received("家里突然没电了，电表不亮，请派人抢修"))
    assert [type(each) for each in said] == [TicketClassified, ReviewRequested, TicketClassified]
    assert isinstance(said[0], TicketClassified)
    assert (said[0].situation.code, said[0].decided_by, said[0].probability) == ("C04-1", "reviewer-li", 1.0)
    assert said[0].ticket.split_from == ticket_id
    assert await classification.hear(first) == []
    [row] = await store.review.learnable(classification.running)
    assert (row.text, row.situation) == ("家里突然没电了，请派人抢修", "C04-1")
    async with reviewers(classification) as (li, _):
        figures = (await li.get("/v1/reviews/figures")).json()
    assert (figures["decided"], figures["split"], figures["waiting"]) == (1, 1, 1)


async def test_a_named_part_keeps_the_matrix_of_its_decision(classification: Harness) -> None:
    ticket_id = await waiting(classification)
    before = (await current(classification.running).in_force()).matrix.version
    async with reviewers(classification) as (li, _):
        await post(li, f"/v1/reviews/{ticket_id}/split", TWO)
    [split] = await classification.said()
    assert isinstance(split, TicketSplit)
    await registry.load_matrix(classification.running, "telecom_10000", by="owner", reason="other")
    await current(classification.running).refresh()
    await classification.said()
    [said] = await classification.hear(part(split, 1))
    assert isinstance(said, TicketClassified)
    assert (said.matrix_version, said.situation.code) == (before, "C04-1")


async def test_of_a_split_and_a_decision_at_once_one_holds(classification: Harness) -> None:
    ids = [await waiting(classification, f"你好{number}") for number in range(10)]
    async with reviewers(classification) as (li, wu):
        answers = await asyncio.gather(
            *(post(li, f"/v1/reviews/{each}/split", TWO) for each in ids),
            *(post(wu, f"/v1/reviews/{each}/decide", {"situation": "D03-2"}) for each in ids),
            post(wu, "/v1/reviews/decide", {"tickets": [str(each) for each in ids], "situation": "D03-2"}),
        )
    assert {answer.status_code for answer in answers} <= {200, 207, 409}
    said = await classification.said()
    assert sorted(UUID(each.key) for each in said) == sorted(ids)
    assert not await classification.rows("SELECT 1 FROM review")


async def test_a_claimed_ticket_is_split_by_its_reviewer_alone(classification: Harness) -> None:
    ticket_id = await waiting(classification)
    async with reviewers(classification) as (li, wu):
        await post(wu, f"/v1/reviews/{ticket_id}/claim", {})
        refused = await post(li, f"/v1/reviews/{ticket_id}/split", TWO)
        assert (refused.status_code, refused.json()["claimed_by"]) == (409, "reviewer-wu")
        assert (await post(wu, f"/v1/reviews/{ticket_id}/split", TWO)).status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"parts": [{"text": "一件"}]}, ["parts"]),
        ({"parts": [{"text": "一件"}] * 11}, ["parts"]),
        ({"parts": [{"text": "一"}, {"text": ""}]}, ["parts.1.text"]),
        ({"parts": [{"text": "一"}, {"text": "二\u0000"}]}, ["parts.1.text"]),
        ({"parts": [{"text": "一", "title": "a\nb"}, {"text": "二"}]}, ["parts.0.title"]),
        ({"parts": [{"text": "一", "situation": "Z1"}, {"text": "二", "situation": "Z2"}]},
         ["parts.0.situation", "parts.1.situation"]),
        ({"parts": [{"text": "一"}, {"text": "打 138-1234 5678"}]}, ["parts.1.text"]),
    ],
)  # fmt: skip
async def test_bad_parts_are_refused_with_every_field_named(
    classification: Harness, body: Json, fields: list[str]
) -> None:
    ticket_id = await waiting(classification, "能不能快点，编号 20240001")
    async with reviewers(classification) as (li, _):
        answer = await post(li, f"/v1/reviews/{ticket_id}/split", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert len(await classification.rows("SELECT 1 FROM review")) == 1
    assert await classification.said() == []
