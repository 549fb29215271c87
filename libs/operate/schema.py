"""A service's schema under the owner role: made, migrated, granted to the runtime role, and kept small by age.

Migrations expand first and contract in a later release; each waits for locks 2 s at most and is then tried again.
"""

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.shared import db
from libs.shared.service import Service
from libs.shared.settings import Settings, SettingsError

DAYS_AHEAD = 14
LOCK_TRIES = 30

LOCK = text("SELECT pg_advisory_lock(hashtext('zhida migrate ' || :schema))")
PARTITIONS = text("""
    SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(:parent) AND NOT i.inhdetachpending ORDER BY c.relname""")
QUOTED = text("SELECT format('%I', CAST(:name AS text)) AS name, format('%L', CAST(:secret AS text)) AS secret, "
              "EXISTS (SELECT FROM pg_roles WHERE rolname = :name) AS made")  # fmt: skip

Key = Literal["uuid", "time"]


async def migrate(service: Service, settings: Settings) -> None:
    """Bring the schema up to date; safe to run twice, and at once on two machines.

    Raises: SettingsError where DATABASE_URL names no role; whatever Postgres refuses.
    """
    runtime = make_url(settings.database_url.get_secret_value())
    if not runtime.username:
        raise SettingsError("DATABASE_URL: it must name the role the service runs as")
    owner_url = (settings.owner_database_url or settings.database_url).get_secret_value()
    engine = db.engine(owner_url, service.name, None, f"zhida-{service.name}-migrate")
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("SET lock_timeout = 0"))
            await connection.execute(LOCK, {"schema": service.name})
            await connection.execute(text("SET lock_timeout = '2s'"))
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{service.name}"'))
            if runtime.username != make_url(owner_url).username:
                await _make_role(connection, runtime.username, runtime.password or "")
            here = Path(db.__file__).parent / "migrations"
            found = importlib.util.find_spec(f"services.{service.name}")
            theirs = (
                [(Path(place) / "migrations", "version") for place in found.submodule_search_locations or []]
                if found
                else []
            )
            for folder, table in ((here, "kernel_version"), *theirs):
                if (folder / "versions").is_dir():
                    await _upgrade(engine, folder, table, service.name)
            await extend(connection, "inbox", "uuid")
            await _grant(connection, service.name, runtime.username)
    finally:
        await engine.dispose()


async def _make_role(connection: AsyncConnection, name: str, secret: str) -> None:
    row = (await connection.execute(QUOTED, {"name": name, "secret": secret})).one()
    verb = "ALTER" if row.made else "CREATE"
    await connection.execute(text(f"{verb} ROLE {row.name} LOGIN PASSWORD {row.secret}".replace(":", r"\:")))


async def _grant(connection: AsyncConnection, schema: str, role: str) -> None:
    name = (await connection.execute(QUOTED, {"name": role, "secret": ""})).one().name
    for grant in (
        f'USAGE ON SCHEMA "{schema}"',
        f'SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}"',
        f'USAGE, SELECT ON ALL SEQUENCES IN SCHEMA "{schema}"',
    ):
        await connection.execute(text(f"GRANT {grant} TO {name}"))


async def _upgrade(engine: Any, folder: Path, table: str, schema: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def apply(connection: Connection) -> None:
        with EnvironmentContext(
            config, script, fn=lambda current, _: script._upgrade_revs("head", current)
        ) as environment:
            environment.configure(
                connection=connection, version_table=table, version_table_schema=schema, transaction_per_migration=True
            )
            with environment.begin_transaction():
                environment.run_migrations()

    async def attempt() -> None:
        async with engine.connect() as connection:
            await connection.run_sync(apply)
            await connection.commit()

    await _patiently(attempt)


async def _patiently(work: Callable[[], Awaitable[Any]]) -> None:
    """Do it, again where a lock could not be had within 2 s."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            await work()
            return
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != "55P03" or not left:
                raise
            await asyncio.sleep(1)


def _bound(day: date, key: Key) -> str:
    """The lower bound of a day's partition, as SQL. A UUIDv7 begins with 48 bits of Unix milliseconds."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if key == "time":
        return f"'{start.isoformat()}'"
    return f"'{UUID(int=int(start.timestamp() * 1000) << 80)}'"


async def extend(connection: AsyncConnection, parent: str, key: Key, column: str = "id") -> None:
    """Make the daily partitions of today and the next 14 days; rows that had gone to the default one move over."""
    made = {row.name for row in await connection.execute(PARTITIONS, {"parent": parent})}
    today = datetime.now(UTC).date()
    for day in (today + timedelta(days) for days in range(DAYS_AHEAD + 1)):
        name = f"{parent}_{day:%Y%m%d}"
        if name in made:
            continue
        low, high = _bound(day, key), _bound(day + timedelta(1), key)
        inside = f"{column} >= {low} AND {column} < {high}"
        statements = [
            "BEGIN",
            f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL, CHECK ({inside}))",
            f"WITH moved AS (DELETE FROM {parent}_default WHERE {inside} RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved",
            f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
            "COMMIT",
        ]
        for statement in statements:
            await connection.execute(text(statement.replace(":", r"\:")))


async def drop_before(connection: AsyncConnection, parent: str, day: date, *, only_empty: bool = False) -> int:
    """Drop the daily partitions of days before that one; gives how many.

    Beside a default partition Postgres detaches none concurrently, so the parent is locked, for an instant each.
    """
    count = 0
    for row in (await connection.execute(PARTITIONS, {"parent": parent})).all():
        stamp = row.name.removeprefix(f"{parent}_")
        if not stamp.isdigit() or stamp >= f"{day:%Y%m%d}":
            continue
        if only_empty and (await connection.execute(text(f"SELECT EXISTS (SELECT FROM {row.name})"))).scalar():
            continue
        await _patiently(partial(connection.execute, text(f"ALTER TABLE {parent} DETACH PARTITION {row.name}")))
        await connection.execute(text(f"DROP TABLE {row.name}"))
        count += 1
    return count


async def retain(service: Service, settings: Settings) -> dict[str, int]:
    """The daily job: partitions ahead, old inbox days and old Idempotency-Keys away; gives what was dropped."""
    owner_url = (settings.owner_database_url or settings.database_url).get_secret_value()
    engine = db.engine(owner_url, service.name, None, f"zhida-{service.name}-retain")
    today = datetime.now(UTC).date()
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await extend(connection, "inbox", "uuid")
            dropped = await drop_before(connection, "inbox", today - timedelta(settings.inbox_days))
            before = datetime.now(UTC) - timedelta(settings.command_days)
            old = await connection.execute(text("DELETE FROM command WHERE at < :before"), {"before": before})
            return {"inbox_days": dropped, "commands": old.rowcount}
    finally:
        await engine.dispose()
