"""The facts of a small run that balances: one ticket, returned once, asked about once, answered, reopened, closed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from demo import fact
from demo.fact import Facts, Said

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
TICKET, FIRST, SECOND = UUID(int=1), UUID(int=2), UUID(int=3)
QUESTION, CLOCK = UUID(int=4), UUID(int=5)
HOOKS = {name: UUID(int=number) for number, name in enumerate(("first", "second", "reopened"), 10)}
REFERENCE = "95598|A-1"
A, B = {"code": "a", "name": "甲"}, {"code": "b", "name": "乙"}


def facts() -> Facts:
    """All of it; change parts with `dataclasses.replace`."""
    events = _events()
    notices = _notices(events)
    said = tuple(events + _reports(notices))
    versions: dict[str, dict[str, int]] = {}
    for each in said:
        versions.setdefault(each.source, {})[each.key] = each.version
    return Facts(
        sent=(
            fact.Sent("ticket", REFERENCE, 0, 0, START),
            fact.Sent("bad", "", 0, 1, START),
            fact.Sent("repeat", REFERENCE, 0, 2, START),
        ),
        inbound=frozenset({(0, 0), (0, 1), (0, 2)}),
        said=said,
        received=(fact.Received(TICKET, REFERENCE, "A1", "95598", START, "closed"),),
        refused=(fact.Refused(0, 1, "0:1"),),
        judged=(fact.Judged(TICKET, "classified", "demo-reviewer", waiting=False, by_person=True),),
        dispatched=(fact.Dispatched(TICKET, "closed", 2, "A1", 1),),
        orders=(
            fact.Order(FIRST, TICKET, "a", "reassigned", None),
            fact.Order(SECOND, TICKET, "b", "closed", FIRST),
        ),
        deliveries=(
            fact.Delivery(HOOKS["first"], TICKET, FIRST, "a", "work_order.assigned", "delivered", 1),
            fact.Delivery(HOOKS["second"], TICKET, SECOND, "b", "work_order.assigned", "delivered", 2),
            fact.Delivery(HOOKS["reopened"], TICKET, SECOND, "b", "work_order.reopened", "delivered", 1),
        ),
        questions=(fact.Question(QUESTION, TICKET, "department", answered=True),),
        clocks=(fact.Clock(CLOCK, TICKET, "resolve", "met"),),
        notices=tuple(notices),
        engines=tuple(
            fact.Engine(name, 0, 0, False, 0, versions.get(name, {}), {"zhida.tickets.v1/0": 0}, ())
            for name in ("intake", "classification", "dispatch", "sla_timer", "notification")
        ),
        hooks=(
            _hook("a", "first", "work_order.assigned", FIRST, second=2, status=200),
            _hook("b", "second", "work_order.assigned", SECOND, second=5, status=500),
            _hook("b", "second", "work_order.assigned", SECOND, second=6, status=200),
            _hook("b", "second", "work_order.assigned", SECOND, second=6, status=200, duplicate=True),
            _hook("b", "reopened", "work_order.reopened", SECOND, second=15, status=200),
        ),
        calls=(
            _call("a", "return", FIRST, 3),
            _call("lead", "rule", FIRST, 4),
            *(_call("b", name, SECOND, 7) for name in ("accept", "contacted", "ask_agent", "answer")),
            *(_call("b", name, SECOND, 16) for name in ("accept", "answer")),
        ),
        seen=tuple(
            fact.Seen("A1", notice.number, notice.id, notice.kind, TICKET, START + timedelta(seconds=20))
            for notice in notices
        ),
        followed=frozenset({"A1"}),
    )


def _events() -> list[Said]:
    """What was said about the ticket on the flow and the clocks' topic, and of the bad record."""
    order, again = {"work_order_id": str(FIRST)}, {"work_order_id": str(SECOND)}
    answers = [{"work_order_id": str(SECOND)}]
    measures = {"hops": 6, "transfers": 1, "first_contact_minutes": 0.1, "resolve_minutes": 0.2}
    answered = {"agent_id": "A1", "answers": answers, "measures": measures}
    question = {**again, "question_id": str(QUESTION), "asked_by": "department", "department": B, "agent_id": "A1"}
    ticket = {"title": "停电", "text": "又停电了"}
    classified = {
        "executing_departments": [A],
        "lead_department": {"code": "lead", "name": "牵头"},
        "situation": {"name": "停电"},
        "decided_by": "demo-reviewer",
        "probability": 1.0,
    }
    clock = {"clock_id": str(CLOCK), "kind": "resolve", "limit_seconds": 60}
    flow: list[tuple[str, str, dict[str, Any]]] = [
        ("intake", "TicketReceived", {"ticket": ticket}),
        ("classification", "ReviewRequested", {"candidates": []}),
        ("classification", "TicketClassified", classified),
        ("dispatch", "WorkOrderAssigned", {**order, "department": A}),
        ("dispatch", "WorkOrderDelivered", _arrived(order, "a", "first")),
        ("dispatch", "WorkOrderReturned", {**order, "department": A, "reason": "不是我们的", "ruled_by": "lead"}),
        ("dispatch", "ReturnRuled", {**order, "by": "lead", "decision": "uphold", "reassigned_to": B}),
        ("dispatch", "WorkOrderAssigned", {**again, "department": B, "reassigned_from": str(FIRST)}),
        ("dispatch", "WorkOrderDelivered", _arrived(again, "b", "second")),
        ("dispatch", "WorkOrderAccepted", {**again, "department": "b"}),
        ("dispatch", "WorkOrderContacted", {**again, "department": "b"}),
        ("dispatch", "QuestionAsked", {**question, "text": "几楼？"}),
        ("dispatch", "QuestionAnswered", {**question, "text": "三楼"}),
        ("dispatch", "WorkOrderAnswered", {**again, "department": B, "text": "好了"}),
        ("dispatch", "TicketAnswered", answered),
        ("dispatch", "TicketReopened", {"reason": "没好", "by": "A1"}),
        ("dispatch", "WorkOrderDelivered", _arrived(again, "b", "reopened")),
        ("dispatch", "WorkOrderAccepted", {**again, "department": "b"}),
        ("dispatch", "WorkOrderAnswered", {**again, "department": B, "text": "真的好了"}),
        ("dispatch", "TicketAnswered", answered),
        ("dispatch", "TicketClosed", {"by": "A1", "satisfied": True}),
    ]
    clocks: list[tuple[str, str, dict[str, Any]]] = [
        ("sla_timer", "ClocksStarted", {"clocks": [clock]}),
        ("sla_timer", "ClockWarned", {"clock": clock, "percent": 50}),
        ("sla_timer", "ClocksStopped", {"clocks": [{**clock, "outcome": "met"}]}),
    ]
    rejected = {"partition": 0, "offset": 1}
    return [
        *_on("zhida.tickets.v1", flow),
        *_on("zhida.clocks.v1", clocks),
        said("zhida.tickets.rejected.v1", 0, "TicketRejected", "intake", version=1, data=rejected, key="0:1"),
    ]


