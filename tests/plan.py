"""How Postgres carries a statement out: what it reads, counted, so that a test can say "too much" without a clock."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]

# A UUIDv7 of an instant, with the bits behind the time taken from a number.
UUID_AT = """
    CREATE OR REPLACE FUNCTION public.uuid_at(at timestamptz, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
    SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15) AS uuid) $$"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement as it was carried out."""

    nodes: tuple[Mapping[str, Any], ...]

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement prepared on a connection, planned once for whatever values, as the services' connections do."""

    connection: AsyncConnection
    name: str
    names: tuple[str, ...]  # of its parameters, in order

    async def carried_out(self, parameters: Mapping[str, Any]) -> Plan:
        """EXPLAIN (ANALYZE, BUFFERS), rolled back."""
        values = ", ".join(_literal(parameters[name]) for name in self.names)
        call = f"{self.name} ({values})" if values else self.name
        try:
            found = await self.connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE {call}"
            )
            raw = found.scalar_one()
        finally:
            await self.connection.rollback()
        [plan] = orjson.loads(raw) if isinstance(raw, str) else raw
        return Plan(tuple(_walk(plan["Plan"])))


async def prepare(connection: AsyncConnection, name: str, statement: Any) -> Prepared:
    """Prepare a statement and let Postgres plan it now."""
    compiled = statement.compile(dialect=DIALECT)
    names = tuple(compiled.positiontup or ())
    name = f'"{name}"'
    await connection.exec_driver_sql(f"PREPARE {name} AS {compiled}")
    nulls = f"{name} ({', '.join(['NULL'] * len(names))})" if names else name
    await connection.exec_driver_sql(f"EXPLAIN EXECUTE {nulls}")
    await connection.commit()
    return Prepared(connection, name, names)


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _walk(each)


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
