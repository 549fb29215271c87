"""A department that no webhook reaches works from the list, and nothing waits for it in silence."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.shared.contracts.dispatch import DeliveryFailed, TicketAnswered
from libs.shared.contracts.sla_timer import ClockBreached, ClockWarned, Escalated
from services.sla_timer.policy_file import DEFAULT
from tests.e2e.department import Departments, endpoint
from tests.e2e.hand import move, notices, published, solve, staged
from tests.e2e.zhida import ADMIN, Who, Zhida, department

QUALITY, METERING = "service_quality", "metering_centre"
RUDE = ("营业厅人员态度差", "营业厅工作人员态度恶劣，对我爱理不理，服务态度很差，要求处理并道歉。")
METER = ("电表走得快", "我家电表走得快，怀疑电表不准，申请校验电表。")


@pytest.fixture
async def hurried(zhida: Zhida, tmp_path: Path) -> AsyncIterator[None]:
    """The accept clock runs out after four seconds."""
    policy = DEFAULT.read_text(encoding="utf-8").replace("accept: 30 min #", "accept: 4 s #")
    assert "accept: 4 s" in policy
    (tmp_path / "policy.yaml").write_text(policy, encoding="utf-8")
    await zhida.restarted("sla_timer", ZHIDA_SLA_POLICY=str(tmp_path / "policy.yaml"))
    yield
    await zhida.restarted("sla_timer")


async def order_in_list(zhida: Zhida, code: str, ticket_id: str) -> str:
    """The work order, once it is in the department's list."""

    async def there() -> str | None:
        listed = (await zhida.insist(department(code), "GET", "dispatch/v1/work-orders?limit=500"))["items"]
        return next((str(each["work_order_id"]) for each in listed if each["ticket_id"] == ticket_id), None)

    return str(await zhida.until(there, f"{ticket_id} in the list of {code}"))


async def test_department_without_an_endpoint_works_from_its_list(zhida: Zhida) -> None:
    ticket_id = await published(zhida, *RUDE, agent_id="A2004")
    order = await order_in_list(zhida, QUALITY, ticket_id)
    deliveries = (await zhida.insist(ADMIN, "GET", f"dispatch/v1/deliveries?ticket_id={ticket_id}"))["items"]
    assert [each["state"] for each in deliveries if each["department"] == QUALITY] in ([], ["inbox"])
    await solve(zhida, QUALITY, order, "已批评教育并向客户致歉。")
    await zhida.flow.until(TicketAnswered, ticket_id)
    await staged(zhida, ticket_id, "told")


async def test_endpoint_that_stays_down_until_the_accept_clock_breaches_falls_back_to_the_inbox(
    zhida: Zhida, departments: Departments, hurried: None
) -> None:
    del hurried
    await endpoint(zhida, METERING, "http://127.0.0.1:9/nobody")
    ticket_id = await published(zhida, *METER, agent_id="A2004")
    order = await order_in_list(zhida, METERING, ticket_id)
    [failed] = await zhida.flow.until(DeliveryFailed, ticket_id)
    assert (str(failed.work_order_id), failed.reason) == (order, "accept_clock")
    assert failed.attempts >= 2
    supervisor = Who(failed.supervisor, ("supervise",))
    assert await notices(zhida, supervisor, "delivery_failed", ticket_id)
    assert await notices(zhida, department(METERING), "delivery_failed", ticket_id)

    [breach] = await zhida.flow.until(ClockBreached, ticket_id, lambda event: event.clock.kind == "accept")
    assert breach.clock.limit_seconds == 4
    warned = [event.percent for event in zhida.flow.all(ClockWarned, ticket_id) if event.clock.kind == "accept"]
    assert warned[:2] == [50, 80]
    escalated = await zhida.flow.until(Escalated, ticket_id, lambda event: event.clock.kind == "accept", count=3)
    assert [each.level for each in escalated[:3]] == ["executing", "lead", "supervisor"]
    told = await notices(zhida, supervisor, "escalated", ticket_id)
    assert told[0]["data"]["percent"] == 100

    # Later webhooks of this ticket stay in the inbox; those of the next go to the endpoint, which is up again.
    await departments.open(METERING)
    await solve(zhida, METERING, order, "已校验，误差在允许范围内。")
    await zhida.flow.until(TicketAnswered, ticket_id)
    clocks = (await zhida.insist(supervisor, "GET", f"sla_timer/v1/tickets/{ticket_id}/clocks"))["clocks"]
    assert {each["kind"]: each["state"] for each in clocks if each["work_order_id"]}["accept"] == "missed"
    following = await published(zhida, *METER, agent_id="A2004")
    hook = await departments.until(METERING, "work_order.assigned", following)
    await move(zhida, METERING, hook.data["work_order_id"], "accept")
    assert not [each for each in departments.webhooks if each.data["ticket_id"] == ticket_id]
