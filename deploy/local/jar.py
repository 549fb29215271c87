"""The jars of the broker: fetched once without Maven, checked against kafka.lock, shared by all clones of a user."""

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local import together

LOCK = Path(__file__).with_name("kafka.lock")
BROKER = "org.apache.kafka:kafka_2.13:4.3.1"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"  # alone: without it the broker logs nothing
WIDTH = 8  # jars fetched at a time
TIMEOUT = 30  # seconds without a byte from the repository


class JarError(Exception):
    """A jar could not be had, or is not the one that the lock file names."""


@dataclass(frozen=True)
class Jar:
    """One line of kafka.lock."""

    sha256: str  # hex
    group: str
    artifact: str
    version: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked(text: str) -> tuple[Jar, ...]:
    """Read a lock file: one `SHA-256  group:artifact:version` a line, `#` starts a comment."""
    lines = (line.split("#")[0].split() for line in text.splitlines())
    return tuple(Jar(fields[0], *fields[1].split(":")) for fields in lines if fields)


def cache_folder(environment: dict[str, str], fallback: Path) -> Path:
    """A folder of this user, shared by all clones; `fallback` where the user's cache cannot be written."""
    named, home = environment.get("XDG_CACHE_HOME") or "", Path(environment.get("HOME") or "/nonexistent")
    folder = (Path(named) if named.startswith("/") else home / ".cache") / "zhida" / "kafka"
    if named.startswith("/") or home.is_dir():
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
    fallback.mkdir(parents=True, exist_ok=True)
    return fallback


def sound(path: Path, sha256: str) -> bool:
    """Whether the file is there and has this SHA-256."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def ensure(folder: Path, mirror: str | None, say: Callable[[str], None]) -> list[Path]:
    """All jars of the lock file in `folder`, fetched where missing or damaged; the paths, in the lock file's order.

    mirror: address of a Maven repository to ask instead of Maven Central. A jar gets its name only when whole and
    checked, so a broken run leaves nothing half-made and two clones may fetch at once. Raises JarError.
    """
    jars = locked(LOCK.read_text())
    found = together.run([partial(sound, folder / jar.filename, jar.sha256) for jar in jars], WIDTH)
    missing = [jar for jar, there in zip(jars, list(found), strict=True) if not there]
    if missing:
        say(f"Kafka: fetching {len(missing)} of {len(jars)} jars (46 MB in all, once) into {folder}")
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as staging:
            fetching = [partial(_fetch, jar, Path(staging), folder, mirror) for jar in missing]
            for number, jar in enumerate(together.run(fetching, WIDTH), 1):
                if number % 10 == 0 or number == len(missing):
                    say(f"Kafka: {number} of {len(missing)} jars fetched (last {jar.filename})")
    return [folder / jar.filename for jar in jars]


def _fetch(jar: Jar, staging: Path, folder: Path, mirror: str | None) -> Jar:
    try:
        artifact = _repository(staging, mirror).create_dependency(f"{jar.group}:{jar.artifact}:{jar.version}").artifact
        path = Path(artifact.resolve())
    except Exception as error:
        raise JarError(
            f"{jar.filename} could not be fetched ({error}). Kafka's jars come from Maven Central once; where that"
            " cannot be reached, name a mirror in ZHIDA_MAVEN_MIRROR, or run against your own Kafka and Postgres"
            " by setting KAFKA_BOOTSTRAP_SERVERS and OWNER_DATABASE_URL."
        ) from error
    if not sound(path, jar.sha256):
        raise JarError(f"{jar.filename} is not the file that {LOCK.name} names: its SHA-256 differs. Nothing was kept.")
    os.replace(path, folder / jar.filename)
    return jar


def _repository(cache: Path, mirror: str | None) -> Any:
    from jgo.maven import MavenContext  # takes 0.3 s: only those pay who fetch

    remotes = {"mirror": mirror.rstrip("/")} if mirror else None
    return MavenContext(repo_cache=cache, remote_repos=remotes, timeout=TIMEOUT)


def relock() -> None:
    """Write kafka.lock anew: the broker's jar, all it needs, and the SHA-256 of each."""
    with tempfile.TemporaryDirectory() as folder:
        context = _repository(Path(folder), os.environ.get("ZHIDA_MAVEN_MIRROR"))
        broker, needed = context.resolver.resolve([context.create_dependency(BROKER)])
        lines = {}
        for dependency in (*broker, *needed, context.create_dependency(LOGGING)):
            digest = hashlib.sha256(Path(dependency.artifact.resolve()).read_bytes()).hexdigest()
            lines[f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"] = digest
    names = sorted(lines)
    header = f"# SHA-256 of each jar of {BROKER} and what it needs; `make lock` writes this file.\n"
    LOCK.write_text(header + "".join(f"{lines[name]}  {name}\n" for name in names))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    relock()
