"""What a service keeps and for how long: tables partitioned by the time inside a UUIDv7, and what comes too late.

All rows of a ticket lie in the partition of the month the ticket was born in, whenever they were written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, Protocol, TypeVar
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import TextClause

from libs.shared.db import Transaction
from libs.shared.telemetry import log

Unit = Literal["day", "month"]

LATE = Counter("zhida_late_events_total", "Events about tickets whose month is gone: they change nothing", ["type"])


@dataclass(frozen=True, slots=True)
class Kept:
    """Tables that age together. A partition goes when it is past its age and nothing in it is open."""

    name: str  # in the report of `retain`
    unit: Unit  # of a partition
    setting: str  # of the service's settings: how many units are kept besides the running one
    tables: Mapping[str, str]  # table → its UUIDv7 column
    # SELECT of the ids that keep their partition; `{table}` is that table's partition. It runs once more under an
    # exclusive lock, so it must be answered from an index. Parameters :low and :high, the partition's
    # ids, and :cutoff, the first day that is kept whatever is in it.
    open: str = ""
    # The same for what was finished lately and may come back; runs without a lock. Parameter :since.
    recent: str = ""
    # Table beside partitions → its column of ticket ids (uuid, or text that begins with one): rows that go with them.
    swept: Mapping[str, str] | None = None


def born(id_: UUID) -> datetime:
    """The time inside a UUIDv7 (ms)."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)


def first_id(at: datetime) -> UUID:
    """The smallest UUIDv7 of that millisecond."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)


def start(at: datetime, unit: Unit, ago: int = 0) -> date:
    """The first day of the unit of time that began `ago` units before that of `at` (negative: after)."""
    if unit == "day":
        return (at - timedelta(ago)).date()
    months = at.year * 12 + at.month - 1 - ago
    return date(months // 12, months % 12 + 1, 1)


def midnight(day: date) -> datetime:
    """The first instant of a day (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def oldest_kept(now: datetime, months: int) -> UUID:
    """What is older than this id may be gone."""
    return first_id(midnight(start(now, "month", months)))


class TicketFact(Protocol):
    """An event about a ticket."""

    @property
    def ticket_id(self) -> UUID: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def type(self) -> str: ...


E = TypeVar("E", bound=TicketFact)


async def timely(events: list[E], tx: Transaction, known: TextClause, months: int) -> list[E]:
    """The events that still count; the others are logged and counted as late.

    Late is an event older than the inbox remembers, about a ticket older than `months`, of which nothing is known:
    its month is gone, and the event was handled before (a topic read again from its beginning, say).

    Args: `known`: SELECT of `ticket_id`s among :ids that are known; asked only where an event is that old.
    """
    forgotten = tx.now - timedelta(tx.running.settings.inbox_days)
    oldest = oldest_kept(tx.now, months)
    old = [event for event in events if event.occurred_at < forgotten and event.ticket_id < oldest]
    if not old:
        return events
    ids = list({event.ticket_id for event in old})
    found = {row.ticket_id for row in await tx.rows(known, ids=ids)}
    late = [event for event in old if event.ticket_id not in found]
    for event in late:
        log.warning("late_event", type=event.type, ticket_id=str(event.ticket_id))
        tx.after_commit(LATE.labels(event.type).inc)
    gone = {id(event) for event in late}
    return [event for event in events if id(event) not in gone]
