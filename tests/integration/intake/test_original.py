"""Originals: sealed in the table, read on record, unreadable without their key."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from services.intake.commands import group
from services.intake.main import service
from services.intake.vault import new_key
from tests.integration.intake.conftest import inbound, post, taken, ticket
from tests.running import Harness, harness

SECRETS = ("张三", "13812345678", "138 1234 5678", "82345678")


async def zhida(*args: str) -> Result:
    """`zhida intake …` in a thread: commands have their own event loop."""
    return await asyncio.to_thread(CliRunner().invoke, group, args)


async def everything(h: Harness) -> str:
    """Every value of every table of intake, as text; bytes as they would be read."""
    shown = []
    names = await h.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'intake'")
    for row in names:
        for each in await h.rows(f"SELECT * FROM {row.name}"):
            shown += [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in each]
    return "\n".join(shown)


async def test_no_table_holds_what_names_a_person(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform)
    await platform.post(
        f"/v1/tickets/{ticket_id}/amendments", json={"text": "电话13812345678"}, headers={"Idempotency-Key": "a"}
    )
    found = await everything(h)
    assert "小区停电两天" in found
    for value in SECRETS:
        assert value not in found


async def test_an_original_is_read_on_record(h: Harness, platform: httpx.AsyncClient) -> None:
    body = ticket()
    ticket_id = await taken(platform, **body)
    added = await platform.post(
        f"/v1/tickets/{ticket_id}/amendments", json={"text": "电话13900001111"}, headers={"Idempotency-Key": "a"}
    )
    async with h.client("quality-3", "vault") as reader:
        answer = await reader.get(f"/v1/tickets/{ticket_id}/original")
    assert answer.json() == {
        "ticket_id": str(ticket_id),
        "original": {
            "text": body["text"],
            "place.address": body["place"]["address"],
            "customer.name": "张三",
            "customer.phone": "138 1234 5678",
        },
        "amendments": {added.json()["amendment_id"]: "电话13900001111"},
    }
    [row] = await h.rows("SELECT * FROM audit")
    assert (row.subject, row.principal) == (ticket_id, "quality-3")
    assert row.key_prefix.startswith("zh")


@pytest.mark.parametrize("scope", ["publish", "agent", "supervise", "department"])
async def test_an_original_asks_for_its_own_scope(h: Harness, platform: httpx.AsyncClient, scope: str) -> None:
    ticket_id = await taken(platform)
    async with h.client("curious", scope) as reader:
        answer = await reader.get(f"/v1/tickets/{ticket_id}/original")
    assert answer.status_code == 403
    assert await h.rows("SELECT * FROM audit") == []


async def test_an_original_of_no_ticket_is_not_found(h: Harness) -> None:
    async with h.client("quality-3", "vault") as reader:
        assert (await reader.get(f"/v1/tickets/{uuid4()}/original")).status_code == 404


async def test_a_ticket_with_nothing_to_hide_has_an_empty_original(h: Harness, platform: httpx.AsyncClient) -> None:
    ticket_id = await taken(platform, text="停电", place={}, customer={})
    async with h.client("quality-3", "vault") as reader:
        assert (await reader.get(f"/v1/tickets/{ticket_id}/original")).json()["original"] == {}
    assert await h.rows("SELECT * FROM vault") == []


async def test_a_wrong_key_is_named_and_a_second_one_still_reads(database: str) -> None:
    old, new = new_key(), new_key()
    async with harness(service, database, vault_key=old) as h, h.client("c", "publish") as platform:
        ticket_id = await taken(platform)
        old_id = h.running.resources.current
    async with harness(service, database, vault_key=new) as h, h.client("q", "vault") as reader:
        answer = await reader.get(f"/v1/tickets/{ticket_id}/original")
        assert answer.status_code == 503
        assert f"sealed under vault key {old_id}" in answer.json()["detail"]
        assert "张三" not in answer.text
    async with harness(service, database, vault_key=f"{new} {old}") as h, h.client("q", "vault") as reader:
        assert (await reader.get(f"/v1/tickets/{ticket_id}/original")).json()["original"]["customer.name"] == "张三"


async def test_a_ticket_is_known_again_even_when_its_original_cannot_be_opened(database: str) -> None:
    body = ticket()
    async with harness(service, database, vault_key=new_key()) as h, h.client("c", "publish") as platform:
        ticket_id = await taken(platform, **body)
    async with harness(service, database, vault_key=new_key()) as h, h.client("c", "publish") as platform:
        assert await taken(platform, **body) == ticket_id


async def test_a_sealed_value_moved_to_another_ticket_is_refused(h: Harness, platform: httpx.AsyncClient) -> None:
    one, two = await taken(platform), await taken(platform, customer={"name": "李四"})
    [row] = await h.rows("SELECT * FROM vault WHERE id = :id", id=one)
    await h.rows(
        "UPDATE vault SET nonce = :nonce, sealed = :sealed WHERE id = :id RETURNING id",
        nonce=row.nonce, sealed=row.sealed, id=two,
    )  # fmt: skip
    async with h.client("q", "vault") as reader:
        answer = await reader.get(f"/v1/tickets/{two}/original")
    assert answer.status_code == 503
    assert "was changed" in answer.json()["detail"]


async def test_everything_is_sealed_again_under_a_new_key(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = new_key(), new_key()
    async with harness(service, database, vault_key=old) as h, h.client("c", "publish") as platform:
        answer = await post(platform, [ticket() for _ in range(30)])
        ids = [result["ticket_id"] for result in answer.json()["results"]]
        await inbound(h, b"{", b"}")
    monkeypatch.setenv("DATABASE_URL", h.running.settings.database_url.get_secret_value())
    monkeypatch.setenv("ZHIDA_VAULT_KEY", f"{new},{old}")
    done = await zhida("vault", "reseal")
    assert done.output == "sealed 32 values again\n"
    assert (await zhida("vault", "reseal")).output == "sealed 0 values again\n"
    async with harness(service, database, vault_key=new) as h, h.client("q", "vault") as reader:
        for ticket_id in ids:
            found = (await reader.get(f"/v1/tickets/{ticket_id}/original")).json()
            assert found["original"]["customer.name"] == "张三"


async def test_resealing_without_the_old_key_changes_nothing_and_says_so(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness(service, database, vault_key=new_key()) as h, h.client("c", "publish") as platform:
        await taken(platform)
        before = await h.rows("SELECT * FROM vault")
        monkeypatch.setenv("DATABASE_URL", h.running.settings.database_url.get_secret_value())
        monkeypatch.setenv("ZHIDA_VAULT_KEY", new_key())
        done = await zhida("vault", "reseal")
        assert done.exit_code == 1
        assert "sealed under vault key" in done.output
        assert await h.rows("SELECT * FROM vault") == before


async def test_a_refused_record_is_listed_and_read_on_record(
    h: Harness, vault_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await inbound(h, '{"channel": "95598", "external_ref": "R-9", "手机": "13812345678"}'.encode())
    monkeypatch.setenv("DATABASE_URL", h.running.settings.database_url.get_secret_value())
    monkeypatch.setenv("ZHIDA_VAULT_KEY", vault_key)
    listed = (await zhida("rejected", "list")).output
    assert "95598|R-9" in listed
    assert "is not a known field" in listed
    assert "13812345678" not in listed
    rejected_id = listed.split()[0]
    shown = await zhida("rejected", "show", rejected_id, "--as", "operator li")
    assert "13812345678" in shown.output
    [row] = await h.rows("SELECT * FROM audit")
    assert (str(row.subject), row.principal) == (rejected_id, "operator li")
    assert (await zhida("rejected", "show", str(uuid4()), "--as", "x")).exit_code == 1
