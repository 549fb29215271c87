"""Who hears of which fact, and what a notice holds. Nothing is added to what the event says; that is masked already."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from libs.shared.contracts.classification import HighRiskFound, ReviewRequested
from libs.shared.contracts.dispatch import (
    CellDisputed,
    DeliveryFailed,
    QuestionAnswered,
    QuestionAsked,
    TicketAnswered,
    TicketMerged,
    TicketReleased,
    TicketReopened,
    WorkOrderReturned,
)
from libs.shared.contracts.intake import Channel
from libs.shared.contracts.notification import Kind, RecipientKind
from libs.shared.contracts.sla_timer import Clock, ClockBreached, ClockWarned, Escalated

Fact = (
    TicketAnswered
    | QuestionAsked
    | QuestionAnswered
    | ReviewRequested
    | HighRiskFound
    | DeliveryFailed
    | WorkOrderReturned
    | ClockWarned
    | ClockBreached
    | Escalated
    | TicketReopened
    | CellDisputed
    | TicketMerged
    | TicketReleased
)

KINDS: tuple[Kind, ...] = get_args(Kind)
RECIPIENT_KINDS: tuple[RecipientKind, ...] = get_args(RecipientKind)
REVIEWERS = "review"  # the supervisors' inbox that every reviewer shares


@dataclass(frozen=True, slots=True, order=True)
class Recipient:
    """Somebody with an inbox: an agent, a department, a supervisor."""

    kind: RecipientKind
    id: str  # agent_id, department code, principal

    @property
    def address(self) -> str:
        """The inbox's key, such as `agent:a1`."""
        return f"{self.kind}:{self.id}"

    @classmethod
    def at(cls, address: str) -> "Recipient":
        """The recipient of an address; ValueError where it is none."""
        kind, colon, id_ = address.partition(":")
        for known in RECIPIENT_KINDS:
            if kind == known and colon and id_:
                return cls(known, id_)
        raise ValueError(f"expected one of {', '.join(RECIPIENT_KINDS)}, a colon and an id")


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for one recipient."""

    recipient: Recipient
    kind: Kind
    ticket_id: UUID
    fact: str  # what it tells; nobody is told a fact twice
    caused_at: datetime
    data: dict[str, Any]  # JSON-able: what templates and programs read


def desk(agent_id: str | None, channel: Channel | None) -> Recipient:
    """The agent; where nobody took the call (website, 12398, …), the desk of the ticket's channel."""
    if agent_id:
        return Recipient("agent", agent_id)
    return Recipient("agent", f"desk.{channel}" if channel else "desk")


def notices(event: Fact) -> list[Notice]:
    """What the event tells whom."""
    fact = str(event.envelope.id)
    match event:
        case TicketAnswered():
            return _tell(event, "ticket_answered", fact, _answered(event), desk(event.agent_id, event.channel))
        case QuestionAsked():
            department = Recipient("department", event.department.code)
            hearer = desk(event.agent_id, event.channel) if event.asked_by == "department" else department
            return _tell(event, "question_asked", fact, _question(event), hearer)
        case QuestionAnswered():
            department = Recipient("department", event.department.code)
            asker = desk(event.agent_id, event.channel) if event.asked_by == "agent" else department
            return _tell(event, "question_answered", fact, _question(event), asker)
        case ReviewRequested():
            return _tell(event, "review_requested", fact, _review(event), Recipient("supervisor", REVIEWERS))
        case HighRiskFound():
            return _tell(event, "high_risk", fact, _risky(event), Recipient("supervisor", event.supervisor))
        case DeliveryFailed():
            hearers = Recipient("supervisor", event.supervisor), Recipient("department", event.department.code)
            return _tell(event, "delivery_failed", fact, _delivery(event), *hearers)
        case WorkOrderReturned():
            kind: RecipientKind = "supervisor" if event.ruled_by == event.supervisor else "department"
            return _tell(event, "work_order_returned", fact, _returned(event), Recipient(kind, event.ruled_by))
        case TicketReopened():
            departments = [Recipient("department", each.code) for each in event.departments]
            return _tell(event, "ticket_reopened", fact, {"reason": event.reason, "by": event.by}, *departments)
        case CellDisputed():
            return _tell(
                event, "cell_disputed", fact, _cell(event), Recipient("department", event.lead_department.code)
            )
        case TicketMerged():
            return _tell(event, "ticket_merged", fact, _merged(event), desk(event.agent_id, event.channel))
        case TicketReleased():
            return _tell(event, "ticket_released", fact, _released(event), desk(event.agent_id, event.channel))
        case ClockWarned():
            return _tell(event, "clock_warned", _point(event.clock, event.percent), _clock(event), *_owner(event.clock))
        case ClockBreached():
            return _tell(event, "clock_breached", _point(event.clock, 100), _clock(event), *_owner(event.clock))
        case Escalated():
            return _escalated(event)


