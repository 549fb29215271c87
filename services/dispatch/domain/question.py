"""What agent and departments say to each other about a ticket: questions, replies, evidence."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.shared.contracts.dispatch import Party


@dataclass(frozen=True, slots=True)
class Question:
    """A question between the agent and one department, with its reply once there is one. Times are UTC."""

    question_id: UUID
    ticket_id: UUID
    work_order_id: UUID
    asked_by: Party
    asker: str  # principal
    text: str
    asked_at: datetime
    reply: str | None = None
    replied_by: str | None = None
    replied_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A photograph, record or sheet, by its address."""

    evidence_id: UUID
    ticket_id: UUID
    work_order_id: UUID
    kind: str
    uri: str
    note: str | None
    added_at: datetime
