"""The inbound topic: good records become tickets, any other bytes are kept and answered, and nothing stops."""

import json
import os
from typing import Any

import httpx
import pytest

from libs.shared.contracts.intake import TicketReceived, TicketRejected
from libs.shared.events import INBOUND
from services.intake.vault import Vault, read_keys
from tests.integration.intake.conftest import inbound, post, ticket
from tests.running import Harness


async def test_a_good_record_becomes_a_ticket(h: Harness) -> None:
    body = ticket()
    await inbound(h, body)
    [event] = await h.said()
    assert isinstance(event, TicketReceived)
    assert event.ticket.external_ref == body["external_ref"]
    assert "138****5678" in event.ticket.text
    [row] = await h.rows("SELECT * FROM ticket")
    assert (row.ticket_id, row.received_by) == (event.ticket_id, "kafka")


async def test_the_trace_of_a_record_goes_on_in_its_event(h: Harness) -> None:
    trace = "00-11111111111111111111111111111111-2222222222222222-01"
    value = json.dumps(ticket()).encode()
    await h.take([h.raw(INBOUND, b"k", value, {"traceparent": trace.encode()})])
    await h.take([h.raw(INBOUND, b"k", json.dumps(ticket()).encode(), {"traceparent": b"\xff"})])
    first, second = await h.said()
    assert first.envelope.traceparent == trace
    assert second.envelope.traceparent.startswith("00-")


async def test_the_same_record_again_says_nothing_new(h: Harness) -> None:
    body = ticket()
    await inbound(h, body, body)
    await inbound(h, body)
    assert len(await h.said()) == 1
    assert await h.rows("SELECT * FROM rejected") == []


async def test_a_record_and_a_request_with_one_ticket_make_it_once(h: Harness, platform: httpx.AsyncClient) -> None:
    body = ticket()
    await inbound(h, body)
    [event] = await h.said()
    assert isinstance(event, TicketReceived)
    assert (await post(platform, body)).json() == {"ticket_id": str(event.ticket_id), "created": False}


async def test_another_content_under_one_reference_is_rejected_by_name(h: Harness) -> None:
    body = ticket(external_ref="R-1")
    await inbound(h, body, body | {"title": "别的"})
    received, rejected = await h.said()
    assert isinstance(received, TicketReceived)
    assert isinstance(rejected, TicketRejected)
    assert (rejected.reference, [error.field for error in rejected.errors]) == ("95598|R-1", ["title"])


async def test_a_bad_record_among_good_ones_is_answered_and_the_others_are_taken(h: Harness) -> None:
    await inbound(h, ticket(), ticket(external_ref="R-2", customer={"star": 9}, surprise=1), ticket())
    said = await h.said()
    assert [type(event).__name__ for event in said] == ["TicketReceived", "TicketReceived", "TicketRejected"]
    rejected = said[2]
    assert isinstance(rejected, TicketRejected)
    assert rejected.reference == "95598|R-2"
    assert {error.field: error.reason for error in rejected.errors} == {
        "customer.star": "must be at most 5",
        "surprise": "is not a known field",
    }
    [row] = await h.rows("SELECT * FROM rejected")
    assert (row.topic, row.partition, row.offset, row.reference) == (INBOUND, 0, rejected.offset, "95598|R-2")


GOOD = json.dumps(ticket(), ensure_ascii=False).encode()
ANYTHING: list[bytes | None] = [
    None,
    b"",
    b"\x00",
    b"\xff\xfe\x00",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'"\\ud800"',
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"9" * 900_000,
    b"NaN",
    GOOD[:-1],
    GOOD[:-1] + b', "title": "again"}',
    GOOD[:-1] + b', "customer": {"star": NaN}}',
    GOOD[:-1] + b', "x": "\\u0000\\ud800"}',
    GOOD.replace("停电".encode(), b"\\u0000"),
    GOOD.replace("停电".encode(), "停电".encode("gb18030")),
    GOOD.decode().encode("utf-16"),
    b"\xef\xbb\xbf" + GOOD,
    json.dumps([ticket()]).encode(),
    json.dumps({"tickets": [ticket()]}).encode(),
    json.dumps(ticket(text="x" * 900_000)).encode(),
    json.dumps({**ticket(), **{f"field {n}": n for n in range(5000)}}).encode(),
    json.dumps(ticket(external_ref="\x00", channel="\x1b")).encode(),
    json.dumps(ticket(external_ref={"a": 1}, channel=["95598"])).encode(),
]


@pytest.mark.parametrize("raw", ANYTHING, ids=range(len(ANYTHING)))
async def test_any_bytes_are_survived_kept_and_answered(h: Harness, vault_key: str, raw: bytes | None) -> None:
    await inbound(h, raw, ticket())
    received, rejected = await h.said()
    assert isinstance(received, TicketReceived)
    assert isinstance(rejected, TicketRejected)
    assert rejected.errors
    [row] = await h.rows("SELECT * FROM rejected")
    from services.intake.store import secret

    sealed = secret.sealed(row)
    assert sealed
    assert Vault(read_keys(vault_key)).open(row.rejected_id, sealed) == (raw or b"")
    assert await h.rows("SELECT * FROM dead") == []


async def test_random_bytes_never_stop_intake(h: Harness) -> None:
    await inbound(h, *(os.urandom(size) for size in range(0, 600, 3)), *(GOOD[:cut] for cut in range(0, len(GOOD), 7)))
    assert {type(event).__name__ for event in await h.said()} == {"TicketRejected"}
    await inbound(h, ticket())
    assert [type(event).__name__ for event in await h.said()] == ["TicketReceived"]


async def test_a_thousand_bad_records_do_not_count_towards_the_limit(h: Harness) -> None:
    for _ in range(4):
        await inbound(h, *[b"{" for _ in range(250)])
    assert h.bus.health.buried == 0
    await inbound(h, ticket())
    assert await h.rows("SELECT * FROM halt") == []
    assert len(await h.said()) == 1001


async def test_no_value_of_a_bad_record_is_published_or_counted(h: Harness) -> None:
    secret: dict[str, Any] = {"13812345678": "张三丰", "phone": "13812345678"}
    await inbound(h, ticket(customer={"name": ["张三丰"], "phone": 13812345678, **secret}))
    [event] = await h.said()
    said = event.model_dump_json()
    assert "张三丰" not in said
    assert "13812345678" not in said
    assert "customer.138****5678" in said


async def test_much_text_is_read_a_little_at_a_time(h: Harness) -> None:
    await inbound(h, *[ticket(text="13812345678 " * 1600) for _ in range(60)])
    assert len(await h.said()) == 60
