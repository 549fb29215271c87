"""How Postgres carries a statement out: what it reads, counted, so that a test can say "too much" without a clock."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson
from sqlalchemy import Connection, Executable, text
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Mode = Literal["force_custom_plan", "force_generic_plan"]

# A UUIDv7 of an instant, with the bits behind the time taken from a number.
UUID_AT = """
    CREATE FUNCTION public.uuid_at(at timestamptz, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
    SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || '8' || substr(md5(n::text), 4, 15) AS uuid) $$"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement as it was carried out."""

    nodes: tuple[Mapping[str, Any], ...]
    text: str

    @property
    def scans(self) -> dict[str, int]:
        """Rows read from each table (partition), also those that a filter then dropped."""
        found: dict[str, int] = {}
        for node in self.nodes:
            if name := node.get("Relation Name"):
                if node["Node Type"] in ("ModifyTable", "Bitmap Index Scan"):
                    continue
                rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                rows += node.get("Rows Removed by Index Recheck", 0)
                found[name] = found.get(name, 0) + int(rows * node["Actual Loops"])
        return found

    @property
    def sequential(self) -> dict[str, int]:
        """Rows read in sequential scans, or in scans of a whole index, by table; only where there were any."""
        found: dict[str, int] = {}
        for node in self.nodes:
            whole = node["Node Type"].startswith("Index") and not node.get("Index Cond") and not node.get("Order By")
            if node["Node Type"] == "Seq Scan" or (whole and "Relation Name" in node):
                rows = int((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
                if rows:
                    found[node["Relation Name"]] = found.get(node["Relation Name"], 0) + rows
        return found

    @property
    def spilt(self) -> int:
        """Blocks written to temporary files."""
        return max((int(node.get("Temp Written Blocks", 0)) for node in self.nodes), default=0)

    @property
    def buffers(self) -> int:
        """Blocks looked at, in memory or on disk."""
        top = self.nodes[0]
        return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def carried_out(engine: AsyncEngine, statement: Executable, parameters: Mapping[str, Any], mode: Mode) -> Plan:
    """EXPLAIN (ANALYZE, BUFFERS) of a prepared statement, rolled back."""
    async with engine.connect() as connection:
        return await explained(connection, statement, parameters, mode)


async def explained(
    connection: AsyncConnection, statement: Executable, parameters: Mapping[str, Any], mode: Mode
) -> Plan:
    """The same on a connection; its transaction is rolled back."""
    sql, names = _numbered(statement)
    values = ", ".join(_literal(parameters[name]) for name in names)
    await connection.exec_driver_sql(f"SET LOCAL plan_cache_mode = {mode}")
    await connection.exec_driver_sql(f"PREPARE planned AS {sql}")
    execute = f"EXECUTE planned ({values})" if names else "EXECUTE planned"
    try:
        found = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {execute}")
        raw = found.scalar_one()
    finally:
        await connection.rollback()
        await connection.exec_driver_sql("DEALLOCATE planned")
        await connection.rollback()
    [plan] = orjson.loads(raw) if isinstance(raw, str) else raw
    return Plan(tuple(_walk(plan["Plan"])), orjson.dumps(plan, option=orjson.OPT_INDENT_2).decode())


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _walk(each)


def _numbered(statement: Any) -> tuple[str, list[str]]:
    """The statement with $1, $2, … and the names behind the numbers."""
    compiled = statement.compile(dialect=PGDialect_asyncpg())
    names = list(compiled.positiontup or ())
    return str(compiled), names


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() | tuple():
            return _quoted("{" + ",".join(_element(each) for each in value) + "}")
        case datetime():
            return _quoted(value.isoformat())
        case timedelta():
            return _quoted(f"{value.total_seconds()} seconds")
        case bytes():
            return _quoted("\\x" + value.hex())
        case _:
            return _quoted(str(value))


def _element(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int() | float() | UUID():
            return str(value)
        case datetime():
            return '"' + value.isoformat() + '"'
        case bytes():
            return '"\\\\x' + value.hex() + '"'
        case _:
            return '"' + re.sub(r'(["\\])', r"\\\1", str(value)) + '"'


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
