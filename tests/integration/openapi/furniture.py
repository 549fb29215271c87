"""What each service holds when it is asked: some of everything, so that requests reach further than "not found"."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from libs.shared.contracts.classification import TicketClassified
from libs.shared.contracts.dispatch import TicketAnswered, WorkOrderAssigned
from libs.shared.contracts.intake import TicketReceived
from libs.shared.events import Envelope, Event, header_pairs, uuid7
from services.classification import watch
from services.classification.main import service as classification
from services.dispatch.main import service as dispatch
from services.intake.main import service as intake
from services.intake.vault import new_key
from services.notification.main import service as notification
from services.sla_timer import timers
from services.sla_timer.main import service as sla_timer
from tests.integration.classification.conftest import received
from tests.integration.dispatch.world import MARKETING, METER, REPAIR, classified
from tests.integration.intake.conftest import ticket
from tests.integration.notification.facts import answered, asked
from tests.integration.openapi.serving import Names
from tests.integration.sla_timer.story import Story
from tests.running import TRACEPARENT, Harness

SECRET = base64.b64encode(b"k" * 32).decode()
MANY = 12  # of each thing: requests close, decide and discard them
SERVICES = {each.name: each for each in (intake, classification, dispatch, sla_timer, notification)}
SETTINGS: dict[str, dict[str, Any]] = {
    "intake": {"vault_key": new_key()},
    "dispatch": {"delivery_key": SECRET},
    "notification": {"stream_heartbeat": 0.2, "stream_limit": 50},
}


async def furnish(h: Harness) -> Names:
    """Things of the service's own kind, and buried events; gives their ids by the names the API has for them."""
    names = await _OWN[h.running.service.name](h)
    return {**names, **await _bury(h)}


