"""Cumulative problems on a real Postgres: counted once whatever is cut off, said once, and made proactive tickets."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from libs.shared.contracts.classification import CumulativeProblemFound, TicketClassified
from libs.shared.contracts.intake import TicketReceived
from libs.shared.events import Event, uuid7
from services.classification import cumulation
from services.classification.current import current
from tests.integration.classification.conftest import received
from tests.running import Harness, eventually

NOW = datetime.now(UTC)
OUT = "家里突然没电了，电表不亮，请派人抢修"
AREA = "320102001003"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else writes here: what is committed may be counted."""
    monkeypatch.setattr(cumulation, "LAG", timedelta())


def call(days_ago: float, who: str, text: str = OUT, **fields: Any) -> TicketReceived:
    """A ticket of today about what happened so many days ago in one community."""
    about: dict[str, Any] = {"place": {"area_code": AREA}, "customer": {"customer_id": who}}
    return received(text, ticket_id=uuid7(NOW), opened_at=NOW - timedelta(days=days_ago), **{**about, **fields})


async def counted(h: Harness) -> list[CumulativeProblemFound]:
    """Count all there is; the problems that were found."""
    while await cumulation.look(h.running):
        pass
    return problems(await h.said())


def problems(events: list[Event]) -> list[CumulativeProblemFound]:
    return [each for each in events if isinstance(each, CumulativeProblemFound)]


def proactive(found: CumulativeProblemFound) -> TicketReceived:
    """What intake makes of it."""
    about = {"channel": "proactive", "external_ref": f"cumulative-{found.problem_id}", "cumulative": found.problem_id}
    return received(found.text, title=found.title, ticket_id=found.problem_id, **about)


async def test_three_outages_in_60_days_at_one_place_become_a_proactive_ticket_before_anyone_complains(
    classification: Harness,
) -> None:
    calls = [call(40, "c1"), call(20, "c2", customer={"customer_id": "c2", "star": 4, "sensitive": True})]
    await classification.hear(*calls)
    assert await counted(classification) == []
    calls.append(call(1, "c3"))
    await classification.hear(calls[2], call(1, "c4", place={"area_code": "320102001004"}))
    [found] = await counted(classification)
    assert (found.rule, found.situation.code, found.count, found.days) == ("outages", "B04-1", 3, 60)
    assert (found.area_code, found.address, found.customer_id) == (AREA, None, None)
    assert (found.star, found.sensitive) == (4, True)
    assert found.tickets == tuple(each.ticket_id for each in reversed(calls))
    assert found.title == "同一社区反复停电（60天内3次）"
    assert found.text.count("单户无电报修，1件") == 3
    assert OUT not in found.text

    *_, said = await classification.hear(proactive(found))
    assert isinstance(said, TicketClassified)
    assert (said.ticket_id, said.situation.code, said.decided_by) == (found.problem_id, "B04-1", "cumulative")
    assert (said.probability, said.repeat_of, said.repeats) == (1.0, None, 0)
    assert said.executing_departments
    assert await classification.rows("SELECT 1 FROM arrival WHERE :id = ANY(ticket_ids)", id=found.problem_id) == []
    assert await counted(classification) == []


async def test_a_problem_is_found_once_until_it_is_over(classification: Harness) -> None:
    await classification.hear(*(call(day, f"c{day}") for day in (30, 20, 10)))
    assert len(await counted(classification)) == 1
    await classification.hear(call(5, "c5"))
    assert await counted(classification) == []
    await classification.rows("UPDATE cumulative_problem SET over_at = now() - interval '1 second'")
    await classification.hear(call(1, "c6"))
    [again] = await counted(classification)
    assert again.count == 5


async def test_repeats_of_one_customer_about_one_outage_count_once(classification: Harness) -> None:
    await classification.hear(*(call(day, "c1") for day in (9, 6, 3)))
    rows = await classification.rows("SELECT repeats FROM ticket ORDER BY repeats")
    assert [row.repeats for row in rows] == [0, 1, 2]
    assert await counted(classification) == []
    assert len(await classification.rows("SELECT 1 FROM occasion")) == 1


async def test_a_hot_event_counts_once(classification: Harness) -> None:
    calls = [call(day, f"c{day}") for day in (9, 6, 3)]
    await classification.hear(*calls)
    for each in calls:
        await classification.rows(
            "INSERT INTO hot_member (ticket_id, hot_event_id, similarity, joined_at, joined_by)"
            " VALUES (:id, :event, 1, now(), 'x')",
            id=each.ticket_id,
            event=calls[0].ticket_id,
        )
    await classification.rows("UPDATE ticket SET decided_by = 'hot_event' WHERE id = :id", id=calls[1].ticket_id)
    assert await counted(classification) == []
    [row] = await classification.rows("SELECT * FROM occasion")
    assert (row.requests, row.hot_event) == (3, calls[0].ticket_id)


async def test_many_callers_of_one_night_are_one_outage(classification: Harness) -> None:
    await classification.hear(*(call(2 + n / 100, f"c{n}") for n in range(20)))
    assert await counted(classification) == []
    [row] = await classification.rows("SELECT * FROM occasion")
    assert row.requests == 20


async def test_what_a_person_decided_counts_as_that(classification: Harness) -> None:
    unclear = call(1, "c3", "能不能快点")
    await classification.hear(call(30, "c1"), call(20, "c2"), unclear)
    assert await counted(classification) == []
    async with classification.client("li", "review") as http:
        body = {"situation": "C04-2"}
        path = f"/v1/reviews/{unclear.ticket_id}/decide"
        assert (await http.post(path, json=body, headers={"Idempotency-Key": uuid4().hex})).is_success
    [found] = await counted(classification)
    assert found.count == 3
    assert "成片停电报修，1件" in found.text


