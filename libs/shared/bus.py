"""Records in: a batch of any partitions becomes one transaction.

Order inside it: fence → locks in key order → inbox → handlers in rounds → outbox → commit. A crash anywhere leaves
either all of it or none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.shared import db, dead, telemetry
from libs.shared.db import Fenced, Halted, Transaction
from libs.shared.dead import Grave
from libs.shared.events import ContractError, Event, decode
from libs.shared.service import Record, Running, takes_many

Partition = tuple[str, int]

MOST_KEY = 200  # characters; a ticket's has 36

FENCE = text("""
    WITH want AS (
        SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:starts AS bigint[]),
            CAST(:stops AS bigint[])) AS w(topic, partition, start, stop)),
    held AS (
        SELECT f.topic, f.partition FROM fence f JOIN want w USING (topic, partition)
        WHERE f.next_offset = w.start AND f.stopped IS NULL ORDER BY f.topic, f.partition FOR UPDATE OF f)
    UPDATE fence f SET next_offset = w.stop FROM want w JOIN held USING (topic, partition)
    WHERE f.topic = w.topic AND f.partition = w.partition""")

# Claims event ids, but none of a ticket that has parked events; gives the ids claimed before and those tickets' keys.
CLAIM = text("""
    WITH want AS (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS w(id, key)),
    shut AS (SELECT key FROM parked_key WHERE key = ANY(CAST(:watched AS text[]))),
    claimed AS (
        INSERT INTO inbox (id) SELECT DISTINCT id FROM want WHERE key NOT IN (SELECT key FROM shut) ORDER BY id
        ON CONFLICT DO NOTHING RETURNING id)
    SELECT id, NULL AS key FROM want WHERE id NOT IN (SELECT id FROM claimed) UNION ALL SELECT NULL, key FROM shut""")


@dataclass
class Health:
    """How many of the last events had to be buried; decides when to stop rather than empty a topic into `dead`."""

    consecutive: int = 0
    handled: int = 0  # of the last 1,000 or so
    buried: int = 0

    def passed(self, count: int) -> None:
        """That many events went well."""
        if count:
            self.consecutive = 0
            self.handled += count
        if self.handled > 1000:
            self.handled, self.buried = self.handled // 2, self.buried // 2

    def bury(self, count: int, limit: int, ratio: float) -> None:
        """That many are to be buried; Halted where this is too many in a row or of the last 1,000."""
        if self.consecutive + count > limit:
            raise Halted(f"{self.consecutive + count} events in a row could not be handled (limit {limit})")
        if self.buried + count > limit and (self.buried + count) / max(self.handled, 1000) > ratio:
            raise Halted(f"more than {ratio:.0%} of the last events could not be handled")
        self.consecutive += count
        self.buried += count


async def move(connection: AsyncConnection, starts: Mapping[Partition, int], stops: Mapping[Partition, int]) -> None:
    """Move the fence of these partitions from where this consumer believes it to be. Raises Fenced."""
    parts = sorted(stops)
    moved = await connection.execute(
        FENCE,
        {
            "topics": [topic for topic, _ in parts],
            "partitions": [partition for _, partition in parts],
            "starts": [starts[part] for part in parts],
            "stops": [stops[part] for part in parts],
        },
    )
    if moved.rowcount != len(parts):
        raise Fenced("another consumer has moved on, or the partition was stopped")


@dataclass
class Bus:
    """Takes batches of records for one running service."""

    running: Running
    health: Health = field(default_factory=Health)
    # Where the fence stands in partitions of which all since was passed over: that alone is worth no transaction.
    fences: dict[Partition, int] = field(default_factory=dict)

    async def take(self, records: Sequence[Record], positions: dict[Partition, int]) -> None:
        """Handle these records (offsets ascending in each partition) and move the fence; committed when it returns.

        Where nothing of them is heard here the fence follows later: with what is heard next, or by `settle`.

        Args: `positions`: where this consumer stands in each partition; moved on success.
        Raises: Fenced, Halted, or a transient error, with nothing changed.
        """
        try:
            await self._transact(records, positions)
        except Exception as error:
            if not db.is_poison(error):
                raise
            await self._isolate(records, positions, error)

    async def settle(self, positions: dict[Partition, int]) -> None:
        """Have the fence follow over what was passed over. Raises as `take`."""
        starts, stops = self.way((), positions)
        if stops:
            async with self.running.engine.begin() as connection:
                await move(connection, starts, stops)
        self.fences = {}

    def way(
        self, records: Iterable[Record], positions: Mapping[Partition, int]
    ) -> tuple[dict[Partition, int], dict[Partition, int]]:
        """From where to where the fence has to move for these records, and for what was passed over before them."""
        stops = {part: positions[part] for part in self.fences if part in positions}
        stops |= {(record.topic, record.partition): record.offset + 1 for record in records}
        return {part: self.fences.get(part, positions[part]) for part in stops}, stops

    async def _isolate(self, records: Sequence[Record], positions: dict[Partition, int], error: Exception) -> None:
        """One partition alone, then halves, then the one: tried once more, then buried."""
        partitions: dict[Partition, list[Record]] = defaultdict(list)
        for record in records:
            partitions[record.topic, record.partition].append(record)
        if len(partitions) > 1:
            for part in partitions.values():
                await self.take(part, positions)
        elif len(records) > 1:
            middle = len(records) // 2
            await self.take(records[:middle], positions)
            await self.take(records[middle:], positions)
        else:
            try:
                await self._transact(records, positions)
            except Exception as again:
                if not db.is_poison(again):
                    raise
                await self._transact(records, positions, reason=f"{type(error).__name__}: {error}"[:2000])

    async def _transact(
        self, records: Sequence[Record], positions: dict[Partition, int], reason: str | None = None
    ) -> None:
        """One transaction; with a `reason`, the (single) record is buried instead of handled."""
        heard, skipped = hear(self.running, records, reason)
        starts, stops = self.way(records, positions)
        tx = None
        if heard:
            prepared = await prepare(self.running, [each.event for each in heard if each.event])
            async with self.running.engine.connect() as connection:
                with telemetry.STAGE_SECONDS.labels("transaction").time():
                    async with connection.begin():
                        await move(connection, starts, stops)
                        tx = await self._effects(heard, connection, prepared)
        self.fences = {} if heard else starts
        positions.update(stops)
        telemetry.BATCH_SIZE.labels("records").observe(len(records))
        if tx:
            db.committed(tx)
        for type_, count in skipped.items():
            name = type_.decode(errors="replace") if type_.startswith(b"zhida.") else "other"
            telemetry.EVENTS.labels(name, "skipped").inc(count)

    async def _effects(self, heard: "Sequence[Heard]", connection: Any, prepared: dict[UUID, Any]) -> Transaction:
        watched = sorted({each.key for each in heard if each.key})
        tx = await db.begun(self.running, connection, watched)
        tx.prepared = prepared
        broken: set[str] = set()  # tickets with an undecodable record in this batch: what follows it is parked
        graves: list[Grave] = []
        wanted: list[tuple[Record, str, Event]] = []
        raw: dict[str, list[Record]] = defaultdict(list)
        for record, key, event, error in heard:
            if event and key not in broken:
                wanted.append((record, key, event))
            elif event or error:
                graves.append(Grave(record, key or None, error))
                if key:
                    broken.add(key)
            else:
                raw[record.topic].append(record)
        ids = [event.envelope.id for _, _, event in wanted]
        rows = await tx.rows(CLAIM, ids=ids, keys=[key for _, key, _ in wanted], watched=watched)
        old = {row.id for row in rows}
        shut = {row.key for row in rows}
        events: list[Event] = []
        for id_, (record, key, event) in zip(ids, wanted, strict=True):
            if key in shut:
                graves.append(Grave(record, key, None))
            elif id_ in old:
                telemetry.EVENTS.labels(record.type, "duplicate").inc()
            else:
                old.add(id_)
                events.append(event)
        if graves:
            settings = self.running.settings
            buried = sum(1 for grave in graves if grave.error)
            self.health.bury(buried, settings.bury_limit, settings.bury_ratio)
            graves.sort(key=lambda grave: grave.record[:3])  # in order within each partition
            await dead.bury(tx, graves, settings.park_limit)
        await deliver(events, tx)
        for topic, part in raw.items():
            await self.running.service.receives[topic](part, tx)
        await tx.flush()
        self.health.passed(len(events))
        if events:
            telemetry.AGE_SECONDS.observe(max((tx.now - events[0].occurred_at).total_seconds(), 0))
        return tx


class Heard(NamedTuple):
    """A record this service hears: an event, a raw record (`event` None), or one that cannot be (`error`)."""

    record: Record
    key: str  # of its stream; "" where it has none
    event: Event | None = None
    error: str | None = None


def hear(running: Running, records: Iterable[Record], reason: str | None = None) -> tuple[list[Heard], Counter[bytes]]:
    """Decode what this service hears and pass over the rest by its type, before decoding; gives what, and how many."""
    kinds = {kind.type.encode(): kind for kind in running.service.hears}
    heard, skipped = [], Counter[bytes]()
    for record in records:
        type_ = record.headers.get("ce_type", b"")
        kind = kinds.get(type_)
        if record.topic in running.service.receives:
            heard.append(Heard(record, _stream(record.key) if reason else "", error=reason))
        elif kind is None:
            skipped[type_] += 1
        elif reason:
            heard.append(Heard(record, _stream(record.key), error=reason))
        else:
            try:
                event = decode(kind, record.headers, record.value)
                heard.append(Heard(record, event.key, event))
            except ContractError as error:
                heard.append(Heard(record, _stream(record.key), error=str(error)))
    return heard, skipped


def _stream(key: bytes | None) -> str:
    """The stream of a record that names no ticket: its key, as the database can hold and index it."""
    text = (key or b"").decode(errors="replace").replace("\x00", "\ufffd")
    return text if len(text) <= MOST_KEY else f"{text[:100]}…{sha256(key or b'').hexdigest()}"


async def prepare(running: Running, events: Sequence[Event]) -> dict[UUID, Any]:
    """What the service works out before the transaction opens, such as a model's predictions."""
    prepared: dict[UUID, Any] = {}
    for kind, work in running.service.prepares.items():
        group = [event for event in events if type(event) is kind]
        if group:
            with telemetry.STAGE_SECONDS.labels("prepare").time():
                results = await work(group, running)
            prepared.update({event.envelope.id: result for event, result in zip(group, results, strict=True)})
    return prepared


async def deliver(events: Sequence[Event], tx: Transaction) -> None:
    """Call the handlers: a ticket's k-th event in round k, by type inside a round, so that nothing is reordered."""
    keys = [event.key for event in events]
    rounds: list[dict[type[Event], list[int]]] = []
    seen: dict[str, int] = {}
    for place, key in enumerate(keys):
        number = seen[key] = seen.get(key, -1) + 1
        if number == len(rounds):
            rounds.append(defaultdict(list))
        rounds[number][type(events[place])].append(place)
    service = tx.running.service
    for groups in rounds:
        for kind, places in groups.items():
            handler = service.hears[kind]
            group = [events[place] for place in places]
            parents = {keys[place]: events[place].envelope.traceparent for place in places}
            with telemetry.spans(f"{service.name} {kind.__name__}", parents) as causes:
                tx.causes.update(causes)
                if takes_many(handler):
                    await handler(group, tx)
                else:
                    for event in group:
                        await handler(event, tx)
            tx.after_commit(partial(telemetry.EVENTS.labels(kind.type, "handled").inc, len(group)))
