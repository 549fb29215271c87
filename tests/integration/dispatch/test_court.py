"""The returns court: the lead department rules first, the supervisor second and for good."""

from typing import Any
from uuid import UUID

from libs.shared.contracts import dispatch as says
from tests.integration.dispatch.world import MARKETING, METER, REPAIR, World, breached, post

REASON = {"reason_code": "not_ours", "reason": "线路问题,不属计量"}


async def returned(world: World, **changes: Any) -> tuple[UUID, dict[str, Any]]:
    """A ticket whose only work order the meter department has returned."""
    await world.classify(REPAIR)  # so that the repair department is known
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    await world.done("meter", order, "return", **{**REASON, "suggested_department": "repair", **changes})
    return ticket_id, order


async def test_a_return_is_opened_before_the_lead_department(world: World) -> None:
    await world.endpoint("marketing")
    ticket_id, order = await returned(world)
    [webhook] = await world.arrives("marketing", "return.opened")
    assert webhook.data["work_order_id"] == order["work_order_id"]
    assert (webhook.data["reason_code"], webhook.data["suggested_department"]) == ("not_ours", "repair")
    [event] = await world.said(says.WorkOrderReturned)
    assert (event.ruled_by, event.supervisor) == ("marketing", "chief")
    [case] = (await world.departments["marketing"].get("/v1/returns")).json()["items"]
    assert (case["ticket_id"], case["judge_kind"], case["decision"]) == (str(ticket_id), "lead", None)
    assert (await world.departments["meter"].get("/v1/returns")).json()["items"] == []
    assert (await world.supervisor.get("/v1/returns")).json()["items"] == []
    seen = await world.departments["marketing"].get(f"/v1/work-orders/{order['work_order_id']}")
    assert seen.json()["return_cases"][0]["reason"] == REASON["reason"]


async def test_an_upheld_return_gives_the_work_order_to_another_department(world: World) -> None:
    await world.endpoint("repair")
    await world.endpoint("meter")
    ticket_id, order = await returned(world)
    answer = await world.done("marketing", order, "ruling", decision="uphold", note="确属抢修")
    assert (answer["state"], answer["reassigned_to"]["department"]) == ("reassigned", "repair")
    found = await world.arrives("repair", "work_order.assigned", 2)
    new = next(each for each in found if each.data["ticket_id"] == str(ticket_id))
    assert new.data["reassigned_from"] == order["work_order_id"]
    [ruled] = await world.arrives("meter", "return.ruled")
    assert (ruled.data["decision"], ruled.data["reassigned_to"], ruled.data["final"]) == ("uphold", "repair", False)
    [event] = await world.said(says.ReturnRuled)
    assert (event.decision, event.by) == ("uphold", "marketing")
    assert (event.situation, event.matrix_version, event.reason_code) == ("meter_fast", "power-1", "not_ours")
    assert (event.category, event.matrix_wrong, event.final) == (("投诉", "计量", "计量准确性"), False, False)
    assigned = [e for e in await world.said(says.WorkOrderAssigned, ticket_id) if e.reassigned_from]
    assert str(assigned[0].work_order_id) == new.data["work_order_id"]
    await world.work(ticket_id, "repair")
    [answered] = await world.said(says.TicketAnswered)
    assert (answered.measures.transfers, answered.measures.hops) == (1, 4)


async def test_a_rejected_return_goes_back_and_is_binding(world: World) -> None:
    await world.endpoint("meter")
    ticket_id, order = await returned(world)
    answer = await world.done("marketing", order, "ruling", decision="reject", note="请按矩阵处理")
    assert answer["state"] == "assigned"
    [ruled] = await world.arrives("meter", "return.ruled")
    assert (ruled.data["decision"], ruled.data["note"]) == ("reject", "请按矩阵处理")
    await world.work(ticket_id, "meter")
    [answered] = await world.said(says.TicketAnswered)
    assert answered.measures.hops == 4


