"""For matrix owners: drafts of the next version, from the first cell to the effective time."""

import asyncio
import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import Row

from libs.shared.db import Poison
from libs.shared.web import Caller, Refused, after, caller, command, cursor, idempotency_key, problems, running
from services.classification import draft, packs, registry, store
from services.classification.api import shape_draft as shape
from services.classification.current import current
from services.classification.domain import pack
from services.classification.domain.draft import Change, differences
from services.classification.domain.matrix import Matrix, MatrixError

router = APIRouter(prefix="/v1/matrix", tags=["matrix"])

Owner = Annotated[Caller, caller("matrix")]
Reader = Annotated[Caller, caller("matrix", "review", "supervise")]
Format = Literal["yaml", "xlsx"]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[str | None, Query(alias="after", max_length=500, description="`next` of the page before")]
MEDIA = {"yaml": "application/yaml", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
FILES: dict[str, Any] = {
    MEDIA["yaml"]: {"schema": {"type": "object", "additionalProperties": True}},
    MEDIA["xlsx"]: {"schema": {"type": "string", "format": "binary"}},
}


class _Payload(BaseModel):
    """What tells one file from another under an Idempotency-Key."""

    revision: int
    reason: str
    sha256: str


@router.get("/drafts", summary="Drafts, the latest first", responses=problems(422))
async def drafts(
    request: Request,
    who: Reader,
    state: Annotated[Literal["open", "published", "discarded"] | None, Query()] = None,
    limit: Limit = 50,
    after_: After = None,
) -> shape.DraftPage:
    """Without what is in them."""
    [before] = after(after_, int) or (None,)
    rows = await store.draft.page(running(request), state, before, limit + 1)
    more = len(rows) > limit
    return shape.DraftPage(
        items=[shape.DraftSummary(**_summary(row)) for row in rows[:limit]],
        next=cursor(rows[limit - 1].draft_id) if more else None,
    )


@router.post(
    "/drafts",
    summary="Begin a draft",
    status_code=201,
    response_model=shape.Opened,
    responses=problems(400, 404, 409, 422),
)
async def open_draft(request: Request, body: shape.OpenBody, who: Owner) -> Response:
    """As a kept version is; what is in force stays so until the draft is published."""
    idempotency_key(request)
    base = await kept(request, body.version) if body.version else (await current(running(request)).in_force()).matrix
    args = draft.Open(body.title, base, who.principal, body.reason)
    return await command(request, draft.open_draft, args, key=registry.LOCK, body=body)


@router.get("/drafts/{draft_id}", summary="A draft with all that it changes", responses=problems(404, 422))
async def one_draft(request: Request, draft_id: Number, who: Reader) -> shape.DraftView:
    """Its differences to the version it began from, what is wrong with it, and its what-if."""
    row = await _draft(request, draft_id)
    base = pack.form(await kept(request, row.base))
    found = await asyncio.to_thread(differences, base, row.form)
    what_if = shape.WhatIfOutcome(**_trial(row), outcome=row.outcome) if row.trial_state else None
    plain = [shape.CellDifference(**each.plain()) for each in found]
    return shape.DraftView(**{**_summary(row), "what_if": what_if}, differences=plain)


@router.get("/drafts/{draft_id}/changes", summary="Who changed what, and why", responses=problems(404, 422))
async def draft_changes(
    request: Request, draft_id: Number, who: Reader, limit: Limit = 50, after_: After = None
) -> shape.DraftChanges:
    """The latest first; the first revision is how the draft was opened."""
    await _draft(request, draft_id)
    [before] = after(after_, int) or (None,)
    rows = await store.draft.changes(running(request), draft_id, before, limit + 1)
    return shape.DraftChanges(
        items=[shape.DraftChange(**row._asdict()) for row in rows[:limit]],
        next=cursor(rows[limit - 1].revision) if len(rows) > limit else None,
    )


@router.patch(
    "/drafts/{draft_id}",
    summary="Change cells and rows of a draft",
    response_model=shape.Changed,
    responses=problems(400, 404, 409, 422),
)
async def change_draft(request: Request, draft_id: Number, body: shape.ChangesBody, who: Owner) -> Response:
    """All of the changes or none. What is then wrong with the matrix is told and may be mended by the next change.

    409 where somebody else changed the draft meanwhile.
    """
    changes = tuple(Change(**each.model_dump()) for each in body.changes)
    args = draft.Change(draft_id, body.revision, changes, who.principal, body.reason)
    return await command(request, draft.change, args, key=registry.LOCK, body=body)


@router.put(
    "/drafts/{draft_id}/file",
    summary="Replace a draft by a file",
    response_model=shape.Changed,
    responses=problems(400, 404, 409, 413, 422),
    openapi_extra={"requestBody": {"required": True, "content": FILES}},
)
async def replace_draft(
    request: Request,
    draft_id: Number,
    who: Owner,
    revision: Annotated[int, Query(ge=1, description="the draft's revision as you have seen it")],
    reason: Annotated[str, Query(min_length=1, max_length=500, description="why; kept beside the change")],
) -> Response:
    """YAML or an Excel workbook, known by its first bytes. A file with faults changes nothing and names every one."""
    idempotency_key(request)
    data = await request.body()
    try:
        matrix = await asyncio.to_thread(packs.parse, data)
    except MatrixError as error:
        errors = [{"field": each.place, "reason": f"{each.reason} ({each.spot})"} for each in error.problems]
        raise Refused(422, "Bad file", f"{len(errors)} faults; nothing was changed", errors=errors) from None
    args = draft.Replace(draft_id, revision, matrix, who.principal, reason)
    payload = _Payload(revision=revision, reason=reason, sha256=hashlib.sha256(data).hexdigest())
    return await command(request, draft.replace, args, key=registry.LOCK, body=payload)


@router.get(
    "/drafts/{draft_id}/file",
    summary="A draft as a file",
    response_class=Response,
    responses={200: {"content": FILES}, **problems(404, 422)},
)
async def draft_file(
    request: Request, draft_id: Number, who: Reader, format_: Annotated[Format, Query(alias="format")] = "yaml"
) -> Response:
    """To edit elsewhere and put back."""
    row = await _draft(request, draft_id)
    return await file(row.form, format_, f"draft-{draft_id}")


@router.post(
    "/drafts/{draft_id}/what-if",
    summary="Try a draft out on past tickets",
    status_code=202,
    response_model=shape.Asked,
    responses=problems(400, 404, 409, 422),
)
async def try_draft(request: Request, draft_id: Number, body: shape.TryBody, who: Owner) -> Response:
    """Runs in the background; the draft shows how far it is, and keeps what it gave as evidence.

    Asked again it begins anew.
    """
    args = draft.Try(draft_id, body.days, who.principal)
    return await command(request, draft.try_out, args, key=registry.LOCK, body=body)


@router.post(
    "/drafts/{draft_id}/publish",
    summary="Put a draft in force",
    response_model=shape.Scheduled,
    responses=problems(400, 404, 409, 422),
)
async def publish_draft(request: Request, draft_id: Number, body: shape.PublishBody, who: Owner) -> Response:
    """At once or from `effective_at` on. Every process has it within seconds.

    409 where it is not valid, its present revision was not tried out, or another version came in force meanwhile.
    """
    args = draft.Publish(draft_id, body.revision, who.principal, body.reason, body.effective_at, body.over)
    return await command(request, draft.publish, args, key=registry.LOCK, body=body)


@router.post(
    "/drafts/{draft_id}/discard",
    summary="Lay a draft aside",
    response_model=shape.Asked,
    responses=problems(400, 404, 409, 422),
)
async def discard_draft(request: Request, draft_id: Number, body: shape.ReasonBody, who: Owner) -> Response:
    """It can be read on."""
    args = draft.Discard(draft_id, who.principal, body.reason)
    return await command(request, draft.discard, args, key=registry.LOCK, body=body)


async def kept(request: Request, version: str) -> Matrix:
    """A kept matrix version; Refused where there is none."""
    try:
        return await current(running(request)).matrix(version)
    except Poison as error:
        raise Refused(404, "Not found", str(error)) from None


async def file(form: dict[str, Any], format_: Format, name: str) -> Response:
    """A form as a file to download."""
    data = await asyncio.to_thread(packs.text_of, form, format_)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format_}"'}
    return Response(data, media_type=MEDIA[format_], headers=headers)


async def _draft(request: Request, draft_id: int) -> Row[Any]:
    row = await store.draft.one(running(request), draft_id)
    if row is None:
        raise Refused(404, "Not found", f"there is no draft {draft_id}")
    return row


def _summary(row: Row[Any]) -> dict[str, Any]:
    fields = {key: value for key, value in row._asdict().items() if key in shape.DraftSummary.model_fields}
    return {**fields, "what_if": shape.WhatIf(**_trial(row)) if row.trial_state else None}


def _trial(row: Row[Any]) -> dict[str, Any]:
    names = ("days", "done", "total", "asked_by", "asked_at", "ended_at", "fault")
    return {"revision": row.tried_revision, "state": row.trial_state, **{name: getattr(row, name) for name in names}}
