"""Schemathesis asks every service what its OpenAPI document allows and what it does not, with things there to be found.

What must hold of each answer: no 5xx, a documented status and content type, a body that fits its schema; what the
document forbids is refused, what needs a key is refused without one, and an unknown method is 405.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import schemathesis
import yaml
from schemathesis.engine import Status, events, from_schema

from deploy.local import postgres
from deploy.local.backend import Backend
from libs.operate import asyncapi
from tests.conftest import fresh_name
from tests.integration.openapi import furniture
from tests.integration.openapi.serving import Names, Served, serving

VARIABLE = "ZHIDA_PROPERTY_EXAMPLES"
EXAMPLES = 4  # of each operation and kind of data, beside those at every bound of the schema
PRINCIPALS = {
    "root": ["admin"],
    "a1": ["agent", "review"],
    "meter": ["department"],
    "chief": ["supervise"],
    "call-centre": ["publish"],
}
NOT_ASKED = ["/v1/stream"]  # never ends; tests/integration/notification/test_stream.py
SHADOWED = "/v1/deliveries/replay"  # under GET it is /v1/deliveries/{delivery_id}, and its id is refused
_number = count()


@pytest.fixture(scope="module", params=sorted(furniture.SERVICES))
def served(stores: Backend, request: pytest.FixtureRequest) -> Iterator[Served]:
    """One service after the other, furnished, on a port."""
    name = fresh_name("test")
    url = asyncio.run(postgres.create_database(stores.owner_database_url, name))
    settings = furniture.SETTINGS.get(request.param, {})
    with serving(furniture.SERVICES[request.param], url, furniture.furnish, PRINCIPALS, **settings) as running:
        yield running
    asyncio.run(postgres.drop_database(stores.owner_database_url, name))


@pytest.mark.filterwarnings("ignore")  # of the generator's own, about our schemas' corners
def test_every_answer_to_an_administrator_is_documented(served: Served) -> None:
    assert _faults(served, "root", EXAMPLES, bounds=True) == []


@pytest.mark.parametrize("principal", ["a1", "meter"])
@pytest.mark.filterwarnings("ignore")
def test_every_answer_to_others_is_documented(served: Served, principal: str) -> None:
    assert _faults(served, principal, 1, bounds=False) == []


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], _: dict[str, Any]) -> None:
    """Mostly a new Idempotency-Key, else the second request under one is refused and nothing of it is tried."""
    number = next(_number)
    if number % 8:
        if case.headers.get("Idempotency-Key"):
            case.headers["Idempotency-Key"] = f"key-{number}"
        case.headers.setdefault("X-Agent-Id", "a1")


def _faults(served: Served, principal: str, examples: int, *, bounds: bool) -> list[str]:
    """What Schemathesis finds: each fault once, with the request that shows it."""
    wish = int(os.environ.get(VARIABLE, "0"))
    config = schemathesis.Config.from_dict(
        {
            "seed": 1,
            "base-url": served.url,
            "request-timeout": 20,
            "continue-on-failure": True,
            "auth": {"openapi": {"HTTPBearer": {"bearer": served.keys[principal]}}},
            "generation": {
                "deterministic": not wish,
                "max-examples": wish // 10 or examples,
                "no-shrink": True,
                "database": "none",
            },
            "phases": {"coverage": {"enabled": bounds}, "stateful": {"enabled": False}},
            "checks": {
                # What state, cursors and other rules of ours forbid is refused though the schema has no word for it.
                "positive_data_acceptance": {"enabled": False},
                "negative_data_rejection": {"expected-statuses": [207, 400, 401, 403, 404, 405, 409, 413, 422]},
            },
            "operations": [
                {"include-path": NOT_ASKED, "enabled": False},
                {"include-path": SHADOWED, "checks": {name: {"enabled": False} for name in METHODS}},
            ],
        }
    )
    schema = schemathesis.openapi.from_dict(_document(served), config=config)
    found: dict[tuple[str, ...], str] = {}
    answered = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found[("error", str(event.id))] = str(getattr(event, "info", event))
        if isinstance(event, events.ScenarioFinished):
            answered += len(event.recorder.interactions)
            for checks in event.recorder.checks.values():
                for check in checks:
                    if check.status is Status.FAILURE and check.failure_info:
                        failure = check.failure_info.failure
                        key = (check.name, str(event.recorder.label), failure.title, str(failure.message)[:80])
                        found.setdefault(key, check.failure_info.code_sample[:600])
    assert answered, "nothing was asked"
    return [f"{' · '.join(key)}\n{sample}" for key, sample in found.items()]


METHODS = ("unsupported_method", "allow_header_conformance")


def _document(served: Served) -> dict[str, Any]:
    """The service's document, with the ids of real things among the values of its parameters and fields."""
    text = asyncapi.openapi(served.harness.running.service)
    document: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(text)))
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _known(parameter["name"], parameter["schema"], served.names)
    for schema in document["components"]["schemas"].values():
        for name, part in schema.get("properties", {}).items():
            if schema.get("additionalProperties") is False:  # what is sent, not what is shown
                schema["properties"][name] = _known(name, part, served.names)
    return document


def _known(name: str, schema: dict[str, Any], names: Names) -> dict[str, Any]:
    values = [int(each) for each in names.get(name, ())] if schema.get("type") == "integer" else names.get(name)
    return {"anyOf": [{"enum": values}, schema]} if values and "enum" not in schema else schema
