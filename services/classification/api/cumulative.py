"""For supervisors and reviewers: cumulative problems that became proactive tickets."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy import Row

from libs.shared.web import after, cursor, problems, running
from services.classification import store
from services.classification.api import shape_ahead
from services.classification.api.hot_event import LAST, After, Limit, Watcher
from services.classification.current import current
from services.classification.domain import fact

router = APIRouter(tags=["looking ahead"])


@router.get("/v1/cumulative-problems", summary="Cumulative problems", responses=problems(422))
async def cumulative_problems(
    request: Request,
    who: Watcher,
    limit: Limit = 50,
    after_: After = None,
) -> shape_ahead.CumulativeProblems:
    """What happened so often at one place, or to one customer, that a proactive ticket was made; the latest first."""
    process = running(request)
    [before] = after(after_, UUID) or (LAST,)
    rows = await store.cumulative.page(process, before, limit + 1)
    shown = [await _view(request, row, process.now()) for row in rows[:limit]]
    return shape_ahead.CumulativeProblems(
        items=shown, next=cursor(str(shown[-1].problem_id)) if len(rows) > limit else None
    )


async def _view(request: Request, row: Row[Any], now: datetime) -> shape_ahead.CumulativeProblem:
    matrix = await current(running(request)).matrix(row.matrix_version)
    situation = fact.situation(matrix.situations[matrix.by_code[row.situation]])
    state = "open" if row.over_at > now else "over"
    return shape_ahead.CumulativeProblem.model_validate(row._asdict() | {"situation": situation, "state": state})
