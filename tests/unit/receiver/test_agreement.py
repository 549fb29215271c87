"""The kit and the dispatch service, which share no code, understand each other."""

import json
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest
from zhida_receiver import Keys, Notice, WorkOrder, verify
from zhida_receiver.notice import KNOWN_TYPES

from services.dispatch.delivery import signing
from services.dispatch.domain import payload
from services.dispatch.domain.order import WorkOrder as Share
from services.dispatch.domain.ticket import Brief

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
ORDER_ID = UUID("0193533e-0000-7000-8000-000000000001")
TICKET_ID = UUID("0193533e-0000-7000-8000-000000000002")


BRIEF = Brief(
    ticket_id=TICKET_ID,
    channel="95598",
    external_ref="DH261120-0001",
    agent_id="A1001",
    title="小区停电",
    text="整个小区停电",
    area_code="430104",
    address="春晖里小区3栋",
    star=3,
    sensitive=True,
    opened_at=NOW,
    situation_code="C04-2",
    situation_name="成片停电报修",
    category_path=("停送电与抢修", "故障抢修", "故障停电报修"),
    lead="dispatching",
    lead_name="电力调度控制中心",
    supervisor="deputy-production",
    sla_class="maintenance",
    join_policy="all",
    urgency="urgent",
    matrix_version="2026.11",
)


def share() -> Share:
    return Share(ORDER_ID, TICKET_ID, "repair_centre", "配网抢修中心", "assigned", NOW)


def test_kit_knows_every_type_that_dispatch_sends() -> None:
    assert set(get_args(payload.Kind)) == KNOWN_TYPES


@pytest.mark.parametrize("trusted", ["old shared", "new shared", "old public", "new public"])
def test_kit_believes_what_dispatch_signs_while_keys_are_changed(trusted: str) -> None:
    old, new = signing.new_key(), signing.new_key()
    body = payload.body("work_order.assigned", NOW, payload.assigned(BRIEF, share())).encode()
    headers = signing.headers([new, old], str(ORDER_ID), NOW, body)
    key = {"old shared": old.shared, "new shared": new.shared, "old public": old.public, "new public": new.public}
    assert verify(body, headers, [key[trusted]], now=NOW + timedelta(seconds=20)).id == str(ORDER_ID)


def test_kit_reads_the_work_order_that_dispatch_tells() -> None:
    key = signing.new_key()
    body = payload.body("work_order.assigned", NOW, payload.assigned(BRIEF, share())).encode()
    delivery = Keys([key.public]).verify(body, signing.headers([key], str(ORDER_ID), NOW, body), now=NOW)
    notice = Notice.of(delivery)
    assert (notice.id, notice.type, notice.timestamp) == (str(ORDER_ID), "work_order.assigned", NOW)
    order = WorkOrder.of(notice.data)
    assert (order.work_order_id, order.ticket_id, order.department) == (str(ORDER_ID), str(TICKET_ID), "repair_centre")
    assert (order.situation_name, order.star, order.sensitive, order.opened_at) == ("成片停电报修", 3, True, NOW)
    assert order.place == "430104 春晖里小区3栋"


def test_kit_reads_an_entry_of_the_work_order_list() -> None:
    entry = json.loads(json.dumps(payload.shown(BRIEF, share(), ()), default=str))
    assert WorkOrder.of(entry).title == "小区停电"
