"""The scratch database in which everything known of a run lies side by side: a SQLite file, so memory stays bounded.

Ids are their 16 bytes, instants microseconds since 1970, types, services and topics small numbers (`CODES`, named in
SQL as `:TicketReceived`, `:dispatch`). Times come from the services' databases, but for what files say.
"""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from libs.shared.contracts import classification, dispatch, intake, notification, sla_timer
from libs.shared.events import CLOCKS, FLOW, INBOUND, NOTICES, REFERENCE, REJECTED, type_names
from reconcile.source import SERVICES

CONTRACTS: Final = (intake, classification, dispatch, sla_timer, notification)  # imported for the types they name
TOPICS: Final = (FLOW, CLOCKS, NOTICES, REJECTED, REFERENCE, INBOUND)
TYPES: Final = {name: number for number, name in enumerate(sorted(type_names), 1) if name.startswith("zhida.")}
TYPE_CODES: Final = {name.split(".")[1]: number for name, number in TYPES.items()}
SERVICE_CODES: Final = {name: number for number, name in enumerate(SERVICES, 1)}
TOPIC_CODES: Final = {name: number for number, name in enumerate(TOPICS, 1)}
CODES: Final[Mapping[str, int]] = {**TYPE_CODES, **SERVICE_CODES}
TYPE_NAMES: Final = {number: name for name, number in TYPE_CODES.items()}

CACHE_KB = 400_000

SCHEMA = """
-- What stands on the topics, each event once, with a row for each thing it speaks of (line 0 is always there).
CREATE TABLE said (ticket, source INT, version INT, line INT, type INT, subject BLOB, detail, more, topic INT,
    partition INT, place INT, at INT, id BLOB, digest INT, copies INT, clash INT,
    PRIMARY KEY (ticket, source, version, line)) WITHOUT ROWID;
CREATE TABLE strange (topic INT, partition INT, place INT, why TEXT);  -- records that are no events
CREATE TABLE log (topic INT, partition INT, start INT, stop INT);  -- where each partition begins and ends
CREATE TABLE inbound (partition INT, place INT, key TEXT, inside INT, PRIMARY KEY (partition, place)) WITHOUT ROWID;

-- The services' tables.
CREATE TABLE ticket (ticket BLOB, reference TEXT, agent TEXT, channel TEXT, at INT, stage TEXT, whole BLOB,
    event BLOB, master BLOB);  -- a part of `whole`; the master of the hot event `event`; merged into `master`
CREATE TABLE signpost (reference TEXT, ticket BLOB);  -- which ticket stands under a reference
CREATE TABLE refused (partition INT, place INT, reference TEXT);
CREATE TABLE judged (ticket BLOB, state TEXT, decided_by TEXT, waiting INT, by_person INT);
CREATE TABLE dispatched (ticket BLOB, state TEXT, round INT, agent TEXT, rulings INT);
CREATE TABLE repeated (ticket BLOB, count INT);  -- classifications that dispatch heard beyond the first
CREATE TABLE work_order (id BLOB, ticket BLOB, department TEXT, state TEXT, before BLOB, created INT);
CREATE TABLE endpoint (department TEXT, created INT);  -- departments without one work from their lists
-- State `list`: born while its endpoint was disabled, for the department's list alone, as where there is no endpoint.
CREATE TABLE delivery (id BLOB, ticket BLOB, work_order BLOB, department TEXT, type TEXT, state TEXT, attempts INT,
    give_up INT);
CREATE TABLE attempt (delivery BLOB, tries INT, good INT);
CREATE TABLE question (id BLOB, ticket BLOB, answered INT);
CREATE TABLE clock (id BLOB, ticket BLOB, kind TEXT, state TEXT, passed INT, generation INT, started INT,
    seconds INT);
CREATE TABLE timer (clock BLOB, generation INT, percent INT, at INT);
CREATE TABLE notice (id BLOB, recipient TEXT, number INT, ticket BLOB, kind TEXT, fact);

-- The kernel's tables, of every service.
CREATE TABLE drawn (ticket, source INT, version INT);
CREATE TABLE pending (ticket, source INT, version INT, at INT);
CREATE TABLE fence (service INT, topic INT, partition INT, next INT, stopped TEXT);
CREATE TABLE grave (service INT, topic INT, partition INT, place INT, key TEXT, error TEXT);
CREATE TABLE halt (service INT, reason TEXT);
CREATE TABLE look (service INT, at INT);  -- database time when it was looked at
CREATE TABLE absent (service INT, id BLOB);  -- heard and handled, by the topics; unknown to the inbox
CREATE TABLE unheard (service INT, id BLOB);  -- in the inbox, on no topic
CREATE TABLE intake_of (service INT, records INT, new INT, duplicate INT, dead INT, parked INT, skipped INT);

-- What files say.
CREATE TABLE offer (id INT, ledger INT, reference TEXT, key TEXT, expect TEXT, at INT, status INT, ticket BLOB,
    partition INT, place INT, PRIMARY KEY (ledger, id)) WITHOUT ROWID;
CREATE TABLE planted (topic INT, partition INT, place INT);
CREATE TABLE hook (id BLOB, department TEXT, type TEXT, ticket BLOB, work_order BLOB, at INT, status INT,
    duplicate INT);
CREATE TABLE call (department TEXT, name TEXT, ticket BLOB, work_order BLOB, at INT, status INT, key TEXT);
CREATE TABLE shown (agent TEXT, number INT, id BLOB, kind TEXT, ticket BLOB, at INT);
CREATE TABLE followed (agent TEXT, number INT);  -- agents whose screens were followed, from behind that number
CREATE TABLE moving (ticket PRIMARY KEY) WITHOUT ROWID;  -- tickets that have moved too lately to be judged
"""

