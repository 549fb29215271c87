"""Matrix versions and models, and which of them are in force."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running

Kind = Literal["matrix", "model", "shadow"]

IN_FORCE = text("""
    SELECT DISTINCT ON (kind) kind, version FROM activation WHERE effective_at <= clock_timestamp()
    AND cancelled_at IS NULL ORDER BY kind, effective_at DESC, id DESC""")
HISTORY = text("""
    SELECT id, version, by, reason, at, effective_at, cancelled_by, cancelled_at FROM activation WHERE kind = :kind
    ORDER BY effective_at DESC, id DESC LIMIT :limit""")
ACTIVATE = text("""
    INSERT INTO activation (kind, version, by, reason, at, effective_at, said)
    VALUES (:kind, :version, :by, :reason, :now, :effective_at,
        CAST(:effective_at AS timestamptz) <= CAST(:now AS timestamptz))""")
UNSAID = text("SELECT 1 FROM activation WHERE NOT said AND cancelled_at IS NULL AND effective_at <= clock_timestamp()")
SAY = text("""
    UPDATE activation SET said = true WHERE NOT said AND cancelled_at IS NULL AND effective_at <= :now
    RETURNING id, version, by""")
CANCEL = text("""
    UPDATE activation SET cancelled_by = :by, cancelled_at = :now
    WHERE id = :id AND kind = 'matrix' AND cancelled_at IS NULL AND effective_at > :now RETURNING version""")

ADD_MATRIX = text("""
    INSERT INTO matrix (version, pack, title, source, situations, loaded_by, loaded_at)
    VALUES (:version, :pack, :title, :source, :situations, :by, :now) ON CONFLICT (version) DO NOTHING""")
SOURCE = text("SELECT source FROM matrix WHERE version = :version")
MATRICES = text("SELECT version, pack, title, situations, loaded_by, loaded_at FROM matrix ORDER BY loaded_at DESC")

ADD_MODEL = text("""
    INSERT INTO model (version, matrix_version, labels, bytes, sha256, fingerprint, digests, report, trained_by,
        trained_at)
    VALUES (:version, :matrix_version, CAST(:labels AS text[]), :bytes, :sha256, :fingerprint, :digests,
        CAST(:report AS jsonb), :by, :now)""")
BYTES = text("SELECT bytes, sha256, matrix_version, digests, fingerprint, report FROM model WHERE version = :version")
_MODEL = """
    SELECT version, matrix_version, labels, fingerprint, report, trained_by, trained_at, octet_length(bytes) AS size
    FROM model"""
MODELS = text(f"{_MODEL} ORDER BY trained_at DESC, version DESC LIMIT :limit")
DESCRIBED = text(f"{_MODEL} WHERE version = :version")


CLOCK = text("SELECT clock_timestamp() AS now")
TRAINED = text("""
    INSERT INTO training (by, began_at, ended_at, version, active, reason)
    VALUES (:by, :began_at, clock_timestamp(), :version, :active, :reason)""")
TRAININGS = text("SELECT * FROM training ORDER BY id DESC LIMIT :limit")
# Hours since the last training, and up to so many decisions since the last one that came to a model.
FRESH = text("""
    SELECT extract(epoch FROM clock_timestamp() - (SELECT began_at FROM training ORDER BY id DESC LIMIT 1)) / 3600
            AS hours,
        (SELECT count(*) FROM (SELECT 1 FROM decision WHERE situation IS NOT NULL AND at > coalesce((SELECT began_at
            FROM training WHERE version IS NOT NULL ORDER BY id DESC LIMIT 1), '-infinity') LIMIT :limit) AS d)
            AS decisions""")


async def in_force(source: Transaction | Running) -> dict[Kind, str | None]:
    """The version of each kind that is in force; a kind that never had one is missing."""
    return {row.kind: row.version for row in await rows(source, IN_FORCE)}


async def history(running: Running, kind: Kind, limit: int = 100) -> Sequence[Row[Any]]:
    """Who put which version in force, the last one first."""
    return await running.read(HISTORY, kind=kind, limit=limit)


async def activate(
    tx: Transaction, kind: Kind, version: str | None, *, by: str, reason: str, effective_at: datetime | None = None
) -> None:
    """Put a version in force, now or from then on; None: no model (the matrix alone), no shadow."""
    await tx.run(
        ACTIVATE,
        kind=kind,
        version=version,
        by=by,
        reason=reason,
        now=tx.now,
        effective_at=max(effective_at or tx.now, tx.now),
    )


async def unsaid(running: Running) -> bool:
    """Whether some version came in force at its effective time, and nobody has published that yet."""
    return bool(await running.read(UNSAID))


async def say(tx: Transaction) -> Sequence[Row[Any]]:
    """Mark them as published. Gives version and who chose it, in their order."""
    return sorted(await tx.rows(SAY, now=tx.now), key=lambda row: row.id)


async def cancel(tx: Transaction, activation_id: int, *, by: str) -> str | None:
    """Take back a version's effective time that has not come yet. Gives the version; None where there is no such."""
    found = await tx.rows(CANCEL, id=activation_id, by=by, now=tx.now)
    return str(found[0].version) if found else None


