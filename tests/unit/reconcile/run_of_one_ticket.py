"""A small run that balances, as the oracle's book holds it: one ticket, returned, asked about, reopened, closed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from libs.shared import run as services
from libs.shared.events import Envelope, header_pairs
from reconcile import inbox
from reconcile.book import SERVICE_CODES, TOPIC_CODES, Book, micros
from reconcile.source import SERVICES, Sources
from reconcile.topic import HEAR, Heard, Window, rows

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
TICKET, FIRST, SECOND = UUID(int=1), UUID(int=2), UUID(int=3)
QUESTION, CLOCK = UUID(int=4), UUID(int=5)
HOOKS = {name: UUID(int=number) for number, name in enumerate(("first", "second", "reopened"), 10)}
REFERENCE = "95598|A-1"
A, B = {"code": "a", "name": "甲"}, {"code": "b", "name": "乙"}
STRANGER = UUID(int=99)
SOURCES = Sources({}, {}, whole=True, closed=True)


@dataclass(frozen=True, slots=True)
class Said:
    """An event as it stands on a topic."""

    topic: str
    offset: int
    key: str
    id: UUID
    type: str
    source: str
    version: int
    at: datetime
    data: Mapping[str, Any]


@dataclass
class Run:
    """What a run has left behind: events, and rows of the book's tables by their columns' names."""

    said: list[Said]
    tables: dict[str, list[dict[str, Any]]]
    handled: dict[str, set[UUID]] = field(default_factory=dict)  # inboxes; of services not named: all they hear

    def book(self) -> Book:
        """The book of it; close it."""
        book, heard = Book(), Heard()
        for each in self.said:
            book.database.executemany(HEAR, list(rows(Record.of(each), Window(), heard)))
        for table, entries in self.tables.items():
            for entry in entries:
                names, marks = ", ".join(entry), ", ".join("?" * len(entry))
                values = [_flat(value) for value in entry.values()]
                book.database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
        for service in SERVICES:
            hears = {kind.__name__ for kind in services.load(service).hears}
            ids = self.handled.get(service, {each.id for each in self.said if each.type in hears})
            low = [int.from_bytes(id_.bytes[8:], "big", signed=True) for id_ in ids]
            inbox.compare(book, service, heard, np.sort(np.array(low, np.int64)))
        book.index()
        return book


@dataclass(frozen=True)
class Record:
    """What a consumer hands over."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]

    @classmethod
    def of(cls, said: Said) -> "Record":
        envelope = Envelope(said.id, said.source, said.at, said.version, "")
        headers = header_pairs(f"zhida.{said.type}.v1", envelope)
        return cls(said.topic, 0, said.offset, said.key.encode(), orjson.dumps(said.data), headers)


def _flat(value: Any) -> Any:
    match value:
        case UUID():
            return value.bytes
        case datetime():
            return micros(value)
    return value


