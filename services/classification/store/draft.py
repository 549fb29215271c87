"""Drafts of the matrix, who changed what in them, and what-if runs of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text

from libs.shared.db import Transaction, rows
from libs.shared.service import Running

FIELDS = """d.draft_id, d.title, d.state, d.base, d.revision, d.problems, d.origin, d.opened_by, d.opened_at,
    d.changed_at, d.version, d.effective_at"""
TRIAL = """t.revision AS tried_revision, t.days, t.state AS trial_state, t.done, t.total, t.asked_by, t.asked_at,
    t.ended_at, t.fault"""

OPEN = text("""
    INSERT INTO draft (title, state, base, form, revision, problems, origin, opened_by, opened_at, changed_at)
    VALUES (:title, 'open', :base, CAST(:form AS jsonb), 1, '[]', CAST(:origin AS jsonb), :by, :now, :now)
    RETURNING draft_id""")
ONE = text(f"""
    SELECT {FIELDS}, d.form, {TRIAL}, t.outcome FROM draft d
    LEFT JOIN trial t ON t.draft_id = d.draft_id WHERE d.draft_id = :draft_id""")
PAGE = text(f"""
    SELECT {FIELDS}, {TRIAL} FROM draft d LEFT JOIN trial t ON t.draft_id = d.draft_id
    WHERE (CAST(:state AS text) IS NULL OR d.state = :state) AND (CAST(:before AS int) IS NULL OR d.draft_id < :before)
    ORDER BY d.draft_id DESC LIMIT :limit""")
CHANGE = text("""
    UPDATE draft SET form = CAST(:form AS jsonb), revision = revision + 1, problems = CAST(:problems AS jsonb),
        changed_at = :now WHERE draft_id = :draft_id RETURNING revision""")
CHANGED = text("""
    INSERT INTO draft_change (draft_id, revision, at, by, reason, differences)
    VALUES (:draft_id, :revision, :now, :by, :reason, CAST(:differences AS jsonb))""")
CHANGES = text("""
    SELECT revision, at, by, reason, differences FROM draft_change
    WHERE draft_id = :draft_id AND (CAST(:before AS int) IS NULL OR revision < :before)
    ORDER BY revision DESC LIMIT :limit""")
END = text("""
    UPDATE draft SET state = :state, version = :version, effective_at = :effective_at, changed_at = :now
    WHERE draft_id = :draft_id""")

# One what-if a draft: of its latest revision that was tried.
ASK = text("""
    INSERT INTO trial (draft_id, revision, days, state, done, total, asked_by, asked_at)
    VALUES (:draft_id, :revision, :days, 'waiting', 0, 0, :by, :now)
    ON CONFLICT (draft_id) DO UPDATE SET revision = excluded.revision, days = excluded.days, state = 'waiting',
        done = 0, total = 0, outcome = NULL, fault = NULL, ended_at = NULL, asked_by = excluded.asked_by,
        asked_at = excluded.asked_at""")
NEXT = text("""
    SELECT t.draft_id, t.revision, t.days, t.asked_at, d.form FROM trial t JOIN draft d USING (draft_id)
    WHERE t.state IN ('waiting', 'running') ORDER BY t.asked_at, t.draft_id LIMIT 1""")
PROGRESS = text("""
    UPDATE trial SET state = 'running', done = :done, total = :total
    WHERE draft_id = :draft_id AND asked_at = :asked_at AND state IN ('waiting', 'running') RETURNING 1""")
SETTLE = text("""
    UPDATE trial SET state = :state, done = :done, total = :total, outcome = CAST(:outcome AS jsonb), fault = :fault,
        ended_at = clock_timestamp()
    WHERE draft_id = :draft_id AND asked_at = :asked_at AND state IN ('waiting', 'running')""")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


async def add(
    tx: Transaction,
    *,
    title: str,
    base: str,
    form: dict[str, Any],
    origin: dict[str, Any] | None,
    by: str,
) -> int:
    """A new draft. Gives its number."""
    [row] = await tx.rows(OPEN, title=title, base=base, form=_json(form), origin=_json(origin), by=by, now=tx.now)
    return int(row.draft_id)


async def one(source: Transaction | Running, draft_id: int) -> Row[Any] | None:
    """A draft with its form and its what-if."""
    found = await rows(source, ONE, draft_id=draft_id)
    return found[0] if found else None


async def page(running: Running, state: str | None, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Drafts without their forms, the latest first."""
    return await running.read(PAGE, state=state, before=before, limit=limit)


async def change(tx: Transaction, draft_id: int, *, form: dict[str, Any], problems: Sequence[dict[str, str]]) -> int:
    """Give a draft another form. Gives its new revision."""
    [row] = await tx.rows(CHANGE, draft_id=draft_id, form=_json(form), problems=_json(problems), now=tx.now)
    return int(row.revision)


async def note(
    tx: Transaction, draft_id: int, revision: int, *, by: str, reason: str, differences: Sequence[dict[str, Any]]
) -> None:
    """Who changed what, and why."""
    await tx.run(
        CHANGED,
        draft_id=draft_id,
        revision=revision,
        by=by,
        reason=reason,
        differences=_json(differences),
        now=tx.now,
    )


async def changes(running: Running, draft_id: int, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Who changed what in a draft, the latest first."""
    return await running.read(CHANGES, draft_id=draft_id, before=before, limit=limit)


async def end(
    tx: Transaction, draft_id: int, state: str, version: str | None = None, effective_at: datetime | None = None
) -> None:
    """A draft is published or discarded."""
    await tx.run(END, draft_id=draft_id, state=state, version=version, effective_at=effective_at, now=tx.now)


async def ask(tx: Transaction, draft_id: int, revision: int, *, days: int, by: str) -> None:
    """A what-if of a draft's revision is wanted; an earlier one of the draft is forgotten."""
    await tx.run(ASK, draft_id=draft_id, revision=revision, days=days, by=by, now=tx.now)


async def next_trial(running: Running) -> Row[Any] | None:
    """The what-if that has waited longest."""
    found = await running.read(NEXT)
    return found[0] if found else None


async def progress(running: Running, trial: Row[Any], done: int, total: int) -> bool:
    """How far it is; False where it is not wanted any more."""
    return bool(await running.read(PROGRESS, draft_id=trial.draft_id, asked_at=trial.asked_at, done=done, total=total))


async def settle(
    running: Running,
    trial: Row[Any],
    done: int,
    total: int,
    *,
    outcome: dict[str, Any] | None = None,
    fault: str | None = None,
) -> None:
    """What it gave, or why it could not be done."""
    await running.read(
        SETTLE,
        draft_id=trial.draft_id,
        asked_at=trial.asked_at,
        state="done" if outcome is not None else "failed",
        done=done,
        total=total,
        outcome=_json(outcome) if outcome is not None else None,
        fault=fault,
    )
