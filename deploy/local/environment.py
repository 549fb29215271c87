"""The one place where the environment of each locally run program is built, and where services are found."""

import base64
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.place import PROJECT, Place

REPLICAS = 3  # how many processes of one service a place can run
KEY_FILES = {"intake": "ZHIDA_VAULT_KEY_FILE", "dispatch": "ZHIDA_DELIVERY_KEY_FILE"}  # 32 random bytes, base64
OURS = ("ZHIDA_", "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "OWNER_DATABASE_URL")
STRAY = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")


def services() -> tuple[str, ...]:
    """Every service of this project: each folder of services/ that has a main.py."""
    return tuple(sorted(path.parent.name for path in (PROJECT / "services").glob("*/main.py")))


def replica_name(service: str, replica: int) -> str:
    """The program's name: `dispatch`, `dispatch-2`, …"""
    return service if replica == 1 else f"{service}-{replica}"


def programs() -> tuple[str, ...]:
    """Every process that a place can run: each service as often as REPLICAS says."""
    return tuple(replica_name(service, number) for service in services() for number in range(1, REPLICAS + 1))


def outer() -> dict[str, str]:
    """The caller's environment without our own settings and without what would lead a program astray."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OURS) and not name.startswith("PG") and name not in STRAY
    }


def of(place: Place, service: str, replica: int = 1, *, owner: bool = False) -> dict[str, str]:
    """The whole environment of one process of a service.

    The role's password and the keys are drawn once per place; the settings that `Stack.prepare` was given are added.
    owner: for `migrate`, which works under the owner role; a running service never sees that address.
    """
    stores = place.recall("stores")
    kept = {name: value for name, value in os.environ.items() if name.startswith(("ZHIDA_LOG_", "ZHIDA_TRACE_"))}
    built = outer() | {"ZHIDA_LOG_FORMAT": "json"} | kept | place.recall("settings")
    built |= {
        "KAFKA_BOOTSTRAP_SERVERS": stores["kafka_bootstrap_servers"],
        "DATABASE_URL": role_url(stores["owner_database_url"], service, place.secret(f"{service}-password")),
        "ZHIDA_HTTP_HOST": "127.0.0.1",
        "ZHIDA_HTTP_PORT": str(place.port(replica_name(service, replica))),
        "ZHIDA_TOPICS_PROFILE": "local",
        "ZHIDA_INSTANCE": f"{service}-{replica}",
    }
    if service in KEY_FILES:
        built[KEY_FILES[service]] = str(place.secret_file(f"{service}-key", _key))
    if owner:
        built["OWNER_DATABASE_URL"] = stores["owner_database_url"]
    return built


def role_url(owner_database_url: str, service: str, password: str) -> str:
    """The owner's address with the service's own role and password in it."""
    url = urlsplit(owner_database_url)
    host = url.netloc.rpartition("@")[2]
    return url._replace(netloc=f"zhida_{service}:{password}@{host}").geturl()


def zhida() -> str:
    """Path of the console script `zhida` of this virtual environment."""
    return str(Path(sys.executable).with_name("zhida"))


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
