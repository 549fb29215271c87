"""What the database can hold, told before it is asked: points in time, numbers, texts without NUL."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

import orjson
from pydantic import BeforeValidator
from starlette.types import Scope


def instant(text: Any) -> datetime:
    """A point in time out of its text (RFC 3339), in UTC; ValueError where it is none, or has no time zone."""
    if not isinstance(text, str):
        raise ValueError("must be a text such as 2026-01-31T08:00:00+08:00")
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("needs a time zone, such as 2026-01-31T08:00:00+08:00")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is too far away") from None


Instant = Annotated[datetime, BeforeValidator(instant)]


def value(given: Any) -> Any:
    """A value that the database can hold; ValueError or OverflowError where it cannot."""
    match given:
        case datetime():
            return instant(given.isoformat())
        case int() if not -(2**63) <= given < 2**63:
            raise ValueError("beyond 64 bits")
        case str() if "\x00" in given:
            raise ValueError("holds a NUL character")
        case _:
            return given


def tree(given: Any) -> Any:
    """A JSON value that the database can hold; ValueError where it cannot."""
    try:
        text = orjson.dumps(given)
    except orjson.JSONEncodeError:
        raise ValueError("holds half a character, or a number beyond 64 bits") from None
    if rb"\u0000" in text:
        raise ValueError("holds a NUL character")
    return given


def wrong(scope: Scope) -> list[dict[str, str]]:
    """Where the address holds NUL characters, which no text in the database can."""
    query = scope["query_string"]
    fields = [name for name, value in parse_qsl(query.decode("latin-1")) if "\x00" in name + value]
    fields += ["path"] if "\x00" in scope["path"] else []
    return [{"field": name.replace("\x00", "\\0"), "reason": "must not hold NUL characters"} for name in fields]
