"""Where Kafka and Postgres come from is decided in one place."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import backend, container, environment
from deploy.local.backend import BackendError, Kind
from deploy.local.place import Place

BOTH = {"KAFKA_BOOTSTRAP_SERVERS": "k:9092", "OWNER_DATABASE_URL": "postgresql://o:p@h/d"}


@pytest.mark.parametrize(
    ("given", "engine", "keep", "expected"),
    [
        ({}, False, False, "local"),
        ({}, True, False, "docker"),
        ({}, True, True, "local"),  # what is to be kept never goes into throwaway containers
        (BOTH, True, False, "given"),
        (BOTH, True, True, "given"),
        (BOTH | {"ZHIDA_BACKEND": "local"}, True, False, "local"),
        ({"ZHIDA_BACKEND": "local"}, True, False, "local"),
        ({"ZHIDA_BACKEND": "docker"}, False, False, "docker"),
        (BOTH | {"ZHIDA_BACKEND": "given"}, True, False, "given"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "", "OWNER_DATABASE_URL": ""}, False, False, "local"),
    ],
)
def test_given_addresses_come_before_an_engine_before_local_processes(
    given: dict[str, str], engine: bool, keep: bool, expected: Kind
) -> None:
    assert backend.choose(given, lambda: engine, keep=keep) == expected


@pytest.mark.parametrize(
    ("given", "keep", "said"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "k:9092"}, False, "missing: OWNER_DATABASE_URL"),
        ({"OWNER_DATABASE_URL": "postgresql://h/d"}, False, "missing: KAFKA_BOOTSTRAP_SERVERS"),
        ({"ZHIDA_BACKEND": "given"}, False, "missing: KAFKA_BOOTSTRAP_SERVERS, OWNER_DATABASE_URL"),
        ({"ZHIDA_BACKEND": "podman"}, False, "given, docker or local"),
        ({"ZHIDA_BACKEND": "docker"}, True, "docker compose up"),
    ],
)
def test_wish_that_cannot_be_met_is_refused_with_what_is_missing(given: dict[str, str], keep: bool, said: str) -> None:
    with pytest.raises(BackendError, match=said):
        backend.choose(given, lambda: True, keep=keep)


def test_engine_is_not_asked_when_addresses_are_given() -> None:
    def ask() -> bool:
        raise AssertionError("asked")

    assert backend.choose(BOTH, ask, keep=False) == "given"


@pytest.fixture
def engine() -> Iterator[str]:
    """A server on the loopback that answers one ping as a Docker engine does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1_024)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)


def test_engine_counts_only_when_it_answers(engine: str, tmp_path: Path) -> None:
    assert container.engine_address({"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}) is None
    assert container.engine_address({"DOCKER_HOST": engine}) == engine


def test_service_gets_its_own_role_and_never_the_owner(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.make()
    place.choose_ports(*environment.programs())
    place.remember(
        "stores", {"kafka_bootstrap_servers": "k:9", "owner_database_url": "postgresql://owner:x@h:5/zhida?sslmode=on"}
    )
    place.remember("settings", {"ZHIDA_BURY_LIMIT": "7"})
    for service in environment.services():
        built = environment.of(place, service)
        password = place.secret(f"{service}-password")
        assert built["DATABASE_URL"] == f"postgresql://zhida_{service}:{password}@h:5/zhida?sslmode=on"
        assert "OWNER_DATABASE_URL" not in built
        assert built["ZHIDA_BURY_LIMIT"] == "7"
        assert built["ZHIDA_HTTP_PORT"] != environment.of(place, service, 2)["ZHIDA_HTTP_PORT"]
    assert "OWNER_DATABASE_URL" in environment.of(place, environment.services()[0], owner=True)


def test_callers_own_settings_do_not_reach_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "ZHIDA_HTTP_PORT", "PYTHONPATH", "PGPASSWORD", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.setenv(name, "stray")
    monkeypatch.setenv("ZHIDA_LOG_LEVEL", "debug")
    place = Place(tmp_path)
    place.make()
    place.choose_ports("intake")
    place.remember("stores", {"kafka_bootstrap_servers": "k:9", "owner_database_url": "postgresql://o:x@h/zhida"})
    built = environment.of(place, "intake")
    assert "stray" not in built.values()
    assert built["ZHIDA_LOG_LEVEL"] == "debug"
