"""Settled tickets on a real Postgres: kept with what fixed them, found for a ticket that is like them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import event

from libs.shared.contracts.classification import Department
from libs.shared.contracts.dispatch import Answer, Measures, TicketAnswered, TicketReopened
from libs.shared.contracts.intake import TicketReceived
from libs.shared.events import uuid7
from tests.integration.classification.conftest import received
from tests.running import Harness

NOW = datetime.now(UTC)
LOW = "晚上电压低，空调启动不了，电灯发暗"
LIKE = "晚上一开空调电压就偏低，电灯发暗"
REPAIR = Department(code="repair_centre", name="配网抢修中心")


def ticket(text: str, **fields: Any) -> TicketReceived:
    return received(text, ticket_id=uuid7(NOW), **fields)


def answered(ticket_id: UUID, *texts: str, minutes: float = 0) -> TicketAnswered:
    """What dispatch says when the departments have answered."""
    answers = tuple(
        Answer(work_order_id=uuid4(), department=REPAIR, text=text, answered_at=NOW + timedelta(minutes=minutes))
        for text in texts
    )
    return TicketAnswered(
        ticket_id=ticket_id,
        agent_id="a1",
        channel="95598",
        external_ref="R1",
        title="t",
        answers=answers,
        join_policy="all",
        measures=Measures(hops=2, transfers=0, first_contact_minutes=1, resolve_minutes=2),
    )


def reopened(ticket_id: UUID) -> TicketReopened:
    return TicketReopened(ticket_id=ticket_id, by="a1", reason="又低了", work_order_ids=(uuid4(),))


async def similar(http: httpx.AsyncClient, ticket_id: UUID, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(f"/v1/tickets/{ticket_id}/similar", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_similar_settled_cases_are_shown_to_the_department_with_what_fixed_them(classification: Harness) -> None:
    new, same, like, bill = (ticket(text) for text in (LOW, LOW, LIKE, "电表走得太快，多收了电费，请核实"))
    await classification.hear(same, like, bill, new)
    await classification.hear(
        answered(like.ticket_id, "已更换配变", "已调整三相负荷，电话13812345678", minutes=5),
        answered(same.ticket_id, "已更换老旧线路"),
        answered(bill.ticket_id, "已校验电表"),
    )
    async with classification.client("repair_centre", "department") as http:
        found = await similar(http, new.ticket_id)
        assert [each["ticket_id"] for each in found] == [str(same.ticket_id), str(like.ticket_id)]
        assert found[0]["likeness"] == 1.0
        assert 0.05 <= found[1]["likeness"] < 1
        assert {each["situation"]["code"] for each in found} == {"B01-1"}
        assert [each["text"] for each in found[1]["answers"]] == ["已更换配变", "已调整三相负荷，电话***********"]
        assert found[1]["answers"][0]["department"] == REPAIR.model_dump()
        assert len(await similar(http, new.ticket_id, limit=1)) == 1
        assert await similar(http, bill.ticket_id) == [], "not itself"


async def test_a_case_that_was_reopened_is_not_shown_until_another_answer_has_fixed_it(
    classification: Harness,
) -> None:
    new, old = ticket(LOW), ticket(LIKE)
    await classification.hear(old, new)
    await classification.hear(answered(old.ticket_id, "已恢复"))
    async with classification.client("s1", "supervise") as http:
        assert len(await similar(http, new.ticket_id)) == 1
        await classification.hear(reopened(old.ticket_id))
        assert await similar(http, new.ticket_id) == []
        await classification.hear(answered(old.ticket_id, "已更换配变", minutes=60))
        [found] = await similar(http, new.ticket_id)
        assert [each["text"] for each in found["answers"]] == ["已更换配变"]


async def test_an_answer_and_its_reopening_in_one_batch_leave_nothing_to_show(classification: Harness) -> None:
    new, old = ticket(LOW), ticket(LIKE)
    await classification.hear(old, new)
    await classification.hear(answered(old.ticket_id, "已恢复"), reopened(old.ticket_id))
    async with classification.client("s1", "supervise") as http:
        assert await similar(http, new.ticket_id) == []


async def test_members_of_a_folded_hot_event_are_shown_once_as_their_master(classification: Harness) -> None:
    new, master, *members = (ticket(LOW) for _ in range(5))
    await classification.hear(new, master, *members)
    await classification.rows(
        "INSERT INTO hot_event (hot_event_id, state, category, place, situation, matrix_version, title, opened_with,"
        " usual, minutes, members, opened_at, folded_at) VALUES (:id, 'open', 'B01', '3201', 'B01-1', 'm', 't', 3, 1,"
        " 60, 3, now(), now())",
        id=master.ticket_id,
    )
    for each in members:
        await classification.rows(
            "INSERT INTO hot_member (ticket_id, hot_event_id, similarity, joined_at, joined_by)"
            " VALUES (:id, :event, 1, now(), 'x')",
            id=each.ticket_id,
            event=master.ticket_id,
        )
    await classification.hear(*(answered(each.ticket_id, "已抢修") for each in (master, *members)))
    async with classification.client("s1", "supervise") as http:
        assert [each["ticket_id"] for each in await similar(http, new.ticket_id)] == [str(master.ticket_id)]
        await classification.rows("UPDATE hot_event SET dissolved_at = now()")
        await classification.hear(answered(members[0].ticket_id, "已另行处理", minutes=9))
        shown = [each["ticket_id"] for each in await similar(http, new.ticket_id)]
        assert shown == [str(members[0].ticket_id), str(master.ticket_id)]


async def test_merged_tickets_that_one_answer_settled_are_shown_once(classification: Harness) -> None:
    new, master, member = (ticket(LOW) for _ in range(3))
    await classification.hear(new, master, member)
    one = answered(master.ticket_id, "已更换配变")
    await classification.hear(one, one.model_copy(update={"ticket_id": member.ticket_id}))
    async with classification.client("s1", "supervise") as http:
        assert len(await similar(http, new.ticket_id)) == 1


async def test_answers_to_unknown_tickets_and_unanswered_ones_that_are_reopened_change_nothing(
    classification: Harness,
) -> None:
    await classification.hear(answered(uuid7(NOW), "x"), reopened(uuid7(NOW)))
    assert await classification.rows("SELECT 1 FROM settled") == []


async def test_who_may_not_ask_is_refused_and_what_is_wrong_named(classification: Harness) -> None:
    await classification.hear(one := ticket(LOW))
    for scope in ("department", "agent", "publish", "review", "supervise"):
        async with classification.client("x", scope) as http:
            assert await similar(http, one.ticket_id) == []
    async with classification.client("x", "agent") as http:
        assert (await http.get(f"/v1/tickets/{uuid4()}/similar")).status_code == 404
        wrong = await http.get(f"/v1/tickets/{one.ticket_id}/similar", params={"limit": 0})
        assert (wrong.status_code, [each["field"] for each in wrong.json()["errors"]]) == (422, ["limit"])
    async with classification.client("x", "matrix") as http:
        assert (await http.get(f"/v1/tickets/{one.ticket_id}/similar")).status_code == 403


async def test_a_batch_of_answers_costs_one_statement_whatever_its_size(classification: Harness) -> None:
    costs = []
    for size in (2, 60):
        tickets = [ticket(LOW) for _ in range(size)]
        await classification.hear(*tickets)
        statements: list[str] = []
        listening = classification.running.engine.sync_engine, "before_cursor_execute"

        def note(*args: Any, to: list[str] = statements) -> None:
            to.append(args[2])

        event.listen(*listening, note)
        await classification.hear(*(answered(each.ticket_id, "已恢复") for each in tickets))
        event.remove(*listening, note)
        costs.append(len([each for each in statements if "INTO settled" in each]))
    assert costs == [1, 1]
