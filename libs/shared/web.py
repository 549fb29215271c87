"""HTTP: one FastAPI application per service, every error as problem+json (RFC 9457), every endpoint behind a key."""

import base64
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

import orjson
import starlette.exceptions
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.shared import db, storable, telemetry
from libs.shared.command import Answer, Command, Refused
from libs.shared.events import json_bytes
from libs.shared.keys import Caller
from libs.shared.service import Handler, Running, Service

__all__ = [
    "Answer",
    "Body",
    "Caller",
    "Page",
    "Refused",
    "caller",
    "command",
    "cursor",
    "idempotency_key",
    "page",
    "problems",
    "running",
]

MAX_BODY = 1024 * 1024  # bytes


class Body(BaseModel):
    """A request body: unknown fields are refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    reason: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    errors: list[FieldProblem] = Field(default_factory=list)


class Page(BaseModel):
    """One page of a list; `next` is the cursor of the following one, null at the end."""

    items: list[dict[str, Any]]
    next: str | None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can refuse with these statuses, beside those every route has."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"}}}}
        for status in sorted({401, 403, 500, 503, *statuses})
    }  # fmt: skip


def running(request: Request) -> Running:
    """The running service behind a request."""
    found: Running = request.app.state.running
    return found


def caller(*scopes: str) -> Any:
    """Dependency: the caller, who must hold one of the scopes (or `admin`)."""
    bearer = HTTPBearer(auto_error=False, description=f"API key with scope {' or '.join(scopes)}")

    async def check(request: Request, token: Any = Depends(bearer)) -> Caller:
        found = await request.app.state.keys.check(token.credentials) if token else None
        if found is None:
            raise Refused(401, "Unauthorized", "send a valid API key as 'Authorization: Bearer prefix.secret'")
        if not found.scopes & {*scopes, "admin"}:
            raise Refused(403, "Forbidden", f"this key lacks the scope {' or '.join(scopes)}")
        request.state.caller = found
        return found  # type: ignore[no-any-return]

    return Depends(check)


def idempotency_key(request: Request) -> str:
    """The request's Idempotency-Key; Refused where it is missing or bad. For what looks something up beforehand."""
    name = request.headers.get("idempotency-key", "")
    if not name or len(name) > 255 or not (name.isascii() and name.isprintable()):
        reason = "required: 1 to 255 visible ASCII characters, a new one for each new request"
        raise Refused(400, "Bad Idempotency-Key", reason, errors=[{"field": "Idempotency-Key", "reason": reason}])
    return name


async def command(
    request: Request,
    handler: Handler,
    args: Any,
    *,
    key: str,
    further: Sequence[str] = (),
    body: BaseModel | None = None,
) -> Response:
    """Run a command in the next batch and answer once it is committed.

    Args: `key` the stream to lock ("": none), `further` more of them; `body` what the fingerprint is made
        of, beside method and path.
    Raises: Refused: 400 where the Idempotency-Key is missing or bad, and all that `Flusher.do` refuses.
    """
    name = idempotency_key(request)
    payload = body.model_dump_json().encode() if body else b""
    answer = await request.app.state.flusher.do(
        Command(
            handler,
            args,
            key,
            request.state.caller.principal,
            name,
            hashlib.sha256(b"\n".join([request.method.encode(), request.scope["path"].encode(), payload])).digest(),
            telemetry.cause(request.headers.get("traceparent")),
            tuple(further),
        )
    )
    return Response(json_bytes(answer.body), answer.status, media_type="application/json")


def cursor(*values: Any) -> str:
    """An opaque cursor of a row's sort key: strings, numbers, UUIDs, datetimes."""
    return base64.urlsafe_b64encode(json_bytes(list(values))).decode().rstrip("=")


def after(text: str | None, *kinds: Callable[[Any], Any]) -> tuple[Any, ...] | None:
    """A cursor's values, each made by its kind (str, int, UUID, datetime.fromisoformat); Refused where it is bad."""
    if not text:
        return None
    try:
        values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return tuple(storable.value(kind(value)) for kind, value in zip(kinds, values, strict=True))
    except (ValueError, TypeError, AttributeError, OverflowError):
        reason = "not a cursor of this list: use the `next` of the page before"
        raise Refused(422, "Bad request", errors=[{"field": "after", "reason": reason}]) from None


