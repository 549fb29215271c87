"""Loading, keeping and putting in force: matrix versions and models, in the database, with who did it and why."""

import asyncio
import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sqlalchemy import Row

from libs.shared.contracts.classification import Department, MatrixPublished
from libs.shared.db import Poison, Transaction
from libs.shared.service import Running
from services.classification import packs, store
from services.classification.domain import linear, pack
from services.classification.domain.classifier import LabelError, label_situations
from services.classification.domain.matrix import Matrix, MatrixError

if TYPE_CHECKING:  # scikit-learn, which only training needs, stays out of the running service
    from services.classification.domain.training import Trained

LOCK = "registry"  # stream that whoever changes what is in force holds


def read_pack(name_or_path: str) -> Matrix:
    """The matrix of a pack. Raises Poison with every fault, each with its place."""
    try:
        return packs.read(name_or_path)
    except packs.PackError as error:
        raise Poison(str(error)) from None
    except MatrixError as error:
        faults = "\n  ".join(map(str, error.problems))
        raise Poison(f"{name_or_path} may not be used:\n  {faults}") from None


async def publish(
    tx: Transaction, matrix: Matrix, *, by: str, reason: str, effective_at: datetime | None = None
) -> None:
    """Keep a matrix version, put it in force and say so; all but the first at its effective time, where it has one."""
    await store.registry.add_matrix(
        tx,
        matrix.version,
        pack=matrix.name,
        title=matrix.title,
        source=pack.write(pack.form(matrix)),
        situations=len(matrix.situations),
        by=by,
    )
    await store.registry.activate(tx, "matrix", matrix.version, by=by, reason=reason, effective_at=effective_at)
    if effective_at is None or effective_at <= tx.now:
        tx.publish(_published(matrix, by))


def _published(matrix: Matrix, by: str) -> MatrixPublished:
    return MatrixPublished(
        matrix_version=matrix.version,
        pack=matrix.name,
        departments=tuple(Department(code=each.code, name=each.name) for each in matrix.departments),
        situations=len(matrix.situations),
        by=by,
    )


async def say(running: Running) -> None:
    """Publish that versions came in force whose effective time has come: once, whichever process looks first."""
    if not await store.registry.unsaid(running):
        return
    async with running.transaction(keys=[LOCK]) as tx:
        for row in await store.registry.say(tx):
            tx.publish(_published(await matrix_of(running, row.version), row.by))


async def load_matrix(running: Running, name_or_path: str, *, by: str, reason: str) -> str:
    """Read a pack and put it in force; nothing happens where it is in force already. Gives its version."""
    matrix = await asyncio.to_thread(read_pack, name_or_path)
    async with running.transaction(keys=[LOCK]) as tx:
        if (await store.registry.in_force(tx)).get("matrix") != matrix.version:
            await publish(tx, matrix, by=by, reason=reason)
    return matrix.version


async def begin(running: Running, name_or_path: str) -> None:
    """Put the pack of the settings in force where the database has no matrix yet."""
    matrix = await asyncio.to_thread(read_pack, name_or_path)
    async with running.transaction(keys=[LOCK]) as tx:
        if "matrix" not in await store.registry.in_force(tx):
            await publish(tx, matrix, by="settings", reason="first start")


async def matrix_of(running: Running, version: str) -> Matrix:
    """A matrix version that is kept. Raises Poison where there is none, or this release cannot use it."""
    text = await store.registry.source(running, version)
    if text is None:
        raise Poison(f"there is no matrix version {version}")
    try:
        return await asyncio.to_thread(pack.read, text)
    except MatrixError as error:
        raise Poison(f"matrix version {version} cannot be used by this release: {error}") from None


async def activate_matrix(running: Running, version: str, *, by: str, reason: str) -> None:
    """Put a kept version in force again."""
    matrix = await matrix_of(running, version)
    async with running.transaction(keys=[LOCK]) as tx:
        await publish(tx, matrix, by=by, reason=reason)


async def matrix_before(running: Running) -> str:
    """The version that was in force before the present one. Raises Poison where there was none."""
    now = (await store.registry.in_force(running)).get("matrix")
    past = [row.version for row in await store.registry.history(running, "matrix") if _began(row, running.now())]
    before: str | None = next((version for version in past if version != now), None)
    if before is None:
        raise Poison("no other matrix was in force before")
    return before


def _began(row: Row[Any], now: datetime) -> bool:
    return row.cancelled_at is None and row.effective_at <= now


async def model_of(running: Running, version: str) -> linear.Model:
    """A model version that is kept. Raises Poison where there is none, or its bytes are not what was kept."""
    row = await store.registry.model(running, version)
    if row is None:
        raise Poison(f"there is no model version {version}")
    try:
        return await asyncio.to_thread(linear.load, row.bytes, row.sha256)
    except linear.ModelError as error:
        raise Poison(f"model version {version}: {error}") from None


async def keep_model(running: Running, trained: "Trained", matrix_version: str, *, by: str) -> str:
    """Keep a trained model, not yet in force. Gives its version."""
    data = linear.dump(trained.model)
    async with running.transaction(keys=[LOCK]) as tx:
        version = store.registry.new_version(tx.now, trained.fingerprint)
        await store.registry.add_model(
            tx,
            version,
            matrix_version=matrix_version,
            labels=trained.model.labels,
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            fingerprint=trained.fingerprint,
            digests=np.array(trained.digests, np.int64).tobytes(),
            report=trained.report.plain(),
            by=by,
        )
    return version


async def activate_model(
    running: Running, version: str | None, *, by: str, reason: str, kind: Literal["model", "shadow"] = "model"
) -> None:
    """Put a model in force, or beside it in the shadow; None: none.

    Raises: Poison where its labels do not fit the matrix in force.
    """
    if version is not None:
        in_force = await store.registry.in_force(running)
        model = await model_of(running, version)
        try:
            label_situations(await matrix_of(running, in_force.get("matrix") or ""), model.labels)
        except LabelError as error:
            raise Poison(f"model {version} does not fit the matrix in force: {error}") from None
    async with running.transaction(keys=[LOCK]) as tx:
        await store.registry.activate(tx, kind, version, by=by, reason=reason)


async def roll_back_model(running: Running, *, by: str) -> str | None:
    """Put the model in force again that was so before the present one; None where that was no model."""
    past = [row.version for row in await store.registry.history(running, "model")]
    if not past:
        raise Poison("no model was ever in force")
    before = next((version for version in past if version != past[0]), None)
    if past[0] is None and before is None:
        raise Poison("no model was ever in force")
    await activate_model(running, before, by=by, reason=f"rolled back from {past[0] or 'no model'}")
    return before
