"""Webhook bodies read into types: what is known is typed, what is missing is empty, what is wrong is named."""

from datetime import UTC, datetime
from typing import Any

import pytest
from zhida_receiver import NoticeUnreadable, WorkOrder

DATA: dict[str, Any] = {
    "work_order_id": "w1",
    "ticket_id": "t1",
    "department": "repair_centre",
    "lead_department": {"code": "dispatching", "name": "电力调度控制中心"},
    "situation": {"code": "C04-2", "name": "成片停电报修"},
    "category_path": ["停送电与抢修", "故障抢修", "故障停电报修"],
    "title": "小区停电",
    "text": "整个小区停电",
    "place": {"area_code": "430104", "address": "春晖里小区3栋"},
    "star": 3,
    "urgency": "urgent",
    "sensitive": True,
    "join_policy": "all",
    "agent_id": None,
    "channel": "95598",
    "opened_at": "2026-11-20T19:51:30+08:00",
    "amendments": [{"amendment_id": "a1", "text": "又来电了一会儿", "at": "2026-11-20T12:00:00+00:00"}],
    "due": {"accept": "2026-11-20T20:21:30+08:00", "resolve": None},
    "a_later_invention": 1,
}


def test_work_order_is_read_as_it_was_told() -> None:
    assert WorkOrder.of(DATA) == WorkOrder(
        work_order_id="w1",
        ticket_id="t1",
        department="repair_centre",
        lead_department="dispatching",
        situation_code="C04-2",
        situation_name="成片停电报修",
        category_path=("停送电与抢修", "故障抢修", "故障停电报修"),
        title="小区停电",
        text="整个小区停电",
        place="430104 春晖里小区3栋",
        star=3,
        urgency="urgent",
        sensitive=True,
        opened_at=datetime(2026, 11, 20, 11, 51, 30, tzinfo=UTC),
        amendments=("又来电了一会儿",),
        due={"accept": datetime(2026, 11, 20, 12, 21, 30, tzinfo=UTC)},
        join_policy="all",
        agent_id="",
        channel="95598",
    )


def test_work_order_needs_no_more_than_its_identifiers() -> None:
    order = WorkOrder.of({"work_order_id": "w1", "ticket_id": "t1"})
    assert (order.title, order.star, order.due, order.category_path, order.opened_at) == ("", None, {}, (), None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"work_order_id": None}, "data.work_order_id: missing"),
        ({"ticket_id": 7}, "data.ticket_id: missing"),
        ({"opened_at": "yesterday"}, "data.opened_at: expected an ISO 8601 time"),
        ({"due": {"accept": "2026-11-20T20:21:30"}}, "data.due.accept: expected a time with an offset"),
    ],
)
def test_wrong_field_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(NoticeUnreadable, match=said):
        WorkOrder.of(DATA | change)
