"""Channels beside the inbox, such as the control group's chat robot: what is sent, and how often it is tried."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Format = Literal["json", "robot"]
State = Literal["pending", "sent", "failed"]

WAITS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 3600.0, 3600.0)  # s after each failed attempt; then it has failed
ROBOT_BYTES = 2048  # of text, the smaller limit of the two
LONGEST_WAIT = 3600.0  # s, whatever Retry-After asks for
JITTER = 0.2  # of the wait, either way


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt."""

    sent: bool
    status: int | None = None  # HTTP
    reason: str = ""
    retry_after: float | None = None  # s, as the receiver asked


def wait(attempts: int, retry_after: float | None, chance: float) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones; None: that was the last.

    Args: `chance`: a random number in 0-1, for the jitter.
    """
    if attempts > len(WAITS):
        return None
    planned = WAITS[attempts - 1] * (1 - JITTER + 2 * JITTER * chance)
    return min(max(planned, retry_after or 0.0), LONGEST_WAIT * (1 + JITTER))


def body(format_: Format, shown: Mapping[str, Any]) -> bytes:
    """The request's body: the notice itself, or the text message that chat robots of DingTalk and WeCom take."""
    match format_:
        case "json":
            return orjson.dumps(shown)
        case "robot":
            content = f"{shown['title']}\n{shown['text']}".encode()[:ROBOT_BYTES].decode(errors="ignore")
            return orjson.dumps({"msgtype": "text", "text": {"content": content}})


def check_secret(secret: str) -> str | None:
    """What is wrong with a signing secret, or None."""
    if not secret.startswith("whsec_"):
        return "must begin with whsec_"
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        return "must be base64 after whsec_"
    return None if 24 <= size <= 64 else "must be of 24 to 64 bytes"


def signature(secret: str, id_: str, timestamp: int, sent: bytes) -> str:
    """Standard Webhooks 1.0, symmetric (v1): HMAC-SHA256 over id, timestamp and body. `secret`: `whsec_` + base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((id_.encode(), str(timestamp).encode(), sent))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def judge(format_: Format, status: int, answer: bytes, retry_after: float | None) -> Outcome:
    """2xx has arrived; a robot says in its body (`errcode`) that it refused, under status 200."""
    if not 200 <= status < 300:
        return Outcome(False, status, f"HTTP {status}", retry_after)
    if format_ == "robot":
        try:
            said = orjson.loads(answer)
            code = said.get("errcode", 0) if isinstance(said, dict) else 0
        except ValueError:
            code = 0
        if code != 0:
            return Outcome(False, status, f"errcode {code}"[:100], retry_after)
    return Outcome(True, status)