async def test_a_return_after_acceptance_goes_back_to_accepted(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    await world.done("meter", order, "accept")
    await world.done("meter", order, "return", **REASON)
    assert (await world.done("marketing", order, "ruling", decision="reject"))["state"] == "accepted"


async def test_at_most_one_return_per_work_order_reaches_the_executing_level(world: World) -> None:
    _, order = await returned(world)
    await world.done("marketing", order, "ruling", decision="reject")
    second = await world.done("meter", order, "return", **REASON)
    assert second["ruled_by"] == {"kind": "supervisor", "judge": "chief"}
    refused = await world.do("marketing", order, "ruling", decision="reject")
    assert (refused.status_code, refused.json()["judge"]) == (403, "chief")
    [case] = (await world.supervisor.get("/v1/returns")).json()["items"]
    assert case["work_order_id"] == order["work_order_id"]
    assert (await world.done("supervisor", order, "ruling", decision="reject"))["state"] == "assigned"
    third = await world.do("meter", order, "return", **REASON)
    assert third.status_code == 409
    assert "final" in third.json()["detail"]
    assert third.json()["allowed"] == ["accept", "questions", "evidence", "ask", "close", "cancel", "reassign"]


async def test_returns_count_over_departments(world: World) -> None:
    ticket_id, order = await returned(world)
    await world.done("marketing", order, "ruling", decision="uphold")
    handed = (await world.orders(ticket_id))["repair"]
    assert handed["returns"] == 1
    second = await world.done("repair", handed, "return", **REASON)
    assert second["ruled_by"]["kind"] == "supervisor"


async def test_the_supervisors_ruling_is_final_on_a_first_return_as_well(world: World) -> None:
    ticket_id = await world.classify(MARKETING)
    order = (await world.orders(ticket_id))["marketing"]
    await world.done("marketing", order, "return", **REASON)
    assert (await world.done("supervisor", order, "ruling", decision="reject"))["state"] == "assigned"
    [event] = await world.said(says.ReturnRuled)
    assert event.final
    assert (await world.do("marketing", order, "return", **REASON)).status_code == 409


async def test_a_return_that_is_not_ruled_on_in_time_goes_to_the_supervisor(world: World) -> None:
    ticket_id, order = await returned(world)
    await world.hear(breached(order, kind="ruling"))
    assert (await world.departments["marketing"].get("/v1/returns")).json()["items"] == []
    [case] = (await world.supervisor.get("/v1/returns")).json()["items"]
    assert (case["work_order_id"], case["judge_kind"], case["judge"]) == (order["work_order_id"], "supervisor", "chief")
    [line] = [each for each in (await world.ticket(ticket_id))["timeline"] if each["what"] == "ruling_overdue"]
    assert line["detail"] == {"from": "marketing", "to": "chief"}
    refused = await world.do("marketing", order, "ruling", decision="reject")
    assert (refused.status_code, refused.json()["judge"]) == (403, "chief")
    assert (await world.done("supervisor", order, "ruling", decision="uphold"))["state"] == "reassigned"
    [event] = await world.said(says.ReturnRuled)
    assert (event.by, event.final) == ("chief", True)


async def test_a_breach_that_is_heard_after_the_ruling_changes_nothing(world: World) -> None:
    ticket_id, order = await returned(world)
    await world.done("marketing", order, "ruling", decision="reject")
    await world.hear(breached(order, kind="ruling"))
    assert "ruling_overdue" not in [each["what"] for each in (await world.ticket(ticket_id))["timeline"]]
    assert (await world.supervisor.get("/v1/returns")).json()["items"] == []


async def test_an_upheld_return_may_say_that_the_matrix_is_wrong_and_a_rejected_one_may_not(world: World) -> None:
    await world.endpoint("meter")
    _, order = await returned(world)
    refused = await world.do("marketing", order, "ruling", decision="reject", matrix_wrong=True)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "matrix_wrong")
    await world.done("marketing", order, "ruling", decision="uphold", matrix_wrong=True)
    [event] = await world.said(says.ReturnRuled)
    assert event.matrix_wrong
    [webhook] = await world.arrives("meter", "return.ruled")
    assert webhook.data["matrix_wrong"] is True
    seen = await world.supervisor.get(f"/v1/work-orders/{order['work_order_id']}")
    assert seen.json()["return_cases"][0]["matrix_wrong"] is True


