"""When a delivery is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from services.dispatch.delivery.backoff import JITTER, LONGEST_RETRY_AFTER, next_try, pause, retry_after

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 5), (2, 30), (3, 120), (4, 600), (5, 1800), (6, 3600), (7, 3600), (30, 3600)]
)
def test_pauses_follow_the_schedule(attempts: int, seconds: int) -> None:
    assert pause(attempts, 0.0) == timedelta(seconds=seconds)


def test_jitter_only_adds_and_only_so_much() -> None:
    assert pause(2, 0.5) == timedelta(seconds=33)
    assert pause(2, 0.999) < timedelta(seconds=30) * (1 + JITTER)


def test_the_servers_wish_can_only_make_it_later() -> None:
    assert next_try(1, NOW, 0.0) == NOW + timedelta(seconds=5)
    assert next_try(1, NOW, 0.0, timedelta(seconds=1)) == NOW + timedelta(seconds=5)
    assert next_try(1, NOW, 0.0, timedelta(seconds=60)) == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("0", timedelta()),
        ("120", timedelta(seconds=120)),
        (" 7 ", timedelta(seconds=7)),
        ("99999999999999999999", LONGEST_RETRY_AFTER),
        ("Sun, 22 Nov 2026 08:01:30 GMT", timedelta(seconds=90)),
        ("Sun, 22 Nov 2026 07:00:00 GMT", timedelta()),
        ("Sun, 22 Nov 2026 08:00:10 -0000", timedelta(seconds=10)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped(header: str | None, expected: timedelta | None) -> None:
    assert retry_after(header, NOW) == expected
