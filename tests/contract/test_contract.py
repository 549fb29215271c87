"""Contracts hold over time: every example ever published still loads, and the documents say what the code does."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from libs.operate import asyncapi
from libs.shared import run
from libs.shared.events import Event, type_names
from libs.shared.service import Service

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
EXAMPLES = sorted((HERE / "examples").glob("*/*.json"))
SERVICES = [run.load(name) for name in run.service_names()]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_example_loads_and_keeps_its_values(path: Path) -> None:
    example = json.loads(path.read_text(encoding="utf-8"))
    event = type_names[path.parent.name].model_validate(example)
    again = json.loads(event.model_dump_json())
    assert _of(again, example) == example


def _of(value: Any, example: Any) -> Any:
    """What of a value the example names: fields that came since are left out."""
    match example:
        case dict():
            return {key: _of(value[key], example[key]) for key in example}
        case list():
            return [_of(each, named) for each, named in zip(value, example, strict=True)]
        case _:
            return value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_readers_ignore_fields_they_do_not_know(path: Path) -> None:
    example = json.loads(path.read_text(encoding="utf-8")) | {"a_field_of_tomorrow": {"deep": [1]}}
    type_names[path.parent.name].model_validate(example)


def test_every_event_has_an_example() -> None:
    published = {kind.type for service in SERVICES for kind in service.says}
    missing = published - {path.parent.name for path in EXAMPLES}
    assert not missing, f"add tests/contract/examples/<type>/1.json for {sorted(missing)}"


def test_every_event_is_said_by_exactly_one_service_and_heard_events_are_said() -> None:
    said: dict[type[Event], list[str]] = {}
    for service in SERVICES:
        for kind in service.says:
            said.setdefault(kind, []).append(service.name)
    assert {kind.type: names for kind, names in said.items() if len(names) != 1} == {}
    heard = {kind for service in SERVICES for kind in service.hears}
    assert heard <= set(said)


def test_topics_file_names_who_says_and_who_hears_each_topic() -> None:
    topics = tomllib.loads((DOCS.parent / "deploy" / "topics.toml").read_text(encoding="utf-8"))["topics"]
    for name, topic in topics.items():
        owners = {service.name for service in SERVICES if any(kind.topic == name for kind in service.says)}
        readers = {service.name for service in SERVICES if name in service.topics}
        assert set(topic["owner"]) - {"platforms"} == owners, name
        assert set(topic["readers"]) - {"platforms"} == readers, name
    assert {kind.topic for service in SERVICES for kind in service.says} <= set(topics)


def test_asyncapi_document_is_up_to_date() -> None:
    assert (DOCS / "asyncapi.yaml").read_text(encoding="utf-8") == asyncapi.document(SERVICES), "run: zhida asyncapi"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_openapi_document_is_up_to_date(service: Service) -> None:
    found = (DOCS / "openapi" / f"{service.name}.yaml").read_text(encoding="utf-8")
    assert found == asyncapi.openapi(service), f"run: zhida {service.name} openapi"
