"""What sla_timer says: clocks started, stopped, warned and breached, and who hears of it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from libs.shared.contracts.classification import Department
from libs.shared.events import CLOCKS, Contract, Event

ClockKind = Literal["accept", "first_contact", "ruling", "resolve"]
Level = Literal["executing", "lead", "supervisor", "interview"]


class Clock(Contract):
    """One SLA promise on a ticket (resolve) or on a work order (accept, first_contact, ruling on its return)."""

    clock_id: UUID
    kind: ClockKind
    work_order_id: UUID | None
    department: Department | None  # whose clock it is (a ruling: the lead department's); None: the ticket's
    lead_department: Department
    supervisor: str
    started_at: datetime
    due_at: datetime
    limit_seconds: int


class ClocksStarted(Event, topic=CLOCKS):
    """All clocks that one fact started."""

    ticket_id: UUID
    clocks: tuple[Clock, ...]


class StoppedClock(Contract):
    """How one clock ended."""

    clock_id: UUID
    kind: ClockKind
    work_order_id: UUID | None
    outcome: Literal["met", "missed", "cancelled"]


class ClocksStopped(Event, topic=CLOCKS):
    """All clocks that one fact stopped."""

    ticket_id: UUID
    clocks: tuple[StoppedClock, ...]


class ClockWarned(Event, topic=CLOCKS):
    """A running clock passed one of its warning points."""

    ticket_id: UUID
    clock: Clock
    percent: int  # of the limit: 50, 80 or 150


class ClockBreached(Event, topic=CLOCKS):
    """A running clock reached its limit."""

    ticket_id: UUID
    clock: Clock


class Escalated(Event, topic=CLOCKS):
    """A warning or breach was brought before a level; a missing level is never skipped silently."""

    ticket_id: UUID
    clock: Clock
    percent: int
    level: Level
    to: str  # department code or principal
    missing: tuple[Level, ...] = ()  # levels with nobody to hear it, passed upwards at once
