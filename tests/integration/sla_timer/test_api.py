"""The clocks as people and programs look at them."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from libs.shared import run
from libs.shared.settings import SettingsError
from services.sla_timer import policy_file
from services.sla_timer.commands import group
from services.sla_timer.main import service
from services.sla_timer.settings import SlaTimerSettings
from tests.integration.sla_timer.story import METER, Story
from tests.running import Harness


async def get(sla: Harness, path: str, principal: str, *scopes: str, **query: Any) -> tuple[int, Any]:
    """Status and JSON of a GET."""
    async with sla.client(principal, *scopes) as client:
        answer = await client.get(path, params=query)
    return answer.status_code, answer.json()


async def test_a_ticket_shows_its_clocks_with_the_time_left(sla: Harness) -> None:
    story = Story(timedelta(minutes=10))
    await sla.hear(story.assigned(), story.accepted())
    status, body = await get(sla, f"/v1/tickets/{story.ticket_id}/clocks", "a1", "agent")
    assert status == 200
    by_kind = {clock["kind"]: clock for clock in body["clocks"]}
    assert by_kind["accept"]["state"] == "met"
    assert by_kind["accept"]["remaining_seconds"] is None
    assert by_kind["accept"]["stopped_at"] is not None
    assert 109 * 60 < by_kind["first_contact"]["remaining_seconds"] <= 110 * 60
    assert by_kind["resolve"]["department"] is None
    assert by_kind["resolve"]["rule"] == "default: limits.resolve.maintenance.1"


async def test_a_department_sees_its_own_clocks_and_a_lead_the_whole_ticket(sla: Harness) -> None:
    story = Story()
    await sla.hear(story.assigned(), story.assigned(work_order_id=uuid4(), department=METER))
    path = f"/v1/tickets/{story.ticket_id}/clocks"
    seen = {}
    for department in ("repair", "meter", "lead", "stranger"):
        status, body = await get(sla, path, department, "department")
        seen[department] = len(body["clocks"]) if status == 200 else status
    assert seen == {"repair": 2, "meter": 2, "lead": 5, "stranger": 404}


async def test_clocks_are_listed_by_deadline_page_by_page(sla: Harness) -> None:
    stories = [Story(timedelta(minutes=minute)) for minute in range(7)]
    await sla.hear(*[story.assigned() for story in stories])
    seen: list[str] = []
    after: str | None = None
    async with sla.client("chief", "supervise") as client:
        while True:
            query: dict[str, Any] = {"limit": 4, **({"after": after} if after else {})}
            page = (await client.get("/v1/clocks", params=query)).json()
            seen += [clock["due_at"] for clock in page["items"]]
            after = page["next"]
            if after is None:
                break
    assert len(seen) == 21
    assert seen == sorted(seen)


async def test_a_list_can_be_narrowed_by_deadline_state_and_department(sla: Harness) -> None:
    story, other = Story(), Story(timedelta(hours=3))
    await sla.hear(story.assigned(), other.assigned(department=METER), other.contacted())
    soon = (story.now + timedelta(minutes=31)).isoformat()
    for query, kinds in (
        ({"due_before": soon}, ["accept"]),
        ({"department": "repair"}, ["accept", "first_contact"]),
        ({"state": "missed"}, ["accept", "first_contact"]),
        ({"state": "missed", "department": "repair"}, []),
        ({"state": "cancelled"}, []),
    ):
        status, body = await get(sla, "/v1/clocks", "chief", "supervise", **query)
        assert (status, [clock["kind"] for clock in body["items"]]) == (200, kinds)


async def test_a_department_cannot_list_the_clocks_of_another(sla: Harness) -> None:
    await sla.hear(Story().assigned(), Story().assigned(department=METER))
    status, body = await get(sla, "/v1/clocks", "meter", "department")
    assert (status, {clock["department"]["code"] for clock in body["items"]}) == (200, {"meter"})
    status, _ = await get(sla, "/v1/clocks", "meter", "department", department="repair")
    assert status == 403


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "walking"}, "state"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"due_before": "tomorrow"}, "due_before"),
        ({"due_before": "2026-11-22T08:00:00"}, "due_before"),
        ({"after": "xyz"}, "after"),
        ({"after": "W10"}, "after"),
        ({"department": "x" * 101}, "department"),
    ],
)
async def test_a_bad_query_is_refused_by_field(shared_sla: Harness, query: dict[str, Any], field: str) -> None:
    status, body = await get(shared_sla, "/v1/clocks", "chief", "supervise", **query)
    assert status == 422
    assert [error["field"] for error in body["errors"]] == [field]


@pytest.mark.parametrize(
    ("path", "scopes", "status"),
    [
        ("/v1/clocks", ("agent",), 403),
        ("/v1/policy", ("publish",), 403),
        ("/v1/tickets/not-a-number/clocks", ("agent",), 422),
        ("/v1/tickets/00000000-0000-7000-8000-000000000000/clocks", ("agent",), 404),
    ],
)
async def test_what_may_not_be_seen_or_is_not_there(
    shared_sla: Harness, path: str, scopes: tuple[str, ...], status: int
) -> None:
    assert (await get(shared_sla, path, "someone", *scopes))[0] == status


async def test_the_policy_in_force_can_be_read(shared_sla: Harness) -> None:
    status, body = await get(shared_sla, "/v1/policy", "repair", "department")
    assert status == 200
    assert body["limits"]["accept"] == 1800
    assert [point["percent"] for point in body["warnings"]] == [50, 80, 100, 150]


async def test_another_policy_file_sets_other_limits(sla: Harness, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(policy_file.DEFAULT.read_text(encoding="utf-8").replace("30 min", "7 min"), encoding="utf-8")
    settings = sla.running.settings.model_copy(update={"sla_policy": file})
    async with run.started(service, settings) as (running, _):
        assert running.resources.stage_limit("accept", "normal")[0] == 420


async def test_a_faulty_policy_stops_the_start_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: x", encoding="utf-8")
    settings = SlaTimerSettings(database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"), sla_policy=file)
    with pytest.raises(SettingsError, match=r"ZHIDA_SLA_POLICY: .*own\.yaml:\n(.|\n)*limits: Field required"):
        async with run.started(service, settings):
            pass


def test_the_command_checks_a_policy_file(tmp_path: Path) -> None:
    good = CliRunner().invoke(group, ["policy", "check", str(policy_file.DEFAULT)])
    assert good.exit_code == 0
    assert "5 stars 8 h" in good.output
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(policy_file.DEFAULT.read_text(encoding="utf-8").replace("2 h #", "two hours #"), encoding="utf-8")
    bad = CliRunner().invoke(group, ["policy", "check", str(wrong)])
    assert bad.exit_code == 1
    assert "limits.first_contact: expected a duration such as" in bad.output