def a_run() -> Run:
    """All of it, to be doctored."""
    events = _events()
    notices = _notices(events)
    said_ = events + _reports(notices)
    at = START + timedelta(seconds=60)
    drawn: dict[tuple[str, str], int] = {}
    for each in said_:
        drawn[each.key, each.source] = each.version
    ends: dict[str, int] = {}
    for each in said_:
        ends[each.topic] = max(ends.get(each.topic, 0), each.offset + 1)
    log = {**ends, "zhida.tickets.inbound.v1": 3}
    order = "work_order.assigned"
    assigned = {"ticket": TICKET, "type": order, "state": "delivered", "give_up": at}
    tables: dict[str, list[dict[str, Any]]] = {
        "offer": [
            _offer(0, REFERENCE, "ticket"),
            _offer(1, "", "refused"),
            _offer(2, REFERENCE, "ticket"),
        ],
        "inbound": [
            {"partition": 0, "place": place, "key": key, "inside": True}
            for place, key in enumerate((REFERENCE, "", REFERENCE))
        ],
        "log": [
            {"topic": TOPIC_CODES[name], "partition": 0, "start": 0, "stop": stop} for name, stop in log.items()
        ],
        "ticket": [
            {"ticket": TICKET, "reference": REFERENCE, "channel": "95598", "at": START, "stage": "closed"}
        ],
        "signpost": [{"reference": REFERENCE, "ticket": TICKET}],
        "refused": [{"partition": 0, "place": 1, "reference": "0:1"}],
        "judged": [
            {"ticket": TICKET, "state": "classified", "decided_by": "demo-reviewer", "waiting": 0, "by_person": 1}
        ],
        "dispatched": [{"ticket": TICKET, "state": "closed", "round": 2, "agent": "A1", "rulings": 1}],
        "repeated": [],
        "work_order": [
            {"id": FIRST, "ticket": TICKET, "department": "a", "state": "reassigned", "before": None, "created": at},
            {"id": SECOND, "ticket": TICKET, "department": "b", "state": "closed", "before": FIRST, "created": at},
        ],
        "endpoint": [{"department": name, "created": START} for name in ("a", "b")],
        "delivery": [
            {"id": HOOKS["first"], **assigned, "work_order": FIRST, "department": "a", "attempts": 1},
            {"id": HOOKS["second"], **assigned, "work_order": SECOND, "department": "b", "attempts": 2},
            {"id": HOOKS["reopened"], **assigned, "work_order": SECOND, "department": "b", "attempts": 1,
             "type": "work_order.reopened"},
        ],
        "attempt": [
            {"delivery": HOOKS["first"], "tries": 1, "good": 1},
            {"delivery": HOOKS["second"], "tries": 2, "good": 1},
            {"delivery": HOOKS["reopened"], "tries": 1, "good": 1},
        ],
        "question": [{"id": QUESTION, "ticket": TICKET, "answered": 1}],
        "clock": [
            {"id": CLOCK, "ticket": TICKET, "kind": "resolve", "state": "met", "passed": 50, "generation": 2,
             "started": START - timedelta(seconds=29), "seconds": 60}
        ],
        "timer": [{"clock": CLOCK, "generation": 1, "percent": 80, "at": at}],
        "notice": [
            {"id": id_, "recipient": "agent:A1", "number": number, "ticket": TICKET, "kind": kind, "fact": fact}
            for id_, number, kind, fact in notices
        ],
        "drawn": [
            {"ticket": TICKET if key == str(TICKET) else key, "source": SERVICE_CODES[source], "version": version}
            for (key, source), version in drawn.items()
        ],
        "pending": [],
        "fence": [
            {"service": SERVICE_CODES["dispatch"], "topic": TOPIC_CODES[name], "partition": 0, "next": ends[name]}
            for name in ("zhida.tickets.v1", "zhida.clocks.v1")
        ],
        "grave": [],
        "halt": [],
        "look": [{"service": code, "at": at} for code in SERVICE_CODES.values()],
        "hook": [
            _hook("a", "first", order, FIRST, second=2, status=200),
            _hook("b", "second", order, SECOND, second=5, status=500),
            _hook("b", "second", order, SECOND, second=6, status=200),
            _hook("b", "second", order, SECOND, second=6, status=200, duplicate=1),
            _hook("b", "reopened", "work_order.reopened", SECOND, second=15, status=200),
        ],
        "call": [
            _call("a", "return", FIRST, 3),
            _call("lead", "rule", FIRST, 4),
            *(_call("b", name, SECOND, 7) for name in ("accept", "contacted", "ask_agent", "answer")),
            *(_call("b", name, SECOND, 16) for name in ("accept", "answer")),
        ],
        "shown": [
            {"agent": "A1", "number": number, "id": id_, "kind": kind, "ticket": TICKET,
             "at": START + timedelta(seconds=20)}
            for id_, number, kind, _ in notices
        ],
        "followed": [{"agent": "A1", "number": 0}],
        "planted": [],
        "strange": [],
    }  # fmt: skip
    return Run(said_, tables)


def _offer(place: int, reference: str, expect: str) -> dict[str, Any]:
    return {
        "ledger": 0,
        "id": place,
        "reference": reference,
        "expect": expect,
        "at": START,
        "partition": 0,
        "place": place,
    }


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
    started = (START - timedelta(seconds=29)).isoformat()
    clock = {"clock_id": str(CLOCK), "kind": "resolve", "limit_seconds": 60, "started_at": started}
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
    return Said(
        topic, offset, key, id_, kind, source, version, START + timedelta(seconds=offset), {"ticket_id": key, **data}
    )


def _notices(events: list[Said]) -> list[tuple[UUID, int, str, UUID]]:
    kinds = {"QuestionAsked": "question_asked", "TicketAnswered": "ticket_answered"}
    causes = [event for event in events if event.type in kinds]
    return [(UUID(int=100 + number), number, kinds[event.type], event.id) for number, event in enumerate(causes, 1)]


def _reports(notices: list[tuple[UUID, int, str, UUID]]) -> list[Said]:
    return [
        said(
            "zhida.notices.v1",
            number,
            "NotificationSent",
            "notification",
            version=number,
            data={
                "notification_id": str(id_),
                "recipient_kind": "agent",
                "recipient": "A1",
                "kind": kind,
                "number": number,
                "caused_at": START.isoformat(),
            },
        )
        for id_, number, kind, _ in notices
    ]


def _hook(
    department: str, hook: str, kind: str, order: UUID, *, second: int, status: int, duplicate: int = 0
) -> dict[str, Any]:
    at = START + timedelta(seconds=second)
    return {"id": HOOKS[hook], "department": department, "type": kind, "ticket": TICKET, "work_order": order, "at": at,
            "status": status, "duplicate": duplicate}  # fmt: skip


def _call(department: str, name: str, order: UUID, second: int) -> dict[str, Any]:
    at = START + timedelta(seconds=second)
    return {"department": department, "name": name, "ticket": TICKET, "work_order": order, "at": at, "status": 200,
            "key": f"{name}-{order}-{second}"}  # fmt: skip
