"""Masters, and the tickets that follow them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from libs.shared.contracts.classification import Department
from libs.shared.db import Transaction, rows
from libs.shared.service import Running
from services.dispatch.domain.member import Master, Member
from services.dispatch.domain.ticket import Ticket
from services.dispatch.store.held import json
from services.dispatch.store.ticket import ticket

_PUT = """
    INSERT INTO member (ticket_id, master_id, state, departments, hot_event, by, reason, at)
    SELECT ticket_id, master_id, state, departments, hot_event, by, reason, :now
    FROM jsonb_to_recordset(CAST(:members AS jsonb)) AS n(ticket_id uuid, master_id uuid, state text,
        departments jsonb, hot_event boolean, by text, reason text)
    ON CONFLICT (ticket_id) DO UPDATE SET master_id = excluded.master_id, state = excluded.state,
        departments = excluded.departments, hot_event = excluded.hot_event, by = excluded.by,
        reason = excluded.reason, at = excluded.at"""
KEEP = text(_PUT)
# Who follows another master stays with it; who is out, or on the way out, comes back.
WISH = text(f"""{_PUT}
    WHERE member.state = 'released' OR member.state = 'leaving' AND member.master_id = excluded.master_id""")
LEAVE = text("""
    UPDATE member m SET state = 'leaving', by = n.by, reason = NULL, at = :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:masters AS uuid[]), CAST(:bys AS text[])) AS n(ticket_id, master_id, by)
    WHERE m.ticket_id = n.ticket_id AND m.master_id = n.master_id AND m.state IN ('joining', 'member')""")
BEGIN = text("""
    INSERT INTO master (master_id, hot_event, due)
    SELECT id, :hot_event, false FROM unnest(CAST(:ids AS uuid[])) AS n(id) ORDER BY id
    ON CONFLICT (master_id) DO UPDATE SET due = true, hot_event = excluded.hot_event,
        dissolved_by = CASE WHEN excluded.hot_event THEN master.dissolved_by END""")
OVER = text("""
    INSERT INTO master (master_id, hot_event, due, over)
    SELECT id, true, true, true FROM unnest(CAST(:ids AS uuid[])) AS n(id)
    ORDER BY id ON CONFLICT (master_id) DO UPDATE SET due = true, over = true""")
DISSOLVE = text("""
    INSERT INTO master (master_id, hot_event, due, dissolved_by, reason) VALUES (:id, true, true, :by, :reason)
    ON CONFLICT (master_id) DO UPDATE SET due = true, dissolved_by = :by, reason = :reason""")
DONE = text("UPDATE master SET due = false WHERE master_id = :id AND due")
# Masters that are in work for others now.
LIVE = text("""
    SELECT t.ticket_id FROM unnest(CAST(:ids AS uuid[])) AS n(id) JOIN ticket t ON t.ticket_id = n.id
    JOIN master m ON m.master_id = n.id WHERE m.dissolved_by IS NULL AND t.master = t.ticket_id""")
MASTER = text("SELECT master_id, hot_event, over, dissolved_by, reason FROM master WHERE master_id = :id")
SOME = text("SELECT m.* FROM unnest(CAST(:ids AS uuid[])) AS n(ticket_id) JOIN member m USING (ticket_id)")
# Masters with something to do: one look into the index for each. Wishes wait for masters that are still to come.
TO_DO = text("""
    WITH RECURSIVE moving AS (
        (SELECT master_id FROM member WHERE state IN ('joining', 'leaving') ORDER BY master_id LIMIT 1)
        UNION ALL
        SELECT (SELECT m.master_id FROM member m WHERE m.state IN ('joining', 'leaving')
            AND m.master_id > moving.master_id ORDER BY m.master_id LIMIT 1)
        FROM moving WHERE moving.master_id IS NOT NULL)
    SELECT master_id FROM master WHERE due
    UNION SELECT m.master_id FROM moving w JOIN master m ON m.master_id = w.master_id
        JOIN ticket t ON t.ticket_id = m.master_id
    ORDER BY master_id LIMIT 1000""")
MOVING = text("""
    SELECT ticket_id FROM member WHERE master_id = :id AND state IN ('joining', 'leaving')
    ORDER BY ticket_id LIMIT :limit""")
FIRST = text("""
    SELECT ticket_id FROM member WHERE master_id = :id AND state = 'member' ORDER BY ticket_id LIMIT :limit""")
# Members that have yet to follow: see `domain.member.behind`.
BEHIND = text("""
    (SELECT ticket_id FROM ticket WHERE master = :id AND state = 'open' AND ticket_id <> :id
        AND CAST(:answered_at AS timestamptz) IS NOT NULL ORDER BY ticket_id LIMIT :limit)
    UNION ALL
    (SELECT ticket_id FROM ticket WHERE master = :id AND state = 'answered' AND ticket_id <> :id
        AND (CAST(:answered_at AS timestamptz) IS NULL OR answered_at < CAST(:answered_at AS timestamptz))
        ORDER BY ticket_id LIMIT :limit)
    LIMIT :limit""")
NOT_CLOSED = text("""
    SELECT ticket_id FROM ticket WHERE master = :id AND state IN ('open', 'answered') AND ticket_id <> :id LIMIT 1""")
COUNT = text("SELECT count(*) AS members FROM member WHERE master_id = :id AND state = 'member'")
PAGE = text("""
    SELECT t.* FROM (SELECT ticket_id FROM member WHERE master_id = :id AND state = 'member' AND ticket_id > :after
        ORDER BY ticket_id LIMIT :limit) m JOIN ticket t USING (ticket_id) ORDER BY t.ticket_id""")


async def wish(tx: Transaction, members: Sequence[Member]) -> None:
    """Have these join their masters soon; their tickets are locked."""
    if members:
        await tx.run(WISH, members=json(_plain(members)), now=tx.now)
        tx.after_commit(lambda: tx.running.wake("merging"))


async def leave(tx: Transaction, wishes: Sequence[tuple[UUID, UUID, str]]) -> None:
    """Have tickets (ticket, master, by whom) leave their masters soon; nothing where they follow another one."""
    await tx.run(
        LEAVE,
        ids=[ticket_id for ticket_id, _, _ in wishes],
        masters=[master for _, master, _ in wishes],
        bys=[by for _, _, by in wishes],
        now=tx.now,
    )
    tx.after_commit(lambda: tx.running.wake("merging"))


async def keep(tx: Transaction, members: Sequence[Member]) -> None:
    """How these stand now; their tickets are locked."""
    if members:
        await tx.run(KEEP, members=json(_plain(members)), now=tx.now)


async def begin(tx: Transaction, ids: Collection[UUID], *, hot_event: bool) -> None:
    """These are masters from now on; a hot event that was dissolved stays so."""
    if ids:
        await tx.run(BEGIN, ids=list(ids), hot_event=hot_event)


async def over(tx: Transaction, ids: Collection[UUID]) -> None:
    """No more tickets join these masters by themselves."""
    await tx.run(OVER, ids=list(ids))
    tx.after_commit(lambda: tx.running.wake("merging"))


async def dissolve(tx: Transaction, master_id: UUID, by: str, reason: str | None) -> None:
    """All members of a master go their own ways, soon."""
    await tx.run(DISSOLVE, id=master_id, by=by, reason=reason)
    tx.after_commit(lambda: tx.running.wake("merging"))


async def done(tx: Transaction, master_id: UUID) -> None:
    """Nothing is to be done for its members; the master is locked."""
    await tx.run(DONE, id=master_id)


async def live(tx: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Those of these masters that tickets may follow now."""
    return {row.ticket_id for row in await tx.rows(LIVE, ids=list(ids))} if ids else set()


