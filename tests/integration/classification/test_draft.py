"""Drafts of the matrix over HTTP and by command: from the first cell to the effective time, and back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from libs.shared.contracts.classification import MatrixPublished, TicketClassified
from libs.shared.events import uuid7
from services.classification import packs, registry, trial
from services.classification.current import current
from services.classification.domain import pack, sheet
from tests.integration.classification.conftest import received
from tests.integration.classification.test_commands import command, good
from tests.running import Harness, eventually

Json = dict[str, Any]
TELECOM = "telecom_10000"


@asynccontextmanager
async def owner(h: Harness) -> AsyncIterator[httpx.AsyncClient]:
    """A matrix owner; nothing was published yet that a test could take for its own."""
    await current(h.running).refresh()
    await h.said()
    async with h.client("owner-zhao", "matrix") as client:
        yield client


async def send(
    client: httpx.AsyncClient, method: str, path: str, body: Json | None = None, **more: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": str(uuid4())}
    return await client.request(method, f"/v1/matrix/{path}", json=body, headers=headers, **more)


async def opened(client: httpx.AsyncClient, reason: str = "配网重组") -> Json:
    answer = await send(client, "POST", "drafts", {"title": "十二月", "reason": reason})
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


async def change(client: httpx.AsyncClient, draft: Json, *changes: Json, reason: str = "说明") -> httpx.Response:
    body = {"revision": draft["revision"], "reason": reason, "changes": list(changes)}
    return await send(client, "PATCH", f"drafts/{draft['draft_id']}", body)


EXECUTING: Json = {"kind": "situation", "code": "A01-1", "cell": "executing", "value": ["repair_centre"]}


@asynccontextmanager
async def trying(h: Harness) -> AsyncIterator[None]:
    """The loop that does what-ifs runs, as it would in a process of the service."""
    loop = asyncio.create_task(trial.try_drafts(h.running))
    try:
        yield
    finally:
        h.running.stopping.set()
        await loop
        h.running.stopping.clear()


async def tried(h: Harness, client: httpx.AsyncClient, draft: Json) -> Json:
    """A draft after its what-if."""
    path = f"drafts/{draft['draft_id']}"
    assert (await send(client, "POST", f"{path}/what-if", {"days": 7})).status_code == 202

    async def done() -> bool:
        found = (await client.get(f"/v1/matrix/{path}")).json()["what_if"]
        assert found["state"] != "failed", found
        return bool(found["state"] == "done")

    async with trying(h):
        await eventually(done, 60)
    found: Json = (await client.get(f"/v1/matrix/{path}")).json()
    return found


async def test_a_version_lives_from_draft_through_what_if_into_force_and_is_rolled_back(
    classification: Harness,
) -> None:
    ticket = received("小区里要建变电站，离居民楼太近，请变电站重新选址", ticket_id=uuid7(datetime.now(UTC)))
    async with owner(classification) as zhao:
        [first] = await classification.hear(ticket)
        assert isinstance(first, TicketClassified)
        assert first.situation.code == "A01-1"
        draft = await opened(zhao)
        changed = (await change(zhao, draft, EXECUTING, reason="选址由抢修中心答复")).json()
        assert (changed["revision"], changed["problems"]) == (2, [])
        shown = await tried(classification, zhao, draft)
        [difference] = shown["differences"]
        assert (difference["code"], difference["cell"], difference["after"]) == (
            "A01-1",
            "executing",
            ["repair_centre"],
        )
        outcome = shown["what_if"]["outcome"]
        assert (outcome["tickets"], outcome["elsewhere"], outcome["other_lead"]) == (1, 1, 0)
        assert outcome["examples"]["elsewhere"] == [str(ticket.ticket_id)]
        body = {"revision": 2, "reason": "会商通过"}
        published = await send(zhao, "POST", f"drafts/{draft['draft_id']}/publish", body)
        assert published.status_code == 200, published.text
        version = published.json()["version"]
        [said] = await classification.said()
        assert isinstance(said, MatrixPublished)
        assert (said.matrix_version, said.by) == (version, "owner-zhao")
        await current(classification.running).refresh()
        [second] = await classification.hear(received("变电站选址太近"))
        assert isinstance(second, TicketClassified)
        assert (second.matrix_version, [each.code for each in second.executing_departments]) == (
            version,
            ["repair_centre"],
        )
        back = await send(zhao, "POST", "activations", {"reason": "试行不成"})
        assert back.json()["version"] == first.matrix_version
        kept = (await zhao.get("/v1/matrix/versions")).json()
        assert [each["reason"] for each in kept["activations"]] == ["试行不成", "会商通过", "first start"]
        assert [each["version"] for each in kept["versions"] if each["in_force"]] == [first.matrix_version]
        changes = (await zhao.get(f"/v1/matrix/drafts/{draft['draft_id']}/changes")).json()["items"]
    assert [(each["by"], each["reason"]) for each in changes] == [
        ("owner-zhao", "选址由抢修中心答复"),
        ("owner-zhao", "配网重组"),
    ]


async def test_every_ticket_keeps_the_version_that_classified_it(classification: Harness) -> None:
    async with owner(classification) as zhao, classification.client("agent-1", "agent") as agent:
        ticket = received("变电站选址太近")
        await classification.hear(ticket)
        path = f"/v1/tickets/{ticket.ticket_id}/classification"
        before = (await agent.get(path)).json()
        draft = await opened(zhao)
        await change(zhao, draft, EXECUTING)
        await tried(classification, zhao, draft)
        await send(zhao, "POST", f"drafts/{draft['draft_id']}/publish", {"revision": 2, "reason": "通过"})
        await current(classification.running).refresh()
        assert (await agent.get(path)).json() == before


async def test_draft_with_faults_names_them_and_is_not_published(classification: Harness) -> None:
    async with owner(classification) as zhao:
        draft = await opened(zhao)
        new = {
            "op": "add",
            "kind": "department",
            "code": "night",
            "value": {"name": "夜班", "role": "executing", "posts": [{"name": "值班员"}]},
        }
        changed = (await change(zhao, draft, new)).json()
        assert changed["problems"] == [{"place": "department night", "reason": "no situation leads to it"}]
        path = f"drafts/{draft['draft_id']}"
        for answer in (
            await send(zhao, "POST", f"{path}/what-if", {}),
            await send(zhao, "POST", f"{path}/publish", {"revision": 2, "reason": "通过"}),
        ):
            assert answer.status_code == 409
            assert answer.json()["errors"] == [{"field": "department night", "reason": "no situation leads to it"}]
        mended = await change(zhao, changed, EXECUTING | {"value": ["night"]})
        assert mended.json() == {"draft_id": draft["draft_id"], "revision": 3, "problems": []}


async def test_duty_posts_of_a_draft_are_cells_and_a_department_without_them_is_named(classification: Harness) -> None:
    async with owner(classification) as zhao:
        draft = await opened(zhao)
        cell = {"op": "set", "kind": "department", "code": "planning", "cell": "posts"}
        emptied = (await change(zhao, draft, cell | {"value": []})).json()
        assert emptied["problems"] == [{"place": "department planning.posts", "reason": "has no duty post"}]
        unread = (await change(zhao, emptied, cell | {"value": [{"name": "值班台", "inbox": False}]})).json()
        [fault] = unread["problems"]
        assert fault["reason"] == "cannot be reached: it has no webhook, and no duty post reads the inbox"
        refused = await change(zhao, unread, cell | {"value": [{"name": "值班台", "hours": "8-17"}]})
        assert refused.status_code == 422
        assert "posts[0].hours" in str(refused.json())
        mended = (await change(zhao, unread, cell | {"value": [{"name": "值班台", "hours": "08:00-24:00"}]})).json()
        assert mended["problems"] == []


async def test_draft_that_was_not_tried_out_as_it_is_is_not_published(classification: Harness) -> None:
    async with owner(classification) as zhao:
        draft = await opened(zhao)
        changed = (await change(zhao, draft, EXECUTING)).json()
        path = f"drafts/{draft['draft_id']}/publish"
        refused = await send(zhao, "POST", path, {"revision": 2, "reason": "通过"})
        assert (refused.status_code, refused.json()["title"]) == (409, "Not tried out")
        await tried(classification, zhao, draft)
        await change(zhao, changed, EXECUTING | {"value": ["district_bureau", "repair_centre"]})
        refused = await send(zhao, "POST", path, {"revision": 3, "reason": "通过"})
        assert (refused.status_code, refused.json()["title"]) == (409, "Not tried out")
    assert await classification.said() == []


async def test_of_two_owners_the_second_must_look_again(classification: Harness) -> None:
    async with owner(classification) as zhao, classification.client("owner-qian", "matrix") as qian:
        draft = await opened(zhao)
        answers = await asyncio.gather(
            change(zhao, draft, EXECUTING), change(qian, draft, EXECUTING | {"value": ["billing_centre"]})
        )
        assert sorted(each.status_code for each in answers) == [200, 409]
        refused = next(each for each in answers if each.status_code == 409)
        assert refused.json()["revision"] == 2
        items = (await zhao.get(f"/v1/matrix/drafts/{draft['draft_id']}/changes")).json()["items"]
        assert [each["revision"] for each in items] == [2, 1]


async def test_draft_does_not_silently_undo_what_came_in_force_meanwhile(classification: Harness) -> None:
    async with owner(classification) as zhao:
        one, other = await opened(zhao), await opened(zhao)
        for draft, code in ((one, "A01-1"), (other, "A01-2")):
            await change(zhao, draft, EXECUTING | {"code": code, "value": ["metering_centre"]})
            await tried(classification, zhao, draft)
        body: Json = {"revision": 2, "reason": "通过"}
        first = await send(zhao, "POST", f"drafts/{one['draft_id']}/publish", body)
        refused = await send(zhao, "POST", f"drafts/{other['draft_id']}/publish", body)
        assert (first.status_code, refused.status_code) == (200, 409)
        assert refused.json()["in_force"] == first.json()["version"]
        body["over"] = first.json()["version"]
        assert (await send(zhao, "POST", f"drafts/{other['draft_id']}/publish", body)).status_code == 200


async def test_version_comes_in_force_at_its_effective_time_and_says_so_once(classification: Harness) -> None:
    async with owner(classification) as zhao:
        before = (await zhao.get("/v1/matrix")).json()["version"]
        draft = await opened(zhao)
        await change(zhao, draft, EXECUTING)
        await tried(classification, zhao, draft)
        body = {"revision": 2, "reason": "通过", "effective_at": (datetime.now(UTC) + timedelta(days=3)).isoformat()}
        published = await send(zhao, "POST", f"drafts/{draft['draft_id']}/publish", body)
        assert published.status_code == 200, published.text
        assert (await current(classification.running).refresh()).matrix.version == before
        assert await classification.said() == []
        await classification.rows("UPDATE activation SET effective_at = now() WHERE NOT said RETURNING 1")
        await asyncio.gather(*(current(classification.running).refresh() for _ in range(3)))
        await registry.say(classification.running)
        assert (await current(classification.running).refresh()).matrix.version == published.json()["version"]
        assert [type(each) for each in await classification.said()] == [MatrixPublished]


async def test_effective_time_that_lies_ahead_can_be_taken_back(classification: Harness) -> None:
    async with owner(classification) as zhao:
        before = (await zhao.get("/v1/matrix")).json()["version"]
        at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        answer = await send(zhao, "POST", "activations", {"version": before, "reason": "预约", "effective_at": at})
        assert answer.status_code == 200
        ahead, began = (await zhao.get("/v1/matrix/versions")).json()["activations"]
        taken = await send(zhao, "POST", f"activations/{ahead['activation_id']}/cancel")
        assert (taken.status_code, taken.json()["cancelled_by"]) == (200, "owner-zhao")
        for number in (ahead["activation_id"], began["activation_id"], 999):
            assert (await send(zhao, "POST", f"activations/{number}/cancel")).status_code == 404


async def test_draft_is_replaced_by_a_workbook_and_given_back_as_it_was(classification: Harness) -> None:
    book = sheet.write(pack.form(packs.read(TELECOM)))
    async with owner(classification) as zhao:
        draft = await opened(zhao)
        path = f"/v1/matrix/drafts/{draft['draft_id']}/file"
        headers = {"Idempotency-Key": "book"}
        query: Json = {"revision": 1, "reason": "换成电信"}
        answer = await zhao.put(path, content=book, params=query, headers=headers)
        assert answer.json() == {"draft_id": draft["draft_id"], "revision": 2, "problems": []}
        again = await zhao.put(path, content=book, params=query, headers=headers)
        assert again.json() == answer.json()
        for kind in ("yaml", "xlsx"):
            found = await zhao.get(path, params={"format": kind})
            assert packs.parse(found.content).version == packs.read(TELECOM).version


async def test_bad_file_changes_nothing_and_everything_wrong_is_said_at_once(classification: Harness) -> None:
    form = pack.form(packs.read(TELECOM))
    first = form["classes"][0]["groups"][0]["categories"][0]["situations"][0]
    first["lead"] = "nobody"
    form["departments"][1]["code"] = form["departments"][0]["code"]
    async with owner(classification) as zhao:
        draft = await opened(zhao)
        path = f"/v1/matrix/drafts/{draft['draft_id']}/file"
        query: Json = {"revision": 1, "reason": "换"}
        answer = await zhao.put(path, content=pack.write(form), params=query, headers={"Idempotency-Key": "a"})
        assert answer.status_code == 422
        fields = [each["field"] for each in answer.json()["errors"]]
        assert f"situation {first['code']}.lead" in fields
        assert any(field.startswith("department code") for field in fields)
        assert all("line " in each["reason"] for each in answer.json()["errors"])
        nothing = await zhao.put(path, content=b"\x00\x01", params=query, headers={"Idempotency-Key": "b"})
        assert nothing.status_code == 422
        assert (await zhao.get(path.removesuffix("/file"))).json()["revision"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "drafts", {"title": "", "reason": "r"}, 422, "title"),
        ("POST", "drafts", {"title": "t"}, 422, "reason"),
        ("POST", "drafts", {"title": "t", "reason": "r", "version": "none"}, 404, ""),
        ("GET", "drafts/99", None, 404, ""),
        ("GET", "drafts/0", None, 422, "draft_id"),
        ("GET", "drafts?state=lost", None, 422, "state"),
        ("PATCH", "drafts/1", {"revision": 1, "reason": "r", "changes": []}, 422, "changes"),
        ("PATCH", "drafts/1", {"revision": 1, "reason": "r", "changes": [{"kind": "row"}]}, 422, "changes.0.kind"),
        (
            "PATCH",
            "drafts/1",
            {"revision": 1, "reason": "r", "changes": [EXECUTING | {"code": "X"}]},
            422,
            "changes[0].code",
        ),
        ("POST", "drafts/1/what-if", {"days": 0}, 422, "days"),
        (
            "POST",
            "drafts/1/publish",
            {"revision": 1, "reason": "r", "effective_at": "2026-12-01T00:00:00"},
            422,
            "effective_at",
        ),
        ("POST", "activations", {"version": "none", "reason": "r"}, 404, ""),
        ("POST", "activations", {"reason": "r"}, 409, ""),
    ],
)
async def test_bad_request_is_refused_with_the_field_named(
    classification: Harness, *, method: str, path: str, body: Json | None, status: int, field: str
) -> None:
    async with owner(classification) as zhao:
        await opened(zhao)
        answer = await send(zhao, method, path, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if field:
        assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_only_a_matrix_owner_changes_it_and_others_may_look(classification: Harness) -> None:
    async with owner(classification) as zhao, classification.client("boss", "supervise", "review") as boss:
        draft = await opened(zhao)
        assert (await boss.get("/v1/matrix/drafts")).json()["items"][0]["draft_id"] == draft["draft_id"]
        assert (await change(boss, draft, EXECUTING)).status_code == 403
        assert (await send(boss, "POST", "activations", {"reason": "r"})).status_code == 403
    async with classification.client("agent-1", "agent") as agent:
        assert (await agent.get("/v1/matrix/drafts")).status_code == 403
        assert (await agent.get("/v1/matrix")).status_code == 200


async def test_discarded_draft_is_kept_and_changes_no_more(classification: Harness) -> None:
    async with owner(classification) as zhao:
        draft = await opened(zhao)
        path = f"drafts/{draft['draft_id']}"
        assert (await send(zhao, "POST", f"{path}/discard", {"reason": "不做了"})).status_code == 200
        assert (await change(zhao, draft, EXECUTING)).json()["state"] == "discarded"
        assert (await zhao.get(f"/v1/matrix/{path}")).json()["state"] == "discarded"
        assert (await zhao.get("/v1/matrix/drafts?state=open")).json()["items"] == []


async def test_what_if_that_a_killed_process_left_is_done_by_the_next(classification: Harness) -> None:
    async with owner(classification) as zhao:
        draft = await opened(zhao)
        await change(zhao, draft, EXECUTING)
        await send(zhao, "POST", f"drafts/{draft['draft_id']}/what-if", {"days": 1})
        await classification.rows("UPDATE trial SET state = 'running', done = 7, total = 9 RETURNING 1")
        await classification.rows(
            "INSERT INTO lease (name, owner, until) VALUES ('trial', 'killed', now() + interval '1 s') RETURNING 1"
        )
        path = f"/v1/matrix/drafts/{draft['draft_id']}"

        async def done() -> bool:
            return bool((await zhao.get(path)).json()["what_if"]["state"] == "done")

        async with trying(classification):
            await eventually(done, 60)


async def test_draft_lives_by_command_too(classification: Harness, tmp_path: Path) -> None:
    await current(classification.running).refresh()
    await classification.hear(received("变电站选址太近", ticket_id=uuid7(datetime.now(UTC))))
    draft = ("matrix", "draft")
    assert await good(classification, *draft, "open", "十二月", "--reason", "重组") == "draft 1\n"
    assert "draft 1, revision 2" in await good(
        classification, *draft, "set", "1", "situation", "A01-1", "executing", "[repair_centre]"
    )
    changes = tmp_path / "changes.yaml"
    changes.write_text(
        "- {op: add, kind: department, code: night, value: {name: 夜班, role: executing, posts: [{name: 值班员}]}}\n",
        encoding="utf-8",
    )
    assert "fault: department night" in await good(classification, *draft, "change", "1", changes)
    refused = await command(classification, *draft, "publish", "1")
    assert refused.exit_code == 1
    assert "department night: no situation leads to it" in refused.output
    await good(classification, *draft, "set", "1", "situation", "A01-2", "executing", "[night]")
    assert "1 tickets" in await good(classification, *draft, "what-if", "1")
    shown = await good(classification, *draft, "show", "1", "--history")
    assert "situation A01-1 executing: [" in shown
    assert "revision 2" in shown
    book = tmp_path / "draft.xlsx"
    await good(classification, *draft, "export", "1", book)
    assert "night" in {each.code for each in packs.read(str(book)).departments}
    assert "in force from" in await good(classification, *draft, "publish", "1", "--reason", "通过")
    assert (await good(classification, *draft, "list", "--all")).count("power_95598") == 2
    assert "power_95598-2026.11" in await good(classification, "matrix", "rollback")
    await good(classification, *draft, "open", "电信", "--file", TELECOM)
    assert "department" in await good(classification, *draft, "show", "2")
    assert "discarded" in await good(classification, *draft, "discard", "2")
    for wrong in (("set", "1", "situation", "A01-1", "executing", "["), ("show", "9"), ("replace", "9", TELECOM)):
        assert (await command(classification, *draft, *wrong)).exit_code == 1
