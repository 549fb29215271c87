"""Intake on an empty database, and tickets to hand in."""

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from libs.shared.events import INBOUND
from services.intake.main import service
from services.intake.vault import new_key
from tests.running import Harness, harness

Json = dict[str, Any]
_number = count(1)


def ticket(**changes: Any) -> Json:
    """A good ticket with a new reference; `changes` replace or add top-level fields."""
    return {
        "channel": "95598",
        "external_ref": f"T-{next(_number)}-{uuid4().hex[:6]}",
        "agent_id": "agent-7",
        "title": "小区停电两天",
        "text": "2栋从前天晚上停电，联系电话13812345678，请尽快处理。",
        "place": {"area_code": "430102", "address": "幸福路1号2栋1301，联系人电话 0731-82345678"},
        "customer": {"customer_id": "C-1", "name": "张三", "phone": "138 1234 5678", "star": 3},
        "opened_at": "2024-11-20T08:30:00+08:00",
        **changes,
    }


async def post(client: httpx.AsyncClient, body: Any, key: str | None = None) -> httpx.Response:
    """`POST /v1/tickets` with a new Idempotency-Key, or the one given; bytes go as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    headers = {"Idempotency-Key": key or uuid4().hex, "Content-Type": "application/json"}
    return await client.post("/v1/tickets", content=content, headers=headers)


async def inbound(h: Harness, *values: Any) -> None:
    """Records on the inbound topic, in one batch; bytes and None go as they are."""
    bodies = [v if isinstance(v, bytes | None) else json.dumps(v, ensure_ascii=False).encode() for v in values]
    await h.take([h.raw(INBOUND, None, body, {}) for body in bodies])


async def taken(client: httpx.AsyncClient, **changes: Any) -> UUID:
    """Hand a ticket in and give its id."""
    answer = await post(client, ticket(**changes))
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["ticket_id"])


def fields(answer: httpx.Response) -> list[str]:
    """The fields a problem names."""
    assert answer.headers["content-type"] == "application/problem+json"
    return [error["field"] for error in answer.json()["errors"]]


@pytest.fixture(scope="session")
def vault_key() -> str:
    """A key in base64."""
    return new_key()


@pytest.fixture
async def h(database: str, vault_key: str) -> AsyncIterator[Harness]:
    """Intake on an empty database."""
    async with harness(service, database, vault_key=vault_key) as harnessed:
        yield harnessed


@pytest.fixture
async def platform(h: Harness) -> AsyncIterator[httpx.AsyncClient]:
    """A call-centre platform's client."""
    async with h.client("call-centre", "publish") as client:
        yield client


@pytest.fixture(scope="module")
async def shared(module_database: str, vault_key: str) -> AsyncIterator[Harness]:
    """Intake on one database for a whole module: for what changes nothing."""
    async with harness(service, module_database, vault_key=vault_key) as harnessed:
        yield harnessed


@pytest.fixture(scope="module")
async def visitor(shared: Harness) -> AsyncIterator[httpx.AsyncClient]:
    """A call-centre platform's client of it."""
    async with shared.client("call-centre", "publish") as client:
        yield client