async def test_outages_of_one_address_and_of_one_customer_are_problems_too(classification: Harness) -> None:
    place = {"area_code": "320102", "address": "梧桐里3号楼"}
    rows = [(20, "家里突然没电了，电表不亮"), (10, "总开关一用电就跳闸，已经好几回"), (5, "缺相，动力电没有")]
    await classification.hear(*(call(day, f"c{day}", text, place=place) for day, text in rows))
    [found] = await counted(classification)
    assert (found.rule, found.area_code, found.address) == ("outages-at-home", "320102", "梧桐里3号楼")
    late = [(20, "报修以后抢修人员没到，等了三小时没人来"), (5, "抢修太慢，修了一天没修好")]
    await classification.hear(*(call(day, "c9", text, place={}) for day, text in late))
    [found] = await counted(classification)
    assert (found.rule, found.customer_id, found.area_code) == ("late-repair", "c9", None)


async def test_a_look_that_is_cut_off_counts_nothing_and_the_next_all_of_it(classification: Harness) -> None:
    await classification.hear(*(call(day, f"c{day}") for day in (30, 20, 10)))
    matrix = (await current(classification.running).in_force()).matrix

    async def cut_off() -> None:
        async with classification.running.transaction([cumulation.LOCK]) as tx:
            await cumulation.count(tx, matrix)
            await tx.flush()
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        await cut_off()
    assert await classification.rows("SELECT 1 FROM occasion") == []
    assert len(await counted(classification)) == 1
    assert [row.requests for row in await classification.rows("SELECT requests FROM occasion")] == [1, 1, 1]


async def test_two_processes_that_look_at_once_find_a_problem_once(classification: Harness) -> None:
    await classification.hear(*(call(day, f"c{day}") for day in (30, 20, 10)))
    await asyncio.gather(*(cumulation.look(classification.running) for _ in range(4)))
    assert len(problems(await classification.said())) == 1
    assert len(await classification.rows("SELECT 1 FROM cumulative_problem")) == 1


async def test_page_by_page_every_ticket_is_counted_once_by_its_day(
    classification: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cumulation, "PAGE", 2)
    for n in range(5):
        await classification.hear(call(10, f"c{n}", business_type="complaint"), call(10, f"d{n}"))
    await counted(classification)
    rows = await classification.rows("SELECT sum(tickets) AS tickets, sum(grievances) AS grievances FROM daily")
    assert [(row.tickets, row.grievances) for row in rows] == [(10, 5)]


async def test_what_is_not_long_committed_waits_for_the_next_look(
    classification: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await classification.hear(*(call(day, f"c{day}") for day in (30, 20, 10)))
    monkeypatch.setattr(cumulation, "LAG", timedelta(minutes=2))
    assert await counted(classification) == []
    assert await classification.rows("SELECT 1 FROM daily") == []


async def test_the_loop_finds_it_by_itself_and_gives_its_lease_back(classification: Harness) -> None:
    await classification.hear(*(call(day, f"c{day}") for day in (30, 20, 10)))
    task = asyncio.create_task(cumulation.run(classification.running))

    async def found() -> bool:
        return bool(await classification.rows("SELECT 1 FROM cumulative_problem"))

    await eventually(found)
    classification.running.stopping.set()
    await task
    assert await classification.rows("SELECT 1 FROM lease WHERE name = 'cumulative'") == []


async def test_problems_are_read_page_by_page_by_supervisors_and_reviewers(classification: Harness) -> None:
    for area in ("320102001003", "320102001004", "320102001005"):
        place = {"area_code": area}
        await classification.hear(*(call(day, f"{area}-{day}", place=place) for day in (30, 20, 10)))
    found = await counted(classification)
    await classification.rows(
        "UPDATE cumulative_problem SET over_at = now() WHERE problem_id = :id", id=found[0].problem_id
    )
    async with classification.client("s1", "supervise") as http:
        first = (await http.get("/v1/cumulative-problems", params={"limit": 2})).json()
        last = (await http.get("/v1/cumulative-problems", params={"limit": 2, "after": first["next"]})).json()
        items = [*first["items"], *last["items"]]
        assert [each["problem_id"] for each in items] == sorted((str(each.problem_id) for each in found), reverse=True)
        assert last["next"] is None
        shown = {each["problem_id"]: each for each in items}[str(found[0].problem_id)]
        assert (shown["state"], shown["situation"]["code"], shown["times"]) == ("over", "B04-1", 3)
        assert sorted(each["state"] for each in items) == ["open", "open", "over"]
        assert (await http.get("/v1/cumulative-problems", params={"after": "x"})).status_code == 422
    async with classification.client("a1", "agent") as http:
        assert (await http.get("/v1/cumulative-problems")).status_code == 403


async def test_a_look_costs_the_same_statements_whatever_it_counts(classification: Harness) -> None:
    statements: list[str] = []
    costs = []
    for size in (3, 120):
        areas = [f"3201{size:04}{n % (size // 3):04}" for n in range(size)]
        calls = [
            call(10 * (n * 3 // size) + 1, f"{size}-{n}", place={"area_code": area}) for n, area in enumerate(areas)
        ]
        await classification.hear(*calls)
        listening = classification.running.engine.sync_engine, "before_cursor_execute"

        def note(*args: Any) -> None:
            statements.append(args[2])

        event.listen(*listening, note)
        await cumulation.look(classification.running)
        event.remove(*listening, note)
        assert problems(await classification.said())
        costs.append(len(statements))
        statements.clear()
    assert costs[0] == costs[1] <= 12
