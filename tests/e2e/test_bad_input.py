"""Bad input of every kind is refused with the field named; nothing is lost by it, and every service stays ready."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.shared.contracts.intake import TicketReceived, TicketRejected
from tests.e2e import traffic
from tests.e2e.department import Departments
from tests.e2e.hand import order_of, published, solve, staged
from tests.e2e.zhida import ADMIN, PLATFORM, SUPERVISOR, Who, Zhida, agent, department, publish

BUREAU = "district_bureau"
NOBODY = "01890000-0000-7000-8000-000000000000"
FUTURE = (datetime.now(UTC) + timedelta(days=2)).isoformat()

# What is wrong with a ticket that is good otherwise, and the field that must be named.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "wrong type": ({"text": 17}, "text"),
    "number as text": ({"customer": {"star": "5"}}, "customer.star"),
    "unknown field": ({"priority": "high"}, "priority"),
    "unknown inner field": ({"customer": {"rank": 1}}, "customer.rank"),
    "unknown channel": ({"channel": "fax"}, "channel"),
    "NUL": ({"text": "停电\x00了"}, "text"),
    "control character": ({"title": "停电\x07"}, "title"),
    "line break in the number": ({"external_ref": "a\nb"}, "external_ref"),
    "lone surrogate": ({"title": "\ud800"}, "title"),
    "empty": ({"title": "  "}, "title"),
    "null": ({"title": None}, "title"),
    "too long": ({"text": "长" * 20_001}, "text"),
    "future": ({"opened_at": FUTURE}, "opened_at"),
    "date without offset": ({"opened_at": "2026-11-22T08:00:00"}, "opened_at"),
    "no date": ({"opened_at": "yesterday"}, "opened_at"),
    "too many stars": ({"customer": {"star": 6}}, "customer.star"),
    "no star": ({"customer": {"star": 0}}, "customer.star"),
    "half a star": ({"customer": {"star": 2.5}}, "customer.star"),
    "place as text": ({"place": "春晖里"}, "place"),
    "letters in the area": ({"place": {"area_code": "abc"}}, "place.area_code"),
    "phone as the customer's number": ({"customer": {"customer_id": "13800001234"}}, "customer.customer_id"),
    "unknown business type": ({"business_type": "joke"}, "business_type"),
}

# What is no ticket at all, byte for byte, and the field that must be named.
BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "body"),
    "no JSON": (b'{"channel": ', "body"),
    "no UTF-8": ('{"title": "停电"}'.encode("gbk"), "body"),
    "deep nesting": (b"[" * 100_000, "body"),
    "deep object": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "body"),
    "NaN": (b'{"customer": {"star": NaN}}', "body"),
    "twice": (b'{"title": "a", "title": "b"}', "title"),
    "number": (b"5", "body"),
    "long number": (b'{"star": ' + b"9" * 5000 + b"}", "body"),
}


def wrong(change: dict[str, Any]) -> bytes:
    return json.dumps(traffic.ticket(*traffic.MATTERS[4]) | change).encode()


def fields(problem: dict[str, Any]) -> set[str]:
    return {each["field"] for each in problem["errors"]}


async def test_bad_tickets_are_refused_over_http_with_the_field_named(zhida: Zhida) -> None:
    for name, (change, field) in WRONG.items():
        answer = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", content=wrong(change))
        assert (answer.status_code, field in fields(answer.json())) == (422, True), f"{name}: {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
    for name, (body, field) in BROKEN.items():
        answer = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", content=body)
        assert answer.status_code in (400, 422), f"{name}: {answer.status_code}"
        assert field in fields(answer.json()), f"{name}: {answer.text}"
    await still_works(zhida)


async def test_one_bad_ticket_of_many_is_refused_by_its_place(zhida: Zhida) -> None:
    good = [traffic.ticket(*traffic.MATTERS[4]) for _ in range(3)]
    items = [good[0], good[1] | {"customer": {"star": 9}}, good[2], good[0] | {"text": "另一件事"}]
    answer = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", items)
    assert answer.status_code == 207, answer.text
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [202, 422, 202, 409]
    assert fields(results[1]) == {"tickets.1.customer.star"}
    assert fields(results[3]) == {"tickets.3.text"}
    many = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", [good[0]] * 501)
    assert (many.status_code, fields(many.json())) == (422, {"tickets"})


async def test_bad_records_are_answered_on_the_rejected_topic_and_stop_nothing(zhida: Zhida) -> None:
    before = len(await rejections(zhida))
    bad = [(wrong(change), field) for change, field in WRONG.values()] + list(BROKEN.values())
    after = traffic.ticket(*traffic.MATTERS[4])
    bootstrap = zhida.stack.backend.kafka_bootstrap_servers
    await publish(bootstrap, *(body for body, _ in bad), raw_key=b"one|key")  # one partition: they keep their order
    await publish(bootstrap, json.dumps(after).encode(), raw_key=b"one|key")

    async def answered() -> bool:
        return len(await rejections(zhida)) >= before + len(bad)

    await zhida.until(answered, "every bad record is answered")
    found = sorted((await rejections(zhida))[before:], key=lambda event: event.offset)
    for (name, (_, field)), event in zip([*WRONG.items(), *BROKEN.items()], found, strict=True):
        assert field in {error.field for error in event.errors}, f"{name}: {event}"
    query = {"channel": after["channel"], "external_ref": after["external_ref"]}

    async def taken() -> bool:
        answer = await zhida.ask(SUPERVISOR, "GET", "intake/v1/tickets", params=query)
        return bool(answer.json()["items"])

    await zhida.until(taken, "the good record behind the bad ones is a ticket")
    assert await zhida.rows("SELECT 1 FROM intake.dead") == []
    await still_works(zhida)


async def test_bad_commands_are_refused_with_the_field_named(zhida: Zhida, departments: Departments) -> None:
    await departments.open(BUREAU)
    ticket_id = await published(zhida, *traffic.MATTERS[4], agent_id="A2006")
    order = f"dispatch/v1/work-orders/{await order_of(departments, BUREAU, ticket_id)}"
    ticket, worker, front = f"dispatch/v1/tickets/{ticket_id}", department(BUREAU), agent("A2006")
    reviewer = Who("reviewer-1", ("review",))
    cases: list[tuple[Who, str, Any, int, set[str]]] = [
        (worker, f"{order}/accept", {"colour": "red"}, 422, {"colour"}),
        (worker, f"{order}/contacted", {"note": 5}, 422, {"note"}),
        (worker, f"{order}/answer", {}, 422, {"text"}),
        (worker, f"{order}/answer", {"text": "长" * 8001}, 422, {"text"}),
        (worker, f"{order}/answer", {"text": "a\x00b"}, 422, {"text"}),
        (worker, f"{order}/return", {"reason_code": "NOT OURS", "reason": "不是"}, 422, {"reason_code"}),
        (worker, f"{order}/evidence", {"kind": "photo", "uri": "file:///etc/passwd"}, 422, {"uri"}),
        (worker, "dispatch/v1/work-orders/not-a-number/accept", {}, 422, {"work_order_id"}),
        (worker, f"dispatch/v1/work-orders/{NOBODY}/accept", {}, 404, set()),
        (department("repair_centre"), f"{order}/accept", {}, 404, set()),
        (front, f"{order}/accept", {}, 403, set()),
        (front, f"{ticket}/questions", {"text": "", "department": BUREAU}, 422, {"text"}),
        (front, f"{ticket}/questions", {"text": "何时？", "department": "nobody"}, 422, {"department"}),
        (front, f"{ticket}/close", {"satisfied": "very"}, 422, {"satisfied"}),
        (front, f"{ticket}/reopen", {"reason": "还没有答复"}, 409, set()),
        (front, f"intake/v1/tickets/{ticket_id}/amendments", {"text": "x\x00"}, 422, {"text"}),
        (front, f"intake/v1/tickets/{NOBODY}/amendments", {"text": "补充"}, 404, set()),
        (reviewer, f"classification/v1/reviews/{ticket_id}/decide", {"situation": 5}, 422, {"situation"}),
        (reviewer, f"classification/v1/reviews/{NOBODY}/claim", {}, 404, set()),
        (front, "notification/v1/inbox/read", {"up_to": -1}, 422, {"up_to"}),
    ]
    for who, place, body, status, named in cases:
        answer = await zhida.ask(who, "POST", place, body)
        assert answer.status_code == status, f"{place} {body}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert named <= (fields(answer.json()) if named else set()), f"{place} {body}: {answer.text}"
    for url in ("http://169.254.169.254/", "ftp://a.example/", "https://127.0.0.1/", "https://a b/", "nowhere"):
        answer = await zhida.ask(ADMIN, "PUT", f"dispatch/v1/endpoints/{BUREAU}", {"url": url})
        assert (answer.status_code, fields(answer.json())) == (422, {"url"}), f"{url}: {answer.text}"
    await solve(zhida, BUREAU, order.rpartition("/")[2], "已处理。")
    await staged(zhida, ticket_id, "told")
    await still_works(zhida)


@pytest.mark.parametrize("service", ["intake", "classification", "dispatch", "sla_timer", "notification"])
async def test_every_service_refuses_strangers_and_what_it_does_not_know(zhida: Zhida, service: str) -> None:
    paths = {
        "intake": f"v1/tickets/{NOBODY}",
        "classification": "v1/matrix",
        "dispatch": "v1/work-orders",
        "sla_timer": "v1/policy",
        "notification": "v1/inbox",
    }
    place = f"{service}/{paths[service]}"
    stranger = await zhida.ask(None, "GET", place)
    assert (stranger.status_code, stranger.headers["www-authenticate"]) == (401, "Bearer")
    forged = await zhida.ask(None, "GET", place, headers={"Authorization": "Bearer zh0000000000.forged"})
    assert forged.status_code == 401
    without_right = await zhida.ask(Who("vault", ("vault",)), "GET", place)
    assert without_right.status_code == 403
    for method, path, status in (("GET", "v1/nothing", 404), ("DELETE", paths[service], 405)):
        answer = await zhida.ask(ADMIN, method, f"{service}/{path}")
        assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_requests_are_refused_for_their_size_and_their_keys(zhida: Zhida) -> None:
    good = traffic.ticket(*traffic.MATTERS[4])
    huge = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", content=b" " * (1024 * 1024 + 1))
    assert huge.status_code == 413, huge.text
    for key in (None, "键", "k" * 256):
        options: dict[str, Any] = {} if key is None else {"headers": {"Idempotency-Key": key.encode()}}
        answer = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", good, key=None, **options)
        assert (answer.status_code, fields(answer.json())) == (400, {"Idempotency-Key"}), answer.text
    first = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", good, key="one")
    again = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", good, key="one")
    other = await zhida.ask(PLATFORM, "POST", "intake/v1/tickets", good | {"title": "别的"}, key="one")
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert first.json() == again.json()
    await zhida.flow.until(TicketReceived, first.json()["ticket_id"])
    await still_works(zhida)


async def rejections(zhida: Zhida) -> list[TicketRejected]:
    """Every answer on the rejected topic so far."""
    return [said.event for said in await zhida.flow.read() if isinstance(said.event, TicketRejected)]


async def still_works(zhida: Zhida) -> None:
    """Every service is ready, and a ticket goes through."""
    for service in ("intake", "classification", "dispatch", "sla_timer", "notification"):
        assert zhida.stack.is_ready(service), service
    offered = traffic.ticket(*traffic.MATTERS[4])
    taken = await zhida.insist(PLATFORM, "POST", "intake/v1/tickets", offered)
    await staged(zhida, taken["ticket_id"], "assigned")
