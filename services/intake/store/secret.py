"""Statements about what is sealed: originals of tickets and amendments, refused records, and who read an original."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from libs.shared.contracts.intake import FieldError
from libs.shared.db import Transaction
from libs.shared.service import Record
from services.intake.vault import Sealed

# Where a sealed value lies: (ticket, its own id). A refused record has no ticket: its own id stands for one.
Place = tuple[UUID, UUID]

SEAL = text("""
    INSERT INTO vault (ticket_id, id, key_id, nonce, sealed)
    SELECT * FROM unnest(CAST(:tickets AS uuid[]), CAST(:ids AS uuid[]), CAST(:keys AS text[]),
        CAST(:nonces AS bytea[]), CAST(:bodies AS bytea[])) AS v(ticket_id, id, key_id, nonce, sealed)""")
REJECT = text("""
    INSERT INTO rejected (rejected_id, topic, partition, "offset", reference, errors, at, key_id, nonce, sealed)
    SELECT id, topic, partition, "offset", reference, CAST(errors AS jsonb), :now, key_id, nonce, sealed
    FROM unnest(CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]),
        CAST(:references AS text[]), CAST(:errors AS text[]), CAST(:keys AS text[]), CAST(:nonces AS bytea[]),
        CAST(:bodies AS bytea[]))
    AS r(id, topic, partition, "offset", reference, errors, key_id, nonce, sealed)""")
AUDIT = text("""
    INSERT INTO audit (audit_id, subject, principal, key_prefix, at)
    VALUES (:id, :subject, :principal, :key_prefix, :now)""")

SECRETS = text("SELECT id, key_id, nonce, sealed FROM vault WHERE ticket_id = :ticket_id ORDER BY id")

REJECTIONS = text("""
    SELECT rejected_id, topic, partition, "offset", reference, errors, at, length(sealed) - 16 AS size FROM rejected
    WHERE rejected_id < :before ORDER BY rejected_id DESC LIMIT :limit""")
REJECTION = text("SELECT * FROM rejected WHERE rejected_id = :id")
STALE = {
    "vault": text("""
        SELECT ticket_id, id, key_id, nonce, sealed FROM vault
        WHERE (ticket_id, id) > (CAST(:ticket_id AS uuid), CAST(:id AS uuid)) AND key_id <> :key_id
        ORDER BY ticket_id, id LIMIT 500 FOR UPDATE"""),
    "rejected": text("""
        SELECT rejected_id AS ticket_id, rejected_id AS id, key_id, nonce, sealed FROM rejected
        WHERE (rejected_id, rejected_id) > (CAST(:ticket_id AS uuid), CAST(:id AS uuid)) AND key_id <> :key_id
        ORDER BY rejected_id LIMIT 500 FOR UPDATE"""),
}
_RESEALED = """
    FROM unnest(CAST(:tickets AS uuid[]), CAST(:ids AS uuid[]), CAST(:keys AS text[]), CAST(:nonces AS bytea[]),
        CAST(:bodies AS bytea[])) AS v(ticket_id, id, key_id, nonce, sealed)"""
RESEAL = {
    "vault": text(f"""UPDATE vault t SET key_id = v.key_id, nonce = v.nonce, sealed = v.sealed {_RESEALED}
        WHERE t.ticket_id = v.ticket_id AND t.id = v.id"""),
    "rejected": text(f"""UPDATE rejected t SET key_id = v.key_id, nonce = v.nonce, sealed = v.sealed {_RESEALED}
        WHERE t.rejected_id = v.id AND v.ticket_id = v.id"""),
}


async def seal(tx: Transaction, secrets: Mapping[Place, Sealed]) -> None:
    """Put sealed originals into the vault."""
    if secrets:
        await tx.run(SEAL, **_sealed(secrets))


def sealed(row: Row[Any]) -> Sealed | None:
    """What a row keeps sealed, or None where there is nothing."""
    return Sealed(row.key_id, row.nonce, row.sealed) if row.key_id else None


async def reject(tx: Transaction, records: Sequence[tuple[UUID, Record, str, Sequence[FieldError], Sealed]]) -> None:
    """Keep refused records as (id, record, reference, errors, sealed value)."""
    secrets = _sealed({(id_, id_): secret for id_, _, _, _, secret in records})
    del secrets["tickets"]
    await tx.run(
        REJECT,
        topics=[record.topic for _, record, _, _, _ in records],
        partitions=[record.partition for _, record, _, _, _ in records],
        offsets=[record.offset for _, record, _, _, _ in records],
        references=[reference for _, _, reference, _, _ in records],
        errors=[_json([error.model_dump() for error in errors]) for _, _, _, errors, _ in records],
        now=tx.now,
        **secrets,
    )


async def audit(tx: Transaction, subject: UUID, principal: str, key_prefix: str) -> None:
    """Note who reads the original of a ticket, or a refused record."""
    await tx.run(AUDIT, id=tx.new_id(), subject=subject, principal=principal, key_prefix=key_prefix, now=tx.now)


async def stale(tx: Transaction, table: str, after: Place, key_id: str) -> Sequence[tuple[Place, Sealed]]:
    """The next 500 values of `vault` or `rejected` that are not under that key, locked."""
    rows = await tx.rows(STALE[table], ticket_id=after[0], id=after[1], key_id=key_id)
    return [((row.ticket_id, row.id), Sealed(row.key_id, row.nonce, row.sealed)) for row in rows]


async def reseal(tx: Transaction, table: str, secrets: Mapping[Place, Sealed]) -> None:
    """Replace sealed values."""
    await tx.run(RESEAL[table], **_sealed(secrets))


def _sealed(secrets: Mapping[Place, Sealed]) -> dict[str, list[Any]]:
    return {
        "tickets": [ticket_id for ticket_id, _ in secrets],
        "ids": [id_ for _, id_ in secrets],
        "keys": [secret.key_id for secret in secrets.values()],
        "nonces": [secret.nonce for secret in secrets.values()],
        "bodies": [secret.body for secret in secrets.values()],
    }


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
