"""What is refused of what is handed in, and how it is named."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.intake.domain.submission import CLOCK_SKEW, FIELDS, Invalid, check, parse

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
TICKET: dict[str, Any] = {"channel": "95598", "external_ref": "1", "title": "停电", "text": "停电两天"}
GOOD = json.dumps(TICKET, ensure_ascii=False).encode()

FAR = "2999-01-01T00:00:00Z"
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"channel": None}, ["channel"]),
    ({"channel": "fax"}, ["channel"]),
    ({"external_ref": ""}, ["external_ref"]),
    ({"external_ref": 17}, ["external_ref"]),
    ({"external_ref": "x" * 101}, ["external_ref"]),
    ({"external_ref": "a\x00b"}, ["external_ref"]),
    ({"title": "x" * 201}, ["title"]),
    ({"title": "一\n二"}, ["title"]),
    ({"title": "   "}, ["title"]),
    ({"text": "x" * 20_001}, ["text"]),
    ({"text": "a\x07b"}, ["text"]),
    ({"text": "a\x7fb"}, ["text"]),
    ({"text": ["a"]}, ["text"]),
    ({"agent_id": "x" * 65}, ["agent_id"]),
    ({"business_type": "投诉"}, ["business_type"]),
    ({"complaint_object": "both"}, ["complaint_object"]),
    ({"place": "长沙"}, ["place"]),
    ({"place": {"area_code": "43A"}}, ["place.area_code"]),
    ({"place": {"area_code": "4"}}, ["place.area_code"]),
    ({"place": {"area_code": "４３０１"}}, ["place.area_code"]),
    ({"place": {"address": "x" * 301}}, ["place.address"]),
    ({"place": {"street": "x"}}, ["place.street"]),
    ({"customer": {"star": 0}}, ["customer.star"]),
    ({"customer": {"star": "3"}}, ["customer.star"]),
    ({"customer": {"star": True}}, ["customer.star"]),
    ({"customer": {"star": 3.5}}, ["customer.star"]),
    ({"customer": {"sensitive": "yes"}}, ["customer.sensitive"]),
    ({"customer": {"customer_id": "13812345678"}}, ["customer.customer_id"]),
    ({"customer": {"phone": "1" * 41}}, ["customer.phone"]),
    ({"customer": {"name": "\x1b[31m"}}, ["customer.name"]),
    ({"opened_at": "2026-11-20T08:30:00"}, ["opened_at"]),
    ({"opened_at": "2026-11-20"}, ["opened_at"]),
    ({"opened_at": "yesterday"}, ["opened_at"]),
    ({"opened_at": 1700000000}, ["opened_at"]),
    ({"opened_at": "1999-12-31T00:00:00Z"}, ["opened_at"]),
    ({"opened_at": FAR}, ["opened_at"]),
    ({"ticket_id": "x", "priority": 1}, ["ticket_id", "priority"]),
    ({"title": 1, "customer": {"star": 9, "age": 3}}, ["title", "customer.star", "customer.age"]),
]


UNREADABLE: list[tuple[bytes, str]] = [
    (b"", "body"),
    (b"   ", "body"),
    (b"{", "body"),
    (b'{"a": 1,}', "body"),
    (b"\xff\xfe{}", "body"),
    (GOOD.decode().encode("gb18030"), "body"),
    (GOOD[:-1] + b', "x": NaN}', "body"),
    (GOOD[:-1] + b', "x": -Infinity}', "body"),
    (GOOD[:-1] + b', "title": "again"}', "title"),
    (b"[" * 50_000, "body"),
    (b'{"a":' * 50_000, "body"),
    (b"9" * 10_000, "body"),
]


def named(changes: dict[str, Any], within: str = "") -> list[str]:
    with pytest.raises(Invalid) as caught:
        check(TICKET | changes, NOW, within)
    assert not caught.value.syntax
    return [error.field for error in caught.value.errors]


@pytest.mark.parametrize(("changes", "fields"), WRONG)
def test_every_wrong_field_is_named(changes: dict[str, Any], fields: list[str]) -> None:
    assert named(changes) == fields
    assert named(changes, "tickets.3") == [f"tickets.3.{field}" for field in fields]


@pytest.mark.parametrize(("raw", "field"), UNREADABLE)
def test_what_cannot_be_read_is_refused_as_such(raw: bytes, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(raw)
    assert caught.value.syntax
    assert [error.field for error in caught.value.errors] == [field]


@pytest.mark.parametrize("value", [None, 1, "a", [], [TICKET], True])
def test_a_ticket_is_an_object(value: Any) -> None:
    with pytest.raises(Invalid, match="body: must be an object"):
        check(value, NOW)


def test_reasons_are_sentences_without_the_value() -> None:
    with pytest.raises(Invalid) as caught:
        check(
            TICKET | {"channel": "secret-1", "customer": {"star": 77, "phone": ["secret-2"]}, "title": "s" * 201}, NOW
        )
    assert {error.field: error.reason for error in caught.value.errors} == {
        "channel": (
            "must be one of 95598, 95598_app, ivr, website, 12398, 12345, sunshine_hotline, walk_in or proactive"
        ),
        "title": "is longer than 200 characters",
        "customer.star": "must be at most 5",
        "customer.phone": "must be a string",
    }
    assert "secret" not in str(caught.value)


def test_an_invented_name_is_shortened_masked_and_made_printable() -> None:
    assert named({"x" * 1000: 1}) == ["x" * 60 + "…"]
    assert named({"13812345678": 1}) == ["138****5678"]
    assert named({"a\x1bb": 1}) == ["a�b"]


def test_at_most_fifty_errors_are_named() -> None:
    assert len(named({f"field {number}": 1 for number in range(1000)})) == 50


def test_spaces_around_values_are_taken_off() -> None:
    submission = check(TICKET | {"title": "  停电 ", "external_ref": "\u3000A-1 "}, NOW)
    assert (submission.title, submission.external_ref) == ("停电", "A-1")


def test_texts_at_their_limits_are_taken() -> None:
    check(TICKET | {"title": "题" * 200, "text": "文" * 20_000, "external_ref": "r" * 100}, NOW)
    check(TICKET | {"text": "一\n二\t三\r\n"}, NOW)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22T15:00:00+08:00", datetime(2026, 11, 22, 7, tzinfo=UTC)),
        ("2026-11-22T07:00:00Z", datetime(2026, 11, 22, 7, tzinfo=UTC)),
        ("2026-11-22T07:00:00.5+00:00", datetime(2026, 11, 22, 7, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_times_become_utc(written: str, meant: datetime) -> None:
    assert check(TICKET | {"opened_at": written}, NOW).opened_at == meant


def test_a_callers_clock_may_be_a_little_ahead() -> None:
    check(TICKET | {"opened_at": (NOW + CLOCK_SKEW).isoformat()}, NOW)
    with pytest.raises(Invalid, match="opened_at: is in the future"):
        check(TICKET | {"opened_at": (NOW + CLOCK_SKEW + timedelta(seconds=1)).isoformat()}, NOW)


def test_every_field_has_a_name_to_be_counted_under() -> None:
    assert {"channel", "text", "customer.star", "place.address"} <= FIELDS
