"""The forecasts, for whoever asks: tickets and agents by the hour, grievances of the coming week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from libs.shared.keep import first_id
from libs.shared.service import Running
from services.classification import store
from services.classification.current import current
from services.classification.domain import forecast, hot_event, staffing
from services.classification.domain.forecast import Grievances
from services.classification.domain.matrix import Situation

LONGEST = 168  # hours ahead


@dataclass(frozen=True, slots=True)
class Desk:
    """How calls are to be answered."""

    handling_seconds: float  # mean, with what is to be written after the call
    within_seconds: float
    share: float  # of the calls, below 1
    calls_per_ticket: float = 1.0  # calls that become no ticket, too, keep agents busy


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour to come."""

    at: datetime  # its beginning, UTC
    tickets: float
    agents: int


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be expected below a place."""

    hours: tuple[Hour, ...]
    categories: Mapping[
        str, tuple[str, tuple[float, ...]]
    ]  # code → name, and tickets in the same hours; the most first


async def load(running: Running, place: str, category: str | None, count: int, desk: Desk) -> Load:
    """So many hours from the next full one on. Raises ValueError where no number of agents is enough."""
    matrix = (await current(running).in_force()).matrix
    names = {each.category: each.path[2] for each in matrix.situations}
    now = running.now()
    first = hot_event.hour_of(first_id(now)) + 1
    began = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    found = await store.forecast.usual(running, ["", *names], place, first // hot_event.HOURS)
    expected = forecast.hours(found.get(category or "", []), first, count)
    by_category = {code: forecast.hours(rows, first, count) for code, rows in found.items() if code}
    return Load(
        hours=tuple(
            Hour(began + timedelta(hours=number), round(tickets, 2), _agents(tickets, desk))
            for number, tickets in enumerate(expected)
        ),
        categories={
            code: (names[code], tuple(round(each, 2) for each in by_category[code]))
            for code in sorted(by_category, key=lambda code: (-sum(by_category[code]), code))
            if category in (None, code)
        },
    )


def _agents(tickets: float, desk: Desk) -> int:
    calls = tickets * desk.calls_per_ticket
    return staffing.agents(calls, desk.handling_seconds, desk.within_seconds, desk.share) if calls else 0


async def grievances(running: Running, limit: int) -> list[tuple[Situation | None, Grievances]]:
    """Of the seven days from today on, by situation; None: the matrix in force has it no more."""
    matrix = (await current(running).in_force()).matrix
    today = running.now().astimezone(ZoneInfo(matrix.timezone)).date()
    since = today - timedelta(days=forecast.WEEKS * forecast.WEEK)
    counts = await store.forecast.grievances(running, since, today)
    return [
        (matrix.situations[matrix.by_code[each.situation]] if each.situation in matrix.by_code else None, each)
        for each in forecast.grievances(counts, today)[:limit]
    ]


def lines(found: Load) -> Sequence[str]:
    """A forecast as lines of text."""
    hours = [
        f"{each.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC  {each.tickets:8.2f}  {each.agents:5}" for each in found.hours
    ]
    categories = [f"{code:8} {name}  {sum(tickets):.2f}" for code, (name, tickets) in found.categories.items()]
    return ["hour                   tickets  agents", *hours, "", "category, tickets in all these hours", *categories]
