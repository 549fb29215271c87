"""docker-compose.yml, the image and the code name the same services, topics and variables."""

import base64
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices

from deploy.local import container, environment, jar
from deploy.local.place import PROJECT
from libs.shared.run import load
from libs.shared.settings import Settings

TEXT = (PROJECT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text()
TOPICS = tomllib.loads((PROJECT / "deploy" / "topics.toml").read_text())["topics"]
SERVICES = environment.services()
STORES = ("kafka", "postgres")
PLATFORMS = "platforms"  # call centres outside: the one owner or reader of a topic that is no service


def variables(kind: type[Settings]) -> dict[str, bool]:
    """Every environment variable that the settings read, and whether it must be given."""
    found = {}
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"ZHIDA_{name.upper()}"
        found[variable] = field.is_required()
    return found


def ours() -> dict[str, Any]:
    return {name: entry for name, entry in COMPOSE["services"].items() if name not in STORES}


def test_every_service_and_its_migration_is_named_and_nothing_else() -> None:
    assert set(ours()) == {*SERVICES, *(f"{name}-migrate" for name in SERVICES), "topics"}
    for name in SERVICES:
        assert COMPOSE["services"][name]["command"] == [name, "run"]
        assert COMPOSE["services"][f"{name}-migrate"]["command"] == [name, "migrate"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_waits_for_stores_topics_and_its_own_tables(name: str) -> None:
    done = {"condition": "service_completed_successfully"}
    healthy = {"condition": "service_healthy"}
    waits = COMPOSE["services"][name]["depends_on"]
    assert waits == {"kafka": healthy, "postgres": healthy, "topics": done, f"{name}-migrate": done}


@pytest.mark.parametrize("name", SERVICES)
def test_variables_are_those_that_the_service_reads(name: str) -> None:
    read = variables(load(name).settings)
    given = set(COMPOSE["services"][name]["environment"]) | set(re.findall(r"(ZHIDA_\w+)=", DOCKERFILE))
    assert given <= set(read)
    assert {variable for variable, required in read.items() if required} <= given
    if name in environment.KEY_FILES:
        assert environment.KEY_FILES[name] in read
        assert environment.KEY_FILES[name].removesuffix("_FILE") in given
    migration = COMPOSE["services"][f"{name}-migrate"]["environment"]
    assert set(migration) - set(COMPOSE["services"][name]["environment"]) == {"OWNER_DATABASE_URL"}
    assert f"://zhida_{name}:${{{name.upper()}_PASSWORD:?" in migration["DATABASE_URL"]


def test_env_example_names_every_variable_and_no_value() -> None:
    example = dict(
        line.split("=", 1)
        for line in (PROJECT / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set(example) == set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert not any(example.values())
    assert set(re.findall(r"\$\{(\w+):-", TEXT)) == {"ZHIDA_VERSION"}


def test_no_secret_stands_in_the_file() -> None:
    for entry in COMPOSE["services"].values():
        for name, value in entry["environment"].items():
            if re.search("PASSWORD|KEY", name):
                assert str(value).startswith("${"), name
            assert not re.search(r"://[^:/@]+:(?!\$\{)[^/]*@", str(value)), name


def test_containers_of_ours_run_without_root_on_a_read_only_file_system() -> None:
    for entry in ours().values():
        assert entry["read_only"] is True
        assert entry["cap_drop"] == ["ALL"]
        assert "user" not in entry
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.index("\nUSER") < DOCKERFILE.index("\nENTRYPOINT")


def test_two_replicas_of_a_service_find_ports_of_their_own() -> None:
    ranges = []
    for name in SERVICES:
        (port,) = COMPOSE["services"][name]["ports"]
        host, first, last, inside = re.fullmatch(r"([\d.]+):(\d+)-(\d+):(\d+)", port).groups()  # type: ignore[union-attr]
        assert host == "127.0.0.1"
        assert inside == "8080"
        ranges.append(range(int(first), int(last) + 1))
        assert "container_name" not in COMPOSE["services"][name]
    assert all(len(each) >= 2 for each in ranges)
    assert len({port for each in ranges for port in each}) == sum(map(len, ranges))


def test_images_are_pinned_and_the_same_everywhere() -> None:
    services = COMPOSE["services"]
    assert services["kafka"]["image"] == container.KAFKA_IMAGE == f"apache/kafka:{jar.BROKER.rsplit(':', 1)[1]}"
    assert services["postgres"]["image"] == container.POSTGRES_IMAGE
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert all(entry["image"] == f"zhida:${{ZHIDA_VERSION:-{version}}}" for entry in ours().values())
    assert len(set(re.findall(r"^FROM (python:\d+\.\d+\.\d+-slim-\w+)", DOCKERFILE, re.MULTILINE))) == 1
    assert DOCKERFILE.count("\nFROM ") == 2


def test_topics_of_the_file_are_those_of_the_code() -> None:
    assert set(re.findall(r"zhida\.[a-z.]+\.v\d+", TEXT)) <= set(TOPICS)
    hears = {(topic, name) for name in SERVICES for topic in load(name).topics}
    says = {(event.topic, name) for name in SERVICES for event in load(name).says}
    owners: set[tuple[str, str]] = set()
    for topic, entry in TOPICS.items():
        owner = entry["owner"]
        owners |= {(topic, name) for name in ([owner] if isinstance(owner, str) else owner)}
    assert hears == {(topic, name) for topic, entry in TOPICS.items() for name in entry["readers"] if name != PLATFORMS}
    assert says == {(topic, name) for topic, name in owners if name != PLATFORMS}


def test_env_script_draws_every_secret_anew() -> None:
    def drawn() -> dict[str, str]:
        done = subprocess.run(
            ["sh", str(PROJECT / "deploy" / "env.sh")], capture_output=True, text=True, timeout=30, check=True
        )
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if line and not line.startswith("#"))

    one, other = drawn(), drawn()
    assert set(one) == set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert not set(one.values()) & set(other.values())
    for name, value in one.items():
        secret = base64.b64decode(value, validate=True) if name.endswith("_KEY") else bytes.fromhex(value)
        assert len(secret) == (32 if name.endswith("_KEY") else 24)
