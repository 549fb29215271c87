"""Facts in, numbered notices out; inboxes as their readers see them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.event import listen

from libs.shared import run
from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import TicketReleased
from libs.shared.contracts.notification import NotificationSent
from services.notification import handlers
from services.notification.domain import notice
from services.notification.main import service
from tests.integration.notification.facts import answered, asked, clock, escalated, merged, warned
from tests.running import Harness


async def get(desk: Harness, path: str, principal: str, *scopes: str, **query: Any) -> tuple[int, Any]:
    """Status and JSON of a GET."""
    async with desk.client(principal, *scopes) as client:
        answer = await client.get(path, params=query)
    return answer.status_code, answer.json()


async def numbers(desk: Harness, address: str) -> list[int]:
    """Numbers of an inbox, in order."""
    rows = await desk.rows("SELECT number FROM notice WHERE recipient = :address ORDER BY number", address=address)
    return [row.number for row in rows]


async def test_an_answer_stands_in_the_agents_inbox_and_is_said(desk: Harness) -> None:
    fact = answered("a1")
    (said,) = await desk.hear(fact)
    assert isinstance(said, NotificationSent)
    assert (said.recipient_kind, said.recipient, said.kind, said.channel, said.number) == (
        "agent",
        "a1",
        "ticket_answered",
        "inbox",
        1,
    )
    assert said.caused_at == fact.occurred_at
    status, body = await get(desk, "/v1/inbox", "a1", "agent")
    assert status == 200
    (item,) = body["items"]
    assert item["number"] == 1
    assert item["notification_id"] == str(said.notification_id)
    assert item["title"] == "工单已答复：小区停电"
    assert "【抢修班】已送电" in item["text"]
    assert item["data"]["answers"][0]["text"] == "已送电"
    assert (body["last_number"], body["read_up_to"], body["next"]) == (1, 0, None)


async def test_an_agent_is_told_when_the_ticket_is_merged_and_when_it_is_released(desk: Harness) -> None:
    fact = merged("a1")
    gone = TicketReleased(
        ticket_id=fact.ticket_id, master_id=fact.master_id, agent_id="a1", channel="95598", by="li", reason="另一件事"
    )
    said = [each for each in await desk.hear(fact, gone) if isinstance(each, NotificationSent)]
    assert [(each.kind, each.recipient, each.number) for each in said] == [
        ("ticket_merged", "a1", 1),
        ("ticket_released", "a1", 2),
    ]
    assert await desk.hear(fact) == []
    _, body = await get(desk, "/v1/inbox", "a1", "agent")
    first, second = sorted(body["items"], key=lambda item: int(item["number"]))
    assert first["title"] == "工单已并入突发聚集：小区停电"
    assert first["data"]["master_id"] == str(fact.master_id)
    assert second["title"] == "工单已恢复单独办理"


async def test_a_batch_is_numbered_without_gaps_in_its_order(desk: Harness) -> None:
    facts = [answered(f"a{place % 3}", title=f"T{place}") for place in range(30)]
    said = [event for event in await desk.hear(*facts) if isinstance(event, NotificationSent)]
    for agent in ("a0", "a1", "a2"):
        assert await numbers(desk, f"agent:{agent}") == list(range(1, 11))
        by_number = {event.number: event.ticket_id for event in said if event.recipient == agent}
        assert [by_number[number] for number in range(1, 11)] == [
            fact.ticket_id for fact in facts if fact.agent_id == agent
        ]


async def test_a_repeated_fact_is_told_once(desk: Harness) -> None:
    fact = answered()
    record = desk.record(fact)
    await desk.take([record])
    await desk.take([desk.record(fact)])
    assert await numbers(desk, "agent:a1") == [1]


async def test_a_warning_and_its_escalation_to_the_same_department_are_one_notice(desk: Harness) -> None:
    ticket, about = uuid4(), clock(uuid4())
    await desk.hear(warned(ticket, about), escalated(ticket, about, "executing", "repair"))
    await desk.hear(escalated(ticket, about, "executing", "repair"), escalated(ticket, about, "lead", "lead"))
    rows = await desk.rows("SELECT recipient, kind, number FROM notice ORDER BY recipient")
    assert [tuple(row) for row in rows] == [
        ("department:lead", "escalated", 1),
        ("department:repair", "clock_warned", 1),
    ]


async def test_a_batch_takes_one_statement_for_its_notices_whatever_it_holds(desk: Harness) -> None:
    seen: list[str] = []
    listen(
        desk.running.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: seen.append(statement),
    )
    ticket, about = uuid4(), clock(uuid4())
    mixed = [warned(ticket, about), answered(), asked(), escalated(ticket, about, "lead", "lead"), answered("a9")]
    await desk.hear(*[answered(f"a{place}") for place in range(200)], *mixed)
    assert sum("INSERT INTO notice" in statement for statement in seen) == 1


async def test_two_replicas_with_crossed_recipients_never_deadlock(desk: Harness) -> None:
    departments = [Department(code=f"d{place}", name="x") for place in range(10)]
    async with run.started(service, desk.running.settings) as (second, _):

        async def tell(running: Any, forward: bool) -> None:
            for _ in range(25):
                facts = [asked("a1", each) for each in (departments if forward else reversed(departments))]
                records = [desk.record(fact) for fact in facts]
                assert records
                async with running.transaction([fact.key for fact in facts]) as tx:
                    for fact in facts:
                        await handlers.tell([fact], tx)

        await asyncio.gather(
            *[tell(running, forward) for running in (desk.running, second) for forward in (True, False)]
        )
    for each in departments:
        assert await numbers(desk, f"department:{each.code}") == list(range(1, 101))


async def test_a_number_is_never_seen_before_a_lower_one(desk: Harness) -> None:
    first, second = asked(), asked()
    desk.record(first)
    desk.record(second)
    async with desk.running.engine.connect() as slow, slow.begin():
        # A batch that has drawn number 1 and has not committed.
        await slow.execute(text("INSERT INTO recipient (address, last_number) VALUES ('department:repair', 1)"))
        blocked = asyncio.create_task(_tell(desk, second))
        done, _ = await asyncio.wait({blocked}, timeout=0.3)
        assert not done
        assert await numbers(desk, "department:repair") == []
    await asyncio.wait_for(blocked, 10)
    assert await numbers(desk, "department:repair") == [2]


async def _tell(desk: Harness, fact: Any) -> None:
    async with desk.running.transaction([fact.key]) as tx:
        tx.gather(handlers.deliver, notice.notices(fact))


async def test_pages_and_unread_go_by_number(desk: Harness) -> None:
    await desk.hear(*[answered("a1") for _ in range(12)])
    async with desk.client("a1", "agent") as client:
        page = (await client.get("/v1/inbox", params={"limit": 5})).json()
        assert ([item["number"] for item in page["items"]], page["next"]) == ([1, 2, 3, 4, 5], 5)
        page = (await client.get("/v1/inbox", params={"limit": 5, "after": 10})).json()
        assert ([item["number"] for item in page["items"]], page["next"]) == ([11, 12], None)
        assert (await client.post("/v1/inbox/read", json={"up_to": 9})).json() == {"read_up_to": 9}
        assert (await client.post("/v1/inbox/read", json={"up_to": 3})).json() == {"read_up_to": 9}
        page = (await client.get("/v1/inbox", params={"unread": True})).json()
        assert [item["number"] for item in page["items"]] == [10, 11, 12]


async def test_a_recipient_reads_its_own_language_at_once(desk: Harness) -> None:
    await desk.hear(answered("a1"))
    async with desk.client("a1", "agent") as client:
        before = (await client.get("/v1/preferences")).json()
        assert (before["language"], before["chosen"]) == ("zh-CN", False)
        assert (await client.put("/v1/preferences", json={"language": "en"})).status_code == 200
        after = (await client.get("/v1/preferences")).json()
        assert (after["language"], after["chosen"], after["recipient"]) == ("en", True, {"kind": "agent", "id": "a1"})
        page = (await client.get("/v1/inbox")).json()
        assert page["items"][0]["title"] == "Answered: 小区停电"


@pytest.mark.parametrize(
    ("principal", "scopes", "recipient", "status"),
    [
        ("a1", ("agent",), None, 200),
        ("a1", ("agent",), "a1", 200),
        ("a1", ("agent",), "a2", 403),
        ("a1", ("agent",), "department:repair", 403),
        ("repair", ("department",), None, 200),
        ("repair", ("department",), "department:repair", 200),
        ("repair", ("department",), "repair", 403),
        ("sup", ("supervise",), "supervisor:sup", 200),
        ("sup", ("supervise",), "supervisor:review", 403),
        ("li", ("review",), "supervisor:review", 200),
        ("platform", ("publish",), "a7", 200),
        ("platform", ("publish",), None, 422),
        ("platform", ("publish",), "department:repair", 403),
        ("root", ("admin",), "department:repair", 200),
        ("root", ("admin",), "boss:x", 422),
        ("root", ("vault",), None, 403),
    ],
)
async def test_whose_inbox_a_key_opens(
    shared_desk: Harness, principal: str, scopes: tuple[str, ...], recipient: str | None, status: int
) -> None:
    query = {"recipient": recipient} if recipient else {}
    answer, _ = await get(shared_desk, "/v1/inbox", principal, *scopes, **query)
    assert answer == status


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/v1/inbox?after=-1", None, "after"),
        ("GET", "/v1/inbox?limit=0", None, "limit"),
        ("GET", "/v1/inbox?unread=maybe", None, "unread"),
        ("POST", "/v1/inbox/read", {"up_to": 5}, "up_to"),
        ("POST", "/v1/inbox/read", {"up_to": "x"}, "up_to"),
        ("POST", "/v1/inbox/read", {"up_to": 1, "all": True}, "all"),
        ("PUT", "/v1/preferences", {"language": "fr"}, "language"),
        ("PUT", "/v1/preferences", {}, "language"),
    ],
)
async def test_bad_input_is_refused_by_field(
    shared_desk: Harness, method: str, path: str, body: Any, field: str
) -> None:
    async with shared_desk.client("a1", "agent") as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
