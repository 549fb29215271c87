"""Cells that the returns court finds wrong too often: kept once, taken as a draft or dismissed."""

from typing import Any

from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import CellDisputed
from libs.shared.events import uuid7
from tests.integration.classification.test_draft import owner, send
from tests.running import Harness

A01 = "transmission_station"  # executes A01-1 in the pack


def disputed(h: Harness, **fields: Any) -> CellDisputed:
    """What dispatch says of a cell."""
    about: dict[str, Any] = {
        "cell": f"A01-1:{A01}",
        "month": "2026-11",
        "situation": "A01-1",
        "situation_name": "规划变电站选址争议",
        "department": Department(code=A01, name="输电站"),
        "lead_department": Department(code="planning", name="计划发展部"),
        "supervisor": "deputy-planning",
        "assigned": 40,
        "returned": 12,
        "upheld": 9,
        "matrix_wrong": 4,
        "tickets": (uuid7(h.running.now()),),
        "suggested_department": Department(code="district_bureau", name="区县供电分局"),
    }
    return CellDisputed.model_validate(about | fields)


async def test_cell_returned_often_is_put_before_its_owner_and_accepting_it_opens_a_draft(
    classification: Harness,
) -> None:
    async with owner(classification) as zhao:
        event = disputed(classification)
        await classification.hear(event)
        await classification.hear(disputed(classification, upheld=10))
        [item] = (await zhao.get("/v1/matrix/suggestions?state=open")).json()["items"]
        assert (item["evidence"]["upheld"], item["evidence"]["assigned"]) == (10, 40)
        path = f"suggestions/{item['suggestion_id']}/accept"
        answer = await send(zhao, "POST", path, {"reason": "退单过多"})
        assert answer.status_code == 201, answer.text
        draft = (await zhao.get(f"/v1/matrix/drafts/{answer.json()['draft_id']}")).json()
        [difference] = draft["differences"]
        assert (difference["code"], difference["cell"]) == ("A01-1", "executing")
        assert (difference["before"], difference["after"]) == ([A01], ["district_bureau"])
        assert draft["origin"]["suggestion_id"] == item["suggestion_id"]
        assert draft["problems"] == []
        again = await send(zhao, "POST", path, {"reason": "再来"})
        assert (again.status_code, again.json()["state"]) == (409, "accepted")
        await classification.hear(disputed(classification, upheld=11))
        assert (await zhao.get("/v1/matrix/suggestions?state=open")).json()["items"] == []


async def test_dismissed_suggestion_comes_again_with_the_next_month(classification: Harness) -> None:
    async with owner(classification) as zhao:
        await classification.hear(disputed(classification), disputed(classification, upheld=11))
        [item] = (await zhao.get("/v1/matrix/suggestions")).json()["items"]
        answer = await send(zhao, "POST", f"suggestions/{item['suggestion_id']}/dismiss", {"reason": "个案"})
        assert answer.json()["state"] == "dismissed"
        await classification.hear(disputed(classification, month="2026-12"))
        found = (await zhao.get("/v1/matrix/suggestions")).json()["items"]
        assert [each["state"] for each in found] == ["open", "dismissed"]


async def test_suggestion_that_the_matrix_has_overtaken_is_refused(classification: Harness) -> None:
    async with owner(classification) as zhao:
        gone = Department(code="repair_centre", name="配网抢修中心")
        await classification.hear(disputed(classification, cell="A01-1:repair_centre", department=gone))
        [item] = (await zhao.get("/v1/matrix/suggestions")).json()["items"]
        answer = await send(zhao, "POST", f"suggestions/{item['suggestion_id']}/accept", {"reason": "r"})
        assert (answer.status_code, answer.json()["title"]) == (409, "Overtaken")
        assert (await send(zhao, "POST", "suggestions/99/dismiss", {"reason": "r"})).status_code == 404
        assert (await send(zhao, "POST", "suggestions/99/dismiss", {})).status_code == 422


async def test_suggestion_without_a_department_opens_a_draft_as_it_is(classification: Harness) -> None:
    async with owner(classification) as zhao:
        await classification.hear(disputed(classification, suggested_department=None))
        [item] = (await zhao.get("/v1/matrix/suggestions")).json()["items"]
        answer = await send(zhao, "POST", f"suggestions/{item['suggestion_id']}/accept", {"reason": "r"})
        draft = (await zhao.get(f"/v1/matrix/drafts/{answer.json()['draft_id']}")).json()
        assert (draft["differences"], draft["revision"]) == ([], 1)
