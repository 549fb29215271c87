"""Forecasts on a real Postgres: made of what is usual and of what the loop has counted by day."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from libs.operate.cli import zhida
from libs.shared.keep import first_id
from services.classification import cumulation
from services.classification.domain import hot_event
from tests.integration.classification.test_cumulation import call, counted
from tests.running import Harness

PLACES = ("320102001", "320102002", "320583007")


async def learned(h: Harness) -> None:
    """Ten tickets in every hour of thirty weeks and of this one, at each of three places; four of one category."""
    week = hot_event.hour_of(first_id(h.running.now())) // hot_event.HOURS
    for category, count in (("", 10), ("C04", 4)):
        for place in PLACES:
            await h.rows(
                "INSERT INTO usual SELECT :category, :place, hour, :week, :first, :count, :count"
                " FROM generate_series(0, 167) hour",
                category=category,
                place=place,
                week=week,
                first=week - 31,
                count=count,
            )


async def test_load_and_agents_are_told_hour_by_hour_for_a_place(classification: Harness) -> None:
    await learned(classification)
    await classification.hear(call(1, "c1"))
    now = datetime.now(UTC)
    async with classification.client("s1", "supervise") as http:
        body = (await http.get("/v1/forecast", params={"place": "3201", "hours": 30})).json()
        assert len(body["hours"]) == 30
        first = datetime.fromisoformat(body["hours"][0]["at"])
        assert (first.minute, first.second) == (0, 0)
        assert timedelta(0) <= first - now <= timedelta(hours=1)
        assert {round(each["tickets"]) for each in body["hours"]} == {20}
        assert {each["agents"] for each in body["hours"]} == {4}  # 1.67 erlangs
        [category] = body["categories"]
        assert (category["code"], category["name"], len(category["tickets"])) == ("C04", "故障停电报修", 30)
        assert {round(each) for each in category["tickets"]} == {8}
        one: dict[str, str | int] = {
            "place": "320583",
            "hours": 1,
            "category": "C04",
            "handling_seconds": 3600,
            "calls_per_ticket": 2,
        }
        [hour] = (await http.get("/v1/forecast", params=one)).json()["hours"]
        assert (round(hour["tickets"]), hour["agents"]) == (4, 12)
        nobody = (await http.get("/v1/forecast", params={"place": "99"})).json()
        assert {(each["tickets"], each["agents"]) for each in nobody["hours"]} == {(0.0, 0)}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "place"),
        ({"place": "x"}, "place"),
        ({"place": "32", "hours": 0}, "hours"),
        ({"place": "32", "hours": 169}, "hours"),
        ({"place": "32", "share": 1}, "share"),
        ({"place": "32", "handling_seconds": 0}, "handling_seconds"),
        ({"place": "32", "category": "X"}, "category"),
        ({"place": "3201", "handling_seconds": 86400, "calls_per_ticket": 100}, "handling_seconds"),
    ],
)
async def test_what_cannot_be_told_is_refused_by_field(
    classification: Harness, query: dict[str, Any], field: str
) -> None:
    await learned(classification)
    async with classification.client("s1", "supervise") as http:
        answer = await http.get("/v1/forecast", params=query)
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


async def test_forecasts_are_for_supervisors(classification: Harness) -> None:
    async with classification.client("a1", "agent", "review") as http:
        for path in ("/v1/forecast?place=32", "/v1/forecast/grievances"):
            assert (await http.get(path)).status_code == 403


async def test_grievances_of_the_coming_week_are_told_by_situation_with_the_change(
    classification: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cumulation, "LAG", timedelta())
    await classification.hear(*(call(1, f"c{n}", business_type="complaint") for n in range(12)), call(1, "d1"))
    await counted(classification)
    [today] = await classification.rows("SELECT * FROM daily")
    assert (today.situation, today.tickets, today.grievances) == ("C04-1", 13, 12)
    async with classification.client("s1", "supervise") as http:
        assert (await http.get("/v1/forecast/grievances")).json()["items"] == [], "today is not over"
        for ago in (0, 1):
            await classification.rows(
                "INSERT INTO daily SELECT day - 3 - CAST(:ago AS int), situation, 20, CAST(:count AS int)"
                " FROM daily WHERE tickets = 13",
                ago=7 * ago,
                count=30 if ago == 0 else 6,
            )
        await classification.rows("INSERT INTO daily SELECT day - 14, 'gone', 1, 1 FROM daily WHERE tickets = 13")
        first, gone = (await http.get("/v1/forecast/grievances")).json()["items"]
        assert (first["code"], first["situation"]["name"]) == ("C04-1", "单户无电报修")
        assert (first["last"], first["expected"], first["change"], first["rising"]) == (30, 19.7, -10.3, True)
        assert (gone["code"], gone["situation"], gone["rising"]) == ("gone", None, False)
        assert len((await http.get("/v1/forecast/grievances", params={"limit": 1})).json()["items"]) == 1


async def test_the_same_is_told_by_command(
    classification: Harness, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await learned(classification)
    settings = classification.running.settings
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("OWNER_DATABASE_URL", database)

    async def told(*arguments: str) -> tuple[int, str]:
        given = ["classification", "forecast", *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, zhida, given)
        return result.exit_code, result.output

    code, output = await told("load", "3201", "--hours", "3")
    assert code == 0, output
    assert len([line for line in output.splitlines() if " UTC " in line]) == 3
    assert "C04" in output
    code, output = await told("load", "32x")
    assert (code, "2 to 12 digits" in output) == (2, True)
    assert (await told("grievances"))[0] == 0
