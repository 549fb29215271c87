"""What a matrix owner does with a draft: open, change, replace, try out, publish, discard; and with versions in force.

All of it runs under the registry's lock: a draft has one writer at a time, and what is published is what was looked at.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from libs.shared.command import Answer, Refused
from libs.shared.db import Transaction
from services.classification import registry, store
from services.classification.domain import draft, pack
from services.classification.domain.matrix import Matrix, MatrixError, Problem

LATEST = timedelta(days=366)  # how far ahead an effective time may lie


@dataclass(frozen=True, slots=True)
class Open:
    """A draft of what comes after `base`, a kept version. `by` is who does it, here and below."""

    title: str
    base: Matrix
    by: str
    reason: str
    origin: dict[str, Any] | None = None  # what suggested it


@dataclass(frozen=True, slots=True)
class Change:
    """Changes to the revision that whoever asks for them has seen."""

    draft_id: int
    revision: int
    changes: tuple[draft.Change, ...]
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replace:
    """All of a draft as a file has it."""

    draft_id: int
    revision: int
    matrix: Matrix
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Try:
    """A what-if over the tickets of the last days."""

    draft_id: int
    days: int
    by: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Put a draft's revision in force, now or from `effective_at` on.

    `over`: the version in force that it is to replace, where that is not the one the draft began from.
    """

    draft_id: int
    revision: int
    by: str
    reason: str
    effective_at: datetime | None = None
    over: str | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """A draft that will not be published."""

    draft_id: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Activate:
    """Put a kept version in force again, now or from `effective_at` on."""

    matrix: Matrix
    by: str
    reason: str
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Take back an effective time that has not come yet."""

    activation_id: int
    by: str


async def open_draft(args: Open, tx: Transaction) -> Answer:
    """A draft as its base is."""
    form = pack.form(args.base)
    draft_id = await store.draft.add(
        tx, title=args.title, base=args.base.version, form=form, origin=args.origin, by=args.by
    )
    await store.draft.note(tx, draft_id, 1, by=args.by, reason=args.reason, differences=[])
    return Answer(201, {"draft_id": draft_id, "revision": 1, "state": "open", "base": args.base.version})


async def change(args: Change, tx: Transaction) -> Answer:
    """Change cells and rows; what is then wrong with the matrix is told, and keeps it from being published."""
    row = await _open(tx, args.draft_id, args.revision)
    try:
        form = await asyncio.to_thread(draft.apply, row.form, args.changes)
        _, problems = await asyncio.to_thread(pack.examine, form)
    except MatrixError as error:
        raise _refused(error.problems) from None
    return await _write(tx, row, form, problems, args)


async def replace(args: Replace, tx: Transaction) -> Answer:
    """Take a file's matrix for the draft's."""
    row = await _open(tx, args.draft_id, args.revision)
    return await _write(tx, row, pack.form(args.matrix), (), args)


async def try_out(args: Try, tx: Transaction) -> Answer:
    """Have the draft's present revision classify past tickets; what it gives is kept with the draft."""
    row = await _open(tx, args.draft_id)
    _sound(row)
    await store.draft.ask(tx, args.draft_id, row.revision, days=args.days, by=args.by)
    tx.after_commit(lambda: tx.running.wake("trial"))
    return Answer(202, {"draft_id": args.draft_id, "revision": row.revision, "state": "waiting"})


async def publish(args: Publish, tx: Transaction) -> Answer:
    """Put it in force. 409 where it has faults, no what-if, or another version came in force since it was opened."""
    row = await _open(tx, args.draft_id, args.revision)
    _sound(row)
    if row.trial_state != "done" or row.tried_revision != row.revision:
        raise Refused(409, "Not tried out", f"there is no finished what-if of revision {row.revision}: run it first")
    matrix = await asyncio.to_thread(lambda: pack.examine(row.form)[0])
    now = (await store.registry.in_force(tx)).get("matrix")
    if matrix.version == now:
        raise Refused(409, "Nothing changed", f"the draft is what is in force: {now}")
    if now != (args.over or row.base):
        detail = f"{now} is in force, the draft began from {row.base}: look at the difference, then name it in `over`"
        raise Refused(409, "Another version is in force", detail, in_force=now)
    effective_at = _effective(args.effective_at, tx.now)
    await registry.publish(tx, matrix, by=args.by, reason=args.reason, effective_at=effective_at)
    await store.draft.end(tx, args.draft_id, "published", matrix.version, effective_at)
    return Answer(200, _in_force(matrix.version, effective_at))


