"""Endpoints, their keys, and which process sends to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.dispatch.delivery.breaker import Breaker
from services.dispatch.domain.endpoint import Endpoint, State, StoredKey
from services.dispatch.store.held import json

PUT = text("""
    INSERT INTO endpoint (department, url, networks, concurrency, timeout_seconds, state, created_at, updated_at)
    VALUES (:department, :url, CAST(:networks AS text[]), :concurrency, :timeout_seconds, :state, :now, :now)
    ON CONFLICT (department) DO UPDATE SET url = excluded.url, networks = excluded.networks,
        concurrency = excluded.concurrency, timeout_seconds = excluded.timeout_seconds, state = excluded.state,
        reason = CASE WHEN excluded.state = 'disabled' THEN 'administrator' END,
        version = endpoint.version + 1, updated_at = excluded.updated_at,
        breaker = 'closed', failures = 0, trips = 0, blocked_until = NULL""")
DELETE = text("""
    UPDATE endpoint SET state = 'deleted', url = '', version = version + 1, updated_at = :now
    WHERE department = :department AND state <> 'deleted'""")
DELETE_KEYS = text("DELETE FROM endpoint_key WHERE department = :department")
FIND = text("SELECT * FROM endpoint WHERE department = :department AND state <> 'deleted'")
LIST = text("SELECT * FROM endpoint WHERE department > :after AND state <> 'deleted' ORDER BY department LIMIT :limit")
ACTIVE = text("""
    SELECT e.department, e.version, l.owner, coalesce(l.until < clock_timestamp(), true) AS free
    FROM endpoint e LEFT JOIN lease l ON l.name = 'endpoint:' || e.department WHERE e.state = 'active'""")
SOME = text("SELECT * FROM endpoint WHERE department = ANY(CAST(:departments AS text[])) AND state = 'active'")

ADD_KEY = text("""
    INSERT INTO endpoint_key (key_id, department, sealed, public, created_at)
    VALUES (:key_id, :department, :sealed, :public, :now)""")
RETIRE_KEYS = text("""
    UPDATE endpoint_key SET expires_at = :expires_at
    WHERE department = :department AND (expires_at IS NULL OR expires_at > :expires_at)""")
DROP_KEYS = text("DELETE FROM endpoint_key WHERE department = :department AND expires_at <= :now")
TOUCH = text("UPDATE endpoint SET version = version + 1, updated_at = :now WHERE department = :department")
KEYS = text("""
    SELECT * FROM endpoint_key
    WHERE department = ANY(CAST(:departments AS text[])) AND (expires_at IS NULL OR expires_at > now())
    ORDER BY department, created_at DESC""")

ALL_KEYS = text("SELECT * FROM endpoint_key ORDER BY department, created_at DESC")
RESEAL = text("UPDATE endpoint_key SET sealed = :sealed WHERE key_id = :key_id")

HOLD = text("""
    INSERT INTO lease (name, owner, until)
    SELECT 'endpoint:' || department, :owner, clock_timestamp() + make_interval(secs => :seconds)
    FROM unnest(CAST(:departments AS text[])) AS w(department) ORDER BY department
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE lease.owner = excluded.owner OR lease.until < clock_timestamp()
    RETURNING substr(name, 10) AS department""")
RELEASE = text("DELETE FROM lease WHERE name LIKE 'endpoint:%' AND owner = :owner")
OWNERS = text("SELECT DISTINCT owner FROM lease WHERE name LIKE 'endpoint:%'")

# What attempts did to their endpoints; the breaker of one that was changed by an administrator meanwhile stays.
REPORT = text("""
    UPDATE endpoint e SET delivered = e.delivered + n.good, failed = e.failed + n.bad,
        last_success_at = coalesce(n.success_at, e.last_success_at),
        last_failure_at = coalesce(n.failure_at, e.last_failure_at), last_error = coalesce(n.error, e.last_error),
        breaker = CASE WHEN e.version = n.version THEN n.breaker ELSE e.breaker END,
        failures = CASE WHEN e.version = n.version THEN n.failures ELSE e.failures END,
        trips = CASE WHEN e.version = n.version THEN n.trips ELSE e.trips END,
        blocked_until = CASE WHEN e.version = n.version THEN n.blocked_until ELSE e.blocked_until END,
        state = CASE WHEN n.gone AND e.state = 'active' AND e.version = n.version THEN 'disabled' ELSE e.state END,
        reason = CASE WHEN n.gone AND e.state = 'active' AND e.version = n.version THEN 'gone' ELSE e.reason END
    FROM (SELECT * FROM jsonb_to_recordset(CAST(:reports AS jsonb)) AS r(department text, version int, good int,
        bad int, success_at timestamptz, failure_at timestamptz, error text, breaker text, failures int, trips int,
        blocked_until timestamptz, gone boolean) ORDER BY department) n
    WHERE e.department = n.department""")
BACKLOG = text("""
    SELECT s.state, (SELECT count(*) FROM (SELECT 1 FROM delivery d
        WHERE d.department = :department AND d.state = s.state LIMIT 10000) AS first_ones) AS number
    FROM (VALUES ('pending'), ('waiting'), ('inbox')) AS s(state)""")


@dataclass(frozen=True, slots=True)
class Report:
    """What a batch of attempts says about one endpoint."""

    department: str
    version: int
    good: int
    bad: int
    success_at: datetime | None
    failure_at: datetime | None
    error: str | None
    breaker: Breaker
    gone: bool


@dataclass(frozen=True, slots=True)
class Seat:
    """An active endpoint and who sends to it."""

    department: str
    version: int
    owner: str | None
    free: bool


async def put(
    tx: Transaction,
    department: str,
    *,
    url: str,
    networks: Sequence[str],
    concurrency: int,
    timeout_seconds: int,
    state: State,
) -> None:
    """Make or change an endpoint; its breaker starts afresh."""
    await tx.run(
        PUT,
        department=department,
        url=url,
        networks=list(networks),
        concurrency=concurrency,
        timeout_seconds=timeout_seconds,
        state=state,
        now=tx.now,
    )


async def delete(tx: Transaction, department: str) -> bool:
    """Remove an endpoint and its keys; whether there was one."""
    await tx.run(DELETE_KEYS, department=department)
    return bool(await tx.run(DELETE, department=department, now=tx.now))


async def find(source: Transaction | Running, department: str) -> Endpoint | None:
    """One endpoint."""
    found = await rows(source, FIND, department=department)
    return _endpoint(found[0]) if found else None


async def page(running: Running, after: str, limit: int) -> list[Endpoint]:
    """Endpoints in the order of their departments' codes."""
    return [_endpoint(row) for row in await running.read(LIST, after=after, limit=limit)]


