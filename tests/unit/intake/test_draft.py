"""What of a ticket is published, what is set aside, and what differs the second time."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.intake.domain.draft import Draft, differences
from services.intake.domain.submission import check

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def draft(**changes: Any) -> Draft:
    given = {"channel": "95598", "external_ref": "1", "title": "停电", "text": "打13812345678", **changes}
    return Draft.of(check(given, NOW))


def received(of: Draft) -> dict[str, object]:
    ticket = of.ticket(NOW)
    return {
        "channel": ticket.channel,
        "external_ref": ticket.external_ref,
        "title": ticket.title,
        "text": ticket.text,
        "agent_id": ticket.agent_id,
        "opened_at": ticket.opened_at,
        "place.address": ticket.place.address,
        "customer.star": ticket.customer.star,
    }


def test_only_what_is_masked_or_left_out_is_set_aside() -> None:
    assert draft(customer={"name": "张三"}).original == {"text": "打13812345678", "customer.name": "张三"}
    assert draft(text="无").original == {}
    assert draft(text="无", place={"address": "打13812345678"}).original == {"place.address": "打13812345678"}


def test_nothing_set_aside_is_published() -> None:
    ticket = draft(customer={"name": "张三丰", "phone": "0731-82345678"}).ticket(NOW).model_dump_json()
    assert "张三丰" not in ticket
    assert "82345678" not in ticket
    assert "1234" not in ticket


def test_spaces_around_a_value_do_not_count() -> None:
    assert draft(title=" 停电\n".strip("\n")).title == "停电"


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({}, ()),
        ({"agent_id": None}, ()),
        ({"customer": {"star": 1}}, ()),
        ({"customer": {"star": 2}}, ("customer.star",)),
        ({"text": "打13812340678"}, ("text",)),
        ({"customer": {"name": "李四"}}, ("customer.name",)),
        ({"title": "又", "opened_at": "2026-01-01T00:00:00Z"}, ("title", "opened_at")),
    ],
)
def test_what_differs_the_second_time_is_named(changes: dict[str, Any], differing: tuple[str, ...]) -> None:
    first = draft()
    assert differences(received(first), first.original, draft(**changes)) == differing


def test_without_the_vault_masked_texts_are_compared() -> None:
    first = draft(customer={"name": "张三"})
    assert differences(received(first), None, draft(text="打13812345678", customer={"name": "李四"})) == ()
    assert differences(received(first), None, draft(text="打13912345678")) == ("text",)
