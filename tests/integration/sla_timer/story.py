"""Facts of one ticket, as dispatch says them, at times that a test chooses."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from libs.shared.contracts import dispatch
from libs.shared.contracts.classification import Department
from libs.shared.contracts.sla_timer import ClocksStarted, ClocksStopped
from libs.shared.events import Envelope, Event, uuid7
from tests.running import TRACEPARENT

REPAIR, METER, LEAD = (
    Department(code="repair", name="抢修班"),
    Department(code="meter", name="计量中心"),
    Department(code="lead", name="生产设备管理部"),
)
MEASURES = dispatch.Measures(hops=2, transfers=0, first_contact_minutes=None, resolve_minutes=9)

E = TypeVar("E", bound=Event)


def at(event: E, when: datetime) -> E:
    """The fact as said at that time."""
    return event.enveloped(Envelope(uuid7(when), "dispatch", when, 1, TRACEPARENT))


@dataclass
class Story:
    """One ticket with one work order, opened and assigned `age` ago."""

    age: timedelta = timedelta(0)
    ticket_id: UUID = field(default_factory=uuid4)
    work_order_id: UUID = field(default_factory=uuid4)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def began(self) -> datetime:
        return self.now - self.age

    def assigned(self, **changes: Any) -> dispatch.WorkOrderAssigned:
        values: dict[str, Any] = {
            "ticket_id": self.ticket_id,
            "work_order_id": self.work_order_id,
            "department": REPAIR,
            "lead_department": LEAD,
            "supervisor": "sup",
            "agent_id": "a1",
            "sla_class": "maintenance",
            "star": 1,
            "urgency": "normal",
            "opened_at": self.began,
            "situation": "停电",
        }
        return at(dispatch.WorkOrderAssigned(**{**values, **changes}), self.began)

    def accepted(self, when: datetime | None = None) -> dispatch.WorkOrderAccepted:
        return at(dispatch.WorkOrderAccepted(**self._order()), when or self.now)

    def contacted(self, when: datetime | None = None) -> dispatch.WorkOrderContacted:
        return at(dispatch.WorkOrderContacted(**self._order()), when or self.now)

    def answered(self) -> dispatch.WorkOrderAnswered:
        return at(dispatch.WorkOrderAnswered(**{**self._order(), "department": REPAIR}, text="已送电"), self.now)

    def returned(self) -> dispatch.WorkOrderReturned:
        return at(
            dispatch.WorkOrderReturned(
                **{**self._order(), "department": REPAIR},
                reason_code="not_ours",
                reason="不属本班",
                suggested_department=None,
                ruled_by="lead",
                supervisor="sup",
            ),
            self.now,
        )

    def ruled(self, decision: Any) -> dispatch.ReturnRuled:
        return at(dispatch.ReturnRuled(**self._order(), decision=decision, by="lead"), self.now)

    def cancelled(self, reason: Any = "classified_again") -> dispatch.WorkOrderCancelled:
        return at(dispatch.WorkOrderCancelled(**self._order(), reason=reason), self.now)

    def settled(self) -> dispatch.TicketAnswered:
        return at(
            dispatch.TicketAnswered(
                ticket_id=self.ticket_id,
                agent_id="a1",
                channel="95598",
                external_ref="x",
                title="停电",
                answers=(),
                join_policy="all",
                measures=MEASURES,
            ),
            self.now,
        )

    def closed(self) -> dispatch.TicketClosed:
        return at(dispatch.TicketClosed(ticket_id=self.ticket_id, by="a1", satisfied=True), self.now)

    def reopened(self) -> dispatch.TicketReopened:
        return at(
            dispatch.TicketReopened(
                ticket_id=self.ticket_id, by="a1", reason="没修好", work_order_ids=(self.work_order_id,)
            ),
            self.now,
        )

    def merged(self) -> dispatch.TicketMerged:
        return at(
            dispatch.TicketMerged(
                ticket_id=self.ticket_id,
                master_id=uuid4(),
                hot_event=False,
                agent_id="a1",
                channel="95598",
                title="停电",
                members=1,
                by="a1",
                reason=None,
            ),
            self.now,
        )

    def joined(self, *opened: datetime, **changes: Any) -> dispatch.MasterJoined:
        values: dict[str, Any] = {"star": 1, "urgency": "normal", "sla_class": "maintenance", "repeats": 0, **changes}
        promised = tuple(dispatch.Promised(**values, opened_at=each) for each in opened)
        return at(
            dispatch.MasterJoined(ticket_id=self.ticket_id, tickets=(uuid4(),), members=1, promised=promised), self.now
        )

    def reopened_with_its_master(self) -> dispatch.TicketReopened:
        return at(
            dispatch.TicketReopened(
                ticket_id=self.ticket_id, by="a1", reason="没修好", work_order_ids=(), master_id=uuid4()
            ),
            self.now,
        )

    def _order(self) -> dict[str, Any]:
        return {"ticket_id": self.ticket_id, "work_order_id": self.work_order_id, "department": REPAIR.code}


def started(said: list[Event]) -> list[str]:
    """Kinds of the clocks that were started, sorted."""
    return sorted(clock.kind for event in said if isinstance(event, ClocksStarted) for clock in event.clocks)


def stopped(said: list[Event]) -> dict[str, str]:
    """Kind → outcome of the clocks that were stopped."""
    return {clock.kind: clock.outcome for event in said if isinstance(event, ClocksStopped) for clock in event.clocks}


def count(said: list[Event]) -> Counter[str]:
    """How many events of each class."""
    return Counter(type(event).__name__ for event in said)
