"""The short way of commands: taken where all is well, and no different from the long way where it is not."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from libs.shared import express
from libs.shared.run import load
from libs.shared.web import Application
from tests.running import Harness

PATH = "/v1/accounts/{}/deposits"


def ways(app: FastAPI) -> set[str]:
    return {way.path for found in express.Timetable.of(app.routes).routes.values() for way in found}


def test_every_command_of_the_hot_path_takes_it() -> None:
    app = FastAPI()
    for name in ("intake", "dispatch"):
        app.include_router(load(name).serves)
    moves = {f"/v1/work-orders/{{work_order_id}}/{move}" for move in ("accept", "contacted", "answer", "evidence")}
    assert ways(app) >= {*moves, "/v1/tickets", "/v1/tickets/{ticket_id}/close", "/v1/questions/{question_id}/answer"}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"amount": 5}}, 200),
        ({"content": b'{"amount": 5}', "headers": {"content-type": "application/json; charset=utf-8"}}, 200),
        ({"json": {"amount": "much"}}, 422),
        ({"json": {"amount": 5, "more": 1}}, 422),
        ({"json": None}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b'{"amount": 5}', "headers": {"content-type": "text/plain"}}, 422),
        ({"json": {"amount": 5}, "headers": {"idempotency-key": ""}}, 400),
        ({"json": {"amount": 5}, "headers": {"authorization": "Bearer no.key"}}, 401),
        ({"json": {"amount": 5}, "headers": {"authorization": "Basic abc"}}, 401),
        ({"json": {"amount": -5}}, 409),
        ({"content": b" " * (1024 * 1024 + 1), "headers": {"content-type": "application/json"}}, 413),
    ],
)
async def test_both_ways_answer_alike(h: Harness, request_: dict[str, Any], status: int) -> None:
    ticket, answers = uuid4(), []
    assert isinstance(h.app, Application)
    async with h.client("a1", "agent") as client:
        for timetable in (express.Timetable.of(h.app.routes), express.Timetable()):
            h.app.timetable = timetable
            headers = {"idempotency-key": uuid4().hex, **request_.get("headers", {})}
            answers.append(await client.post(PATH.format(ticket), **request_ | {"headers": headers}))
    assert ways(h.app) == {PATH.format("{ticket_id}")}
    short, long = answers
    assert short.status_code == long.status_code == status
    assert (short.json(), short.headers["content-type"]) == (long.json(), long.headers["content-type"])


async def test_a_key_without_the_scope_and_a_path_without_an_id_are_refused(h: Harness) -> None:
    async with h.client("d1", "department") as client:
        answer = await client.post(PATH.format(uuid4()), json={"amount": 1}, headers={"idempotency-key": "1"})
        assert answer.status_code == 403
    async with h.client("a1", "agent") as client:
        answer = await client.post(PATH.format("none"), json={"amount": 1}, headers={"idempotency-key": "1"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "ticket_id")


async def test_what_a_handler_breaks_on_is_an_internal_error(h: Harness) -> None:
    ticket: UUID = uuid4()

    async with h.client("a1", "agent") as client:
        answer: httpx.Response = await client.post(
            PATH.format(ticket), json={"amount": 2**70}, headers={"idempotency-key": "1"}
        )
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