async def test_everybody_may_read_the_reasons_and_what_each_asks_for(world: World) -> None:
    for client in (world.departments["meter"], world.agent, world.platform, world.supervisor):
        items = (await client.get("/v1/return-reasons")).json()["items"]
    found = {each["code"]: each for each in items}
    assert found["not_dispatched"]["name"]["zh"] == "应派未派"
    assert found["other_department"]["asks"] == ["suggested_department"]


async def test_a_reason_that_is_not_on_the_list_is_refused_with_those_that_are(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    refused = await world.do("meter", order, "return", reason_code="too_far", reason="太远")
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["field"]) == (422, "reason_code")
    assert "other_department, not_ours, wrong_area" in error["reason"]
    assert "not_ours" in refused.json()["allowed"]


async def test_who_returns_to_another_department_must_say_to_which(world: World) -> None:
    ticket_id = await world.classify(METER, REPAIR)
    order = (await world.orders(ticket_id))["meter"]
    for code in ("other_department", "not_dispatched", "passed_on"):
        refused = await world.do("meter", order, "return", reason_code=code, reason="属抢修")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "suggested_department")
    await world.done("meter", order, "return", reason_code="passed_on", reason="属抢修", suggested_department="repair")


async def test_a_lead_department_does_not_rule_on_its_own_return(world: World) -> None:
    ticket_id = await world.classify(MARKETING)
    order = (await world.orders(ticket_id))["marketing"]
    assert (await world.done("marketing", order, "return", **REASON))["ruled_by"]["kind"] == "supervisor"


async def test_an_upheld_return_to_a_department_that_is_there_already_joins_it(world: World) -> None:
    ticket_id = await world.classify(METER, REPAIR)
    await world.work(ticket_id, "repair")
    order = (await world.orders(ticket_id))["meter"]
    await world.done("meter", order, "return", **REASON)
    answer = await world.done("marketing", order, "ruling", decision="uphold", department="repair")
    assert answer["reassigned_to"] == {"department": "repair", "work_order_id": None}
    assert len(await world.said(says.TicketAnswered)) == 1


async def test_a_ruling_is_refused_where_there_is_nothing_to_rule_on(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    refused = await world.do("marketing", order, "ruling", decision="reject")
    assert (refused.status_code, refused.json()["state"]) == (409, "assigned")


async def test_a_ruling_names_the_field_that_is_wrong(world: World) -> None:
    _, order = await returned(world, suggested_department=None)
    for body, words in (
        ({}, "required"),
        ({"department": "nobody"}, "no such department"),
        ({"department": "meter"}, "returned the work order"),
    ):
        refused = await world.do("marketing", order, "ruling", decision="uphold", **body)
        assert refused.status_code == 422
        [error] = refused.json()["errors"]
        assert error["field"] == "department"
        assert words in error["reason"]


async def test_a_return_names_the_field_that_is_wrong(world: World) -> None:
    ticket_id = await world.classify(METER)
    order = (await world.orders(ticket_id))["meter"]
    for body, field in (
        ({**REASON, "suggested_department": "nobody"}, "suggested_department"),
        ({**REASON, "suggested_department": "meter"}, "suggested_department"),
        ({**REASON, "reason_code": "Not Ours"}, "reason_code"),
        ({"reason_code": "not_ours"}, "reason"),
    ):
        refused = await world.do("meter", order, "return", **body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert (await world.orders(ticket_id))["meter"]["state"] == "assigned"


async def test_a_return_that_waits_is_void_when_the_ticket_is_closed(world: World) -> None:
    ticket_id, order = await returned(world)
    await post(world.agent, f"/v1/tickets/{ticket_id}/close")
    assert (await world.departments["marketing"].get("/v1/returns")).json()["items"] == []
    refused = await world.do("marketing", order, "ruling", decision="reject")
    assert (refused.status_code, refused.json()["state"]) == (409, "closed")