def _tell(event: Fact, kind: Kind, fact: str, data: dict[str, Any], *recipients: Recipient) -> list[Notice]:
    return [
        Notice(recipient, kind, event.ticket_id, fact, event.occurred_at, data)
        for recipient in dict.fromkeys(recipients)
        if recipient.id.strip()
    ]


def _escalated(event: Escalated) -> list[Notice]:
    """The level's recipient hears of it; the executing department as of a warning, for to it that is what it is."""
    fact, data = _point(event.clock, event.percent), _clock(event)
    match event.level:
        case "executing":
            kind: Kind = "clock_breached" if event.percent == 100 else "clock_warned"
            return _tell(event, kind, fact, data, Recipient("department", event.to))
        case "lead":
            return _tell(event, "escalated", fact, data, Recipient("department", event.to))
        case "supervisor" | "interview":
            return _tell(event, "escalated", fact, data, Recipient("supervisor", event.to))


def _owner(clock: Clock) -> list[Recipient]:
    return [Recipient("department", clock.department.code)] if clock.department else []


def _point(clock: Clock, percent: int) -> str:
    """A warning and its escalation are one fact, however many events tell it."""
    return f"{clock.clock_id}:{percent}"


def _answered(event: TicketAnswered) -> dict[str, Any]:
    return {
        "title": event.title,
        "channel": event.channel,
        "external_ref": event.external_ref,
        "answers": [
            {
                "work_order_id": str(each.work_order_id),
                "department": each.department.name,
                "text": each.text,
                "answered_at": each.answered_at.isoformat(),
            }
            for each in event.answers
        ],
    }


def _question(event: QuestionAsked | QuestionAnswered) -> dict[str, Any]:
    return {
        "question_id": str(event.question_id),
        "work_order_id": str(event.work_order_id),
        "asked_by": event.asked_by,
        "department": event.department.name,
        "text": event.text,
    }


def _review(event: ReviewRequested) -> dict[str, Any]:
    return {
        "urgency": event.urgency,
        "candidates": [
            {"code": each.situation.code, "name": each.situation.name, "probability": each.probability}
            for each in event.candidates
        ],
    }


def _risky(event: HighRiskFound) -> dict[str, Any]:
    return {
        "title": event.title,
        "situation": event.situation,
        "channel": event.channel,
        "star": event.star,
        "repeats": event.repeats,
    }


def _delivery(event: DeliveryFailed) -> dict[str, Any]:
    return {
        "work_order_id": str(event.work_order_id),
        "delivery_id": str(event.delivery_id),
        "department": event.department.name,
        "attempts": event.attempts,
        "reason": event.reason,
    }


def _returned(event: WorkOrderReturned) -> dict[str, Any]:
    return {
        "work_order_id": str(event.work_order_id),
        "department": event.department.name,
        "reason_code": event.reason_code,
        "reason": event.reason,
        "suggested_department": event.suggested_department,
    }


def _merged(event: TicketMerged) -> dict[str, Any]:
    return {
        "master_id": str(event.master_id),
        "title": event.title,
        "members": event.members,
        "hot_event": event.hot_event,
        "by": event.by,
        "reason": event.reason,
    }


def _released(event: TicketReleased) -> dict[str, Any]:
    return {"master_id": str(event.master_id), "by": event.by, "reason": event.reason}


def _cell(event: CellDisputed) -> dict[str, Any]:
    return {
        "situation": event.situation_name,
        "situation_code": event.situation,
        "department": event.department.name,
        "month": event.month,
        "assigned": event.assigned,
        "upheld": event.upheld,
        "matrix_wrong": event.matrix_wrong,
        "suggested_department": event.suggested_department.name if event.suggested_department else None,
        "tickets": [str(each) for each in event.tickets],
    }


def _clock(event: ClockWarned | ClockBreached | Escalated) -> dict[str, Any]:
    clock = event.clock
    return {
        "clock_id": str(clock.clock_id),
        "clock": clock.kind,
        "work_order_id": clock.work_order_id and str(clock.work_order_id),
        "department": (clock.department or clock.lead_department).name,
        "percent": 100 if isinstance(event, ClockBreached) else event.percent,
        "limit_seconds": clock.limit_seconds,
        "due_at": clock.due_at.isoformat(),
        "level": event.level if isinstance(event, Escalated) else None,
        "missing": list(event.missing) if isinstance(event, Escalated) else [],
    }