async def add_matrix(
    tx: Transaction, version: str, *, pack: str, title: str, source: str, situations: int, by: str
) -> bool:
    """Keep a matrix version; False where it was kept before."""
    return bool(
        await tx.run(
            ADD_MATRIX, version=version, pack=pack, title=title, source=source, situations=situations, by=by, now=tx.now
        )
    )


async def source(running: Running, version: str) -> str | None:
    """The file a matrix version was loaded from."""
    found = await running.read(SOURCE, version=version)
    return str(found[0].source) if found else None


async def matrices(running: Running) -> Sequence[Row[Any]]:
    """All matrix versions, the latest first."""
    return await running.read(MATRICES)


async def add_model(
    tx: Transaction,
    version: str,
    *,
    matrix_version: str,
    labels: Sequence[str],
    data: bytes,
    sha256: str,
    fingerprint: str,
    digests: bytes,
    report: dict[str, Any],
    by: str,
) -> None:
    """Keep a model version; it is not in force yet."""
    await tx.run(
        ADD_MODEL,
        version=version,
        matrix_version=matrix_version,
        labels=list(labels),
        bytes=data,
        sha256=sha256,
        fingerprint=fingerprint,
        digests=digests,
        report=orjson.dumps(report).decode(),
        by=by,
        now=tx.now,
    )


async def model(running: Running, version: str) -> Row[Any] | None:
    """A model version with its bytes."""
    found = await running.read(BYTES, version=version)
    return found[0] if found else None


async def described(running: Running, version: str) -> Row[Any] | None:
    """A model version without its bytes."""
    found = await running.read(DESCRIBED, version=version)
    return found[0] if found else None


async def models(running: Running, limit: int = 100) -> Sequence[Row[Any]]:
    """Model versions without their bytes, the latest first."""
    return await running.read(MODELS, limit=limit)


def new_version(now: datetime, fingerprint: str) -> str:
    """A model version's name: when it was trained and on what, e.g. `20261122T101500.042-3fa2b1c0`."""
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}-{fingerprint[:8]}"


async def trained(
    running: Running, began_at: datetime, *, version: str | None, active: bool, reason: str, by: str
) -> None:
    """Note what a training came to; `reason`: why its model is not in force, or why there is none."""
    await running.read(TRAINED, began_at=began_at, version=version, active=active, reason=reason[:500], by=by)


async def trainings(running: Running, limit: int = 20) -> Sequence[Row[Any]]:
    """What trainings came to, the latest first."""
    return await running.read(TRAININGS, limit=limit)


async def fresh(running: Running, limit: int) -> tuple[float | None, int]:
    """Hours since the last training (None: there was none), and decisions that are new since the last model."""
    [row] = await running.read(FRESH, limit=limit)
    return None if row.hours is None else float(row.hours), int(row.decisions)


async def clock(running: Running) -> datetime:
    """The database's time."""
    now: datetime = (await running.read(CLOCK))[0].now
    return now
