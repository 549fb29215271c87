"""A small disk of Postgres' own that can run full: a tmpfs that holds every service's outbox."""

import asyncio
import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy.local import environment, postgres
from deploy.local.place import Place

SIZE_MB = 512
SPACE = "small_disk"


@dataclass
class Disk:
    """Mounted where root may; `reason` says why not, where it could not be."""

    place: Place
    reason: str | None = None
    _snapshot: asyncpg.Connection | None = None

    @property
    def folder(self) -> Path:
        return self.place.folder / "small-disk"

    def mount(self) -> None:
        """Make the disk, or note why it cannot be made."""
        if sys.platform != "linux" or os.geteuid() != 0:
            self.reason = "only root on Linux may mount the small tmpfs that is to run full"
            return
        self.unmount()  # what a killed run left
        self.folder.mkdir(exist_ok=True)
        line = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "tmpfs", str(self.folder)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            self.reason = f"this machine refuses to mount a tmpfs: {done.stderr.strip()}"
            self.folder.rmdir()

    def unmount(self) -> None:
        """Once Postgres has stopped."""
        if self.reason is None and self.folder.exists():
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, timeout=30, check=False)

    async def use(self) -> None:
        """Move the outboxes there."""
        if self.reason is not None:
            return
        space = self.folder / "space"
        space.mkdir(mode=0o700)
        home = postgres.find_home(self.place)
        if home.how == "switch":
            for folder in (self.folder, space):
                os.chown(folder, home.uid, home.gid)
        connection = await self._superuser(postgres.DATABASE)
        try:
            await connection.execute(f"CREATE TABLESPACE {SPACE} LOCATION '{space}'")
            for service in environment.services():
                await connection.execute(f"ALTER TABLE {service}.outbox SET TABLESPACE {SPACE}")
        finally:
            await connection.close()

    async def fill(self) -> None:
        """Leave no room, and hold a snapshot so that rows that were sent give none back either."""
        self._snapshot = await self._superuser(postgres.DATABASE)
        await self._snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await self._snapshot.execute("SELECT count(*) FROM pg_class")
        await asyncio.to_thread(self._fill)

    def _fill(self) -> None:
        with (self.folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 1024 * 1024):
                pass

    async def empty(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):
            (self.folder / "ballast").unlink()
        snapshot, self._snapshot = self._snapshot, None
        if snapshot:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await snapshot.close(timeout=5)

    def refusals(self) -> int:
        """How often Postgres has said that there is no room."""
        with contextlib.suppress(OSError):
            return self.place.log("postgres").read_text(errors="replace").count("No space left on device")
        return 0

    async def _superuser(self, database: str) -> asyncpg.Connection:
        url = (
            f"postgresql://postgres:{self.place.secret('postgres-password')}@127.0.0.1:{self.place.port(postgres.PORT)}"
        )
        return await asyncpg.connect(f"{url}/{database}", timeout=10, command_timeout=30)
