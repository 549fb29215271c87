"""Remembers which deliveries were dealt with and what was answered, so that a repeat changes nothing.

One SQLite file, safe under `kill -9` and power loss (write-ahead log, synchronous FULL): what `add` or `once`
returned stands. Several processes may share a file; threads of one process may share a Receipts.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

KEEP: Final = timedelta(days=30)  # far longer than Zhida retries; a replay by hand may come late

_BUSY: Final = 10.0  # seconds another process may hold the file


@dataclass(frozen=True, slots=True)
class Reply:
    """What the department answers to a delivery. A status of 200 to 299 tells Zhida that it arrived."""

    status: int = 204
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  # for refusals such as 429 with Retry-After; not remembered


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that a delivery was dealt with."""

    id: str  # the delivery's webhook-id
    received_at: datetime  # UTC
    reply: Reply


class Receipts:
    """The receipts of one department, or of several that never share a webhook-id."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        self._lock = threading.Lock()
        self._db = _connected(path)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS receipt (id TEXT PRIMARY KEY, received_at REAL NOT NULL,"
            " status INTEGER NOT NULL, body BLOB NOT NULL, content_type TEXT NOT NULL) WITHOUT ROWID"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS receipt_by_age ON receipt (received_at)")
        # A second connection reads, so that looking up a delivery never waits for the disk behind a commit.
        in_memory = str(path) == ":memory:"
        self._reading = self._lock if in_memory else threading.Lock()
        self._reader = self._db if in_memory else _connected(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def count(self) -> int:
        """How many deliveries are remembered."""
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM receipt").fetchone()[0])

    def close(self) -> None:
        with self._reading:
            self._reader.close()
        with self._lock:
            self._db.close()

    def find(self, delivery_id: str) -> Receipt | None:
        """The receipt of this delivery, None when it was not dealt with yet."""
        with self._reading:
            return _find(self._reader, delivery_id)

    def add(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Keep the receipts, all in one durable transaction, and return those that stand, in the same order.

        Of two receipts for one delivery the first stands, whichever process wrote it.
        """
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                stand = [self._add(receipt) for receipt in receipts]
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        return stand

    def once(self, delivery_id: str, effect: Callable[[sqlite3.Connection], Reply]) -> Receipt:
        """Run `effect` for a delivery exactly once, and return its receipt; for a repeat, the first one's.

        `effect` writes the department's own rows through the connection it is given: they and the receipt are
        committed together or not at all, so a crash at any point neither loses nor doubles them. It must not
        commit itself. Whatever it raises undoes everything; the next attempt starts afresh.
        """
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                receipt = _find(self._db, delivery_id)
                if receipt is None:
                    receipt = self._add(Receipt(delivery_id, datetime.now(UTC), effect(self._db)))
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        return receipt

    def forget(self, before: datetime) -> int:
        """Drop receipts older than `before` (aware); returns how many. A repeat of those would count as new."""
        with self._lock:
            return self._db.execute("DELETE FROM receipt WHERE received_at < ?", (before.timestamp(),)).rowcount

    def _add(self, receipt: Receipt) -> Receipt:
        reply = receipt.reply
        added = self._db.execute(
            "INSERT INTO receipt VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (receipt.id, receipt.received_at.timestamp(), reply.status, reply.body, reply.content_type),
        ).rowcount
        stands = receipt if added else _find(self._db, receipt.id)
        assert stands is not None  # neither added nor there is impossible inside one transaction
        return stands

    def _undo(self) -> None:
        if self._db.in_transaction:  # a COMMIT that failed for want of space has already rolled back
            self._db.execute("ROLLBACK")


def _connected(path: str | Path) -> sqlite3.Connection:
    # isolation_level None: transactions are opened by name, never behind our back.
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _find(connection: sqlite3.Connection, delivery_id: str) -> Receipt | None:
    row = connection.execute(
        "SELECT received_at, status, body, content_type FROM receipt WHERE id = ?", (delivery_id,)
    ).fetchone()
    if row is None:
        return None
    received_at, status, body, content_type = row
    return Receipt(delivery_id, datetime.fromtimestamp(received_at, UTC), Reply(status, body, content_type))