async def backlog(running: Running, department: str) -> dict[str, int]:
    """How many deliveries wait, by state; 10,000 stands for "at least"."""
    return {row.state: row.number for row in await running.read(BACKLOG, department=department)}


async def add_key(tx: Transaction, department: str, sealed: bytes, public: str, key_id: UUID) -> None:
    """A key that is valid from now on."""
    await tx.run(ADD_KEY, key_id=key_id, department=department, sealed=sealed, public=public, now=tx.now)


async def retire_keys(tx: Transaction, department: str, overlap: timedelta) -> None:
    """The keys there are stay valid for that long; those already expired go."""
    await tx.run(DROP_KEYS, department=department, now=tx.now)
    await tx.run(RETIRE_KEYS, department=department, expires_at=tx.now + overlap)
    await tx.run(TOUCH, department=department, now=tx.now)


async def keys(source: Transaction | Running, departments: Iterable[str]) -> dict[str, list[StoredKey]]:
    """The valid keys by department, the newest first."""
    found: dict[str, list[StoredKey]] = {}
    for row in await rows(source, KEYS, departments=list(departments)):
        found.setdefault(row.department, []).append(
            StoredKey(row.key_id, row.department, row.sealed, row.public, row.created_at, row.expires_at)
        )
    return found


async def every_key(running: Running) -> list[StoredKey]:
    """All keys, also expired ones."""
    return [
        StoredKey(row.key_id, row.department, row.sealed, row.public, row.created_at, row.expires_at)
        for row in await running.read(ALL_KEYS)
    ]


async def reseal(tx: Transaction, key_id: UUID, sealed: bytes) -> None:
    """The same key under another delivery key."""
    await tx.run(RESEAL, key_id=key_id, sealed=sealed)


async def seats(running: Running) -> list[Seat]:
    """Every active endpoint and who sends to it."""
    return [Seat(row.department, row.version, row.owner, row.free) for row in await running.read(ACTIVE)]


async def some(running: Running, departments: Iterable[str]) -> list[Endpoint]:
    """Those of the endpoints that are active."""
    return [_endpoint(row) for row in await running.read(SOME, departments=list(departments))]


async def hold(running: Running, departments: Iterable[str], seconds: float) -> set[str]:
    """Take or renew the leases of these endpoints, in one statement; gives those this process now holds."""
    found = await running.read(HOLD, departments=list(departments), owner=running.owner, seconds=seconds)
    return {row.department for row in found}


async def release(running: Running, owner: str) -> None:
    """Give back all endpoints of an owner that has ended."""
    async with running.transaction() as tx:
        await tx.run(RELEASE, owner=owner)


async def owners(running: Running) -> set[str]:
    """Who holds endpoints."""
    return {row.owner for row in await running.read(OWNERS)}


async def report(tx: Transaction, reports: Sequence[Report]) -> None:
    """Write counters and breakers through."""
    if reports:
        await tx.run(REPORT, reports=json([_flat(each) for each in reports]))


def _flat(report: Report) -> Mapping[str, Any]:
    return {
        "department": report.department,
        "version": report.version,
        "good": report.good,
        "bad": report.bad,
        "success_at": report.success_at,
        "failure_at": report.failure_at,
        "error": report.error,
        "breaker": report.breaker.state,
        "failures": report.breaker.failures,
        "trips": report.breaker.trips,
        "blocked_until": report.breaker.blocked_until,
        "gone": report.gone,
    }


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        department=row.department,
        url=row.url,
        networks=tuple(row.networks),
        concurrency=row.concurrency,
        timeout_seconds=row.timeout_seconds,
        state=row.state,
        reason=row.reason,
        version=row.version,
        breaker=Breaker(row.breaker, row.failures, row.trips, row.blocked_until),
        delivered=row.delivered,
        failed=row.failed,
        last_success_at=row.last_success_at,
        last_failure_at=row.last_failure_at,
        last_error=row.last_error,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
