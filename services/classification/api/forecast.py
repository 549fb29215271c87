"""For supervisors: what is to be expected, and how many agents it takes."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from libs.shared.web import Caller, Refused, caller, problems, running
from services.classification import outlook
from services.classification.api import shape_ahead
from services.classification.current import current
from services.classification.domain import fact
from services.classification.outlook import Desk

router = APIRouter(tags=["looking ahead"])

Supervisor = Annotated[Caller, caller("supervise")]


@router.get("/v1/forecast", summary="Tickets and agents by the hour", responses=problems(422))
async def forecast(
    request: Request,
    who: Supervisor,
    *,
    place: Annotated[str, Query(pattern=r"^\d{2,12}$", description="beginning of the area codes")],
    hours: Annotated[int, Query(ge=1, le=outlook.LONGEST)] = 24,
    category: Annotated[str | None, Query(max_length=32, description="only of that category")] = None,
    handling_seconds: Annotated[float, Query(ge=1, le=86_400, description="mean, with the work after a call")] = 300,
    within_seconds: Annotated[float, Query(ge=0, le=3600, description="in which calls are to be answered")] = 20,
    share: Annotated[float, Query(gt=0, le=0.999, description="of calls that are")] = 0.8,
    calls_per_ticket: Annotated[float, Query(ge=1, le=100, description="not every call becomes a ticket")] = 1,
) -> shape_ahead.Forecast:
    """From the next full hour on, by the means of the same hours of past weeks, of tickets that have an area code."""
    matrix = (await current(running(request)).in_force()).matrix
    if category is not None and category not in matrix.categories.values():
        raise Refused(422, "Unknown category", errors=[{"field": "category", "reason": "not in the matrix in force"}])
    desk = Desk(handling_seconds, within_seconds, share, calls_per_ticket)
    try:
        found = await outlook.load(running(request), place, category, hours, desk)
    except ValueError as error:
        reason = f"{error} would be needed"
        raise Refused(422, "Too many calls", errors=[{"field": "handling_seconds", "reason": reason}]) from None
    return shape_ahead.Forecast(
        place=place,
        category=category,
        hours=[shape_ahead.ForecastHour(at=each.at, tickets=each.tickets, agents=each.agents) for each in found.hours],
        categories=[
            shape_ahead.ForecastCategory(code=code, name=name, tickets=list(tickets))
            for code, (name, tickets) in found.categories.items()
        ],
    )


@router.get("/v1/forecast/grievances", summary="Grievances of the coming week", responses=problems(422))
async def forecast_of_grievances(
    request: Request, who: Supervisor, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> shape_ahead.ForecastOfGrievances:
    """By situation (典型预测), with the change against the last seven days; what rises needs further supervision."""
    return shape_ahead.ForecastOfGrievances(
        items=[
            shape_ahead.ForecastGrievances(
                code=each.situation,
                situation=fact.situation(situation) if situation else None,
                expected=each.expected,
                last=each.last,
                change=round(each.change, 1),
                rising=each.rising,
            )
            for situation, each in await outlook.grievances(running(request), limit)
        ]
    )
