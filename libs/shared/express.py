"""The short way of a command: what FastAPI would do with the request, without its layers (two thirds of the CPU time).

A route takes it when its endpoint answers a Response and asks for nothing but the request, ids out of the path, the
caller, one JSON body and plain headers. Where anything is not in order with a request (no key, no scope, a body that
does not fit) it takes the long way, from its beginning: errors are made in one place only.
"""

import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints
from uuid import UUID

from fastapi import Request, Response, params
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, TypeAdapter
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope

Endpoint = Callable[..., Awaitable[Response]]
Reading = Callable[[Mapping[bytes, bytes], bytes], Any]  # headers and body → an argument


class LongWay(Exception):
    """Something is not in order with this request."""


@dataclass(frozen=True, slots=True)
class Express:
    """One route that takes the short way."""

    path: str
    parts: tuple[str, ...]  # of the path; "" stands for an id
    endpoint: Endpoint
    request: str  # name of the argument, like the next
    caller: str
    scopes: frozenset[str]
    ids: tuple[str, ...]  # in the order of the path
    others: tuple[tuple[str, Reading], ...]

    @classmethod
    def of(cls, route: BaseRoute) -> Self | None:
        """The short way of this route; None: it has none."""
        if not isinstance(route, APIRoute) or route.methods != {"POST"}:
            return None
        hints = get_type_hints(route.endpoint, include_extras=True)
        if hints.pop("return", None) is not Response:
            return None
        parts = tuple("" if each.startswith("{") else each for each in route.path.split("/"))
        names = [each[1:-1] for each in route.path.split("/") if each.startswith("{")]
        asked, known, others = "", ("", frozenset[str]()), []
        for name in inspect.signature(route.endpoint).parameters:
            scopes = _scopes(hints[name])
            if hints[name] is Request:
                asked = name
            elif scopes is not None:
                known = name, scopes
            elif name in names and hints[name] is UUID:
                continue
            elif reading := _header(hints[name]) or _body(hints[name]):
                others.append((name, reading))
            else:
                return None
        if not asked or not known[0]:
            return None
        return cls(route.path, parts, route.endpoint, asked, *known, tuple(names), tuple(others))

    async def answer(self, scope: Scope, body: bytes) -> Response:
        """Do what the endpoint does. Raises LongWay, or whatever the endpoint raises."""
        headers = dict(scope["headers"])
        try:
            given: dict[str, Any] = {name: reading(headers, body) for name, reading in self.others}
            places = (part for part, known in zip(scope["path"].split("/"), self.parts, strict=True) if not known)
            given |= {name: UUID(place) for name, place in zip(self.ids, places, strict=True)}
        except ValueError:  # pydantic's are ValueErrors too
            raise LongWay from None
        kind, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        caller = await scope["app"].state.keys.check(key.strip()) if kind.lower() == "bearer" else None
        if caller is None or not caller.scopes & self.scopes:
            raise LongWay

        async def read() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        request = Request(scope, read)
        request.state.caller = caller
        given |= {self.request: request, self.caller: caller}
        return await self.endpoint(**given)


@dataclass
class Timetable:
    """All short ways of an application."""

    routes: dict[int, list[Express]] = field(default_factory=lambda: defaultdict(list))  # by number of parts

    @classmethod
    def of(cls, routes: Sequence[BaseRoute]) -> Self:
        """Those of these routes that have one."""
        found = cls()
        for context in iter_route_contexts(routes):
            if way := Express.of(context.original_route):
                found.routes[len(way.parts)].append(way)
        return found

    def find(self, scope: Scope) -> Express | None:
        """The short way this request may take."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        parts = scope["path"].split("/")
        for way in self.routes.get(len(parts), ()):
            if all(known in ("", part) for part, known in zip(parts, way.parts, strict=True)):
                return way
        return None


def methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """The methods of every route at this path: a router's own 405 names those of the first one only."""
    known = [context.original_route for context in iter_route_contexts(routes)]
    fitting = [route for route in known if route.matches(scope)[0] is not Match.NONE]
    return sorted({method for route in fitting for method in getattr(route, "methods", None) or ()})


async def read(receive: Receive, limit: int) -> tuple[bytes, Receive]:
    """The request's body, and a way to read all of it again; what lies beyond the limit is left unread."""
    messages: list[Message] = []
    body, more = b"", True
    while more and len(body) <= limit:
        messages.append(await receive())
        body += messages[-1].get("body", b"")
        more = messages[-1].get("more_body", False)
    left = iter(messages)

    async def again() -> Message:
        message = next(left, None)
        return message if message is not None else await receive()

    return body, again


def _scopes(hint: Any) -> frozenset[str] | None:
    """What a caller must have, one of them, where this argument is one."""
    for each in _notes(hint):
        if isinstance(each, params.Depends):
            found: frozenset[str] | None = getattr(each.dependency, "scopes", None)
            return found
    return None


def _header(hint: Any) -> Reading | None:
    named = [each.alias for each in _notes(hint) if isinstance(each, params.Header) and each.alias]
    if not named:
        return None
    adapter, name = TypeAdapter[Any](hint), named[0].lower().encode()

    def read(headers: Mapping[bytes, bytes], _: bytes) -> Any:
        return adapter.validate_python(headers[name].decode("latin-1")) if name in headers else None

    return read


def _body(hint: Any) -> Reading | None:
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    if len(kinds) != 1 or not isinstance(kinds[0], type) or not issubclass(kinds[0], BaseModel):
        return None
    adapter, optional = TypeAdapter[Any](hint), type(None) in get_args(hint)

    def read(headers: Mapping[bytes, bytes], body: bytes) -> Any:
        if not body and optional:
            return None
        if not headers.get(b"content-type", b"").startswith(b"application/json"):
            raise LongWay
        return adapter.validate_json(body)

    return read


def _notes(hint: Any) -> Iterable[Any]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()
