"""Models that are watched before they are used, and trainings that begin on their own."""

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import pytest

from libs.shared.contracts.classification import ReviewRequested, TicketClassified
from libs.shared.db import Poison
from services.classification import registry, schedule, store
from services.classification.current import current
from services.classification.main import service
from services.classification.settings import ClassificationSettings
from tests.integration.classification.conftest import received
from tests.integration.classification.test_commands import command, good, labelled
from tests.running import Harness, eventually, harness

JAM = "中山路堵车，公交车和出租车司机都过不去"
VAGUE = "麒麟阁那边的事"


async def trained(h: Harness, path: Path) -> str:
    """A model beside the matrix of a city, in the shadow."""
    await good(h, "matrix", "load", "city_12345")
    out = await good(h, "train", labelled(path / "rows.csv"), "--no-activate")
    version = out.split("model ")[-1].strip()
    assert "in the shadow" in await good(h, "model", "shadow", version)
    await current(h.running).refresh()
    await h.said()
    return version


async def test_a_shadow_reads_every_ticket_and_decides_nothing(classification: Harness, tmp_path: Path) -> None:
    version = await trained(classification, tmp_path)
    said = await classification.hear(received(JAM), received(JAM), received(VAGUE))
    for each in said:
        assert isinstance(each, TicketClassified | ReviewRequested)
        assert not isinstance(each, TicketClassified) or (each.model_version, each.decided_by) == (None, "matrix")
    rows = await classification.rows(
        "SELECT s.*, t.situation AS kept FROM shadow s JOIN ticket t ON t.id = s.ticket_id"
    )
    assert len(rows) == 3
    for row in rows:
        assert (row.situation, row.model_version, row.shadow_version) == (row.kept, None, version)
        assert 0 < row.shadow_probability <= 1
    asked = [each for each in said if isinstance(each, ReviewRequested)]
    async with classification.client("li", "review") as http:
        for each in asked:
            await http.post(
                f"/v1/reviews/{each.ticket_id}/decide",
                json={"situation": "T03-2"},
                headers={"Idempotency-Key": str(uuid4())},
            )
        found = (await http.get("/v1/models/shadow", params={"days": 1})).json()
        listed = (await http.get("/v1/models")).json()
        shown = (await http.get(f"/v1/models/{version}")).json()
        assert (await http.get("/v1/models/none")).status_code == 404
    assert (found["shadow_version"], found["model_version"], found["tickets"]) == (version, None, 3)
    assert sum(pair["tickets"] for pair in found["leads"]) == 3
    right = found["right"]
    assert right["tickets"] == len(asked) > 0
    assert right["tickets"] == sum(right[name] for name in ("both", "active", "shadow", "neither"))
    assert (listed["active"], listed["shadow"], [each["version"] for each in listed["models"]]) == (
        None,
        version,
        [version],
    )
    assert [(each["version"], each["active"], each["reason"]) for each in listed["trainings"]] == [
        (version, False, "as asked")
    ]
    assert shown["report"]["macro_f1"] == shown["macro_f1"]
    printed = await good(classification, "model", "compare", "--days", "1")
    assert "3 tickets" in printed
    assert f"+ {version}" in await good(classification, "model", "list")


async def test_a_shadow_that_is_taken_away_reads_nothing_more(classification: Harness, tmp_path: Path) -> None:
    await trained(classification, tmp_path)
    await good(classification, "model", "shadow", "none")
    await current(classification.running).refresh()
    await classification.hear(received(JAM))
    assert not await classification.rows("SELECT 1 FROM shadow")
    async with classification.client("li", "review") as http:
        assert (await http.get("/v1/models/shadow")).status_code == 404
    assert "no model is in the shadow" in (await command(classification, "model", "compare")).output


async def test_a_shadow_that_cannot_be_used_keeps_no_ticket_waiting(classification: Harness, tmp_path: Path) -> None:
    await trained(classification, tmp_path)
    await good(classification, "matrix", "load", "power_95598")
    assert (await current(classification.running).refresh()).shadow is None
    await classification.said()
    assert len(await classification.hear(received(JAM))) == 1
    await good(classification, "matrix", "load", "city_12345")
    await classification.rows("UPDATE model SET bytes = bytes || '\\x00'::bytea RETURNING 1")
    assert (await current(classification.running).refresh()).shadow is None
    await classification.said()
    assert len(await classification.hear(received(JAM))) == 1
    with pytest.raises(Poison, match="there is no model version x"):
        await registry.activate_model(classification.running, "x", by="t", reason="", kind="shadow")


async def test_statements_with_a_shadow_are_one_more(classification: Harness, tmp_path: Path) -> None:
    await trained(classification, tmp_path)
    heard = [received(JAM) for _ in range(120)]
    assert len(await classification.hear(*heard)) == 120
    assert len(await classification.rows("SELECT 1 FROM shadow")) == 120
    await classification.hear(*heard)
    assert len(await classification.rows("SELECT 1 FROM shadow")) == 120


