"""For departments, and whoever asks for them: what fixed tickets like this one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from libs.shared.web import Caller, Refused, caller, problems, running
from services.classification import settlement, store
from services.classification.api import shape_ahead
from services.classification.current import current
from services.classification.domain import fact

router = APIRouter(tags=["looking ahead"])

Reader = Annotated[Caller, caller("department", "agent", "publish", "review", "supervise")]


@router.get(
    "/v1/tickets/{ticket_id}/similar",
    summary="Settled tickets that are like this one",
    responses=problems(404, 422),
)
async def similar(
    request: Request, ticket_id: UUID, who: Reader, limit: Annotated[int, Query(ge=1, le=50)] = 5
) -> shape_ahead.SimilarTickets:
    """With the answers that settled them; of the same situation, the most alike first.

    What the customer reopened since is not among them: the answer did not fix it.
    """
    row = await store.ticket.one(running(request), ticket_id)
    if row is None:
        raise Refused(404, "Not found", "no such ticket has come here")
    matrix = await current(running(request)).matrix(row.matrix_version)
    situation = fact.situation(matrix.situations[matrix.by_code[row.situation]])
    return shape_ahead.SimilarTickets(
        items=[
            shape_ahead.SettledTicket.model_validate(
                each._asdict() | {"situation": situation, "likeness": round(likeness, 4)}
            )
            for each, likeness in await settlement.similar(running(request), row, limit)
        ]
    )
