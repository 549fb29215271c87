"""A place: the folder that holds everything of one local installation (data, ports, secrets, logs, locks)."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
STATE = PROJECT / ".local"  # the place of `make up`; others lie below it
OUTSIDE = "outside"  # what Postgres remembers where it cannot live inside the place
LOWEST_PORT, HIGHEST_PORT = 20_000, 29_999  # below what kernels hand out to outgoing connections


@dataclass(frozen=True)
class Place:
    """One local installation; all its files are readable by their owner alone."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder.absolute())

    def make(self) -> None:
        """Create the folder and the ones below it that every part expects."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("secrets", "logs", "locks"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)

    def log(self, program: str) -> Path:
        return self.folder / "logs" / f"{program}.log"

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(24)) -> str:
        """The secret of this name, drawn by `make` the first time."""
        return self.secret_file(name, make).read_text().strip()

    def secret_file(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(24)) -> Path:
        """The file (mode 0600) that holds the secret of this name, drawn by `make` the first time.

        Of several who draw it at once the first has drawn it for all.
        """
        path = self.folder / "secrets" / name
        if not path.exists():
            drawn = _partial(path, make() + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(drawn, path)
            os.unlink(drawn)
        return path

    def recall(self, name: str) -> dict[str, str]:
        """What was remembered under this name: empty when nothing was, or when the file is damaged."""
        try:
            kept = json.loads((self.folder / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in kept.items()} if isinstance(kept, dict) else {}

    def remember(self, name: str, values: dict[str, str]) -> None:
        _write(self.folder / f"{name}.json", json.dumps(values, indent=1, sort_keys=True) + "\n")

    def port(self, name: str) -> int:
        """The port remembered for this name. KeyError when none was chosen yet."""
        return int(self.recall("ports")[name])

    def choose_ports(self, *names: str) -> None:
        """Give each name a free port on 127.0.0.1: the remembered one, or another where that is taken by now.

        Call it only for programs that do not run: their own port would look taken.
        """
        ports = self.recall("ports")
        others = {int(port) for name, port in ports.items() if name not in names}
        for name in names:
            remembered = int(ports.get(name, 0))
            if not remembered or remembered in others or not free(remembered):
                ports[name] = str(_another(others))
            others.add(int(ports[name]))
        self.remember("ports", ports)

    def hold(self, program: str) -> None:
        """Take the program's lock for this process and whatever it becomes by exec, and note its process id.

        The lock ends with the last process that inherited it, so it tells a living program from a stale file, whatever
        became of process ids since. Raises BlockingIOError when a living program has it.
        """
        descriptor = os.open(self._lock(program), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + 1.0  # whoever asks for the holder takes the lock for a moment too
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise
                time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        os.set_inheritable(descriptor, True)

    def holder(self, program: str) -> int | None:
        """Process id of the living program of this name."""
        try:
            with self._lock(program).open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0) or None
        except OSError:
            pass
        return None

    def held(self) -> dict[str, int]:
        """Every living program of this place, with its process id."""
        pids = {path.stem: self.holder(path.stem) for path in (self.folder / "locks").glob("*.lock")}
        return {program: pid for program, pid in sorted(pids.items()) if pid}

    def delete(self) -> None:
        """Delete this place with all its data, those outside too. Its programs must have ended."""
        if outside := self.recall(OUTSIDE).get("folder"):
            shutil.rmtree(outside, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lock(self, program: str) -> Path:
        return self.folder / "locks" / f"{program}.lock"


def throwaway(parent: Path) -> Place:
    """A new place in a folder of its own below `parent`; what dead processes left beside it is deleted."""
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.iterdir():
        if old.is_dir() and time.time() - old.stat().st_mtime > 60 and not Place(old).held():
            Place(old).delete()
    place = Place(Path(tempfile.mkdtemp(dir=parent)))
    place.make()
    return place


def free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _another(taken: set[int]) -> int:
    for _ in range(1_000):
        port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT + 1)
        if port not in taken and free(port):
            return port
    raise OSError(f"No free port between {LOWEST_PORT} and {HIGHEST_PORT} on 127.0.0.1")


def _write(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that a crash leaves the old one or the new one, never half of one."""
    os.replace(_partial(path, text), path)


def _partial(path: Path, text: str) -> str:
    """A new file of mode 0600 beside `path`."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return partial