INDICES = """
CREATE INDEX said_by_type ON said (type, ticket, subject, place);
CREATE UNIQUE INDEX ticket_by_id ON ticket (ticket);
CREATE INDEX ticket_by_reference ON ticket (reference);
CREATE INDEX signpost_by_ticket ON signpost (ticket);
CREATE INDEX refused_by_place ON refused (partition, place);
CREATE INDEX judged_by_ticket ON judged (ticket);
-- Which ticket was merged into which, from version to version of what dispatch says of it; `until` null: it still is.
CREATE TABLE membership AS SELECT m.ticket, m.subject AS master, m.version AS since, (SELECT min(r.version) FROM said r
    WHERE r.type IN ({TicketMerged}, {TicketReleased}) AND r.ticket = m.ticket AND r.version > m.version) AS until
    FROM said m WHERE m.type = {TicketMerged};
CREATE INDEX membership_by_ticket ON membership (ticket);
CREATE INDEX membership_by_master ON membership (master);
CREATE INDEX dispatched_by_ticket ON dispatched (ticket);
CREATE INDEX work_order_by_id ON work_order (id);
CREATE INDEX work_order_by_ticket ON work_order (ticket, department);
CREATE INDEX work_order_by_before ON work_order (before) WHERE before IS NOT NULL;
CREATE INDEX delivery_by_id ON delivery (id);
CREATE INDEX delivery_by_work_order ON delivery (work_order);
CREATE INDEX attempt_by_delivery ON attempt (delivery);
CREATE INDEX question_by_id ON question (id);
CREATE INDEX clock_by_id ON clock (id);
CREATE INDEX timer_by_clock ON timer (clock);
CREATE INDEX notice_by_fact ON notice (fact);
CREATE INDEX notice_by_id ON notice (id);
CREATE INDEX notice_by_number ON notice (recipient, number);
CREATE INDEX drawn_by_ticket ON drawn (ticket, source);
CREATE INDEX pending_by_ticket ON pending (ticket, source, version);
CREATE INDEX offer_by_reference ON offer (reference);
CREATE INDEX hook_by_id ON hook (id);
CREATE INDEX hook_by_work_order ON hook (work_order);
CREATE INDEX call_by_work_order ON call (work_order, name);
CREATE INDEX shown_by_number ON shown (agent, number);
CREATE INDEX shown_by_id ON shown (id);
ANALYZE;
"""


class Book:
    """The scratch database. Filled by `table`, `topic`, `inbox` and `file`; read by the checks."""

    def __init__(self, path: Path | None = None) -> None:
        self._own = tempfile.TemporaryDirectory(prefix="zhida-reconcile-") if path is None else None
        place = Path(self._own.name) / "book.db" if self._own else path
        if path is not None:
            path.unlink(missing_ok=True)
        self.database = sqlite3.connect(str(place), isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KB}", "temp_store = FILE"):
            self.database.execute(f"PRAGMA {pragma}")
        self.database.create_function("uuid", 1, shown, deterministic=True)
        self.database.create_function("named", 1, TYPE_NAMES.get, deterministic=True)
        self.database.create_function("service", 1, dict(enumerate(SERVICES, 1)).get, deterministic=True)
        self.database.create_function("topic", 1, dict(enumerate(TOPICS, 1)).get, deterministic=True)
        self.database.executescript(SCHEMA)
        self.database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go; a temporary one is deleted."""
        self.database.close()
        if self._own:
            self._own.cleanup()

    def add(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows, whose columns stand in the table's order."""
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            return
        statement = f"INSERT INTO {table} VALUES ({', '.join('?' * len(first))})"
        self.database.execute(statement, first)
        self.database.executemany(statement, rows)

    def index(self) -> None:
        """Once everything is there: what the checks look things up by."""
        self.database.execute("COMMIT")
        self.database.executescript(INDICES.format(**TYPE_CODES))

    def rows(self, statement: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query that names its values, types and services as `:name`."""
        return iter(self.database.execute(statement, {**CODES, **values}))

    def one(self, statement: str, **values: Any) -> Any:
        """The first value of the first row; None where there is none."""
        row = next(self.rows(statement, **values), None)
        return None if row is None else row[0]


def packed(value: Any) -> bytes | None:
    """An id in text (or a UUID, or None) as its 16 bytes. Raises ValueError where it is none."""
    if value is None:
        return None
    return bytes.fromhex(value.replace("-", "")) if isinstance(value, str) else value.bytes


def keyed(key: str) -> bytes | str:
    """A stream's key as it lies in the book: 16 bytes where it is an id."""
    if len(key) == 36:
        try:
            return bytes.fromhex(key.replace("-", ""))
        except ValueError:
            return key
    return key


def shown(value: Any) -> str | None:
    """An id as people read it; other keys as they are."""
    return str(UUID(bytes=value)) if isinstance(value, bytes) and len(value) == 16 else value


def micros(at: datetime | None) -> int | None:
    """Microseconds since 1970."""
    return None if at is None else (at - EPOCH) // MICROSECOND


def instant(at: int) -> datetime:
    """The instant of so many microseconds since 1970."""
    return datetime.fromtimestamp(at / 1_000_000, UTC)


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
