"""Intake over HTTP: hand tickets in, add to them, see where they are, and read an original on record."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from libs.shared.contracts.intake import FieldError
from libs.shared.web import Caller, Page, Refused, after, caller, command, page, problems, running
from services.intake import store
from services.intake.api.shape import SUBMITTED, Amendment, OriginalView, Received, Results, Search, TicketView, view
from services.intake.command import amendment, original, reception
from services.intake.domain.draft import Draft
from services.intake.domain.submission import MOST_TICKETS, Invalid, check, parse

router = APIRouter(tags=["tickets"])

Reader = Annotated[Caller, caller("publish", "agent", "supervise")]

FAST = 32 * 1024  # bytes; a larger body is checked and masked in a thread, off the event loop
LISTS_AT_ONCE = 4  # lists of tickets in one process's next transaction: 2,000 tickets at most


class _Payload(BaseModel):
    """What tells one request under an Idempotency-Key from another: the bytes of its body."""

    sha256: str


@router.post(
    "/v1/tickets",
    summary="Hand in one ticket, or up to 500",
    status_code=202,
    openapi_extra=SUBMITTED,
    responses={
        202: {
            "description": "Committed. One ticket: its id. A list: a result per item, all of them taken.",
            "model": Received | Results,
        },
        207: {
            "description": "A list of which some items were refused: see each result. What was taken is committed.",
            "model": Results,
        },
        **problems(400, 409, 413, 422),
    },
)
async def receive(request: Request, who: Annotated[Caller, caller("publish")]) -> Response:
    """Answered after the commit. Repeating a ticket under its (channel, external_ref) is safe.

    The same content gives the same ticket_id with `created: false`; another content is a 409 that names the fields.
    """
    raw = await request.body()
    try:
        now = running(request).now()
        many, items = await asyncio.to_thread(_read, raw, now) if len(raw) > FAST else _read(raw, now)
    except Invalid as error:
        raise Refused(
            400 if error.syntax else 422, "Bad request", str(error), errors=[each.model_dump() for each in error.errors]
        ) from None
    if not many and isinstance(items[0], Invalid):
        wrong = items[0]
        reception.count([wrong], "http")
        raise Refused(422, "Bad ticket", str(wrong), errors=[each.model_dump() for each in wrong.errors])
    args = reception.Receive(items, many, who.principal, request.headers.get("traceparent"))
    payload = _Payload(sha256=hashlib.sha256(raw).hexdigest())
    async with _room(request, many):
        return await command(request, reception.receive, args, key="", body=payload)


@router.post(
    "/v1/tickets/{ticket_id}/amendments",
    summary="Add what the customer adds or changes",
    status_code=202,
    responses=problems(400, 404, 409, 422),
)
async def amend(
    request: Request, ticket_id: UUID, body: Amendment, who: Annotated[Caller, caller("publish", "agent")]
) -> Response:
    """Goes straight to the departments that work on the ticket. 409 once the ticket is closed."""
    if await store.ticket(running(request), ticket_id) is None:
        raise Refused(404, "Not found", "there is no ticket with this id")
    args = amendment.Amend(ticket_id, body.text, who.principal)
    return await command(request, amendment.amend, args, key=str(ticket_id), body=body)


@router.get("/v1/tickets/{ticket_id}", summary="A ticket and where it is", responses=problems(404, 422))
async def show(request: Request, ticket_id: UUID, _: Reader) -> TicketView:
    """The ticket as published (masked), its stage, departments, times and measures."""
    row = await store.ticket(running(request), ticket_id)
    if row is None:
        raise Refused(404, "Not found", "there is no ticket with this id")
    amendments = await running(request).read(store.AMENDMENTS, ticket_id=ticket_id)
    return view(row, store.standing(row), amendments)


@router.get(
    "/v1/tickets/{ticket_id}/original",
    summary="What is masked elsewhere, read on record",
    responses=problems(404, 422),
)
async def show_original(request: Request, ticket_id: UUID, who: Annotated[Caller, caller("vault")]) -> OriginalView:
    """Customer's name and phone, and texts before masking. Each reading is recorded with the key's principal."""
    found = await original.read(running(request), ticket_id, who.principal, who.key_prefix)
    return OriginalView.model_validate(found)


@router.get("/v1/tickets", summary="Find tickets", response_model=Page, responses=problems(422))
async def find(request: Request, search: Annotated[Search, Query()], _: Reader) -> dict[str, Any]:
    """By the platform's own number, or a list by stage and time of receipt, newest first."""
    if (search.channel is None) != (search.external_ref is None):
        missing = "external_ref" if search.external_ref is None else "channel"
        reason = "channel and external_ref name a ticket together"
        raise Refused(422, "Bad request", errors=[{"field": missing, "reason": reason}])
    if search.channel:
        rows = await running(request).read(store.BY_REFERENCE, channel=search.channel, external_ref=search.external_ref)
    else:
        last = after(search.after, UUID)
        bounds = store.between(search.since, search.until, last[0] if last else None)
        rows = await store.page(running(request), search.stage, *bounds, limit=search.limit + 1)
    return page([dict(row._mapping) for row in rows], search.limit, lambda row: [row["ticket_id"]])


@asynccontextmanager
async def _room(request: Request, many: bool) -> AsyncIterator[None]:
    """Lets so many lists of tickets wait for one transaction that it stays short."""
    if not many:
        yield
        return
    state = request.app.state
    if not hasattr(state, "lists"):
        state.lists = asyncio.Semaphore(LISTS_AT_ONCE)
    async with cast(asyncio.Semaphore, state.lists):
        yield


def _read(raw: bytes, now: datetime) -> tuple[bool, tuple[Draft | Invalid, ...]]:
    """Whether a list was sent, and each ticket: checked and masked, or what is wrong with it. Raises Invalid."""
    value = parse(raw)
    many = isinstance(value, list) or (isinstance(value, dict) and "tickets" in value)
    if not many:
        return False, (_item(value, now, ""),)
    values = value if isinstance(value, list) else value["tickets"]
    if isinstance(value, dict) and len(value) > 1:
        unknown = [name for name in value if name != "tickets"]
        raise Invalid(*(FieldError(field=name[:60], reason="is not a known field beside tickets") for name in unknown))
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_TICKETS:
        raise Invalid(FieldError(field="tickets", reason=f"must be a list of 1 to {MOST_TICKETS} tickets"))
    return True, tuple(_item(each, now, f"tickets.{index}") for index, each in enumerate(values))


def _item(value: Any, now: datetime, within: str) -> Draft | Invalid:
    try:
        return Draft.of(check(value, now, within))
    except Invalid as error:
        return error
