"""A process that has no connection left says so: 503, to be tried again, and never 500."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from sqlalchemy.exc import SQLAlchemyError

from libs.shared import db
from tests.integration.kernel.conftest import Deposited
from tests.running import Harness

PATH = "/v1/accounts/{}/deposits"


async def test_whoever_finds_no_connection_is_asked_to_try_again(h: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h.running.engine.sync_engine.pool, "_timeout", 0.05)
    async with h.client("root", "admin") as known, h.client("a1", "agent") as unknown, AsyncExitStack() as stack:
        assert (await known.get("/v1/dead")).status_code == 200  # so its key is remembered, the other's is not
        for _ in range(h.running.settings.database_pool):
            await stack.enter_async_context(h.running.engine.connect())
        answers = [
            await known.get("/v1/dead"),
            await known.post("/v1/resume"),
            await known.post(PATH.format(uuid4()), json={"amount": 1}, headers={"Idempotency-Key": "1"}),
            await unknown.post(PATH.format(uuid4()), json={"amount": 1}, headers={"Idempotency-Key": "1"}),
        ]
        with pytest.raises(SQLAlchemyError) as error:
            await h.hear(Deposited(ticket_id=uuid4(), amount=1))
        assert not db.is_poison(error.value)
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 4


async def test_a_crowd_with_callers_that_go_away_sees_no_internal_error(
    h: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h.running.engine.sync_engine.pool, "_timeout", 0.01)
    async with h.client("root", "admin") as http:

        async def one(number: int) -> int:
            headers = {"Idempotency-Key": str(number)}
            work = (
                http.post(PATH.format(uuid4()), json={"amount": 1}, headers=headers)
                if number % 2
                else http.get("/v1/dead")
            )
            try:
                return (await asyncio.wait_for(work, 0.02 if number % 5 == 0 else 30)).status_code
            except TimeoutError:
                return 0

        seen = Counter(await asyncio.gather(*(one(number) for number in range(200))))
        assert set(seen) <= {0, 200, 503}
        assert (await http.get("/v1/dead")).status_code == 200


def test_what_breaks_inside_the_driver_is_no_fault_of_the_request() -> None:
    for module, poison in (("asyncpg.protocol", False), ("uvloop.loop", False), ("services.dispatch.store", True)):
        with pytest.raises(RuntimeError) as error:
            exec("raise RuntimeError('the handler is closed')", {"__name__": module})
        assert db.is_poison(error.value) is poison
