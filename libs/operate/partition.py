"""Partitions by the time inside a UUIDv7: made ahead, listed, and named after their day or month (UTC)."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.shared.keep import Unit, born, first_id, midnight, start

AHEAD: Mapping[Unit, int] = {"day": 14, "month": 2}  # partitions made beyond the running one
LOCK_TRIES = 30
FIRST = date(2020, 1, 1)  # ids from before are not times: they stay in the default partition

PARTITIONS = text("""
    SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(:parent) AND NOT i.inhdetachpending ORDER BY c.relname""")
OPTIONS = text("SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = to_regclass(:name)")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partition:
    """One day or month of a table."""

    parent: str
    first: date
    unit: Unit

    @property
    def name(self) -> str:
        return f"{self.parent}_{self.first:{'%Y%m%d' if self.unit == 'day' else '%Y%m'}}"

    @property
    def bounds(self) -> tuple[UUID, UUID]:
        """The lowest id in it, and the lowest above it."""
        after = start(midnight(self.first), self.unit, -1)
        return first_id(midnight(self.first)), first_id(midnight(after))


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do it, again where a lock could not be had in time."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            return await work()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in ("55P03", "40P01") or not left:
                raise
            await asyncio.sleep(1)
    raise AssertionError("unreachable")


async def extend(engine: AsyncEngine, parent: str, column: str, unit: Unit) -> int:
    """Make what is missing: from now on, and for rows that had to go to the default partition; gives how many.

    A new partition has the storage settings of the default one. Those rows move; writers wait an instant for each.
    """
    now = datetime.now(UTC)
    async with engine.connect() as connection:
        made = set(await partitions(connection, parent, unit))
    wanted = [Partition(parent, start(now, unit, -ahead), unit) for ahead in range(AHEAD[unit] + 1)]
    missing = [each for each in wanted if each not in made]
    last = wanted[-1].bounds[1]
    count = 0
    while missing or (missing := await _stray(engine, parent, column, unit, last)):
        await make(engine, missing, column)
        count, missing = count + len(missing), []
    return count


async def make(engine: AsyncEngine, new: Sequence[Partition], column: str) -> None:
    """Make these partitions of one table, all in one transaction."""
    async with engine.connect() as connection:
        options = (await connection.execute(OPTIONS, {"name": f"{new[0].parent}_default"})).scalar_one()
    statements = [statement for each in new for statement in _making(each, column, options)]
    await patiently(partial(_run, engine, statements))


async def partitions(connection: AsyncConnection, parent: str, unit: Unit) -> list[Partition]:
    """The partitions there are, without the default one; oldest first."""
    form = re.compile(rf"{parent}_(\d{{{8 if unit == 'day' else 6}}})")
    rows = await connection.execute(PARTITIONS, {"parent": parent})
    stamps = [match[1] for row in rows if (match := form.fullmatch(row.name))]
    return sorted(
        (Partition(parent, date(int(s[:4]), int(s[4:6]), int(s[6:] or 1)), unit) for s in stamps),
        key=lambda each: each.first,
    )


def _making(new: Partition, column: str, options: str | None) -> list[str]:
    low, high = new.bounds
    inside = f"{column} >= '{low}' AND {column} < '{high}'"
    return [
        f"CREATE TABLE {new.name} (LIKE {new.parent} INCLUDING ALL EXCLUDING IDENTITY)"
        + (f" WITH ({options})" if options else ""),
        f"WITH moved AS (DELETE FROM {new.parent}_default WHERE {inside} RETURNING *)"
        f" INSERT INTO {new.name} SELECT * FROM moved",
        f"ALTER TABLE {new.parent} ATTACH PARTITION {new.name} FOR VALUES FROM ('{low}') TO ('{high}')",
    ]


async def _stray(engine: AsyncEngine, parent: str, column: str, unit: Unit, last: UUID) -> list[Partition]:
    """The partition of the oldest row that lies in the default one, where its id is a time."""
    oldest = text(
        f"SELECT {column} FROM {parent}_default WHERE {column} >= :first AND {column} < :last ORDER BY {column} LIMIT 1"
    )
    async with engine.connect() as connection:
        found = (await connection.execute(oldest, {"first": first_id(midnight(FIRST)), "last": last})).scalar()
    return [Partition(parent, start(born(found), unit), unit)] if found else []


async def _run(engine: AsyncEngine, statements: list[str]) -> None:
    """Statements in one transaction and one round trip."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql("DO $do$ BEGIN " + "; ".join(statements) + "; END $do$")
