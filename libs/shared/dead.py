"""Records that cannot be handled: buried with their reason, their ticket's later events parked behind them in order.

See `replay` for the way back, and `halt` for the row that stops a consumer before it empties a topic into `dead`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from libs.shared import telemetry
from libs.shared.db import Halted, Transaction
from libs.shared.service import Record

BURY = text("""
    WITH buried AS (
        INSERT INTO dead (topic, partition, "offset", key, type, headers, body, error)
        SELECT topic, partition, "offset", key, type, CAST(headers AS jsonb), body, error
        FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]),
            CAST(:keys AS text[]), CAST(:types AS text[]), CAST(:headers AS text[]), CAST(:bodies AS bytea[]),
            CAST(:errors AS text[])) WITH ORDINALITY
            AS b(topic, partition, "offset", key, type, headers, body, error, place) ORDER BY place RETURNING key)
    INSERT INTO parked_key (key, count) SELECT key, count(*) FROM buried WHERE key IS NOT NULL GROUP BY key ORDER BY key
    ON CONFLICT (key) DO UPDATE SET count = parked_key.count + excluded.count""")
WAITING = text("SELECT coalesce(sum(count), 0)::bigint AS parked FROM parked_key")
LIST = text("""
    SELECT id, topic, partition, "offset", key, type, error, at FROM dead
    WHERE id > :after AND (CAST(:key AS text) IS NULL OR key = :key) AND (error IS NOT NULL OR :parked)
    ORDER BY id LIMIT :limit""")
ONE = text("SELECT * FROM dead WHERE id = :id")
HALTED = text("SELECT reason, at FROM halt")
HALT = text("INSERT INTO halt (reason) VALUES (:reason) ON CONFLICT DO NOTHING")
RESUME = text("DELETE FROM halt RETURNING reason")


@dataclass(frozen=True, slots=True)
class Grave:
    """A record to be buried (`error` set) or parked (`error` None)."""

    record: Record
    key: str | None
    error: str | None


async def bury(tx: Transaction, graves: Sequence[Grave], park_limit: int) -> None:
    """Bury and park, in the batch's transaction. Never claims the inbox, so that a replay is not taken for a copy."""
    records = [grave.record for grave in graves]
    await tx.run(
        BURY,
        topics=[record.topic for record in records],
        partitions=[record.partition for record in records],
        offsets=[record.offset for record in records],
        keys=[grave.key for grave in graves],
        types=[record.type for record in records],
        headers=[json.dumps(_plain(record)) for record in records],
        bodies=[record.value for record in records],
        errors=[(grave.error or "").replace("\x00", "") or None for grave in graves],
    )
    [row] = await tx.rows(WAITING)
    if row.parked > park_limit:
        raise Halted(f"{row.parked} events wait behind buried ones (limit {park_limit})")
    for grave in graves:
        outcome = "buried" if grave.error else "parked"
        telemetry.EVENTS.labels(grave.record.type, outcome).inc()
        if grave.error:
            telemetry.log.error("buried", type=grave.record.type, topic=grave.record.topic,
                                partition=grave.record.partition, offset=grave.record.offset)  # fmt: skip


def _plain(record: Record) -> dict[str, str]:
    """Headers as text that the database can hold: without NUL, which no JSON there may have."""
    return {_clean(name): _clean(value.decode("latin-1")) for name, value in record.headers.items()}


def _clean(text: str) -> str:
    return text.replace("\x00", "\x1a")  # the character that stands for one that cannot be
