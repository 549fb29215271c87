"""What notification says: who was told what, and when."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from libs.shared.events import NOTICES, Event

RecipientKind = Literal["agent", "department", "supervisor"]
Kind = Literal[
    "ticket_answered", "question_asked", "question_answered", "review_requested", "delivery_failed",
    "work_order_returned", "clock_warned", "clock_breached", "escalated", "ticket_reopened",
    "cell_disputed", "ticket_merged", "ticket_released", "high_risk",
]  # fmt: skip


class NotificationSent(Event, topic=NOTICES):
    """A message stands in the recipient's inbox (or was taken by the channel), to be seen at once."""

    ticket_id: UUID
    notification_id: UUID
    recipient_kind: RecipientKind
    recipient: str
    kind: Kind
    channel: str  # "inbox", or the name of the channel
    number: int | None  # the recipient's own running number; None for channels without one
    caused_at: datetime  # when the fact behind it happened


class NotificationFailed(Event, topic=NOTICES):
    """A channel refused a message for good; the inbox still has it."""

    ticket_id: UUID
    notification_id: UUID
    recipient_kind: RecipientKind
    recipient: str
    kind: Kind
    channel: str
    attempts: int
    reason: str
