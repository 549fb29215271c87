"""For call centres: a ticket's classification, and a preview."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from libs.shared.contracts.intake import Customer, Place, Ticket
from libs.shared.web import Caller, Refused, after, caller, cursor, problems, running
from services.classification import store
from services.classification.api import shape
from services.classification.current import current
from services.classification.domain import fact, place, route

router = APIRouter()

Reader = Annotated[Caller, caller("agent", "department", "review", "supervise", "publish")]


@router.post("/v1/classify", tags=["classification"], summary="Preview a classification", responses=problems(400, 422))
async def preview(request: Request, body: shape.Preview, who: Reader) -> shape.PreviewAnswer:
    """What the text would be classified as right now. Nothing is kept and no event is said."""
    ticket = Ticket(
        channel=body.channel,
        external_ref="preview",
        title=body.title,
        text=body.text,
        business_type=body.business_type,
        complaint_object=body.complaint_object,
        place=Place(area_code=body.area_code),
        customer=Customer(star=body.star, sensitive=body.sensitive),
        opened_at=running(request).now(),
    )
    [found] = await current(running(request)).classify([ticket])
    verdict, matrix, model = found.parts
    by = "model" if model else "matrix"
    said = fact.classified(UUID(int=0), ticket, matrix, verdict, at=ticket.opened_at, by=by, model_version=model)
    routes = route.routed(matrix, verdict.situation, said.ticket, ticket.opened_at)
    return shape.PreviewAnswer(
        **said.model_dump(exclude={"ticket", "ticket_id"}),
        routing=[shape.Routing(**asdict(each)) for each in routes],
        area_code=said.ticket.place.area_code,
        review=not verdict.sure,
        candidates=list(fact.candidates(matrix, verdict)),
    )


@router.get(
    "/v1/tickets/{ticket_id}/classification",
    tags=["classification"],
    summary="How a ticket was classified",
    responses=problems(404, 422),
)
async def classification(request: Request, ticket_id: UUID, who: Reader) -> shape.TicketClassification:
    """With the matrix version that classified it, whatever is in force now."""
    row = await store.ticket.one(running(request), ticket_id)
    if row is None:
        raise Refused(404, "Not found", "no such ticket has come here")
    matrix = await current(running(request)).matrix(row.matrix_version)
    found = matrix.situations[matrix.by_code[row.situation]]
    located = place.locate(matrix, Ticket.model_validate(row.ticket))
    routes = route.routed(matrix, found, located.ticket, row.classified_at or row.received_at)
    return shape.TicketClassification(
        ticket_id=ticket_id,
        state=row.state,
        situation=fact.situation(found),
        lead_department=fact.department(matrix, found.lead),
        executing_departments=[fact.department(matrix, code) for code in route.executing(routes)],
        routing=[shape.Routing(**asdict(each)) for each in routes],
        area_code=located.ticket.place.area_code,
        place_words=list(located.words),
        supervisor=found.supervisor,
        sla_class=found.sla_class,
        join_policy=found.join_policy,
        business_type=row.business_type,
        complaint_object=row.complaint_object,
        urgency=row.urgency,
        risk=row.risk,
        probability=round(row.probability, 4),
        margin=round(row.margin, 4),
        words=row.words,
        matrix_version=row.matrix_version,
        model_version=row.model_version,
        decided_by=row.decided_by,
        received_at=row.received_at,
        classified_at=row.classified_at,
        repeat_of=row.repeat_of,
        repeats=row.repeats,
    )


@router.get(
    "/v1/tickets/{ticket_id}/repeats",
    tags=["classification"],
    summary="The chain of repeats a ticket belongs to",
    responses=problems(404, 422),
)
async def repeats(
    request: Request,
    ticket_id: UUID,
    who: Reader,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500, description="`next` of the page before")] = None,
) -> shape.Chain:
    """From the first ticket on, this one among them; alone where nothing was repeated."""
    row = await store.ticket.one(running(request), ticket_id)
    if row is None:
        raise Refused(404, "Not found", "no such ticket has come here")
    [behind] = after(after_, _number) or (-1,)
    rows = await store.repeat.chain(running(request), row.repeat_of or ticket_id, behind, limit + 1)
    shown = [shape.ChainTicket(ticket_id=each.id, **each._asdict()) for each in rows[:limit]]
    return shape.Chain(items=shown, next=cursor(shown[-1].repeats) if len(rows) > limit else None)


def _number(value: Any) -> int:
    """A place in a chain. Raises ValueError."""
    if type(value) is not int or not -1 <= value < 2**31:
        raise ValueError
    return value
