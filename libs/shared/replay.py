"""The way back for buried records: a ticket's events in order, each in a transaction of its own.

Replay takes the ticket's lock, so a running consumer either parks a later event before the last one was replayed, or
handles it after. A crash leaves whole events replayed and the rest waiting.
"""

from typing import Any

from sqlalchemy import Row, text

from libs.shared import bus, db, dead, telemetry
from libs.shared.service import Record, Running

HEAD = text("SELECT * FROM dead WHERE key = :key ORDER BY id LIMIT 1 FOR UPDATE")
ALONE = text("SELECT * FROM dead WHERE id = :id AND key IS NULL FOR UPDATE")
REMOVE = text("""
    WITH gone AS (DELETE FROM dead WHERE id = :id RETURNING key),
    counted AS (UPDATE parked_key p SET count = p.count - 1 FROM gone g WHERE p.key = g.key AND p.count > 1 RETURNING 1)
    DELETE FROM parked_key p USING gone g WHERE p.key = g.key AND p.count <= 1""")
BLAME = text("UPDATE dead SET error = :error WHERE id = :id")
CLAIM_ONE = text("INSERT INTO inbox (id) VALUES (:id) ON CONFLICT DO NOTHING")


async def replay(running: Running, *, key: str | None = None, id: int | None = None) -> int:
    """Handle a ticket's buried and parked events in order, or the one with that id; gives how many were handled.

    Raises: db.Poison naming the first that still fails; it and those behind it stay.
    """
    if key is None:
        rows = await running.read(dead.ONE, id=id)
        if not rows:
            raise db.Poison(f"there is no dead record {id}")
        key = rows[0].key
    if key is None:
        return int(await _replay_one(running, ALONE, {"id": id}, []))
    count = 0
    while await _replay_one(running, HEAD, {"key": key}, [key]):
        count += 1
    return count


async def _replay_one(running: Running, pick: Any, parameters: dict[str, Any], keys: list[str]) -> bool:
    row: Row[Any] | None = None
    try:
        async with running.transaction(keys) as tx:
            rows = await tx.rows(pick, **parameters)
            if not rows:
                return False
            row = rows[0]
            record = _record(row)
            heard = next(iter(bus.hear(running, [record])[0]), None)
            if heard and heard.error:
                raise db.Poison(heard.error)
            if heard and heard.event:
                tx.prepared = await bus.prepare(running, [heard.event])
                if await tx.run(CLAIM_ONE, id=heard.event.envelope.id):
                    await bus.deliver([heard.event], tx)
            elif heard:
                await running.service.receives[record.topic]([record], tx)
            await tx.run(REMOVE, id=row.id)
            return True
    except Exception as error:
        if row is None or not db.is_poison(error):
            raise
        async with running.transaction() as tx:
            await tx.run(BLAME, id=row.id, error=str(error)[:2000].replace("\x00", ""))
        raise db.Poison(f"dead record {row.id} ({row.type}) still fails: {error}") from error


async def discard(running: Running, id: int) -> int:
    """Give one buried record up for good, then replay what was parked behind it; gives how many were replayed."""
    rows = await running.read(dead.ONE, id=id)
    if not rows:
        raise db.Poison(f"there is no dead record {id}")
    key = rows[0].key
    async with running.transaction([key] if key else []) as tx:
        await tx.run(REMOVE, id=id)
    telemetry.log.warning("discarded", dead_id=id, type=rows[0].type)
    return await replay(running, key=key) if key else 0


def _record(row: Row[Any]) -> Record:
    return Record(
        row.topic,
        row.partition,
        row.offset,
        row.key.encode() if row.key else None,
        row.body,
        {name: value.encode("latin-1") for name, value in row.headers.items()},
        int(row.at.timestamp() * 1000),
    )
