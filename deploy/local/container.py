"""Kafka and Postgres as throwaway containers, where a Docker engine answers."""

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from deploy.local import backend, kafka, postgres
from deploy.local.place import Place

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:17.11"
PING_TIME = 3.0  # seconds


def engine_address(environment: Mapping[str, str]) -> str | None:
    """Address of the first Docker engine that answers a ping: DOCKER_HOST, else the usual sockets."""
    named = environment.get("DOCKER_HOST")
    home, runtime = environment.get("HOME", ""), environment.get("XDG_RUNTIME_DIR", "")
    sockets = ["/var/run/docker.sock", f"{home}/.docker/run/docker.sock", f"{runtime}/docker.sock"]
    candidates = [named] if named else [f"unix://{path}" for path in sockets if Path(path).is_socket()]
    return next((address for address in candidates if _answers(address)), None)


def _answers(address: str) -> bool:
    url = urlsplit(address)
    try:
        match url.scheme:
            case "unix":
                probe = socket.socket(socket.AF_UNIX)
            case "tcp":
                probe = socket.socket()
            case _:
                return False
        with probe:
            probe.settimeout(PING_TIME)
            probe.connect(url.path if url.scheme == "unix" else (url.hostname or "", url.port or 2375))
            probe.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in probe.recv(64)
    except OSError:
        return False


@contextlib.contextmanager
def started(say: Callable[[str], None]) -> Iterator[backend.Backend]:
    """Both containers for as long as the block lasts. Raises BackendError."""
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    os.environ.setdefault("DOCKER_HOST", engine_address(os.environ) or "")
    say(f"Kafka and Postgres: as containers ({KAFKA_IMAGE}, {POSTGRES_IMAGE}; ZHIDA_BACKEND=local does without)")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as closing:
        place = Place(Path(folder))
        place.make()
        place.choose_ports(kafka.CLIENT_PORT, postgres.PORT)
        place.secret("postgres-password", lambda: secrets.token_hex(24))
        broker = DockerContainer(KAFKA_IMAGE)
        for name, value in _broker_settings(place.port(kafka.CLIENT_PORT)).items():
            broker = broker.with_env(name, value)
        server = DockerContainer(POSTGRES_IMAGE).with_env("POSTGRES_PASSWORD", place.secret("postgres-password"))
        for container, inside, name in ((broker, 9092, kafka.CLIENT_PORT), (server, 5432, postgres.PORT)):
            # On the loopback alone: the library's own way would open the port to the whole network.
            container.ports[f"{inside}/tcp"] = cast("int", ("127.0.0.1", place.port(name)))
        try:
            for container in (broker, server):
                closing.enter_context(container)
        except (DockerException, OSError) as error:
            raise backend.BackendError(f"{error}\nZHIDA_BACKEND=local does without Docker.") from error
        backend.wait(kafka.ready, place, partial(_failed, broker))
        backend.wait(postgres.ready, place, partial(_failed, server))
        yield backend.Backend("docker", kafka.bootstrap_servers(place), postgres.owner_url(place))


def _failed(container: "DockerContainer", final: bool) -> str | None:
    """Why there is no use in waiting any longer, with the end of the container's log."""
    inside = container.get_wrapped_container()
    inside.reload()
    if inside.status in ("created", "running") and not final:
        return None
    log = b"".join(container.get_logs()).decode(errors="replace")[-2_000:]
    return f"the container of {container.image} did not come up; it is {inside.status}. The end of its log:\n{log}"


def _broker_settings(port: int) -> dict[str, str]:
    lines = (line for line in kafka.SETTINGS.splitlines() if "=" in line and not line.startswith("#"))
    settings = dict(line.split("=", 1) for line in lines) | {
        "listeners": "CLIENT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
