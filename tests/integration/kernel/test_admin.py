"""What an operator does over HTTP about buried events."""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.shared import web
from libs.shared.command import Refused
from tests.integration.kernel.conftest import Deposited, Withdrawn
from tests.running import Harness


async def test_operator_lists_discards_and_replays_over_http(h: Harness) -> None:
    sick = uuid4()
    await h.hear(Deposited(ticket_id=sick, amount=666), Withdrawn(ticket_id=sick, amount=3))
    async with h.client("op", "admin") as client:
        [buried] = (await client.get("/v1/dead")).json()["items"]
        assert buried["error"] == "Poison: 666 cannot be booked"
        everything = (await client.get("/v1/dead", params={"show": "all", "limit": 1})).json()
        assert [each["id"] for each in everything["items"]] == [buried["id"]]
        rest = await client.get("/v1/dead", params={"show": "all", "after": everything["next"]})
        assert [each["type"] for each in rest.json()["items"]] == ["zhida.Withdrawn.v1"]
        again = await client.post("/v1/dead/replay", json={"key": str(sick)})
        assert (again.status_code, "still fails" in again.json()["detail"]) == (409, True)
        assert (await client.post(f"/v1/dead/{buried['id']}/discard")).json() == {"replayed": 1}
        assert (await client.post(f"/v1/dead/{buried['id']}/replay")).status_code == 409
    [row] = await h.rows("SELECT seen FROM account")
    assert row.seen == [-3]


async def test_operator_resumes_a_stopped_consumer_over_http(h: Harness) -> None:
    await h.rows("INSERT INTO halt (reason) VALUES ('too much') RETURNING 1")
    async with h.client("op", "admin") as client:
        assert (await client.post("/v1/resume")).json() == {"reason": "too much"}
        assert (await client.post("/v1/resume")).json() == {"reason": None}
        assert (await client.get("/v1/dead", params={"after": "x!"})).json()["errors"][0]["field"] == "after"
    async with h.client("a1", "agent") as client:
        assert (await client.get("/v1/dead")).status_code == 403


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ('["\\u0000"]', str),
        ("[9223372036854775808]", int),
        ("[9223372036854775808]", UUID),
        ("[[]]", UUID),
        ("[null]", int),
        ("{}", str),
        ("[", str),
        ("[1e400]", int),
        ('["2026-01-01T00:00:00"]', datetime.fromisoformat),
        ('["0001-01-01T00:00:00+14:00"]', datetime.fromisoformat),
        ('["9999-12-31T23:59:59-14:00"]', datetime.fromisoformat),
    ],
)
def test_cursor_that_no_page_gave_is_refused(after: str, kind: Callable[[Any], Any]) -> None:
    with pytest.raises(Refused) as refused:
        web.after(base64.urlsafe_b64encode(after.encode()).decode().rstrip("="), kind)
    assert (refused.value.status, refused.value.extra["errors"][0]["field"]) == (422, "after")


async def test_address_with_a_nul_character_is_refused_by_the_name_of_its_field(h: Harness) -> None:
    async with h.client("op", "admin") as client:
        answer = await client.get("/v1/dead?key=a%00b&limit=1")
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, ["key"])
        answer = await client.post("/v1/dead/a%00b/replay")
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, ["path"])
        for key in ("a\x00b", "k" * 501):
            answer = await client.post("/v1/dead/replay", json={"key": key})
            assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, ["key"])
        assert (await client.post(f"/v1/dead/{2**63}/replay")).status_code == 422
        assert (await client.post(f"/v1/dead/{2**63}/discard")).status_code == 422


async def test_method_that_a_path_does_not_know_is_answered_with_all_it_knows(h: Harness) -> None:
    async with h.client("a1", "agent") as client:
        for path, methods in (("/v1/dead", "GET"), ("/v1/dead/replay", "POST"), ("/livez", "GET")):
            answer = await client.request("OPTIONS", path)
            assert (answer.status_code, answer.headers["allow"]) == (405, methods)
