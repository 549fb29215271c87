"""Months past their age go, with all that lies in them, once nothing in them is open; what is late changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from libs.operate import partition, retention
from libs.operate.cli import zhida
from libs.shared import db, run
from libs.shared.events import Envelope, Event, uuid7
from libs.shared.keep import start
from services.intake import vault
from tests.integration import filled
from tests.integration.dispatch.world import METER, classified
from tests.running import TRACEPARENT, Harness, harness

NOW = datetime.now(UTC)
SERVICES = ("intake", "classification", "dispatch", "sla_timer", "notification")
# What closes all tickets of a filled service, and what opens one again.
CLOSE: Mapping[str, str] = {
    "intake": "UPDATE ticket_stage SET stage = 'closed'",
    "classification": "UPDATE ticket SET state = 'classified'",
    "dispatch": "WITH d AS (UPDATE delivery SET state = 'delivered') UPDATE ticket SET state = 'closed'",
    "sla_timer": "WITH c AS (UPDATE clock SET state = 'met') UPDATE ticket SET closed_at = now() - interval '30 days'",
    "notification": "UPDATE delivery SET state = 'sent'",
}
OPEN: Mapping[str, str] = {
    "intake": "UPDATE ticket_stage SET stage = 'reopened' WHERE ticket_id = :id RETURNING 1",
    "classification": "UPDATE ticket SET state = 'review' WHERE id = :id RETURNING 1",
    "dispatch": "UPDATE ticket SET state = 'open' WHERE ticket_id = :id RETURNING 1",
    "sla_timer": "UPDATE ticket SET closed_at = NULL WHERE id = :id RETURNING 1",
    "notification": "UPDATE notice SET created_at = now() WHERE ticket_id = :id RETURNING 1",
}
TABLES: Mapping[str, tuple[str, ...]] = {
    "intake": ("ticket", "ticket_stage", "amendment", "late_fact", "vault"),
    "classification": ("ticket", "decision", "shadow", "hot_member", "settled"),
    "dispatch": ("ticket", "work_order", "history", "return_case", "question", "amendment", "delivery", "diversion"),
    "sla_timer": ("ticket", "work_order", "clock"),
    "notification": ("notice", "delivery"),
}


@asynccontextmanager
async def old(name: str, database: str) -> AsyncIterator[tuple[Harness, str]]:
    """A service with closed tickets of four months that keeps one; and its oldest month, as 2026-09-01."""
    more: dict[str, Any] = {"vault_key": SecretStr(vault.new_key()), "vault_months": 1} if name == "intake" else {}
    service = run.load(name)
    months = {"notice_months": 1} if name == "notification" else {"ticket_months": 1}
    async with harness(service, database, **more, **months) as h:
        await filled.make_months(database, service)
        await filled.fill(database, service, past=True)
        engine = db.engine(database, name, None, "tests")
        async with engine.begin() as connection:
            await connection.exec_driver_sql(CLOSE[name])
            await connection.exec_driver_sql("TRUNCATE outbox")
        await engine.dispose()
        yield h, start(NOW, "month", 2).isoformat()


def column(table: str, service: str) -> str:
    return "id" if table == "ticket" and service in ("classification", "sla_timer") else "ticket_id"


async def one_of(h: Harness, month: str) -> UUID:
    """A ticket of that month."""
    name = h.running.service.name
    table = TABLES[name][0]
    low, high = partition.Partition(table, datetime.fromisoformat(month).date(), "month").bounds
    place = column(table, name)
    rows = await h.rows(
        f"SELECT {place} AS id FROM {table} WHERE {place} >= :a AND {place} < :b LIMIT 1", a=low, b=high
    )
    found: UUID = rows[0].id
    return found


@pytest.mark.parametrize("name", SERVICES)
async def test_a_month_goes_once_all_of_it_is_closed_and_not_before(name: str, database: str) -> None:
    async with old(name, database) as (h, month):
        service, settings = h.running.service, h.running.settings
        kept = "notices" if name == "notification" else "tickets"
        ticket_id = await one_of(h, month)
        await h.rows(OPEN[name], id=ticket_id)
        would = await retention.retain(service, settings, dry_run=True)
        report = await retention.retain(service, settings)
        assert (would.dropped, would.held) == (report.dropped, report.held)
        assert [(each.part, each.open, each.more) for each in report.held if each.kept == kept] == [
            (month, [str(ticket_id)], False)
        ]
        assert len(report.dropped[kept]) == 1, "the month before it was closed"
        engine = db.engine(database, name, None, "tests")
        async with engine.begin() as connection:
            await connection.exec_driver_sql(CLOSE[name])
            if name == "notification":
                await connection.exec_driver_sql("UPDATE notice SET created_at = now() - interval '100 days'")
        await engine.dispose()
        report = await retention.retain(service, settings)
        assert report.held == []
        assert month in report.dropped[kept]
        low = partition.Partition("x", start(NOW, "month", 1), "month").bounds[0]
        for table in TABLES[name]:
            place = column(table, name)
            assert await h.rows(f"SELECT 1 FROM {table} WHERE {place} < :low", low=low) == [], table
            assert len(await h.rows(f"SELECT 1 FROM {table} WHERE {place} >= :low LIMIT 1", low=low)) == 1, table
        assert await h.rows("SELECT 1 FROM stream WHERE key < :low AND key LIKE '%-%-%-%-%'", low=str(low)) == []
        assert await h.rows("SELECT 1 FROM retired WHERE swept_at IS NULL") == []


async def test_a_reference_is_free_again_when_its_ticket_is_gone(database: str) -> None:
    async with old("intake", database) as (h, month):
        ticket_id = await one_of(h, month)
        [row] = await h.rows("SELECT external_ref FROM reference WHERE ticket_id = :id", id=ticket_id)
        again = {"channel": "95598", "external_ref": row.external_ref, "title": "title", "text": "other"}
        async with h.client("hotline", "publish") as http:
            refused = await http.post("/v1/tickets", json=again, headers={"Idempotency-Key": "1"})
            assert (refused.status_code, refused.json()["ticket_id"]) == (409, str(ticket_id))
            await retention.retain(h.running.service, h.running.settings)
            taken = await http.post("/v1/tickets", json=again, headers={"Idempotency-Key": "2"})
            assert (taken.status_code, taken.json()["created"]) == (202, True)
            gone = await http.get(f"/v1/tickets/{ticket_id}")
            assert gone.status_code == 404


async def test_a_reference_whose_sweep_was_interrupted_is_still_taken(database: str) -> None:
    async with old("intake", database) as (h, month):
        ticket_id = await one_of(h, month)
        [row] = await h.rows("SELECT * FROM reference WHERE ticket_id = :id", id=ticket_id)
        await retention.retain(h.running.service, h.running.settings)
        await h.rows(
            "INSERT INTO reference VALUES (:c, :r, :id) RETURNING 1", c="95598", r=row.external_ref, id=ticket_id
        )
        body = {"channel": "95598", "external_ref": row.external_ref, "title": "title", "text": "other"}
        async with h.client("hotline", "publish") as http:
            answer = await http.post("/v1/tickets", json=body, headers={"Idempotency-Key": "1"})
        assert (answer.status_code, answer.json()) == (202, {"ticket_id": str(ticket_id), "created": False})


async def test_a_month_opened_between_the_look_and_the_lock_stays(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with old("dispatch", database) as (h, month):
        ticket_id = await one_of(h, month)
        drop = retention._drop

        async def after_a_reopening(*args: Any) -> None:
            await h.rows(OPEN["dispatch"], id=ticket_id)
            await drop(*args)

        monkeypatch.setattr(retention, "_drop", after_a_reopening)
        report = await retention.retain(h.running.service, h.running.settings)
        assert [str(ticket_id)] in [each.open for each in report.held]
        assert len(await h.rows("SELECT 1 FROM ticket WHERE ticket_id = :id", id=ticket_id)) == 1


async def test_an_event_read_again_about_a_gone_month_changes_nothing(database: str) -> None:
    async with old("dispatch", database) as (h, month):
        ticket_id = await one_of(h, month)
        await retention.retain(h.running.service, h.running.settings)
        event = classified(METER, ticket_id=ticket_id)
        assert await h.hear(told(event, NOW - timedelta(days=40))) == []
        assert await h.rows("SELECT 1 FROM work_order WHERE ticket_id = :id", id=ticket_id) == []
        assert len(await h.hear(told(event, NOW - timedelta(days=1)))) > 0, "a fresh event of an old ticket counts"


def told(event: Event, at: datetime) -> Event:
    """The event as if it had been said then."""
    return event.model_copy().enveloped(Envelope(uuid7(at), "test", at, 1, TRACEPARENT))


async def test_what_is_held_is_an_exit_code_of_its_own(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with old("classification", database) as (h, month):
        await h.rows(OPEN["classification"], id=await one_of(h, month))
        settings = h.running.settings
        monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
        monkeypatch.setenv("OWNER_DATABASE_URL", database)
        monkeypatch.setenv("ZHIDA_TICKET_MONTHS", "1")
        arguments = ["classification", "retain", "--dry-run"]
        result = await asyncio.to_thread(CliRunner().invoke, zhida, arguments)
        assert (result.exit_code, month in result.output) == (3, True), result.output
