"""The daily job of a service, under the owner role: partitions ahead, and what is past its age away.

A partition goes in one transaction with those of the other tables that age with it, and only when nothing in them is
open: looked for before, and once more under the lock. What stays beyond its age because of that is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.operate import partition
from libs.operate.partition import Partition, patiently
from libs.shared import db
from libs.shared.keep import Kept, midnight, start
from libs.shared.service import Service
from libs.shared.settings import Settings

INBOX = Kept("inbox", "day", "inbox_days", {"inbox": "id"})
NAMED = 20  # open ones that are named, of each partition
CHUNK = 5000  # rows of one DELETE
WAIT = "500ms"  # for the locks of a drop: shorter than deadlock_timeout, so that it is always we who give way

RAN = text("""
    INSERT INTO retention (single, ran_at, held, oldest) VALUES (true, clock_timestamp(), :held, :oldest)
    ON CONFLICT (single) DO UPDATE SET ran_at = excluded.ran_at, held = excluded.held, oldest = excluded.oldest""")
NOTE = text("INSERT INTO retired (kept, part, low, high) VALUES (:kept, :part, :low, :high)"
            " ON CONFLICT (kept, part) DO UPDATE SET at = clock_timestamp(), swept_at = NULL")  # fmt: skip
UNSWEPT = text("SELECT kept, part, low, high FROM retired WHERE swept_at IS NULL AND kept = :kept ORDER BY low")
SWEPT = text("UPDATE retired SET swept_at = clock_timestamp() WHERE kept = :kept AND part = :part")
OLD_COMMANDS = text("""
    DELETE FROM command WHERE ctid = ANY(ARRAY(SELECT ctid FROM command WHERE at < :before LIMIT :count))""")


Times = Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class Held:
    """A partition past its age that something open keeps."""

    kept: str
    part: str  # first day
    open: list[str]  # ids, up to 20
    more: bool  # there are more than these


@dataclass(slots=True)
class Report:
    """What one run did; in a dry run, what it would have done."""

    made: int = 0  # partitions
    dropped: dict[str, list[str]] = field(default_factory=dict)  # what is kept → first days of partitions
    held: list[Held] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)  # deleted beside partitions

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class _Open(Exception):
    """Something was opened again since we looked: the ids."""


async def retain(service: Service, settings: Settings, *, dry_run: bool = False) -> Report:
    """Do the daily job; safe to run twice, at once, and after a crash in its middle."""
    owner_url = (settings.owner_database_url or settings.database_url).get_secret_value()
    engine = db.engine(owner_url, service.name, None, f"zhida-{service.name}-retain")
    report = Report()
    now = datetime.now(UTC)
    try:
        for kept in (INBOX, *service.keeps):
            if not dry_run:
                for table, column in kept.tables.items():
                    report.made += await partition.extend(engine, table, column, kept.unit)
            cutoff = start(now, kept.unit, getattr(settings, kept.setting))
            # Redelivered events of later than `since` find what they are about.
            times = {"cutoff": midnight(cutoff), "since": now - timedelta(settings.inbox_days)}
            for parts in await _past(engine, kept, cutoff):
                await _age(engine, kept, parts, times, report, dry_run=dry_run)
            if not dry_run:
                await _sweep(engine, kept, report)
        if not dry_run:
            before = now - timedelta(settings.command_days)
            report.rows["command"] = await _delete(engine, OLD_COMMANDS, before=before)
            oldest = min((date.fromisoformat(each.part) for each in report.held), default=None)
            async with engine.begin() as connection:
                await connection.execute(RAN, {"held": len(report.held), "oldest": oldest})
    finally:
        await engine.dispose()
    return report


async def _past(engine: AsyncEngine, kept: Kept, cutoff: date) -> list[list[Partition]]:
    """The partitions that began before `cutoff`: those of all tables for one day or month together, oldest first."""
    found: dict[date, list[Partition]] = {}
    async with engine.connect() as connection:
        for table in kept.tables:
            for each in await partition.partitions(connection, table, kept.unit):
                if each.first < cutoff:
                    found.setdefault(each.first, []).append(each)
    return [found[first] for first in sorted(found)]


async def _age(
    engine: AsyncEngine, kept: Kept, parts: list[Partition], times: Times, report: Report, *, dry_run: bool
) -> None:
    """Drop partitions of one day or month, unless something in them is open."""
    first = parts[0].first.isoformat()
    async with engine.connect() as connection:
        still = await _open(connection, kept, parts, times)
    if not still and not dry_run:
        try:
            await patiently(partial(_drop, engine, kept, parts, times))
        except _Open as error:
            still = error.args[0]
    if still:
        report.held.append(Held(kept.name, first, still[:NAMED], len(still) > NAMED))
    else:
        report.dropped.setdefault(kept.name, []).append(first)


async def _open(
    connection: AsyncConnection, kept: Kept, parts: Sequence[Partition], times: Times, *, recent: bool = True
) -> list[str]:
    """Ids of what keeps these partitions, up to one more than are named."""
    names = {table: f"(SELECT * FROM {table} WHERE false)" for table in kept.tables}
    names.update({each.parent: each.name for each in parts})
    low, high = parts[0].bounds
    given = {**times, "low": low, "high": high}
    found: list[str] = []
    for query in (kept.open, kept.recent if recent else ""):
        if query and len(found) <= NAMED:
            statement = text(f"SELECT * FROM ({query.format(**names)}) AS still LIMIT {NAMED + 1}")
            parameters = {name: value for name, value in given.items() if f":{name}" in query}
            found += [str(row[0]) for row in await connection.execute(statement, parameters)]
    return list(dict.fromkeys(found))


async def _drop(engine: AsyncEngine, kept: Kept, parts: Sequence[Partition], times: Times) -> None:
    """Drop these partitions of several tables at once. Raises _Open, with nothing changed."""
    names = ", ".join(each.name for each in parts)
    low, high = parts[0].bounds
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT}'")
        await connection.exec_driver_sql(
            f"LOCK TABLE ONLY {', ONLY '.join(each.parent for each in parts)}, ONLY {names.replace(', ', ', ONLY ')}"
            " IN ACCESS EXCLUSIVE MODE"
        )
        if still := await _open(connection, kept, parts, times, recent=False):
            raise _Open(still)
        await connection.exec_driver_sql(f"DROP TABLE {names}")
        if kept.swept:
            await connection.execute(
                NOTE, {"kept": kept.name, "part": parts[0].first.isoformat(), "low": low, "high": high}
            )


async def _sweep(engine: AsyncEngine, kept: Kept, report: Report) -> None:
    """Delete, a little at a time, what lay beside the dropped partitions; goes on where a crash left it."""
    async with engine.connect() as connection:
        retired = (await connection.execute(UNSWEPT, {"kept": kept.name})).all()
    for part in retired:
        for table, column in (kept.swept or {}).items():
            statement = text(
                f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}"
                f" WHERE {column} >= :low AND {column} < :high LIMIT :count))"
            )
            bounds = (str(part.low), str(part.high)) if table == "stream" else (part.low, part.high)
            count = await _delete(engine, statement, low=bounds[0], high=bounds[1])
            report.rows[table] = report.rows.get(table, 0) + count
        async with engine.begin() as connection:
            await connection.execute(SWEPT, {"kept": part.kept, "part": part.part})


async def _delete(engine: AsyncEngine, statement: Any, **parameters: Any) -> int:
    """Run a DELETE of at most :count rows until nothing is left; gives how many went."""
    gone = 0
    while True:
        async with engine.begin() as connection:
            found = (await connection.execute(statement, {**parameters, "count": CHUNK})).rowcount
        gone += found
        if found < CHUNK:
            return gone
