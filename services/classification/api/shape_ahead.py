"""What answers look like about what is coming: cumulative problems, and settled tickets that are like an open one."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from libs.shared.contracts.classification import Department, Situation


class CumulativeProblem(BaseModel):
    """The same, so often at one place or with one customer that it became a proactive ticket."""

    problem_id: UUID = Field(description="also the id of the proactive ticket")
    state: Literal["open", "over"] = Field(description="open: no second ticket is made for the same place")
    rule: str = Field(description="code of the matrix's rule")
    name: str
    situation: Situation = Field(description="of the proactive ticket")
    area_code: str | None
    address: str | None = Field(description="masked")
    customer_id: str | None
    title: str
    text: str
    tickets: list[UUID] = Field(description="twenty at most, of the latest occasion first")
    count: int = Field(description="occasions when it was found")
    times: int = Field(description="occasions that were enough")
    days: int
    matrix_version: str
    found_at: datetime
    over_at: datetime


class CumulativeProblems(BaseModel):
    """A page, the latest first."""

    items: list[CumulativeProblem]
    next: str | None = Field(description="give it as `after` for the next page")


class SettledAnswer(BaseModel):
    """What one department answered."""

    department: Department
    text: str = Field(description="masked")


class SettledTicket(BaseModel):
    """A ticket that was answered, and not reopened since."""

    ticket_id: UUID
    title: str
    situation: Situation
    likeness: float = Field(description="share of pairs of characters that the two requests have in common, 0-1")
    answers: list[SettledAnswer]
    answered_at: datetime


class SimilarTickets(BaseModel):
    """The most alike first."""

    items: list[SettledTicket]
