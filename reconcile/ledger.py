"""What a load generator and its screens write down, as JSON lines that outlive a killed process, and how it is read.

Each line is written at once; the disk is waited for in batches. A half line at the end (the writer was killed in
mid-write) is passed over when read and cut off when the file is opened again.
"""

import os
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias
from uuid import UUID

import orjson

Expected: TypeAlias = Literal[
    "ticket",  # must be taken, as a ticket or as a repeat of one
    "refused",  # must be refused: it cannot be a ticket, or contradicts one
    "any",
]

SYNC_EVERY = 0.1  # s between two waits for the disk
SYNC_LINES = 500


class Lines:
    """Appends to one file; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, _whole(self._file))
        self._unsynced, self._synced_at = 0, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, **entry: Any) -> None:
        """Append one entry with the time; on the disk within SYNC_EVERY of the next one, or with `sync`."""
        at = datetime.now(UTC).isoformat()
        rest = memoryview(orjson.dumps({"at": at, **entry}, option=orjson.OPT_APPEND_NEWLINE))
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._unsynced += 1
        if self._unsynced >= SYNC_LINES or time.monotonic() - self._synced_at >= SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        os.fsync(self._file)
        self._unsynced, self._synced_at = 0, time.monotonic()

    def close(self) -> None:
        """Everything is on the disk, and the file let go."""
        self.sync()
        os.close(self._file)


class Ledger(Lines):
    """What was offered to Zhida and what it answered. An offer with neither answer nor place has an unknown outcome."""

    def __init__(self, path: Path) -> None:
        self._next = sum(entry["what"] == "offered" for entry in read([path])) if path.exists() else 0
        super().__init__(path)
        self.plants: set[tuple[str, int, int]] = set()  # topic, partition, offset of what this writer has planted

    def offered(self, reference: str, key: str | None = None, expect: Expected = "ticket") -> int:
        """Before it is sent. `reference`: channel|external_ref; `key`: Idempotency-Key. Gives the offer's number.

        A repeat under another Idempotency-Key, or another record on the topic, is an offer of its own.
        """
        number, self._next = self._next, self._next + 1
        self.write(what="offered", id=number, reference=reference, key=key, expect=expect)
        return number

    def answered(self, offer: int, status: int, ticket_id: UUID | str | None = None) -> None:
        """The HTTP answer; 5xx says nothing about the outcome."""
        self.write(what="answered", id=offer, status=status, ticket_id=None if ticket_id is None else str(ticket_id))

    def published(self, offer: int, partition: int, offset: int) -> None:
        """Kafka has confirmed the record on the inbound topic."""
        self.write(what="published", id=offer, partition=partition, offset=offset)

    def unknown(self, offer: int) -> None:
        """Nobody knows: no answer came, or the confirmation was lost."""
        self.write(what="unknown", id=offer)

    def planted(self, topic: str, partition: int, offset: int) -> None:
        """A record put on one of Zhida's topics by hand, to be buried or skipped: it explains itself."""
        self.plants.add((topic, partition, offset))
        self.write(what="planted", topic=topic, partition=partition, offset=offset)


class Screens(Lines):
    """What agents were shown on their streams."""

    def opened(self, agent: str, after: int = 0) -> None:
        """The agent's screen is followed, from behind that number."""
        self.write(what="opened", agent=agent, number=after)

    def shown(self, agent: str, number: int, notification_id: UUID | str, kind: str, ticket_id: UUID | str) -> None:
        """One notice came over the stream; one that comes again is written again."""
        self.write(
            what="shown",
            agent=agent,
            number=number,
            notification_id=str(notification_id),
            kind=kind,
            ticket_id=str(ticket_id),
        )


def read(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Every whole line of these files. Raises ValueError naming the file and line that is no JSON object."""
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break  # torn off: its writer was killed
                try:
                    entry = orjson.loads(line)
                except ValueError:
                    entry = None
                if not isinstance(entry, dict):
                    raise ValueError(f"{path}, line {number}: not a JSON object")
                yield entry


def _whole(file: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = size = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(file, min(65536, size - start), start).rfind(b"\n", 0, end - start)
        if found >= 0:
            return start + found + 1
        end = start
    return 0
