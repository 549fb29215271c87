"""A service's schema under the owner role: made, migrated, partitioned ahead, granted to the runtime role.

Migrations expand first and contract in a later release; each waits for locks 2 s at most and is then tried again.
"""

import importlib.util
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.operate.partition import extend, patiently
from libs.operate.retention import INBOX
from libs.shared import db
from libs.shared.service import Service
from libs.shared.settings import Settings, SettingsError

LOCK = text("SELECT pg_advisory_lock(hashtext('zhida migrate ' || :schema))")
QUOTED = text("SELECT format('%I', CAST(:name AS text)) AS name, format('%L', CAST(:secret AS text)) AS secret, "
              "EXISTS (SELECT FROM pg_roles WHERE rolname = :name) AS made")  # fmt: skip


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
            for kept in (INBOX, *service.keeps):
                for parent, column in kept.tables.items():
                    await extend(engine, parent, column, kept.unit)
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

    await patiently(attempt)
