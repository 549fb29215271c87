"""For administrators: where departments' webhooks go, and the keys they are signed with."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from libs.shared import outgoing
from libs.shared.db import Transaction
from libs.shared.web import Caller, Refused, after, caller, command, page, problems, running
from services.dispatch import store
from services.dispatch.api import sent, view
from services.dispatch.command import endpoint as commands
from services.dispatch.delivery import signing
from services.dispatch.domain.endpoint import Endpoint

router = APIRouter(tags=["endpoints"])

Admin = Annotated[Caller, caller("admin")]
Department = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[^\x00/]+$")]
MOST_KEYS = 5  # valid at a time: a header with more signatures is refused by receivers


@router.get("/v1/endpoints", summary="Endpoints", responses=problems(422))
async def endpoints(
    request: Request,
    _: Admin,
    limit: sent.Limit = 50,
    after_: Annotated[str | None, Query(alias="after", max_length=500)] = None,
) -> view.EndpointPage:
    """By department."""
    last = after(after_, str)
    rows = await store.endpoint.page(running(request), last[0] if last else "", limit + 1)
    return view.EndpointPage.model_validate(
        page([_view(row) for row in rows], limit, lambda item: [item["department"]])
    )


@router.get("/v1/endpoints/{department}", summary="An endpoint and how it does", responses=problems(404, 422))
async def show(request: Request, department: Department, _: Admin) -> view.EndpointDetail:
    """State, breaker, counters, public keys and what waits."""
    process = running(request)
    found = await _found(request, department)
    keys = (await store.endpoint.keys(process, [department])).get(department, [])
    shown = [{"public": key.public, "created_at": key.created_at, "expires_at": key.expires_at} for key in keys]
    backlog = await store.endpoint.backlog(process, department)
    return view.EndpointDetail.model_validate({**_view(found), "keys": shown, "backlog": backlog})


@router.put(
    "/v1/endpoints/{department}",
    summary="Make or change an endpoint",
    response_model=view.EndpointSecrets,
    responses={201: {"model": view.EndpointSecrets, "description": "Created, with its secret"}, **problems(422)},
)
async def put(request: Request, department: Department, body: sent.EndpointBody, _: Admin) -> Response:
    """A new one answers its secret and public key, once. A change keeps the keys and resets the breaker."""
    _check(body)
    async with running(request).transaction([f"endpoint:{department}"]) as tx:
        before = await store.endpoint.find(tx, department)
        await store.endpoint.put(
            tx,
            department,
            url=body.url,
            networks=body.networks,
            concurrency=body.concurrency,
            timeout_seconds=body.timeout_seconds,
            state=body.state,
        )
        await store.ticket.know_code(tx, department)
        key = await _new_key(tx, department) if before is None else None
        found = await store.endpoint.find(tx, department)
        assert found is not None
        tx.after_commit(lambda: tx.running.wake("endpoints"))
        tx.after_commit(lambda: tx.running.wake("sweep"))
    return _secrets(201 if key else 200, found, key)


@router.delete(
    "/v1/endpoints/{department}", summary="Remove an endpoint", status_code=204, responses=problems(404, 422)
)
async def delete(request: Request, department: Department, _: Admin) -> Response:
    """What was on its way goes to the department's inbox."""
    async with running(request).transaction([f"endpoint:{department}"]) as tx:
        gone = await store.endpoint.delete(tx, department)
        tx.after_commit(lambda: tx.running.wake("endpoints"))
        tx.after_commit(lambda: tx.running.wake("sweep"))
    if not gone:
        raise Refused(404, "Not found", "this department has no endpoint")
    return Response(status_code=204)


@router.post(
    "/v1/endpoints/{department}/rotate",
    summary="A new key beside the old one",
    response_model=view.EndpointSecrets,
    responses=problems(404, 409, 422),
)
async def rotate(request: Request, department: Department, _: Admin, body: sent.RotateBody | None = None) -> Response:
    """Every webhook carries signatures of all valid keys, so the department can change over at any time in between.

    Not idempotent: each call makes a key.
    """
    overlap = timedelta(seconds=(body or sent.RotateBody()).overlap_seconds)
    async with running(request).transaction([f"endpoint:{department}"]) as tx:
        found = await store.endpoint.find(tx, department)
        if found is None:
            raise Refused(404, "Not found", "this department has no endpoint")
        valid = (await store.endpoint.keys(tx, [department])).get(department, [])
        if overlap and len(valid) >= MOST_KEYS:
            raise Refused(409, "Too many keys", f"{MOST_KEYS} keys are valid; wait until one expires or use overlap 0")
        await store.endpoint.retire_keys(tx, department, overlap)
        key = await _new_key(tx, department)
        tx.after_commit(lambda: tx.running.wake("endpoints"))
    return _secrets(200, found, key)


@router.post(
    "/v1/endpoints/{department}/test",
    summary="Send a signed test event",
    status_code=202,
    response_model=view.Queued,
    responses=problems(400, 404, 409, 422),
)
async def send_test(request: Request, department: Department, who: Admin, body: sent.Nothing | None = None) -> Response:
    """Its fate is at /v1/deliveries/{delivery_id}: tried for a minute, then settled as `inbox` where it failed."""
    args = commands.Test(department, who.principal)
    return await command(request, commands.test, args, key=f"endpoint:{department}", body=body)


def _check(body: sent.EndpointBody) -> None:
    """Raises Refused naming the field."""
    field = "networks"
    try:
        networks = outgoing.parse_networks(body.networks)
        field = "url"
        outgoing.check_url(body.url, networks)
    except ValueError as error:
        reason = str(error)
        raise Refused(422, "Bad request", f"{field}: {reason}", errors=[{"field": field, "reason": reason}]) from None


async def _new_key(tx: Transaction, department: str) -> signing.Key:
    delivery_keys: tuple[bytes, ...] = tx.running.resources.delivery_keys
    if not delivery_keys:
        raise Refused(503, "No delivery key", "set ZHIDA_DELIVERY_KEY or ZHIDA_DELIVERY_KEY_FILE for dispatch first")
    key, key_id = signing.new_key(), tx.new_id()
    sealed = signing.seal(key, delivery_keys, signing.place(department, key_id))
    await store.endpoint.add_key(tx, department, sealed, key.public, key_id)
    return key


async def _found(request: Request, department: str) -> Endpoint:
    found = await store.endpoint.find(running(request), department)
    if found is None:
        raise Refused(404, "Not found", "this department has no endpoint")
    return found


def _view(endpoint: Endpoint) -> dict[str, Any]:
    flat = asdict(endpoint)
    return {
        **flat,
        "networks": list(endpoint.networks),
        "breaker": endpoint.breaker.state,
        "failures_in_a_row": endpoint.breaker.failures,
        "blocked_until": endpoint.breaker.blocked_until,
        "failed_attempts": endpoint.failed,
    }


def _secrets(status: int, endpoint: Endpoint, key: signing.Key | None) -> Response:
    told = {**_view(endpoint), "secret": key.shared if key else None, "public_key": key.public if key else None}
    content = view.EndpointSecrets.model_validate(told).model_dump(mode="json")
    return JSONResponse(content, status, headers={"Cache-Control": "no-store"})
