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


class ForecastHour(BaseModel):
    """An hour to come."""

    at: datetime = Field(description="its beginning, UTC")
    tickets: float = Field(description="expected")
    agents: int = Field(description="the fewest who answer that share of the calls in time (Erlang C)")


class ForecastCategory(BaseModel):
    """A category's part of it."""

    code: str
    name: str
    tickets: list[float] = Field(description="expected, in the same hours")


class Forecast(BaseModel):
    """By what is usual at that place in those hours of the week; outages and weather are not foreseen."""

    place: str
    category: str | None
    hours: list[ForecastHour]
    categories: list[ForecastCategory] = Field(description="those with the most tickets first")


class ForecastGrievances(BaseModel):
    """Opinions, suggestions and complaints about one situation."""

    code: str
    situation: Situation | None = Field(description="null: the matrix in force has it no more")
    expected: float = Field(description="in the seven days from today on")
    last: int = Field(description="in the seven days before today")
    change: float = Field(description="expected against last")
    rising: bool = Field(description="more in the last seven days than chance explains by the weeks before")


class ForecastOfGrievances(BaseModel):
    """Those expected most first."""

    items: list[ForecastGrievances]
