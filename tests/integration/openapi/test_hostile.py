"""What no generator thinks of, in every place of every service: texts no column holds, numbers beyond 64 bits, times
before all time, cursors nobody gave, bodies that are none. Each is refused by a documented status, never by a 5xx."""

import base64
import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import yaml

from libs.operate import asyncapi
from tests.integration.openapi import furniture
from tests.integration.openapi.serving import Names
from tests.running import harness

TEXTS = ["\x00", "a\x00b", "9" * 30, str(2**63), "-1", "NaN", "a" * 9000, "0001-01-01T00:00:00+14:00",
         "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", "0.5", "agent:\x00"]  # fmt: skip
ID = "00000000-0000-0000-0000-000000000000"
CURSORS = [["\x00"], [2**63], [None], [[]], [True], {"a": 1}, [1e308], ["0001-01-01T00:00:00+14:00", ID],
           ["2026-01-01T00:00:00", ID], [False, "9999-12-31T23:59:59-14:00", ID]]  # fmt: skip
VALUES = ["a\x00b", "\ud800", "a" * 900_000, 2**63, True, 0.5, [], {}, "0001-01-01T00:00:00+14:00"]
BODIES = [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b'{"\\ud800": 1}', b"null",
          b'{"\\u0000": 1}', b"1" * 5000, b"NaN", b'"' + b"a" * 1024 * 1024 + b'"', b"\xef\xbb\xbf{}"]  # fmt: skip
TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=nope"]


@pytest.mark.parametrize("name", sorted(furniture.SERVICES))
async def test_nothing_that_is_sent_makes_a_service_break(database: str, name: str) -> None:
    service = furniture.SERVICES[name]
    async with harness(service, database, **furniture.SETTINGS.get(name, {})) as h:
        names = await furniture.furnish(h)
        document = json.loads(json.dumps(yaml.safe_load(asyncapi.openapi(service))))
        async with h.client("root", "admin") as client:
            wrong = []
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    if path != "/v1/stream":
                        requests = [*_addresses(path, operation, names), *_bodies(path, operation, document, names)]
                        documented = {int(status) for status in operation["responses"]} - {500, 503}
                        for what, request in requests:
                            headers = {"Idempotency-Key": uuid4().hex, "X-Agent-Id": "a1", **request.pop("headers", {})}
                            answer = await client.request(method, headers=headers, **request)
                            if not _fits(answer, documented):
                                wrong.append((method, path, what[:60], answer.status_code, answer.text[:200]))
                for method in ("HEAD", "OPTIONS", "TRACE", "FOO"):
                    answer = await client.request(method, _at(path, names))
                    if answer.status_code != 405 or set(answer.headers["allow"].split(", ")) < {
                        each.upper() for each in operations
                    }:
                        wrong.append((method, path, "", answer.status_code, answer.headers.get("allow", "")))
    assert wrong == []


def _fits(answer: httpx.Response, documented: set[int]) -> bool:
    if answer.is_success:
        return answer.status_code in documented
    # A path of nobody's is 404.
    return answer.status_code in documented | {404} and answer.headers["content-type"] == "application/problem+json"


def _at(path: str, names: Names) -> str:
    """The path with ids of real things in it."""
    for name, values in names.items():
        path = path.replace(f"{{{name}}}", quote(values[0], safe=""))
    return path


def _addresses(path: str, operation: dict[str, Any], names: Names) -> list[tuple[str, dict[str, Any]]]:
    """Each text in each parameter."""
    found: list[tuple[str, dict[str, Any]]] = []
    for parameter in operation.get("parameters", []):
        name, where = parameter["name"], parameter["in"]
        cursors = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in CURSORS]
        for text in [*TEXTS, *(cursors if name == "after" else [])]:
            if where == "query":
                known = {"department": "meter"} if path == "/v1/deliveries" else {}
                found.append((f"?{name}={text!r}", {"url": _at(path, names), "params": {**known, name: text}}))
            elif where == "path":
                found.append((f"{name}={text!r}", {"url": _at(path, {**names, name: [text]})}))
            elif text.isprintable():
                found.append((f"{name}: {text!r}", {"url": _at(path, names), "headers": {name: text}}))
    return found


def _bodies(
    path: str, operation: dict[str, Any], document: dict[str, Any], names: Names
) -> list[tuple[str, dict[str, Any]]]:
    """Each value in each field, bodies that are no JSON, and good ones under a wrong name."""
    if "requestBody" not in operation:
        return []
    url, parts = _at(path, names), document["components"]["schemas"]
    content = operation["requestBody"]["content"]
    if "application/json" not in content:
        query = {"revision": 1, "reason": "x"}
        return [
            (str(body[:40]), {"url": url, "params": query, "headers": {"content-type": kind}, "content": body})
            for body in BODIES
            for kind in content
        ]
    schema = content["application/json"]["schema"]
    schema = schema.get("oneOf", schema.get("anyOf", [schema]))[0]
    schema = parts[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    good = {name: _good(schema["properties"][name], parts) for name in schema.get("required", [])}
    json_ = {"content-type": "application/json"}
    found: list[tuple[str, dict[str, Any]]] = [
        (f"{name}={str(value)[:40]!r}", {"url": url, "headers": json_, "content": json.dumps({**good, name: value})})
        for name in schema.get("properties", {})
        for value in VALUES
    ]
    found += [(str(body[:40]), {"url": url, "headers": json_, "content": body}) for body in BODIES]
    return found + [
        (kind, {"url": url, "headers": {"content-type": kind}, "content": json.dumps(good)}) for kind in TYPES
    ]


def _good(schema: dict[str, Any], parts: dict[str, Any]) -> Any:
    match schema:
        case {"$ref": str(name)}:
            return _good(parts[name.rsplit("/", 1)[1]], parts)
        case {"enum": [first, *_]} | {"const": first}:
            return first
        case {"type": "integer"}:
            return schema.get("minimum", 1)
        case {"type": "boolean"}:
            return True
        case {"type": "array"}:
            return []
        case {"type": "object"}:
            return {}
        case {"format": "date-time"}:
            return "2026-01-01T00:00:00Z"
        case _:
            return "abc"