async def _bury(h: Harness) -> Names:
    """A few events that cannot be handled, one ticket each, with one more parked behind it."""
    kind: type[Event] = next(iter(h.running.service.hears))
    found = []
    for _ in range(MANY // 2):
        key, now = str(uuid7(datetime.now(UTC))), datetime.now(UTC)
        for _ in range(2):
            headers = dict(header_pairs(kind.type, Envelope(uuid7(now), "test", now, 1, TRACEPARENT)))
            await h.take([h.raw(kind.topic, key.encode(), b"{}", headers)])
        await h.hear(*_one(h, kind))
        found.append(key)
    rows = await h.rows("SELECT id FROM dead ORDER BY id")
    return {"id": [str(row.id) for row in rows], "key": found}


def _one(h: Harness, kind: type[Event]) -> list[Event]:
    """An event that can be handled, so that the consumer does not stop."""
    made: dict[type[Event], Any] = {
        TicketReceived: lambda: received("停电"),
        TicketClassified: lambda: classified(METER),
        WorkOrderAssigned: lambda: Story(ticket_id=uuid7(datetime.now(UTC))).assigned(),
        TicketAnswered: answered,
    }
    return [made[kind]()] if kind in made else []


async def _intake(h: Harness) -> Names:
    ids = []
    references = []
    async with h.client("call-centre", "publish") as http:
        for number in range(MANY):
            body = ticket(external_ref=f"known-{number}")
            answer = await http.post("/v1/tickets", json=body, headers={"Idempotency-Key": uuid4().hex})
            assert answer.status_code == 202, answer.text
            ids.append(answer.json()["ticket_id"])
            references.append(body["external_ref"])
    await h.said()
    return {"ticket_id": ids, "external_ref": references}


async def _classification(h: Harness) -> Names:
    clear = [received("电表走得太快，多收了电费，请核实", ticket_id=uuid7(datetime.now(UTC))) for _ in range(MANY // 2)]
    doubtful = [received("能不能快点", ticket_id=uuid7(datetime.now(UTC))) for _ in range(MANY)]
    await h.hear(*clear, *doubtful)
    for area in range(MANY):  # as many hot events
        place = {"area_code": f"3201020{area + 10}"}
        text = "梧桐里小区全停电了，什么时候来电"
        await h.hear(*(received(text, ticket_id=uuid7(datetime.now(UTC)), place=place) for _ in range(8)))
    while (await watch.tick(h.running)) is not None:
        pass
    await h.rows(
        "INSERT INTO cumulative_problem SELECT hot_event_id, 1, 'outages', '反复停电', situation, matrix_version,"
        " '3201', NULL, NULL, '反复停电', '3次', '{}', 3, 3, 60, now(), now() + interval '60 days' FROM hot_event"
    )
    events = await h.rows("SELECT hot_event_id FROM hot_event ORDER BY hot_event_id")
    await h.said()
    ids = [str(event.ticket_id) for event in (*doubtful, *clear)]
    hot = [str(row.hot_event_id) for row in events]
    return {"ticket_id": ids, "situation": ["D03-2", "E02-1"], "hot_event_id": hot}


async def _dispatch(h: Harness) -> Names:
    async with h.client("root", "admin") as http:
        for department in ("meter", "repair"):
            body = {"url": "http://127.0.0.1:9/", "networks": ["127.0.0.0/8"]}
            answer = await http.put(f"/v1/endpoints/{department}", json=body)
            assert answer.is_success, answer.text
        events = [classified(METER, REPAIR), *(classified(METER, join_policy="any") for _ in range(MANY))]
        await h.hear(*events)
        orders = await h.rows("SELECT work_order_id, department FROM work_order ORDER BY work_order_id")
        for order in orders[:3]:
            await _done(http, f"/v1/work-orders/{order.work_order_id}/accept")
            await _done(http, f"/v1/work-orders/{order.work_order_id}/contacted", note="x")
            await _done(http, f"/v1/work-orders/{order.work_order_id}/questions", text="哪一户?")
        for order in [each for each in orders if each.department == "meter"][4:7]:
            reason = {"reason_code": "not_ours", "reason": "不属本部门", "suggested_department": "repair"}
            await _done(http, f"/v1/work-orders/{order.work_order_id}/return", **reason)
        for event in events[:6]:
            await _done(http, f"/v1/tickets/{event.ticket_id}/questions", text="到哪一步了?")
        empty = {"from_department": "meter", "to_department": "repair", "situations": ["none"], "reason": "x"}
        await _done(http, "/v1/reassignments", **empty)
    reassignments = await h.rows("SELECT reassignment_id FROM reassignment")
    questions = await h.rows("SELECT question_id FROM question ORDER BY question_id")
    deliveries = await h.rows("SELECT delivery_id FROM delivery ORDER BY delivery_id")
    await h.said()
    return {
        "ticket_id": [str(event.ticket_id) for event in events],
        "work_order_id": [str(order.work_order_id) for order in orders],
        "question_id": [str(row.question_id) for row in questions],
        "delivery_id": [str(row.delivery_id) for row in deliveries[:MANY]],
        "department": ["meter", "repair", MARKETING.code],
        "suggested_department": ["repair", MARKETING.code],
        "reason_code": ["not_ours"],
        "situation": ["meter_fast"],
        "from_department": ["meter"],
        "to_department": ["repair"],
        "reassignment_id": [str(row.reassignment_id) for row in reassignments],
    }


async def _done(http: Any, path: str, **body: Any) -> None:
    answer = await http.post(path, json=body or None, headers={"Idempotency-Key": uuid4().hex, "X-Agent-Id": "a1"})
    assert answer.is_success, answer.text


async def _sla_timer(h: Harness) -> Names:
    stories = [
        Story(age=timedelta(hours=hours), ticket_id=uuid7(datetime.now(UTC)), work_order_id=uuid4())
        for hours in (0, 1, 3, 60)
    ]
    await h.hear(*(story.assigned() for story in stories))
    await h.hear(stories[0].accepted(), stories[1].closed())
    while await timers.tick(h.running):
        pass
    await h.said()
    return {"ticket_id": [str(story.ticket_id) for story in stories], "department": ["repair", "lead"]}


async def _notification(h: Harness) -> Names:
    async with h.client("root", "admin") as http:
        body = {"url": "http://127.0.0.1:9/", "networks": ["127.0.0.0/8"], "recipients": ["agent:*", "department:*"]}
        for name in ("control-group", "robot"):
            answer = await http.put(f"/v1/channels/{name}", json=body)
            assert answer.is_success, answer.text
    await h.hear(*(answered("a1") for _ in range(MANY)), asked("a1"))
    rows = await h.rows("SELECT id FROM delivery ORDER BY id")
    await h.rows("UPDATE delivery SET state = 'failed', ended_at = now() WHERE id = ANY(:ids) RETURNING 1", ids=[
        row.id for row in rows[::2]
    ])  # fmt: skip
    await h.said()
    return {
        "delivery_id": [str(row.id) for row in rows[:MANY]],
        "name": ["control-group", "robot"],
        "channel": ["control-group", "robot"],
        "recipient": ["a1", "agent:a1", "department:repair"],
        "recipients": ["a1", "agent:a1,department:repair"],
    }


_OWN = {
    "intake": _intake,
    "classification": _classification,
    "dispatch": _dispatch,
    "sla_timer": _sla_timer,
    "notification": _notification,
}
