"""Tickets through dispatch: work orders out, answers back, questions straight across."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from libs.shared.contracts import dispatch as says
from libs.shared.contracts.classification import Department, MatrixPublished
from libs.shared.events import uuid7
from tests.integration.dispatch.world import MARKETING, METER, REPAIR, World, amended, classified, post
from tests.running import Harness


async def test_each_executing_department_gets_its_work_order_at_once(dispatch: Harness) -> None:
    events = [classified(METER, REPAIR), classified(REPAIR), classified(METER, METER)]
    said = await dispatch.hear(*events)
    assigned = [event for event in said if isinstance(event, says.WorkOrderAssigned)]
    assert [(event.ticket_id, event.department.code) for event in assigned] == [
        (events[0].ticket_id, "meter"),
        (events[0].ticket_id, "repair"),
        (events[1].ticket_id, "repair"),
        (events[2].ticket_id, "meter"),
    ]
    assert [event.envelope.traceparent for event in said] == [events[0].envelope.traceparent] * 4
    rows = await dispatch.rows("SELECT department, state, ticket_id FROM work_order ORDER BY work_order_id")
    assert sorted((row.ticket_id, row.department) for row in rows) == sorted(
        (event.ticket_id, event.department.code) for event in assigned
    )


async def test_a_redelivered_classification_is_dropped(dispatch: Harness) -> None:
    event = classified(METER)
    record = dispatch.record(event)
    await dispatch.take([record])
    assert len(await dispatch.said()) == 1
    await dispatch.take([dispatch.record(event)])
    assert await dispatch.said() == []
    assert len(await dispatch.rows("SELECT 1 FROM work_order")) == 1


async def test_a_ticket_goes_straight_there_and_straight_back(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    [webhook] = await world.arrives("meter", "work_order.assigned")
    assert world.genuine(webhook)
    order = (await world.orders(ticket_id))["meter"]
    assert webhook.data["work_order_id"] == order["work_order_id"]
    assert webhook.data["situation"] == {"code": "meter_fast", "name": "电表计量不准"}
    assert webhook.data["place"] == {"area_code": "320102", "address": "鼓楼区中山路"}
    assert (webhook.data["star"], webhook.data["sensitive"], webhook.data["department"]) == (4, True, "meter")
    await world.settled(ticket_id, "delivered")
    await world.work(ticket_id, "meter", "已换表")
    [answered] = await world.said(says.TicketAnswered, ticket_id)
    assert [answer.text for answer in answered.answers] == ["已换表"]
    assert (answered.agent_id, answered.measures.hops, answered.measures.transfers) == ("a1", 2, 0)
    assert 1 <= answered.measures.resolve_minutes < 3
    assert answered.measures.first_contact_minutes is not None
    assert [type(event).__name__ for event in world.heard] == [
        "WorkOrderAssigned", "WorkOrderDelivered", "WorkOrderAccepted", "WorkOrderContacted", "WorkOrderAnswered",
        "TicketAnswered",
    ]  # fmt: skip
    ticket = await world.ticket(ticket_id)
    assert ticket["state"] == "answered"
    assert ticket["measures"] == answered.measures.model_dump()
    assert [event["what"] for event in ticket["timeline"]] == [
        "received", "classified", "assigned", "delivered", "accepted", "contacted", "answered", "ticket_answered",
    ]  # fmt: skip


async def test_versions_of_a_ticket_are_gapless_over_events_commands_and_deliveries(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.settled(ticket_id, "delivered")
    await world.work(ticket_id, "meter")
    rows = await world.harness.rows("SELECT version FROM outbox WHERE key = :key ORDER BY id", key=str(ticket_id))
    assert len(rows) >= 4
    assert [row.version for row in rows] == list(range(rows[0].version, rows[0].version + len(rows)))


async def test_a_department_without_an_endpoint_works_from_its_list(world: World) -> None:
    ticket_id = await world.classify(METER)
    [order] = (await world.departments["meter"].get("/v1/work-orders")).json()["items"]
    assert (order["ticket_id"], order["state"]) == (str(ticket_id), "assigned")
    assert order["allowed"] == ["accept", "questions", "evidence", "return"]
    assert await world.deliveries(ticket_id) == []
    await world.work(ticket_id, "meter")
    assert (await world.departments["meter"].get("/v1/work-orders")).json()["items"] == []
    assert len(await world.said(says.TicketAnswered)) == 1
    assert await world.said(says.DeliveryFailed) == []


async def test_the_join_policy_all_waits_for_every_department(world: World) -> None:
    ticket_id = await world.classify(METER, REPAIR)
    await world.work(ticket_id, "meter", "表已换")
    assert await world.said(says.TicketAnswered) == []
    await world.work(ticket_id, "repair", "线已修")
    [answered] = await world.said(says.TicketAnswered)
    assert [(answer.department.code, answer.text) for answer in answered.answers] == [
        ("meter", "表已换"),
        ("repair", "线已修"),
    ]


async def test_the_join_policy_any_is_met_once_and_later_answers_are_kept(world: World) -> None:
    ticket_id = await world.classify(METER, REPAIR, join_policy="any")
    await world.work(ticket_id, "repair")
    await world.work(ticket_id, "meter")
    assert len(await world.said(says.TicketAnswered)) == 1
    assert len(await world.said(says.WorkOrderAnswered)) == 2


async def test_the_join_policy_lead_waits_for_the_lead_department(world: World) -> None:
    ticket_id = await world.classify(METER, MARKETING, join_policy="lead")
    await world.work(ticket_id, "meter")
    assert await world.said(says.TicketAnswered) == []
    await world.work(ticket_id, "marketing")
    assert len(await world.said(says.TicketAnswered)) == 1


async def test_questions_go_straight_across_in_both_directions(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER, REPAIR)
    order = (await world.orders(ticket_id))["meter"]
    asked = await world.done("meter", order, "questions", text="户号是多少?")
    [question] = await world.said(says.QuestionAsked)
    assert (question.asked_by, question.agent_id, question.text) == ("department", "a1", "户号是多少?")
    reply = await post(world.agent, f"/v1/questions/{asked['question_id']}/answer", text="尾号 88")
    assert reply.status_code == 200, reply.text
    [webhook] = await world.arrives("meter", "question.answered")
    assert (webhook.data["text"], webhook.data["question"]) == ("尾号 88", "户号是多少?")

    answer = await post(world.agent, f"/v1/tickets/{ticket_id}/questions", text="客户问何时上门?", department="meter")
    assert answer.status_code == 201, answer.text
    [put] = answer.json()["questions"]
    [webhook] = await world.arrives("meter", "question.asked")
    assert (webhook.data["question_id"], webhook.data["agent_id"]) == (put["question_id"], "a1")
    reply = await post(world.departments["meter"], f"/v1/questions/{put['question_id']}/answer", text="明早")
    assert reply.status_code == 200, reply.text
    replies = await world.said(says.QuestionAnswered)
    assert [(event.asked_by, event.agent_id, event.text) for event in replies] == [
        ("department", "a1", "尾号 88"),
        ("agent", "a1", "明早"),
    ]
    ticket = await world.ticket(ticket_id)
    assert [question["reply"] for question in ticket["questions"]] == ["尾号 88", "明早"]


async def test_a_question_without_an_address_goes_to_every_department(world: World) -> None:
    ticket_id = await world.classify(METER, REPAIR)
    answer = await post(world.platform, f"/v1/tickets/{ticket_id}/questions", text="进展?")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "X-Agent-Id"
    answer = await world.platform.post(
        f"/v1/tickets/{ticket_id}/questions",
        json={"text": "进展?"},
        headers={"Idempotency-Key": "k1", "X-Agent-Id": "a7"},
    )
    assert [question["department"] for question in answer.json()["questions"]] == ["meter", "repair"]
    assert {event.agent_id for event in await world.said(says.QuestionAsked)} == {"a7"}


async def test_questions_and_replies_count_as_hops(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    asked = await world.done("meter", order, "questions", text="户号?")
    await post(world.agent, f"/v1/questions/{asked['question_id']}/answer", text="88")
    await world.work(ticket_id, "meter")
    [answered] = await world.said(says.TicketAnswered)
    assert answered.measures.hops == 4


async def test_an_amendment_goes_to_every_department_that_works_on_the_ticket(world: World) -> None:
    await world.endpoint("meter")
    await world.endpoint("repair")
    ticket_id = await world.classify(METER, REPAIR)
    await world.hear(amended(ticket_id, "门锁已换"))
    for department in ("meter", "repair"):
        [webhook] = await world.arrives(department, "ticket.amended")
        assert webhook.data["text"] == "门锁已换"
        assert [each.type for each in world.desk.at(department)] == ["work_order.assigned", "ticket.amended"]


async def test_an_amendment_before_the_classification_is_in_the_work_order(world: World) -> None:
    await world.endpoint("meter")
    event = classified(METER)
    await world.hear(amended(event.ticket_id, "先说一句"))
    await world.hear(event)
    [webhook] = await world.arrives("meter", "work_order.assigned")
    assert [each["text"] for each in webhook.data["amendments"]] == ["先说一句"]
    assert world.desk.at("meter", "ticket.amended") == []


async def test_evidence_is_kept_with_the_work_order(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    await world.done("meter", order, "evidence", kind="photo", uri="https://files.example/1.jpg", note="换表前")
    [event] = await world.said(says.EvidenceAdded)
    assert (event.kind, event.uri) == ("photo", "https://files.example/1.jpg")
    detail = (await world.departments["meter"].get(f"/v1/work-orders/{order['work_order_id']}")).json()
    assert detail["evidence"][0]["note"] == "换表前"
    assert [entry["what"] for entry in detail["history"]] == ["evidence_added"]


async def test_closing_ends_every_work_order_and_reopening_brings_them_back(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.work(ticket_id, "meter")
    closed = await post(world.agent, f"/v1/tickets/{ticket_id}/close", satisfied=False)
    assert (closed.status_code, closed.json()["state"]) == (200, "closed")
    [event] = await world.said(says.TicketClosed)
    assert (event.by, event.satisfied) == ("a1", False)
    assert (await world.orders(ticket_id))["meter"]["state"] == "closed"

    opened = await post(world.agent, f"/v1/tickets/{ticket_id}/reopen", reason="还是不准")
    assert opened.json()["state"] == "open"
    [webhook] = await world.arrives("meter", "work_order.reopened")
    assert (webhook.data["reason"], webhook.data["round"]) == ("还是不准", 2)
    [reopened] = await world.said(says.TicketReopened)
    assert [str(each) for each in reopened.work_order_ids] == [webhook.data["work_order_id"]]
    order = (await world.orders(ticket_id))["meter"]
    assert (order["state"], order["accepted_at"], order["answered_at"]) == ("reopened", None, None)
    await world.work(ticket_id, "meter", "已复核")
    [_, again] = await world.said(says.TicketAnswered)
    assert [answer.text for answer in again.answers] == ["已复核"]
    assert again.measures.hops == 4


async def test_a_withdrawn_ticket_tells_departments_to_stop(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.arrives("meter", "work_order.assigned")
    refused = await post(world.agent, f"/v1/tickets/{ticket_id}/close", satisfied=True)
    assert refused.json()["errors"][0]["field"] == "satisfied"
    assert (await post(world.agent, f"/v1/tickets/{ticket_id}/close")).status_code == 200
    [webhook] = await world.arrives("meter", "work_order.cancelled")
    assert webhook.data["reason"] == "ticket_closed"
    order = (await world.orders(ticket_id))["meter"]
    answer = await world.do("meter", order, "accept")
    assert (answer.status_code, answer.json()["state"], answer.json()["allowed"]) == (
        409,
        "closed",
        ["evidence", "reopen"],
    )


async def test_a_late_fact_about_a_closed_ticket_changes_nothing(world: World) -> None:
    await world.endpoint("meter")
    ticket_id = await world.classify(METER)
    await world.settled(ticket_id, "delivered")
    await post(world.agent, f"/v1/tickets/{ticket_id}/close")
    await world.settled(ticket_id, "delivered", 2)
    before = await world.said(says.WorkOrderAssigned)
    await world.hear(amended(ticket_id), classified(REPAIR, ticket_id=ticket_id))
    ticket = await world.ticket(ticket_id)
    assert (ticket["state"], len(ticket["work_orders"]), len(ticket["amendments"])) == ("closed", 1, 1)
    assert [entry["what"] for entry in ticket["timeline"]][-1] == "classified_again"
    assert await world.said(says.WorkOrderAssigned) == before
    assert len(await world.deliveries(ticket_id)) == 2


async def test_a_second_classification_moves_the_ticket_to_the_right_departments(world: World) -> None:
    await world.endpoint("meter")
    await world.endpoint("repair")
    ticket_id = await world.classify(METER, MARKETING)
    await world.arrives("meter", "work_order.assigned")
    await world.hear(classified(REPAIR, MARKETING, ticket_id=ticket_id, situation="line_down"))
    await world.arrives("repair", "work_order.assigned")
    [webhook] = await world.arrives("meter", "work_order.cancelled")
    assert webhook.data["reason"] == "classified_again"
    [cancelled] = await world.said(says.WorkOrderCancelled)
    assert cancelled.department == "meter"
    orders = await world.orders(ticket_id)
    assert {code: order["state"] for code, order in orders.items()} == {
        "meter": "cancelled",
        "repair": "assigned",
        "marketing": "assigned",
    }
    await world.work(ticket_id, "repair")
    await world.work(ticket_id, "marketing")
    [answered] = await world.said(says.TicketAnswered)
    assert answered.measures.transfers == 1
    assert (await world.ticket(ticket_id))["situation"]["code"] == "line_down"


async def test_a_second_classification_that_leaves_only_answers_answers_the_ticket(world: World) -> None:
    ticket_id = await world.classify(METER, REPAIR)
    await world.work(ticket_id, "meter")
    await world.hear(classified(METER, ticket_id=ticket_id))
    assert len(await world.said(says.TicketAnswered)) == 1


async def test_departments_of_a_published_matrix_are_known(dispatch: Harness) -> None:
    event = MatrixPublished(
        matrix_version="power-1",
        pack="power_95598",
        departments=(Department(code="grid", name="电网部"),),
        situations=1,
        by="owner",
    )
    await dispatch.hear(event)
    assert [(row.code, row.name) for row in await dispatch.rows("SELECT * FROM department")] == [("grid", "电网部")]


async def test_an_unknown_ticket_is_not_found(world: World) -> None:
    for path in (f"/v1/tickets/{uuid4()}", f"/v1/work-orders/{uuid4()}", f"/v1/deliveries/{uuid7(datetime.now(UTC))}"):
        assert (await world.admin.get(path)).status_code == 404
    assert (await post(world.agent, f"/v1/tickets/{UUID(int=1)}/close")).status_code == 404
