"""Commands in: one transaction for many requests, each answered once and for all."""

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest

from libs.shared.command import Answer, Command, Refused
from libs.shared.db import Transaction
from tests.integration.kernel.conftest import Booked, Deposited
from tests.running import TRACEPARENT, Harness, eventually


async def post(client: httpx.AsyncClient, ticket: UUID, amount: object, key: str | None = None) -> httpx.Response:
    headers = {} if key == "" else {"Idempotency-Key": key or str(uuid4())}
    return await client.post(f"/v1/accounts/{ticket}/deposits", json={"amount": amount}, headers=headers)


async def total(h: Harness, ticket: UUID) -> int:
    return sum(row.total for row in await h.rows("SELECT total FROM account WHERE ticket_id = :id", id=ticket))


async def test_many_commands_share_a_transaction(h: Harness) -> None:
    ticket = uuid4()
    async with h.client("a1", "agent") as client:
        answers = await asyncio.gather(*(post(client, ticket, 1) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert await total(h, ticket) == 100
    [row] = await h.rows("SELECT count(DISTINCT xmin::text) AS transactions FROM outbox")
    assert row.transactions < 50
    assert [event.envelope.version for event in await h.said()] == list(range(1, 101))


async def test_what_commands_and_loops_say_does_not_leave_the_trace_of_the_ticket(h: Harness) -> None:
    ticket = uuid4()
    await h.hear(Deposited(ticket_id=ticket, amount=1))
    async with h.client("a1", "agent") as client:
        await post(client, ticket, 5)
    async with h.running.transaction([str(ticket)]) as tx:
        tx.publish(Booked(ticket_id=ticket, amount=0))
    assert [event.envelope.traceparent for event in await h.said()] == [TRACEPARENT] * 2


async def test_repeated_key_replays_the_answer_and_does_nothing_more(h: Harness) -> None:
    ticket = uuid4()
    async with h.client("a1", "agent") as client:
        first, second = [await post(client, ticket, 5, "k1") for _ in range(2)]
    assert (first.status_code, first.json()) == (second.status_code, second.json()) == (200, {"booked": 5})
    assert await total(h, ticket) == 5
    assert [type(event) for event in await h.said()] == [Booked]


async def test_same_key_of_another_caller_is_another_key(h: Harness) -> None:
    ticket = uuid4()
    async with h.client("a1", "agent") as one, h.client("a2", "agent") as two:
        await post(one, ticket, 5, "k1")
        await post(two, ticket, 6, "k1")
    assert await total(h, ticket) == 11


async def test_key_with_another_payload_is_refused(h: Harness) -> None:
    ticket = uuid4()
    async with h.client("a1", "agent") as client:
        await post(client, ticket, 5, "k1")
        answer = await post(client, ticket, 6, "k1")
    assert answer.status_code == 422
    assert answer.json()["title"] == "Idempotency-Key reused"


async def test_key_running_in_this_process_is_refused(h: Harness) -> None:
    ticket = uuid4()
    async with h.client("a1", "agent") as client:
        answers = await asyncio.gather(*(post(client, ticket, 5, "k1") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert await total(h, ticket) == 5


@pytest.mark.parametrize("key", ["", "x" * 256, "täst"])
async def test_missing_or_bad_key_is_named(h: Harness, key: str) -> None:
    async with h.client("a1", "agent") as client:
        headers = {b"Idempotency-Key": key.encode("latin-1")} if key else {}
        answer = await client.post(f"/v1/accounts/{uuid4()}/deposits", json={"amount": 1}, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_refused_command_changes_nothing_and_spares_its_neighbours(h: Harness) -> None:
    ticket = uuid4()
    async with h.client("a1", "agent") as client:
        answers = await asyncio.gather(*(post(client, ticket, -1 if n == 7 else 1) for n in range(20)))
    assert [answer.status_code for answer in answers].count(409) == 1
    assert await total(h, ticket) == 19
    assert next(a.json() for a in answers if a.status_code == 409)["allowed"] == ["positive"]


async def test_cancelled_request_still_commits(h: Harness) -> None:
    ticket = uuid4()
    async with h.client("a1", "agent") as client:
        request = asyncio.create_task(post(client, ticket, 5))
        await eventually(lambda: _waiting(h), every=0)
        request.cancel()
        await h.app.state.flusher.drain()
    assert await total(h, ticket) == 5


async def _waiting(h: Harness) -> bool:
    return h.app.state.flusher._task is not None


async def test_bad_body_names_each_field(h: Harness) -> None:
    async with h.client("a1", "agent") as client:
        url, headers = f"/v1/accounts/{uuid4()}/deposits", {"Idempotency-Key": "k"}
        unknown = await client.post(url, json={"amount": "x", "colour": 1}, headers=headers)
        broken = await client.post(url, content=b"{", headers=headers | {"Content-Type": "application/json"})
        path = await client.post("/v1/accounts/none/deposits", json={"amount": 1}, headers=headers)
        large = await client.post(url, content=b" " * 2_000_000, headers=headers)
    assert unknown.status_code == 422
    assert {each["field"] for each in unknown.json()["errors"]} == {"amount", "colour"}
    assert broken.status_code == 400
    assert path.json()["errors"][0]["field"] == "ticket_id"
    assert large.status_code == 413


async def test_callers_without_key_or_scope_are_refused(h: Harness) -> None:
    async with h.client("d1", "department") as client:
        assert (await post(client, uuid4(), 1)).status_code == 403
        client.headers["Authorization"] = "Bearer wrong.key"
        assert (await post(client, uuid4(), 1)).status_code == 401
        del client.headers["Authorization"]
        answer = await post(client, uuid4(), 1)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/nowhere")).json()["status"] == 404


async def test_expired_and_revoked_keys_are_refused(h: Harness) -> None:
    async with h.client("a1", "agent") as client:
        await h.rows("UPDATE api_key SET expires_at = now() - interval '1 s' RETURNING 1")
        assert (await post(client, uuid4(), 1)).status_code == 401
    async with h.client("a2", "agent") as client:
        await h.rows("UPDATE api_key SET revoked_at = now() RETURNING 1")
        assert (await post(client, uuid4(), 1)).status_code == 401


async def test_a_command_over_several_streams_locks_them_all_and_meets_no_other_in_its_round(h: Harness) -> None:
    rounds: list[list[str]] = []
    locked: set[str] = set()

    async def note(names: list[str], tx: Transaction) -> list[Answer | Refused]:
        rounds.append(names)
        locked.update(tx.keys)
        return [Answer(200, {}) for _ in names]

    def wanted(name: str, *keys: str) -> Command:
        key, *further = keys
        return Command(note, name, key, "p", name, name.encode(), TRACEPARENT, tuple(further))

    commands = [
        wanted("a", "1"),
        wanted("b", "2"),
        wanted("both", "", "2", "1"),
        wanted("later", "1"),
        wanted("c", "3"),
    ]
    await asyncio.gather(*(h.app.state.flusher.do(each) for each in commands))
    assert rounds == [["a", "b", "c"], ["both"], ["later"]]
    assert locked == {"1", "2", "3"}
