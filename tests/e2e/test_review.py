"""Below the threshold a person decides; two reviewers never decide one ticket twice."""

import asyncio
from uuid import UUID

import pytest

from libs.shared.contracts.classification import ReviewRequested, TicketClassified
from libs.shared.contracts.dispatch import TicketAnswered
from libs.shared.keep import born
from reconcile import Sources, reconcile
from tests.e2e.department import Departments
from tests.e2e.hand import notices, order_of, published, refused, solve, staged
from tests.e2e.zhida import Who, Zhida

FIRST, SECOND = Who("reviewer-1", ("review",)), Who("reviewer-2", ("review",))
VAGUE = ("咨询", "你们是做什么的？我想问一下。")
BUREAU = "district_bureau"


@pytest.fixture
async def waiting(zhida: Zhida) -> str:
    """A ticket that waits for a reviewer."""
    ticket_id = await published(zhida, *VAGUE, agent_id="A2003")
    [request] = await zhida.flow.until(ReviewRequested, ticket_id)
    assert request.candidates
    await staged(zhida, ticket_id, "in_review")
    return ticket_id


async def test_claimed_review_is_decided_by_its_reviewer_alone_and_the_ticket_goes_on(
    zhida: Zhida, departments: Departments, waiting: str
) -> None:
    await departments.open(BUREAU)
    assert await notices(zhida, FIRST, "review_requested", waiting)
    queue = (await zhida.insist(SECOND, "GET", "classification/v1/reviews?limit=500"))["items"]
    assert waiting in [each["ticket_id"] for each in queue]
    place = f"classification/v1/reviews/{waiting}"
    decision = {"situation": "A03-1", "note": "村里线路"}
    await zhida.insist(FIRST, "POST", f"{place}/claim", {})
    for name, body in (("claim", {}), ("decide", decision)):
        assert (await refused(zhida, SECOND, f"{place}/{name}", body, 409))["claimed_by"] == FIRST.principal
    await zhida.insist(FIRST, "POST", f"{place}/release", {})
    await zhida.insist(SECOND, "POST", f"{place}/claim", {})
    problem = await refused(zhida, SECOND, f"{place}/decide", {"situation": "no-such"}, 422)
    assert [each["field"] for each in problem["errors"]] == ["situation"]
    await zhida.insist(SECOND, "POST", f"{place}/decide", decision)
    late = await refused(zhida, FIRST, f"{place}/decide", {"situation": "A04-1"}, 409)
    assert (late["decided_by"], late["situation"]) == (SECOND.principal, "A03-1")

    [classified] = await zhida.flow.until(TicketClassified, waiting)
    assert (classified.situation.code, classified.decided_by) == ("A03-1", SECOND.principal)
    await solve(zhida, BUREAU, await order_of(departments, BUREAU, waiting), "已列入计划。")
    await zhida.flow.until(TicketAnswered, waiting)
    assert {"in_review", "classified", "answered"} <= set((await staged(zhida, waiting, "told"))["reached"])


async def test_of_two_decisions_at_once_one_holds(zhida: Zhida, departments: Departments, waiting: str) -> None:
    await departments.open(BUREAU)
    place = f"classification/v1/reviews/{waiting}/decide"
    answers = await asyncio.gather(
        *(zhida.ask(who, "POST", place, {"situation": "A03-1"}) for who in (FIRST, SECOND) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    order = await order_of(departments, BUREAU, waiting)
    await solve(zhida, BUREAU, order, "已处理。")
    await zhida.flow.until(TicketAnswered, waiting)
    assert len(zhida.flow.all(TicketClassified, waiting)) == 1


async def test_a_ticket_that_holds_two_matters_goes_on_as_two(
    zhida: Zhida, departments: Departments, waiting: str
) -> None:
    await departments.open(BUREAU)
    since = born(UUID(waiting))
    parts = [
        {"title": "村里线路", "text": "线路太低", "situation": "A03-1"},
        {"text": "电压也不稳", "situation": "A03-1"},
    ]
    answer = await zhida.insist(FIRST, "POST", f"classification/v1/reviews/{waiting}/split", {"parts": parts})
    ids = [each["ticket_id"] for each in answer["parts"]]
    whole = await staged(zhida, waiting, "split")
    assert (whole["stage"], whole["parts"]) == ("split", ids)
    for ticket_id in ids:
        [classified] = await zhida.flow.until(TicketClassified, ticket_id)
        assert (classified.situation.code, classified.decided_by) == ("A03-1", FIRST.principal)
        await solve(zhida, BUREAU, await order_of(departments, BUREAU, ticket_id), "已处理。")
        await zhida.flow.until(TicketAnswered, ticket_id)
        assert (await staged(zhida, ticket_id, "told"))["agent_id"] == "A2003"
    assert zhida.flow.all(TicketClassified, waiting) == []
    backend = zhida.stack.backend
    sources = Sources.of(backend.owner_database_url, backend.kafka_bootstrap_servers, since=since)

    async def adds_up() -> bool:
        found = await reconcile(sources)
        return found.balances and found.counts["tickets"] == 3

    await zhida.until(adds_up, "the oracle has nothing to say of the ticket and its parts")
