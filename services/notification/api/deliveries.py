"""What went to channels, what failed, and trying again."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from libs.shared.contracts.notification import Kind
from libs.shared.web import Caller, Refused, after, caller, command, cursor, problems, running
from services.notification.api.inbox import RecipientView
from services.notification.domain.channel import State
from services.notification.domain.notice import Recipient
from services.notification.retry import Retry, again
from services.notification.store import channel as store

router = APIRouter(tags=["channels"])

Overseer = Annotated[Caller, caller("supervise", "admin")]
START = datetime(1, 1, 1, tzinfo=UTC), UUID(int=0)


class DeliveryView(BaseModel):
    """One notice on its way to one channel."""

    id: UUID
    channel: str
    notification_id: UUID = Field(description="of the notice in the inbox")
    recipient: RecipientView
    number: int
    ticket_id: UUID
    kind: Kind
    state: State
    attempts: int
    next_at: datetime | None = Field(description="of the next attempt; null when there is none")
    status: int | None = Field(description="HTTP status of the last attempt")
    reason: str
    caused_at: datetime
    created_at: datetime
    ended_at: datetime | None


class DeliveryPage(BaseModel):
    """Deliveries, oldest first."""

    items: list[DeliveryView]
    next: str | None


@router.get("/v1/notifications", summary="Deliveries to channels", responses=problems(422))
async def deliveries(
    request: Request,
    *,
    who: Overseer,
    state: State = "failed",
    channel: Annotated[str | None, Query(max_length=63)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after_: Annotated[str | None, Query(alias="after", description="`next` of the page before")] = None,
) -> DeliveryPage:
    """Deliveries in one state, oldest first."""
    place: tuple[Any, ...] = after(after_, datetime.fromisoformat, UUID) or START
    rows = await store.page(running(request), state, channel, (place[0], place[1]), limit + 1)
    shown = rows[:limit]
    following = cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return DeliveryPage(items=[_view(row) for row in shown], next=following)


@router.post(
    "/v1/notifications/{delivery_id}/retry",
    status_code=202,
    summary="Try a failed delivery again",
    responses=problems(400, 404, 409, 422),
)
async def retry(request: Request, delivery_id: UUID, who: Overseer) -> Response:
    """Begins again with the first attempt. Needs an Idempotency-Key."""
    row = await store.find(running(request), delivery_id)
    if row is None:
        raise Refused(404, "Not found", "there is no such delivery")
    return await command(request, again, Retry(delivery_id, row.ticket_id), key=str(row.ticket_id))


def _view(row: Any) -> DeliveryView:
    recipient = Recipient.at(row.recipient)
    return DeliveryView(
        id=row.id,
        channel=row.channel,
        notification_id=row.notice_id,
        recipient=RecipientView(kind=recipient.kind, id=recipient.id),
        number=row.number,
        ticket_id=row.ticket_id,
        kind=row.kind,
        state=row.state,
        attempts=row.attempts,
        next_at=row.next_at if row.state == "pending" else None,
        status=row.status,
        reason=row.reason,
        caused_at=row.caused_at,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
