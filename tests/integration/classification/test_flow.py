"""Tickets in, classifications or reviews out, on a real Postgres."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from libs.shared import run
from libs.shared.contracts.classification import MatrixPublished, ReviewRequested, TicketClassified
from libs.shared.service import Running
from services.classification import packs, registry
from services.classification.current import current
from services.classification.main import service
from tests.integration.classification.conftest import received
from tests.running import Harness, harness

CLEAR = "家里突然没电了，电表不亮，请派人抢修"
UNCLEAR = "能不能快点"


async def test_first_ticket_loads_the_pack_of_the_settings_and_publishes_it(classification: Harness) -> None:
    said = await classification.hear(received(CLEAR))
    assert [type(each) for each in said] == [MatrixPublished, TicketClassified]
    published = said[0]
    assert isinstance(published, MatrixPublished)
    assert (published.pack, len(published.departments), published.by) == ("power_95598", 13, "settings")
    [row] = await classification.rows("SELECT * FROM matrix")
    assert row.version == published.matrix_version


async def test_clear_ticket_is_classified_with_all_that_dispatch_needs(classification: Harness) -> None:
    heard = received(CLEAR, title="没电")
    *_, said = await classification.hear(heard)
    assert isinstance(said, TicketClassified)
    assert said.ticket == heard.ticket
    assert said.situation.code == "C04-1"
    assert said.situation.path == ("停送电与抢修", "故障抢修", "故障停电报修")
    assert said.lead_department.name == "电力调度控制中心"
    assert [department.name for department in said.executing_departments] == ["配网抢修中心"]
    assert (said.supervisor, said.sla_class, said.join_policy) == ("deputy-production", "maintenance", "all")
    assert (said.business_type, said.complaint_object, said.urgency) == ("fault", "external", "urgent")
    assert said.decided_by == "matrix"
    assert said.model_version is None
    assert said.probability > 0.5
    assert said.words
    [row] = await classification.rows("SELECT * FROM ticket")
    assert (row.id, row.state, row.situation) == (heard.ticket_id, "classified", "C04-1")
    assert (row.matrix_version, row.decided_by) == (said.matrix_version, "matrix")
    assert row.classified_at is not None


async def test_below_the_confidence_threshold_a_ticket_waits_in_the_review_queue(classification: Harness) -> None:
    heard = received(UNCLEAR)
    *_, said = await classification.hear(heard)
    assert isinstance(said, ReviewRequested)
    assert said.ticket_id == heard.ticket_id
    assert len(said.candidates) == 5
    assert said.candidates[0].probability >= said.candidates[-1].probability
    [row] = await classification.rows("SELECT r.*, t.state FROM review r JOIN ticket t ON t.id = r.ticket_id")
    assert (row.state, row.claimed_by, row.due_at - row.opened_at) == ("review", None, timedelta(hours=4))


async def test_redelivered_and_repeated_tickets_change_nothing(classification: Harness) -> None:
    heard = received(CLEAR)
    await classification.hear(heard)
    assert await classification.hear(heard) == []
    again = received(UNCLEAR, ticket_id=heard.ticket_id)
    assert await classification.hear(again) == []
    assert len(await classification.rows("SELECT 1 FROM ticket")) == 1
    assert not await classification.rows("SELECT 1 FROM review")


async def test_batch_is_said_in_order_and_each_ticket_once(classification: Harness) -> None:
    heard = [received(CLEAR if number % 2 else UNCLEAR) for number in range(120)]
    _, *said = await classification.hear(*heard)
    assert [each.key for each in said] == [each.key for each in heard]
    assert {type(each) for each in said} == {TicketClassified, ReviewRequested}


@pytest.mark.parametrize("text", ["", "。", "\U0001f600" * 50, "a" * 20_000, "停" * 60_000, "%s {x} \\ ' \""])
async def test_odd_text_waits_for_a_person_and_breaks_nothing(classification: Harness, text: str) -> None:
    *_, said = await classification.hear(received(text))
    assert isinstance(said, ReviewRequested)
    assert not await classification.rows("SELECT 1 FROM dead")


async def test_wrong_pack_buries_no_ticket_and_goes_on_once_it_is_right(database: str) -> None:
    async with harness(service, database, matrix_pack="no_such_pack") as broken:
        with pytest.raises(OSError, match="neither a file nor one of the packs"):
            await broken.hear(received(CLEAR))
        assert not await broken.rows("SELECT 1 FROM dead")
        await registry.load_matrix(broken.running, "power_95598", by="test", reason="mended")
        *_, said = await broken.hear(received(CLEAR))
        assert isinstance(said, TicketClassified)


async def test_tickets_keep_the_matrix_version_that_classified_them(classification: Harness, tmp_path: Path) -> None:
    first = received(CLEAR)
    *_, before = await classification.hear(first)
    assert isinstance(before, TicketClassified)
    changed = tmp_path / "changed.yaml"
    changed.write_text(packs.text("power_95598").replace("name: 配网抢修中心", "name: 抢修中心"), encoding="utf-8")
    version = await registry.load_matrix(classification.running, str(changed), by="owner", reason="renamed")
    [published] = await classification.said()
    assert isinstance(published, MatrixPublished)
    assert (published.matrix_version, published.by) == (version, "owner")
    await current(classification.running).refresh()
    *_, after = await classification.hear(received(CLEAR))
    assert isinstance(after, TicketClassified)
    assert after.executing_departments[0].name == "抢修中心"
    async with classification.client("a1", "agent") as http:
        kept = (await http.get(f"/v1/tickets/{first.ticket_id}/classification")).json()
    assert kept["matrix_version"] == before.matrix_version
    assert kept["executing_departments"][0]["name"] == "配网抢修中心"


async def test_loading_the_matrix_in_force_again_changes_nothing(classification: Harness) -> None:
    await current(classification.running).refresh()
    await classification.said()
    await registry.load_matrix(classification.running, "power_95598", by="owner", reason="again")
    assert await classification.said() == []
    assert len(await classification.rows("SELECT 1 FROM activation")) == 1


async def test_two_processes_that_start_at_once_load_the_matrix_once(classification: Harness) -> None:
    async with run.started(service, classification.running.settings) as (other, _):
        processes: list[Running] = [classification.running, other]
        await asyncio.gather(*(current(process).in_force() for process in processes))
    assert len(await classification.rows("SELECT 1 FROM activation")) == 1
    assert len(await classification.said()) == 1


async def test_statements_of_a_batch_do_not_grow_with_it(classification: Harness) -> None:
    await classification.hear(received(CLEAR), received(UNCLEAR))
    counts = []
    for size in (10, 100):
        batch = [classification.record(received(CLEAR if number % 3 else UNCLEAR)) for number in range(size)]
        statements: list[str] = []
        listener = partial(_note, statements)
        event.listen(classification.running.engine.sync_engine, "before_cursor_execute", listener)
        await classification.take(batch)
        event.remove(classification.running.engine.sync_engine, "before_cursor_execute", listener)
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_queue_is_read_by_its_index(classification: Harness) -> None:
    plan = await classification.rows("EXPLAIN (COSTS OFF) SELECT * FROM review ORDER BY due_at, ticket_id LIMIT 50")
    assert "review_in_order" in str(plan)


def _note(statements: list[str], _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    statements.append(statement)
