"""When to try again, and how to read what a department's server says about that."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

SCHEDULE: Final = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1800, 3600))  # then every hour
JITTER: Final = 0.2  # at most this share of the pause is added, so that retries of one outage spread
LONGEST_RETRY_AFTER: Final = timedelta(hours=1)
GIVE_UP: Final = timedelta(hours=24)  # after that the inbox has it; an accept clock cuts it earlier
LAST_CALL: Final = timedelta(seconds=5)  # the next attempt must begin this long before giving up, else it is now


def pause(attempts: int, draw: float) -> timedelta:
    """How long to wait after that many failed attempts (at least 1); `draw` is uniform in [0, 1)."""
    return SCHEDULE[min(attempts, len(SCHEDULE)) - 1] * (1 + JITTER * draw)


def next_try(attempts: int, now: datetime, draw: float, retry_after: timedelta | None = None) -> datetime:
    """When to try again after that many failed attempts; a server's Retry-After can only make it later."""
    return now + max(pause(attempts, draw), retry_after or timedelta())


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """A Retry-After header: seconds or an HTTP date, at most an hour; None where there is none that can be read."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text[:9]), 1_000_000))
    else:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta()), LONGEST_RETRY_AFTER)
