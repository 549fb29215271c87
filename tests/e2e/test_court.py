"""The returns court: the lead department rules on the first return, the supervisor on the second, for good."""

from libs.shared.contracts.dispatch import ReturnRuled, TicketAnswered, WorkOrderAssigned
from tests.e2e import traffic
from tests.e2e.department import Departments
from tests.e2e.hand import move, notices, order_of, published, refused, solve, staged
from tests.e2e.zhida import Who, Zhida, agent, department

LEAD, BUREAU, REPAIR, STATION = "planning", "district_bureau", "repair_centre", "transmission_station"
DEPUTY = Who("deputy-planning", ("supervise",))
MINE = {"reason_code": "wrong_area", "reason": "不属于本部门管辖"}


async def test_upheld_return_is_reassigned_and_the_second_one_is_ruled_by_the_supervisor_for_good(
    zhida: Zhida, departments: Departments
) -> None:
    await departments.open(LEAD, BUREAU, REPAIR, STATION)
    ticket_id = await published(zhida, *traffic.MATTERS[0], agent_id="A2002")
    bureau, repair = [await order_of(departments, code, ticket_id) for code in (BUREAU, REPAIR)]
    await move(zhida, REPAIR, repair, "return", **MINE, suggested_department=STATION)
    await staged(zhida, ticket_id, "returned")
    case = (await departments.until(LEAD, "return.opened", ticket_id)).data
    assert (case["department"], case["suggested_department"]) == (REPAIR, STATION)
    waiting = (await zhida.insist(department(LEAD), "GET", "dispatch/v1/returns"))["items"]
    assert [each["work_order_id"] for each in waiting if each["ticket_id"] == ticket_id] == [repair]

    ruling = f"dispatch/v1/work-orders/{repair}/ruling"
    for other, status in ((department(BUREAU), 404), (DEPUTY, 403)):  # neither is the judge of a first return
        await refused(zhida, other, ruling, {"decision": "uphold"}, status)
    await move(zhida, LEAD, repair, "ruling", decision="uphold", note="属变电站管辖")
    station = await order_of(departments, STATION, ticket_id)
    said = await zhida.flow.until(WorkOrderAssigned, ticket_id, count=3)
    assert str(said[-1].reassigned_from) == repair
    place = f"dispatch/v1/work-orders/{repair}/accept"
    assert (await refused(zhida, department(REPAIR), place, {}, 409))["state"] == "reassigned"

    await move(zhida, STATION, station, "return", **MINE)
    assert await notices(zhida, DEPUTY, "work_order_returned", ticket_id)
    await refused(zhida, department(LEAD), f"dispatch/v1/work-orders/{station}/ruling", {"decision": "uphold"}, 403)
    await zhida.insist(DEPUTY, "POST", f"dispatch/v1/work-orders/{station}/ruling", {"decision": "reject"})
    await departments.until(STATION, "return.ruled", ticket_id)
    problem = await refused(zhida, department(STATION), f"dispatch/v1/work-orders/{station}/return", MINE, 409)
    assert "return" not in problem["allowed"]
    rulings = await zhida.flow.until(ReturnRuled, ticket_id, count=2)
    assert [(each.decision, each.by) for each in rulings] == [("uphold", LEAD), ("reject", DEPUTY.principal)]

    await solve(zhida, STATION, station, "变电站侧已处理。")
    await solve(zhida, BUREAU, bureau, "分局侧已处理。")
    [answer] = await zhida.flow.until(TicketAnswered, ticket_id)
    assert {each.department.code for each in answer.answers} == {BUREAU, STATION}
    # Two of the flow itself, and two for each ruling: department, judge, department.
    assert (answer.measures.hops, answer.measures.transfers) == (6, 1)
    view = await staged(zhida, ticket_id, "told")
    assert {each["department"]: each["state"] for each in view["departments"]} == {
        BUREAU: "answered", REPAIR: "reassigned", STATION: "answered",
    }  # fmt: skip
    await zhida.insist(agent("A2002"), "POST", f"dispatch/v1/tickets/{ticket_id}/close", {"satisfied": True})


async def test_rejected_return_binds_the_department(zhida: Zhida, departments: Departments) -> None:
    await departments.open(LEAD, BUREAU, REPAIR)
    ticket_id = await published(zhida, *traffic.MATTERS[4], agent_id="A2002")
    order = await order_of(departments, BUREAU, ticket_id)
    await move(zhida, BUREAU, order, "accept")
    await move(zhida, BUREAU, order, "return", **MINE, suggested_department=REPAIR)
    problem = await refused(
        zhida, department(BUREAU), f"dispatch/v1/work-orders/{order}/answer", {"text": "已处理"}, 409
    )
    assert problem["state"] == "returned"
    await departments.until(LEAD, "return.opened", ticket_id)
    await move(zhida, LEAD, order, "ruling", decision="reject", note="属你单位管辖")
    ruled = (await departments.until(BUREAU, "return.ruled", ticket_id)).data
    assert ruled["decision"] == "reject"
    view = await zhida.insist(department(BUREAU), "GET", f"dispatch/v1/work-orders/{order}")
    assert view["state"] == "accepted"  # where it was before it was returned
    await solve(zhida, BUREAU, order, "已处理。")
    [answer] = await zhida.flow.until(TicketAnswered, ticket_id)
    assert [each.department.code for each in answer.answers] == [BUREAU]
    assert answer.measures.transfers == 0
