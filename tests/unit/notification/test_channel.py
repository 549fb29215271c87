"""What channels are sent, and when again."""

import base64
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook

from services.notification.domain import channel
from services.notification.domain.channel import Format, Outcome

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
SHOWN = {"title": "已超时：接单", "text": "抢修班", "number": 7}


@pytest.mark.parametrize(
    ("attempts", "retry_after", "low", "high"),
    [
        (1, None, 4.0, 6.0),
        (2, None, 24.0, 36.0),
        (8, None, 2880.0, 4320.0),
        (1, 60.0, 60.0, 60.0),
        (1, 999999.0, 4320.0, 4320.0),
    ],
)
def test_the_wait_grows_with_jitter_and_heeds_the_receiver(
    attempts: int, retry_after: float | None, low: float, high: float
) -> None:
    waits = [channel.wait(attempts, retry_after, chance) for chance in (0.0, 0.5, 1.0)]
    assert waits[0] == pytest.approx(low)
    assert waits[2] == pytest.approx(high)


def test_the_ninth_failure_is_the_last() -> None:
    assert channel.wait(8, None, 0.5) is not None
    assert channel.wait(9, None, 0.5) is None


def test_programs_get_the_notice_and_robots_a_text_message() -> None:
    assert orjson.loads(channel.body("json", SHOWN)) == SHOWN
    assert orjson.loads(channel.body("robot", SHOWN)) == {
        "msgtype": "text",
        "text": {"content": "已超时：接单\n抢修班"},
    }


def test_a_robots_text_is_cut_at_a_whole_character() -> None:
    content = orjson.loads(channel.body("robot", {"title": "x", "text": "长" * 2000}))["text"]["content"]
    assert len(content.encode()) <= 2048
    assert content.endswith("长")


@pytest.mark.parametrize(
    ("format_", "status", "answer", "outcome"),
    [
        ("json", 200, b"", Outcome(True, 200)),
        ("json", 204, b"", Outcome(True, 204)),
        ("json", 302, b"", Outcome(False, 302, "HTTP 302")),
        ("json", 500, b"boom", Outcome(False, 500, "HTTP 500")),
        ("json", 200, b'{"errcode":1}', Outcome(True, 200)),
        ("robot", 200, b'{"errcode":0,"errmsg":"ok"}', Outcome(True, 200)),
        ("robot", 200, b'{"errcode":45009}', Outcome(False, 200, "errcode 45009")),
        ("robot", 200, b"fine", Outcome(True, 200)),
        ("robot", 200, b"[]", Outcome(True, 200)),
    ],
)
def test_what_counts_as_arrived(format_: Format, status: int, answer: bytes, outcome: Outcome) -> None:
    assert channel.judge(format_, status, answer, None) == outcome


def test_an_independent_library_accepts_our_signature() -> None:
    import time

    sent, timestamp = channel.body("json", SHOWN), int(time.time())
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": channel.signature(SECRET, "m1", timestamp, sent),
    }
    verified: Any = Webhook(SECRET).verify(sent, headers)
    assert verified == SHOWN


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (SECRET, None),
        ("secret", "must begin with whsec_"),
        ("whsec_!!", "must be base64 after whsec_"),
        ("whsec_YWJj", "must be of 24 to 64 bytes"),
    ],
)
def test_a_weak_secret_is_refused(secret: str, reason: str | None) -> None:
    assert channel.check_secret(secret) == reason
