"""Preview, matrix and classification over HTTP."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.classification.main import service
from tests.running import Harness, harness


@pytest.fixture(scope="module")
async def shared(module_database: str) -> AsyncIterator[Harness]:
    """The service for what changes nothing."""
    async with harness(service, module_database) as running:
        yield running


@pytest.fixture(scope="module")
async def agent(shared: Harness) -> AsyncIterator[httpx.AsyncClient]:
    """A front-line agent."""
    async with shared.client("agent-7", "agent") as client:
        yield client


async def test_preview_says_what_a_text_would_be_and_keeps_nothing(shared: Harness, agent: httpx.AsyncClient) -> None:
    body = {"title": "频繁停电", "text": "这个月停了五次电，我要投诉", "channel": "12398"}
    answer = await agent.post("/v1/classify", json=body)
    assert answer.status_code == 200
    found = answer.json()
    assert found["situation"]["code"] == "B04-1"
    assert found["lead_department"] == {"code": "production", "name": "生产设备管理部"}
    assert [each["name"] for each in found["executing_departments"]] == ["区县供电分局", "配网抢修中心"]
    assert (found["business_type"], found["risk"], found["review"]) == ("complaint", "high", False)
    assert "频繁停电" in found["words"]
    assert found["candidates"][0]["situation"]["code"] == "B04-1"
    assert 0.5 < found["probability"] <= 1
    assert not await shared.rows("SELECT 1 FROM ticket")


async def test_preview_of_an_unclear_text_says_that_a_person_would_be_asked(agent: httpx.AsyncClient) -> None:
    assert (await agent.post("/v1/classify", json={"text": "在吗"})).json()["review"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "停" * 20_001}, "text"),
        ({"text": 5}, "text"),
        ({"text": "停电", "title": "停" * 501}, "title"),
        ({"text": "停电", "channel": "fax"}, "channel"),
        ({"text": "停电", "business_type": "rant"}, "business_type"),
        ({"text": "停电", "txt": "停电"}, "txt"),
    ],
)
async def test_bad_preview_is_refused_with_the_field_named(
    agent: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await agent.post("/v1/classify", json=body)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"null"])
async def test_body_that_is_no_object_is_refused(agent: httpx.AsyncClient, content: bytes) -> None:
    answer = await agent.post("/v1/classify", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_matrix_in_force_is_shown_with_every_inherited_key(agent: httpx.AsyncClient) -> None:
    found = (await agent.get("/v1/matrix")).json()
    assert (found["pack"], len(found["departments"]), found["model_version"]) == ("power_95598", 13, None)
    assert len({situation["category"] for situation in found["situations"]}) == 54
    assert all(
        situation["lead"] and situation["executing"] and situation["supervisor"] and situation["phrases"]
        for situation in found["situations"]
    )


async def test_unknown_ticket_is_404(agent: httpx.AsyncClient) -> None:
    assert (await agent.get(f"/v1/tickets/{uuid4()}/classification")).status_code == 404
    assert (await agent.get("/v1/tickets/nonsense/classification")).status_code == 422


async def test_everything_asks_for_a_key(shared: Harness, agent: httpx.AsyncClient) -> None:
    transport = httpx.ASGITransport(shared.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://zhida") as nobody:
        assert (await nobody.get("/v1/matrix")).status_code == 401
        assert (await nobody.post("/v1/classify", json={"text": "停电"})).status_code == 401