async def decided(h: Harness, count: int) -> None:
    """So many decisions of reviewers."""
    heard = [received(f"{VAGUE}{number}") for number in range(count)]
    await h.hear(*heard)
    async with h.client("li", "review") as http:
        body = {"tickets": [str(each.ticket_id) for each in heard], "situation": "T03-2"}
        answer = await http.post("/v1/reviews/decide", json=body, headers={"Idempotency-Key": uuid4().hex})
    assert answer.json()["decided"] == count, answer.json()
    await h.said()


def settings(h: Harness) -> ClassificationSettings:
    assert isinstance(h.running.settings, ClassificationSettings)
    return h.running.settings


async def test_a_training_is_due_after_its_hours_and_enough_decisions_and_is_noted(
    database: str, tmp_path: Path
) -> None:
    files = os.pathsep.join([str(labelled(tmp_path / "rows.csv"))])
    more = {"matrix_pack": "city_12345", "retrain_hours": 24, "retrain_decisions": 3, "retrain_files": files}
    async with harness(service, database, **more) as h:
        await current(h.running).refresh()
        assert not await schedule.due(h.running, settings(h))
        await decided(h, 3)
        assert await schedule.due(h.running, settings(h))
        assert await schedule.train(h.running, settings(h)) == 0
        [row] = await store.registry.trainings(h.running)
        assert (row.by, row.active, row.reason) == ("schedule", True, "")
        assert (await current(h.running).refresh()).model_version == row.version
        assert "trained" in await good(h, "model", "list")
        await decided(h, 3)
        assert not await schedule.due(h.running, settings(h)), "it is not old enough"
        await h.rows("UPDATE training SET began_at = began_at - interval '25 hours' RETURNING 1")
        assert await schedule.due(h.running, settings(h))


async def test_a_worse_model_is_not_put_in_force_by_the_schedule_either(database: str, tmp_path: Path) -> None:
    bad = labelled(tmp_path / "bad.csv", seed=1, noise=0.6)
    more = {"matrix_pack": "city_12345", "retrain_hours": 1, "retrain_decisions": 1, "retrain_files": str(bad)}
    async with harness(service, database, **more) as h:
        await current(h.running).refresh()
        await good(h, "train", labelled(tmp_path / "good.csv"))
        first = (await current(h.running).refresh()).model_version
        assert await schedule.train(h.running, settings(h)) == 3
        last = (await store.registry.trainings(h.running))[0]
        assert (last.by, last.active, last.reason) == ("schedule", False, "worse than the model in force")
        assert (await current(h.running).refresh()).model_version == first


@pytest.mark.parametrize(
    ("files", "reason"),
    [("", "at least 50 rows and 2 such labels are needed"), ("nowhere.csv", "nowhere.csv: no such file")],
)
async def test_a_training_that_cannot_be_done_is_noted_and_tried_again_after_its_hours(
    database: str, files: str, reason: str
) -> None:
    more = {"matrix_pack": "city_12345", "retrain_hours": 1, "retrain_decisions": 1, "retrain_files": files}
    async with harness(service, database, **more) as h:
        await current(h.running).refresh()
        await decided(h, 2)
        assert await schedule.train(h.running, settings(h)) == 1
        [row] = await store.registry.trainings(h.running)
        assert (row.version, row.active) == (None, False)
        assert reason in row.reason
        assert not await schedule.due(h.running, settings(h))
        await h.rows("UPDATE training SET began_at = began_at - interval '2 hours' RETURNING 1")
        assert await schedule.due(h.running, settings(h))


async def test_of_many_processes_one_trains_and_a_stopped_one_keeps_nothing(database: str, tmp_path: Path) -> None:
    rows = labelled(tmp_path / "rows.csv")
    more = {"matrix_pack": "city_12345", "retrain_hours": 1, "retrain_decisions": 1, "retrain_files": str(rows)}
    async with harness(service, database, **more) as h:
        await current(h.running).refresh()
        await decided(h, 1)
        loop = asyncio.create_task(schedule.retrain(h.running))

        async def held() -> bool:
            return bool(await h.rows("SELECT 1 FROM lease WHERE name = :name", name=schedule.LEASE))

        await eventually(held)
        async with harness(service, database, **more) as other:
            assert not await other.running.hold(schedule.LEASE, 60)
        h.running.stopping.set()
        await loop
        assert not await held()
        assert not await h.rows("SELECT 1 FROM training WHERE reason LIKE 'the training process%'")


async def test_without_hours_nothing_is_trained(classification: Harness) -> None:
    loop = asyncio.create_task(schedule.retrain(classification.running))
    classification.running.stopping.set()
    await loop
    assert not await classification.rows("SELECT 1 FROM lease")