async def master(source: Transaction | Running, master_id: UUID) -> Master | None:
    """A master; None where it is none."""
    found = await rows(source, MASTER, id=master_id)
    return Master(**found[0]._mapping) if found else None


async def some(tx: Transaction, ids: Iterable[UUID]) -> list[Member]:
    """Those of these tickets that follow a master, will, or did."""
    wanted = list(ids)
    return [_member(row) for row in await tx.rows(SOME, ids=wanted)] if wanted else []


async def to_do(running: Running) -> list[UUID]:
    """Masters for whose members something is to be done."""
    return [row.master_id for row in await running.read(TO_DO)]


async def moving(source: Transaction | Running, master_id: UUID, limit: int) -> list[UUID]:
    """Tickets on their way to or from a master, the first ones."""
    return [row.ticket_id for row in await rows(source, MOVING, id=master_id, limit=limit)]


async def first(source: Transaction | Running, master_id: UUID, limit: int) -> list[UUID]:
    """Members of a master, the first ones."""
    return [row.ticket_id for row in await rows(source, FIRST, id=master_id, limit=limit)]


async def behind(source: Transaction | Running, of: Ticket, limit: int) -> list[UUID]:
    """Members that have yet to follow what their master did."""
    answered_at = None if of.state == "open" else of.answered_at
    found = await rows(source, BEHIND, id=of.brief.ticket_id, answered_at=answered_at, limit=limit)
    return [row.ticket_id for row in found]


async def all_closed(tx: Transaction, master_id: UUID) -> bool:
    """Whether every member is closed."""
    return not await tx.rows(NOT_CLOSED, id=master_id)


async def count(source: Transaction | Running, master_id: UUID) -> int:
    """Tickets that follow a master."""
    [row] = await rows(source, COUNT, id=master_id)
    found: int = row.members
    return found


async def page(running: Running, master_id: UUID, after: UUID, limit: int) -> list[Ticket]:
    """Tickets that follow a master, by their ids."""
    return [ticket(row) for row in await running.read(PAGE, id=master_id, after=after, limit=limit)]


def _plain(members: Sequence[Member]) -> list[dict[str, Any]]:
    """As rows of JSON."""
    return [
        {
            "ticket_id": each.ticket_id,
            "master_id": each.master_id,
            "state": each.state,
            "departments": [department.model_dump() for department in each.departments],
            "hot_event": each.hot_event,
            "by": each.by,
            "reason": each.reason,
        }
        for each in members
    ]


def _member(row: Row[Any]) -> Member:
    return Member(
        ticket_id=row.ticket_id,
        master_id=row.master_id,
        state=row.state,
        departments=tuple(Department(**each) for each in row.departments),
        hot_event=row.hot_event,
        by=row.by,
        reason=row.reason,
    )
