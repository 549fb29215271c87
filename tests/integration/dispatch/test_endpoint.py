"""Endpoints over HTTP: made, changed, removed, their keys rotated, their secrets kept."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from zhida_receiver.signature import Keys

from libs.shared.contracts import dispatch as says
from services.dispatch.main import service
from tests.integration.dispatch.world import METER, World, post, status, until
from tests.running import harness

GOOD = {"url": "https://meter.example.org/hook"}


async def test_an_endpoint_is_made_with_its_secret_shown_once(world: World) -> None:
    answer = await world.admin.put("/v1/endpoints/meter", json=GOOD)
    assert answer.status_code == 201
    made = answer.json()
    assert made["secret"].startswith("whsec_")
    assert made["public_key"].startswith("whpk_")
    assert answer.headers["cache-control"] == "no-store"
    changed = (await world.admin.put("/v1/endpoints/meter", json={**GOOD, "concurrency": 3})).json()
    assert (changed["secret"], changed["public_key"], changed["concurrency"]) == (None, None, 3)
    shown = (await world.admin.get("/v1/endpoints/meter")).json()
    assert [key["public"] for key in shown["keys"]] == [made["public_key"]]
    assert (shown["state"], shown["breaker"], shown["backlog"]) == (
        "active",
        "closed",
        {"pending": 0, "waiting": 0, "inbox": 0},
    )
    assert [each["department"] for each in (await world.admin.get("/v1/endpoints")).json()["items"]] == ["meter"]


async def test_no_table_holds_a_secret_in_the_clear(world: World) -> None:
    secret = (await world.endpoint("meter"))["secret"]
    await world.admin.post("/v1/endpoints/meter/rotate")
    await world.classify(METER)
    await world.arrives("meter", "work_order.assigned")
    raw = secret.removeprefix("whsec_")
    for table in ("endpoint", "endpoint_key", "command", "outbox", "delivery", "attempt"):
        rows = await world.harness.rows(f"SELECT CAST({table} AS text) AS line FROM {table}")
        assert not any(raw in row.line for row in rows), table


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "url", "required"),
        ({"url": "http://meter.example.org/"}, "url", "https is required"),
        ({"url": "ftp://meter.example.org/"}, "url", "scheme"),
        ({"url": "https://127.0.0.1/"}, "url", "loopback"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url", "private"),
        ({"url": "https://u:p@meter.example.org/"}, "url", "user name"),
        ({"url": "https://meter.example.org/#x"}, "url", "fragment"),
        ({**GOOD, "networks": ["10.0.0.1/8"]}, "networks", "host bits"),
        ({**GOOD, "networks": ["0.0.0.0/0"]}, "networks", "too wide"),
        ({**GOOD, "concurrency": 0}, "concurrency", "greater"),
        ({**GOOD, "timeout_seconds": 31}, "timeout_seconds", "less"),
        ({**GOOD, "state": "deleted"}, "state", "active"),
        ({**GOOD, "secret": "x"}, "secret", "not permitted"),
    ],
)
async def test_a_bad_endpoint_is_refused_by_field_and_reason(
    world: World, body: dict[str, Any], field: str, words: str
) -> None:
    answer = await world.admin.put("/v1/endpoints/meter", json=body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["reason"]
    assert (await world.admin.get("/v1/endpoints/meter")).status_code == 404


async def test_while_keys_overlap_both_verify_and_afterwards_only_the_new_one(world: World) -> None:
    old = await world.endpoint("meter")
    new = (await world.admin.post("/v1/endpoints/meter/rotate", json={"overlap_seconds": 600})).json()
    assert new["secret"] not in (None, old["secret"])

    async def signed_twice() -> Any:
        await world.classify(METER)
        received = world.desk.at("meter")
        return received and len(received[-1].headers["webhook-signature"].split(" ")) == 4 and received[-1]

    both = await until(signed_twice, "a webhook signed with both keys")
    for secret in (old["secret"], new["secret"]):
        Webhook(secret).verify(both.body, both.headers)
    assert Keys([old["public_key"]]).verify(both.body, both.headers).scheme == "v1a"

    last = (await world.admin.post("/v1/endpoints/meter/rotate", json={"overlap_seconds": 0})).json()

    async def signed_once() -> Any:
        await world.classify(METER)
        received = world.desk.at("meter")
        return len(received[-1].headers["webhook-signature"].split(" ")) == 2 and received[-1]

    only = await until(signed_once, "a webhook signed with the new key only")
    Webhook(last["secret"]).verify(only.body, only.headers)
    for secret in (old["secret"], new["secret"]):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(only.body, only.headers)


async def test_too_many_valid_keys_are_refused(world: World) -> None:
    await world.endpoint("meter")
    for _ in range(4):
        assert (await world.admin.post("/v1/endpoints/meter/rotate")).status_code == 200
    assert (await world.admin.post("/v1/endpoints/meter/rotate")).status_code == 409
    assert (await world.admin.post("/v1/endpoints/meter/rotate", json={"overlap_seconds": 0})).status_code == 200
    assert (await world.admin.post("/v1/endpoints/nobody/rotate")).status_code == 404


async def test_a_test_event_arrives_signed_and_its_attempts_can_be_seen(world: World) -> None:
    await world.endpoint("meter")
    answer = await post(world.admin, "/v1/endpoints/meter/test")
    assert answer.status_code == 202
    [webhook] = await world.arrives("meter", "test")
    assert webhook.id == answer.json()["delivery_id"]
    assert world.genuine(webhook)

    async def delivered() -> Any:
        found = (await world.admin.get(f"/v1/deliveries/{webhook.id}")).json()
        return found["state"] == "delivered" and found

    found = await until(delivered, "the test event delivered")
    assert [attempt["status"] for attempt in found["attempt_log"]] == [204]
    assert found["body"]["type"] == "test"


async def test_a_test_event_that_fails_is_settled_and_nobody_is_alarmed(world: World) -> None:
    world.desk.behaviours["meter"] = status(401)
    await world.endpoint("meter")
    id_ = (await post(world.admin, "/v1/endpoints/meter/test")).json()["delivery_id"]
    await world.arrives("meter", "test")
    await world.harness.rows("UPDATE delivery SET give_up_at = now() RETURNING 1")

    async def settled() -> Any:
        found = (await world.admin.get(f"/v1/deliveries/{id_}")).json()
        return found["state"] == "inbox" and found

    found = await until(settled, "the test event given up")
    assert (found["last_status"], found["attempt_log"][0]["answer"]) == (401, "no")
    assert await world.said(says.DeliveryFailed) == []


async def test_disabling_an_endpoint_leaves_everything_to_the_inbox(world: World) -> None:
    world.desk.behaviours["meter"] = status(500)
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.arrives("meter", "work_order.assigned")
    await world.endpoint("meter", state="disabled")
    [delivery] = await world.settled(ticket_id, "inbox")
    assert delivery["reason"] == "endpoint_disabled"
    [failed] = await world.said(says.DeliveryFailed)
    assert (failed.reason, failed.supervisor, failed.department.name) == ("endpoint_disabled", "chief", "计量中心")
    later = await world.classify(METER)
    assert [each["state"] for each in await world.deliveries(later)] == ["inbox"]
    assert len(await world.said(says.DeliveryFailed)) == 1
    refused = await post(world.admin, "/v1/endpoints/meter/test")
    assert (refused.status_code, refused.json()["state"]) == (409, "disabled")
    items = (await world.departments["meter"].get("/v1/work-orders")).json()["items"]
    assert len(items) == 2


async def test_a_removed_endpoint_is_gone_and_can_be_made_again(world: World) -> None:
    world.desk.behaviours["meter"] = status(500)
    first = await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.arrives("meter", "work_order.assigned")
    assert (await world.admin.delete("/v1/endpoints/meter")).status_code == 204
    assert (await world.admin.delete("/v1/endpoints/meter")).status_code == 404
    assert (await world.admin.get("/v1/endpoints/meter")).status_code == 404
    await world.settled(ticket_id, "inbox")
    assert await world.deliveries(await world.classify(METER)) == []
    again = await world.admin.put("/v1/endpoints/meter", json=GOOD)
    assert again.status_code == 201
    assert again.json()["secret"] not in (None, first["secret"])


async def test_without_a_delivery_key_no_endpoint_is_made(database: str) -> None:
    async with harness(service, database) as running, running.client("root", "admin") as admin:
        answer = await admin.put("/v1/endpoints/meter", json=GOOD)
        assert (answer.status_code, "ZHIDA_DELIVERY_KEY" in answer.json()["detail"]) == (503, True)
        assert (await admin.get("/v1/endpoints/meter")).status_code == 404


async def test_a_changed_endpoint_is_used_at_once(world: World) -> None:
    await world.endpoint("meter")
    await world.classify(METER)
    await world.arrives("meter", "work_order.assigned")
    await world.endpoint("meter", url=world.desk.url("elsewhere"))

    async def moved() -> bool:
        await world.classify(METER)
        return bool(world.desk.at("elsewhere"))

    assert await until(moved, "the webhook at the new address")


async def test_answers_are_read_only_so_far(world: World) -> None:
    async def flood(_: int) -> web.Response:
        return web.Response(status=400, text="x" * 200_000)

    world.desk.behaviours["meter"] = flood
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)

    async def tried() -> Any:
        found = (await world.deliveries(ticket_id))[0]
        return found["attempts"] and found

    found = await until(tried, "the first attempt recorded")
    detail = (await world.admin.get(f"/v1/deliveries/{found['delivery_id']}")).json()
    assert detail["attempt_log"][0]["answer"] == "x" * 1024


async def test_a_certificate_nobody_vouches_for_is_refused(world: World, tmp_path: Path) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self_signed(tmp_path)).start()
    await world.endpoint("meter", url=f"https://127.0.0.1:{runner.addresses[0][1]}/")
    ticket_id = await world.classify(METER)

    async def tried() -> Any:
        found = (await world.deliveries(ticket_id))[0]
        return found["attempts"] and found

    found = await until(tried, "the first attempt recorded")
    assert (found["state"], found["last_status"]) == ("pending", None)
    assert "Certificate" in found["last_error"]
    await runner.cleanup()


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's TLS context with a certificate for 127.0.0.1 that it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / "server.pem"
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context
