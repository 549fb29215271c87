"""The golden documents: AsyncAPI 3 of all topics, OpenAPI 3.1 of one service; made from the code, never by hand."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from libs.shared import admin, web
from libs.shared.events import Event, type_names
from libs.shared.service import Service

ENVELOPE = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_sequence", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "UUIDv7; the same on every redelivery"},
        "ce_source": {"type": "string", "description": "zhida/<service>"},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_sequence": {"type": "string", "description": "gapless per (source, key), from 1"},
        "traceparent": {"type": "string", "description": "W3C trace context"},
        "content-type": {"const": "application/json"},
    },
}

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A new one for each new request; a repeat under the same key gets the same answer for 7 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


def document(services: Sequence[Service]) -> str:
    """AsyncAPI 3.0 as YAML: every topic, every event with its schema, who says and who hears it."""
    said: dict[str, list[str]] = {}
    heard: dict[str, list[str]] = {}
    for service in services:
        for kind in service.says:
            said.setdefault(kind.type, []).append(service.name)
        for kind in service.hears:
            heard.setdefault(kind.type, []).append(service.name)
    kinds = sorted((kind for kind in type_names.values() if kind.type in said), key=lambda kind: kind.type)
    channels: dict[str, Any] = {}
    for kind in kinds:
        channel = channels.setdefault(_name(kind.topic), {"address": kind.topic, "messages": {}})
        channel["messages"][kind.__name__] = {"$ref": f"#/components/messages/{kind.__name__}"}
    operations: dict[str, Any] = {}
    for service in services:
        for action, group in (("send", service.says), ("receive", tuple(service.hears))):
            for topic in sorted({kind.topic for kind in group}):
                names = sorted(kind.__name__ for kind in group if kind.topic == topic)
                operations[f"{service.name}_{action}_{_name(topic)}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{_name(topic)}"},
                    "messages": [{"$ref": f"#/channels/{_name(topic)}/messages/{name}"} for name in names],
                }
    shapes = {shape.__name__: shape for service in services for shape in service.shapes.values()}
    for service in services:
        for topic, shape in service.shapes.items():
            channel = channels.setdefault(_name(topic), {"address": topic, "messages": {}})
            channel["messages"][shape.__name__] = {"$ref": f"#/components/messages/{shape.__name__}"}
            operations[f"{service.name}_receive_{_name(topic)}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{_name(topic)}"},
                "messages": [{"$ref": f"#/channels/{_name(topic)}/messages/{shape.__name__}"}],
            }
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(kind, "serialization") for kind in kinds]
    wanted += [(shape, "validation") for shape in shapes.values()]
    references, schemas = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    return _yaml(
        {
            "asyncapi": "3.0.0",
            "info": {
                "title": "Zhida events",
                "version": "1",
                "description": "CloudEvents 1.0.2, Kafka binary content mode. Readers ignore fields they do not know.",
                "license": {"name": "Apache-2.0"},
            },
            "defaultContentType": "application/json",
            "channels": channels,
            "operations": operations,
            "components": {
                "messages": {kind.__name__: _message(kind, references, said, heard) for kind in kinds}
                | {name: _raw(shape, references) for name, shape in shapes.items()},
                "schemas": schemas.get("$defs", {}),
            },
        }
    )


def _message(kind: type[Event], references: Any, said: dict[str, list[str]], heard: dict[str, list[str]]) -> Any:
    listeners = ", ".join(heard.get(kind.type, ["nobody yet"]))
    return {
        "name": kind.type,
        "summary": (kind.__doc__ or "").strip().splitlines()[0],
        "description": f"Said by {', '.join(said[kind.type])}; heard by {listeners}. Key: {kind.key_field}.",
        "headers": ENVELOPE,
        "payload": references[kind, "serialization"],
    }


def _raw(shape: type[BaseModel], references: Any) -> Any:
    return {
        "name": shape.__name__,
        "summary": (shape.__doc__ or "").strip().splitlines()[0],
        "description": "Plain JSON, without CloudEvents headers; `traceparent` is carried on where there is one.",
        "payload": references[shape, "validation"],
    }


def openapi(service: Service) -> str:
    """OpenAPI 3.1 of one service as YAML."""
    app = web.application(service, [admin.router], lambda _: nullcontext())
    described = app.openapi()
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = web.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, schema in schemas["Problem"].pop("$defs", {}).items():
        schemas[name] = schema
    for path in described["paths"].values():
        for operation in path.values():
            if {"400", "409"} <= operation.get("responses", {}).keys():  # what `web.command` refuses
                operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
            if "requestBody" in operation:  # no JSON, too large: whatever the route itself may refuse
                refused = {str(status): each for status, each in web.problems(400, 413).items()}
                operation["responses"] = dict(sorted({**refused, **operation["responses"]}.items()))
            invalid = operation.get("responses", {}).get("422", {})
            if "application/json" in invalid.get("content", {}):
                operation["responses"]["422"] = web.problems(422)[422]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return _yaml(described)


def _name(topic: str) -> str:
    return topic.replace(".", "_")


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))