def _arrived(order: Mapping[str, str], department: str, hook: str) -> dict[str, Any]:
    return {**order, "department": department, "delivery_id": str(HOOKS[hook]), "attempts": 1}


def _on(topic: str, facts_: list[tuple[str, str, dict[str, Any]]]) -> list[Said]:
    versions: dict[str, int] = {}
    found = []
    for offset, (source, kind, data) in enumerate(facts_):
        versions[source] = versions.get(source, 0) + 1
        found.append(said(topic, offset, kind, source, version=versions[source], data=data))
    return found


def said(
    topic: str, offset: int, kind: str, source: str, *, version: int, data: Mapping[str, Any], key: str = str(TICKET)
) -> Said:
    """One event."""
    id_ = UUID(int=hash((topic, key, offset, kind)) % 2**128)
    at = START + timedelta(seconds=offset)
    return Said(topic, 0, offset, key, id_, kind, source, version, at, {"ticket_id": key, **data})


def _notices(events: list[Said]) -> list[fact.Notice]:
    kinds = {"QuestionAsked": "question_asked", "TicketAnswered": "ticket_answered"}
    causes = [event for event in events if event.type in kinds]
    return [
        fact.Notice(UUID(int=100 + number), "agent:A1", number, TICKET, kinds[event.type], str(event.id))
        for number, event in enumerate(causes, 1)
    ]


def _reports(notices: list[fact.Notice]) -> list[Said]:
    return [
        said(
            "zhida.notices.v1",
            notice.number,
            "NotificationSent",
            "notification",
            version=notice.number,
            data={
                "notification_id": str(notice.id),
                "recipient_kind": "agent",
                "recipient": "A1",
                "kind": notice.kind,
                "number": notice.number,
                "caused_at": START.isoformat(),
            },
        )
        for notice in notices
    ]


def _hook(
    department: str, hook: str, kind: str, order: UUID, *, second: int, status: int, duplicate: bool = False
) -> fact.Hook:
    at = START + timedelta(seconds=second)
    return fact.Hook(department, str(HOOKS[hook]), kind, str(TICKET), str(order), at, status, duplicate)


def _call(department: str, name: str, order: UUID, second: int) -> fact.Call:
    at = START + timedelta(seconds=second)
    return fact.Call(department, name, str(TICKET), str(order), at, 200, f"{name}-{order}-{second}")
