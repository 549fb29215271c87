"""Notices the moment they are there: Server-Sent Events that resume without a hole, at any replica."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from libs.shared.web import Refused, problems, running
from services.notification.api.access import Reader, bad, chosen
from services.notification.domain import cursor
from services.notification.domain.cursor import Cursor
from services.notification.resources import Resources
from services.notification.stream import Connection, Hub

router = APIRouter(tags=["inbox"])

EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One event a notice: `id` is the number (several inboxes: name=number,…), `data` the notice as "
        "in GET /v1/inbox. Comments keep the connection open.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
FIRST = b"retry: 1000\n: open\n\n"
BEAT = b": still here\n\n"
KEY_SECONDS = 30.0  # how long a revoked key keeps its stream


@router.get(
    "/v1/stream",
    summary="Notices as they come (Server-Sent Events)",
    response_class=StreamingResponse,
    responses={**EVENTS, **problems(422, 503)},
)
async def stream(
    request: Request,
    *,
    who: Reader,
    recipients: Annotated[
        str | None,
        Query(
            max_length=15_000,
            description=f"One or up to {cursor.MOST} inboxes, separated by commas: an agent's id, or kind:id. "
            "Left out: the key's own inbox. Scope publish: any agents'.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        Query(max_length=16_000, description="As Last-Event-ID, which goes before it. Left out: what is unread."),
    ] = None,
) -> StreamingResponse:
    """Goes on behind the header Last-Event-ID, at whichever replica, without a hole. Ends when the process stops
    or the reader takes nothing for 30 s; connect again with the last id."""
    whose = chosen(who, [name for name in (recipients or "").split(",") if name], "recipients")
    if len(whose) > cursor.MOST:
        raise bad("recipients", f"at most {cursor.MOST} inboxes on one stream")
    header = request.headers.get("last-event-id")
    field, given = ("Last-Event-ID", header) if header else ("after", after)
    resources: Resources = running(request).resources
    if len(resources.hub) >= resources.settings.stream_limit:
        raise Refused(503, "Too many streams", "this process has as many open streams as it may")
    addresses = [recipient.address for recipient in whose]
    numbers = await _begin(resources.hub, addresses, field, given)
    connection = resources.hub.connect(Cursor(numbers))
    return StreamingResponse(_events(request, connection), media_type="text/event-stream", headers=HEADERS)


async def _begin(hub: Hub, addresses: list[str], field: str, given: str | None) -> dict[str, int]:
    """Where each inbox goes on: behind the id given, else behind what was read."""
    try:
        known = cursor.parse(given, addresses) if given else {}
    except ValueError as error:
        raise bad(field, f"not an id of this stream: {error}") from None
    standing = await hub.arrivals.standing(addresses)
    for address, number in known.items():
        if number > standing[address].last_number:
            raise bad(field, f"{address} has no number {number}; begin anew without an id")
    return {address: known.get(address, standing[address].read_number) for address in addresses}


async def _events(request: Request, connection: Connection) -> AsyncIterator[bytes]:
    """Everything for one reader, until it goes, its process stops or its key has been revoked."""
    resources: Resources = running(request).resources
    check_at = time.monotonic() + KEY_SECONDS
    try:
        yield FIRST
        while not connection.ended:
            yield await resources.hub.take(connection, resources.settings.stream_heartbeat) or BEAT
            if time.monotonic() >= check_at:
                check_at = time.monotonic() + KEY_SECONDS
                await _check_key(request, connection)
    finally:
        resources.hub.leave(connection)


async def _check_key(request: Request, connection: Connection) -> None:
    token = request.headers.get("authorization", "")[7:].strip()
    if await request.app.state.keys.check(token) is None:
        connection.end("key")
