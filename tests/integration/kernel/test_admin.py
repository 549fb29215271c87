"""What an operator does over HTTP about buried events."""

from uuid import uuid4

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