def page(rows: Sequence[dict[str, Any]], limit: int, key: Callable[[dict[str, Any]], Sequence[Any]]) -> dict[str, Any]:
    """A page out of up to `limit + 1` rows; `key` gives the sort key of one."""
    shown = list(rows[:limit])
    return {"items": shown, "next": cursor(*key(shown[-1])) if len(rows) > limit and shown else None}


def problem(status: int, title: str, detail: str = "", **extra: Any) -> Response:
    """A problem+json response."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    headers = {"Retry-After": "1"} if status == 503 else {}
    headers |= {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(json_bytes(content), status, headers, "application/problem+json")


def application(
    service: Service, routers: Sequence[APIRouter], lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]
) -> FastAPI:
    """The service's application with these routers beside its own; `run.attach` puts the process behind it."""
    app = FastAPI(
        title=f"Zhida {service.name}",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        default_response_class=JSONResponse,
        separate_input_output_schemas=False,
    )
    for router in (service.serves, *routers):
        app.include_router(router)
    _health(app)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return problem(error.status, error.title, error.detail, **error.extra)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        errors = [{"field": _field(each["loc"]), "reason": each["msg"]} for each in error.errors()]
        syntax = any(each["type"] == "json_invalid" for each in error.errors())
        status = 400 if syntax else 422
        return problem(
            status, "Bad request", "; ".join(f"{e['field']}: {e['reason']}" for e in errors[:10]), errors=errors
        )

    @app.exception_handler(starlette.exceptions.HTTPException)
    async def http(request: Request, error: starlette.exceptions.HTTPException) -> Response:
        response = problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail or ""))
        response.headers.update(error.headers or {})
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_methods(app.routes, request.scope))
        return response

    app.add_middleware(Edge)
    return app


def _methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """The methods of every route at this path: a router's own 405 names those of the first one only."""
    known = [context.original_route for context in iter_route_contexts(routes)]
    fitting = [route for route in known if route.matches(scope)[0] is not Match.NONE]
    return sorted({method for route in fitting for method in getattr(route, "methods", None) or ()})


def _failed(error: Exception, path: str | None) -> Response:
    """What nobody caught, as a problem."""
    if isinstance(error, Refused):
        return problem(error.status, error.title, error.detail, **error.extra)
    telemetry.log.error("request_failed", path=path, error=db.describe(error))
    return problem(500, "Internal error") if db.is_poison(error) else problem(503, "Temporarily unavailable")


class Edge:
    """Outermost: limits the body, counts requests, and turns what nobody caught into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, seen, status = time.perf_counter(), 0, 500
        started = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY:
                raise HTTPException(413, f"a request may have {MAX_BODY} bytes")
            return message

        async def noted(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
            await send(message)

        try:
            if (b"%00" in scope["query_string"] or "\x00" in scope["path"]) and (wrong := storable.wrong(scope)):
                await problem(422, "Bad request", errors=wrong)(scope, receive, noted)
                return
            await self.app(scope, counted, noted)
        except Exception as error:
            if started:
                raise
            await _failed(error, scope.get("path"))(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            telemetry.REQUESTS.labels(route, str(status)).observe(time.perf_counter() - began)


def _field(place: Sequence[Any]) -> str:
    parts = [str(part) for part in place]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] in {"body", "query", "path", "header"} else parts)


def _health(app: FastAPI) -> None:
    @app.get("/livez", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/startupz", include_in_schema=False)
    @app.get("/readyz", include_in_schema=False)
    async def ready(request: Request) -> Response:
        process = running(request)
        reasons = dict(process.unready)
        if process.stopping.is_set():
            reasons["process"] = "stopping"
        if reasons:
            return Response(json_bytes({"status": "not ready", "reasons": reasons}), 503, media_type="application/json")
        return Response(json_bytes({"status": "ok"}), media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