async def discard(args: Discard, tx: Transaction) -> Answer:
    """Lay a draft aside; it can be read on."""
    row = await _open(tx, args.draft_id)
    await store.draft.end(tx, args.draft_id, "discarded")
    await store.draft.note(tx, args.draft_id, row.revision + 1, by=args.by, reason=args.reason, differences=[])
    return Answer(200, {"draft_id": args.draft_id, "state": "discarded"})


async def activate(args: Activate, tx: Transaction) -> Answer:
    """Put a version in force again: a roll back, or forward."""
    effective_at = _effective(args.effective_at, tx.now)
    await registry.publish(tx, args.matrix, by=args.by, reason=args.reason, effective_at=effective_at)
    return Answer(200, _in_force(args.matrix.version, effective_at))


async def cancel(args: Cancel, tx: Transaction) -> Answer:
    """What is in force then stays so."""
    version = await store.registry.cancel(tx, args.activation_id, by=args.by)
    if version is None:
        raise Refused(404, "Not found", "no such activation of a matrix lies ahead")
    return Answer(200, {"activation_id": args.activation_id, "version": version, "cancelled_by": args.by})


async def _open(tx: Transaction, draft_id: int, revision: int | None = None) -> Row[Any]:
    row = await store.draft.one(tx, draft_id)
    if row is None:
        raise Refused(404, "Not found", f"there is no draft {draft_id}")
    if row.state != "open":
        raise Refused(409, "Not open", f"draft {draft_id} is {row.state}", state=row.state)
    if revision not in (None, row.revision):
        detail = f"the draft is at revision {row.revision}, not {revision}: look at it again"
        raise Refused(409, "Changed meanwhile", detail, revision=row.revision)
    return row


def _sound(row: Row[Any]) -> None:
    if row.problems:
        errors = [{"field": each["place"], "reason": each["reason"]} for each in row.problems]
        raise Refused(409, "Not valid", f"{len(errors)} faults keep the draft from being used", errors=errors)


async def _write(
    tx: Transaction, row: Row[Any], form: draft.Form, problems: Sequence[Problem], args: Change | Replace
) -> Answer:
    if row.form == form:
        return Answer(200, {"draft_id": row.draft_id, "revision": row.revision, "problems": row.problems})
    found = [each.plain() for each in draft.differences(row.form, form)]
    plain = [{"place": each.place, "reason": each.reason} for each in problems]
    revision = await store.draft.change(tx, row.draft_id, form=form, problems=plain)
    await store.draft.note(tx, row.draft_id, revision, by=args.by, reason=args.reason, differences=found)
    return Answer(200, {"draft_id": row.draft_id, "revision": revision, "problems": plain})


def _refused(problems: Sequence[Problem]) -> Refused:
    return Refused(
        422,
        "Bad request",
        "; ".join(map(str, problems[:10])),
        errors=[{"field": each.place, "reason": each.reason} for each in problems],
    )


def _effective(wanted: datetime | None, now: datetime) -> datetime:
    if wanted is None:
        return now
    if not now - timedelta(minutes=1) <= wanted <= now + LATEST:
        reason = "lies in the past" if wanted < now else f"lies more than {LATEST.days} days ahead"
        raise Refused(
            422, "Bad request", f"effective_at: {reason}", errors=[{"field": "effective_at", "reason": reason}]
        )
    return max(wanted, now)


def _in_force(version: str, effective_at: datetime) -> dict[str, Any]:
    return {"version": version, "effective_at": effective_at.isoformat()}
