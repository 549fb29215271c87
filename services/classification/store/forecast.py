"""What forecasts are made of: what is usual by hour of the week, and grievances by day."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from sqlalchemy import text

from libs.shared.service import Running
from services.classification.domain.hot_event import KEEP, Usual

# What is usual below a place, added up as of one week: the means of cells add up once each is brought to that week.
USUAL = text("""
    SELECT c.category, x.* FROM unnest(CAST(:categories AS text[])) AS c(category) CROSS JOIN LATERAL (
        SELECT u.hour, min(u.first_week) AS first_week,
            sum(CASE WHEN u.week >= :week THEN u.tickets ELSE 0 END) AS tickets,
            sum(CASE WHEN u.week >= :week THEN u.mean
                ELSE (u.mean * :keep + u.tickets * (1 - :keep)) * power(:keep, :week - u.week - 1) END) AS mean
        FROM usual u WHERE u.category = c.category AND u.place >= :low AND u.place < :high GROUP BY u.hour) x""")
DAYS = text("SELECT day, situation, grievances FROM daily WHERE day >= :since AND day < :until")


async def usual(running: Running, categories: Sequence[str], place: str, week: int) -> dict[str, list[Usual]]:
    """What is usual in that week in all places whose area code begins so, by category ("": all of them)."""
    rows = await running.read(
        USUAL, categories=list(categories), low=place, high=f"{place}:", week=week, keep=float(KEEP)
    )  # ":" sorts behind every digit
    found: dict[str, list[Usual]] = defaultdict(list)
    for row in rows:
        found[row.category].append(Usual(row.hour, week, row.first_week, row.tickets, row.mean))
    return found


async def grievances(running: Running, since: date, until: date) -> dict[tuple[date, str], int]:
    """Grievances of the days from `since` to before `until`, by situation."""
    rows = await running.read(DAYS, since=since, until=until)
    return {(row.day, row.situation): row.grievances for row in rows}
