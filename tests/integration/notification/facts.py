"""Facts as the other services say them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from libs.shared.contracts import dispatch
from libs.shared.contracts.classification import Department
from libs.shared.contracts.sla_timer import Clock, ClockWarned, Escalated

REPAIR, LEAD = Department(code="repair", name="抢修班"), Department(code="lead", name="生产设备管理部")
MEASURES = dispatch.Measures(hops=2, transfers=0, first_contact_minutes=1, resolve_minutes=9)


def answered(agent: str | None = "a1", **changes: Any) -> dispatch.TicketAnswered:
    """The answer to a new ticket of that agent."""
    now = datetime.now(UTC)
    answer = dispatch.Answer(work_order_id=uuid4(), department=REPAIR, text="已送电", answered_at=now)
    values: dict[str, Any] = {
        "ticket_id": uuid4(),
        "agent_id": agent,
        "channel": "95598",
        "external_ref": "X1",
        "title": "小区停电",
        "answers": (answer,),
        "join_policy": "all",
        "measures": MEASURES,
    }
    return dispatch.TicketAnswered(**{**values, **changes})


def asked(agent: str | None = "a1", department: Department = REPAIR) -> dispatch.QuestionAsked:
    """A question of an agent to a department."""
    return dispatch.QuestionAsked(
        ticket_id=uuid4(),
        work_order_id=uuid4(),
        question_id=uuid4(),
        asked_by="agent",
        asker=agent or "",
        department=department,
        agent_id=agent,
        text="何时到现场？",
    )


def merged(agent: str | None = "a1", **changes: Any) -> dispatch.TicketMerged:
    """That agent's ticket became a member of a hot event."""
    values: dict[str, Any] = {
        "ticket_id": uuid4(),
        "master_id": uuid4(),
        "hot_event": True,
        "agent_id": agent,
        "channel": "95598",
        "title": "小区停电",
        "members": 21,
        "by": "classification",
        "reason": None,
    }
    return dispatch.TicketMerged(**{**values, **changes})


def clock(clock_id: UUID, department: Department | None = REPAIR) -> Clock:
    """An accept clock."""
    now = datetime.now(UTC)
    return Clock(
        clock_id=clock_id,
        kind="accept",
        work_order_id=uuid4(),
        department=department,
        lead_department=LEAD,
        supervisor="sup",
        started_at=now,
        due_at=now,
        limit_seconds=1800,
    )


def warned(ticket_id: UUID, about: Clock, percent: int = 80) -> ClockWarned:
    """A warning."""
    return ClockWarned(ticket_id=ticket_id, clock=about, percent=percent)


def escalated(ticket_id: UUID, about: Clock, level: Any, to: str, percent: int = 80) -> Escalated:
    """Whom the warning was brought before."""
    return Escalated(ticket_id=ticket_id, clock=about, percent=percent, level=level, to=to)
