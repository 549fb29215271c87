"""The timers of clocks: set, looked for, fired. Whoever sets or fires one holds its ticket's stream lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

from sqlalchemy import TextClause, text

from libs.shared.contracts.sla_timer import ClockBreached, ClockWarned, Escalated
from libs.shared.db import Transaction
from libs.shared.events import CLOCKS
from libs.shared.service import Running
from libs.shared.telemetry import new_traceparent
from services.sla_timer.domain.clock import Timer
from services.sla_timer.domain.policy import LEVELS, Policy

Place = tuple[datetime, UUID]  # of a timer in the order of firing
START: Place = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
BLANK = r"E' \t\n\r\u3000'"

SET = text("""
    INSERT INTO timer (fire_at, id, ticket_id, generation, percent)
    SELECT * FROM unnest(CAST(:fires AS timestamptz[]), CAST(:ids AS uuid[]), CAST(:tickets AS uuid[]),
        CAST(:generations AS int[]), CAST(:percents AS int[]))""")

HEAD = text("""
    SELECT fire_at, clock_timestamp() AS now FROM timer
    WHERE fire_at <= now() + make_interval(secs => :seconds)
        AND (fire_at, id) > (CAST(:after_fire AS timestamptz), CAST(:after_id AS uuid))
    ORDER BY fire_at, id LIMIT 1""")

DUE = """
    SELECT fire_at, id, ticket_id, percent FROM timer WHERE fire_at <= CAST(:now AS timestamptz)
        AND (fire_at, id) > (CAST(:after_fire AS timestamptz), CAST(:after_id AS uuid)) ORDER BY fire_at, id"""

# Deleting the timer and finding its generation unchanged is what makes a point pass, once, for whoever does it.
# What is said is written here too, as `Transaction.flush` would: a round trip of every clock would cost twice the rest.
# `back` counts an event's place from the end of its ticket's; ids are UUIDv7 that differ in their last digits.
FIRE = text(f"""
    WITH gone AS (
        DELETE FROM timer t USING unnest(CAST(:fires AS timestamptz[]), CAST(:ids AS uuid[])) AS d(fire_at, id)
        WHERE t.fire_at = d.fire_at AND t.id = d.id
            AND t.fire_at BETWEEN CAST(:first AS timestamptz) AND CAST(:last AS timestamptz)
        RETURNING t.id AS timer_id, t.ticket_id AS timer_ticket, t.fire_at, t.generation AS set_at, t.percent),
    hit AS (
        UPDATE clock c SET passed = g.percent, generation = c.generation + 1 FROM gone g
        WHERE c.ticket_id = g.timer_ticket AND c.id = g.timer_id AND c.generation = g.set_at AND c.state = 'running'
        RETURNING c.id, c.ticket_id, c.work_order_id, c.kind, c.department, c.department_name, c.lead, c.lead_name,
            c.supervisor, c.started_at, c.due_at, c.limit_seconds, c.generation, g.fire_at, g.percent),
    rule AS (
        SELECT * FROM unnest(CAST(:percents AS int[]), CAST(:levels AS int[]), CAST(:nexts AS int[]))
            AS r(percent, level, next)),
    following AS (
        INSERT INTO timer (fire_at, id, ticket_id, generation, percent)
        SELECT h.started_at + h.limit_seconds * r.next * interval '10 ms', h.id, h.ticket_id, h.generation, r.next
        FROM hit h JOIN rule r USING (percent) WHERE r.next IS NOT NULL),
    told AS (
        SELECT h.ticket_id, h.id, h.fire_at, h.percent, h.lead, h.supervisor, r.level,
            CASE WHEN r.level > 1 THEN NULL WHEN h.department IS NULL THEN ARRAY(
                SELECT DISTINCT w.department FROM work_order w WHERE w.ticket_id = h.ticket_id AND NOT w.ended
                    AND btrim(w.department, {BLANK}) <> '' ORDER BY 1)
                WHEN btrim(h.department, {BLANK}) <> '' THEN ARRAY[h.department] ELSE '{{}}' END AS executing,
            concat('{{"ticket_id":"', h.ticket_id, '","clock":{{"clock_id":"', h.id, '","kind":"', h.kind,
                '","work_order_id":', coalesce(CAST(to_json(h.work_order_id) AS text), 'null'), ',"department":',
                CASE WHEN h.department IS NULL THEN 'null' ELSE
                    concat('{{"code":', to_json(h.department), ',"name":', to_json(h.department_name), '}}') END,
                ',"lead_department":{{"code":', to_json(h.lead), ',"name":', to_json(h.lead_name),
                '}},"supervisor":', to_json(h.supervisor),
                ',"started_at":', left(CAST(to_json(h.started_at AT TIME ZONE 'UTC') AS text), -1),
                'Z","due_at":', left(CAST(to_json(h.due_at AT TIME ZONE 'UTC') AS text), -1),
                'Z","limit_seconds":', h.limit_seconds, '}}') AS body
        FROM hit h JOIN rule r USING (percent)),
    heard AS (
        SELECT *, CASE WHEN level <= 1 AND executing <> '{{}}' THEN 1
            WHEN level <= 2 AND btrim(lead, {BLANK}) <> '' THEN 2
            WHEN level <= 3 AND btrim(supervisor, {BLANK}) <> '' THEN 3 ELSE 4 END AS reached FROM told),
    said AS (
        SELECT ticket_id, fire_at, id, 0 AS place, CASE percent WHEN 100 THEN :breached ELSE :warned END AS type,
            CASE percent WHEN 100 THEN concat(body, '}}') ELSE concat(body, ',"percent":', percent, '}}') END AS body
        FROM heard
        UNION ALL
        SELECT ticket_id, fire_at, id, CAST(e.place AS int), :escalated, concat(body, ',"percent":', percent,
            ',"level":"', (CAST(:names AS text[]))[reached], '","to":', to_json(e.hearer),
            ',"missing":', to_json((CAST(:names AS text[]))[level:reached - 1]), '}}')
        FROM heard, unnest(CASE reached WHEN 1 THEN executing WHEN 2 THEN ARRAY[lead] WHEN 3 THEN ARRAY[supervisor]
            ELSE ARRAY[CAST(:interviewer AS text)] END) WITH ORDINALITY AS e(hearer, place)),
    placed AS (
        SELECT CAST(ticket_id AS text) AS key, type, body, row_number() OVER (ORDER BY fire_at, id, place) AS number,
            row_number() OVER (PARTITION BY ticket_id ORDER BY fire_at DESC, id DESC, place DESC) - 1 AS back
        FROM said),
    drawn AS (
        INSERT INTO stream AS s (key, version, traceparent)
        SELECT key, count(*), CAST(:traceparent AS text) FROM placed GROUP BY key
        ON CONFLICT (key) DO UPDATE SET version = s.version + excluded.version,
            traceparent = coalesce(s.traceparent, excluded.traceparent) RETURNING key, version, traceparent),
    sent AS (
        INSERT INTO outbox (event_id, topic, key, type, version, occurred_at, traceparent, body)
        SELECT CAST(:id || lpad(to_hex(p.number), 5, '0') AS uuid), :topic, p.key, p.type, d.version - p.back,
            CAST(:now AS timestamptz), d.traceparent, convert_to(p.body, 'UTF8')
        FROM placed p JOIN drawn d USING (key) ORDER BY p.number)
    SELECT kind, percent,
        array_agg(CAST(extract(epoch FROM CAST(:now AS timestamptz) - fire_at) AS float)) AS overdue
    FROM hit GROUP BY kind, percent""")

DAYS = text("SELECT made, dropped FROM timer_days(:ahead)")


@dataclass(frozen=True, slots=True)
class Due:
    """Timers whose time has come and whose tickets are locked, earliest first."""

    fires: Sequence[datetime]
    ids: Sequence[UUID]
    percents: Sequence[int]  # each that occurs, once

    @property
    def last(self) -> Place:
        """Where the next ones begin."""
        return self.fires[-1], self.ids[-1]


@dataclass(frozen=True, slots=True)
class Passed:
    """How many clocks of a kind have passed a point in one transaction, and how late each."""

    kind: str
    percent: int
    overdue: Sequence[float]  # s


async def add(tx: Transaction, timers: Sequence[Timer]) -> None:
    """Add pending timers."""
    await tx.run(
        SET,
        fires=[timer.fire_at for timer in timers],
        ids=[timer.promise_id for timer in timers],
        tickets=[timer.ticket_id for timer in timers],
        generations=[timer.generation for timer in timers],
        percents=[timer.percent for timer in timers],
    )


async def head(running: Running, within_seconds: float, after: Place = START) -> float | None:
    """Seconds until the earliest timer behind a place (at most 0 when it is due), None when there is none that soon."""
    rows = await running.read(HEAD, seconds=within_seconds, after_fire=after[0], after_id=after[1])
    return (rows[0].fire_at - rows[0].now).total_seconds() if rows else None


@cache
def taking(count: int) -> TextClause:
    """The statement that finds due timers and locks their tickets in key order; its plan depends on the number."""
    return text(f"""
        WITH due AS MATERIALIZED ({DUE} LIMIT {count}),
        locked AS MATERIALIZED (
            SELECT s.key FROM (SELECT DISTINCT CAST(ticket_id AS text) AS key FROM due ORDER BY key) d
            CROSS JOIN LATERAL (SELECT key FROM stream WHERE key = d.key FOR UPDATE) s)
        SELECT array_agg(fire_at ORDER BY fire_at, id) AS fires, array_agg(id ORDER BY fire_at, id) AS ids,
            (SELECT array_agg(DISTINCT percent) FROM due) AS percents, (SELECT count(*) FROM locked) AS locked
        FROM due""")


async def take(tx: Transaction, count: int, after: Place = START) -> Due | None:
    """Up to `count` timers behind a place that are due by the database's clock, their tickets locked; None: no more."""
    [row] = await tx.rows(taking(count), now=tx.now, after_fire=after[0], after_id=after[1])
    return Due(row.fires, row.ids, row.percents) if row.ids else None


async def fire(tx: Transaction, due: Due, policy: Policy) -> tuple[int, list[Passed]]:
    """Fire timers that were taken in this transaction, in one statement. Answers how many, and which points passed.

    For each whose clock still runs as it did when the timer was set: the warning or breach, then before whom it is
    brought (several departments hear of it each; a level without anybody passes it to the next at once and is named in
    `missing`; the interviewer always exists), and the next timer.
    """
    rules = [policy.step(percent) for percent in due.percents]
    rows = await tx.rows(
        FIRE,
        now=tx.now,
        fires=due.fires,
        ids=due.ids,
        first=due.fires[0],
        last=due.fires[-1],
        percents=due.percents,
        levels=[1 + LEVELS.index(level) for level, _ in rules],
        nexts=[following for _, following in rules],
        names=list(LEVELS),
        interviewer=policy.interviewer,
        topic=CLOCKS,
        warned=ClockWarned.type,
        breached=ClockBreached.type,
        escalated=Escalated.type,
        id=tx.new_id().hex[:27],
        traceparent=new_traceparent(),
    )
    if rows:
        tx.after_commit(lambda: tx.running.wake("relay"))
    return sum(len(row.overdue) for row in rows), [Passed(row.kind, row.percent, row.overdue) for row in rows]


async def keep_days(running: Running, ahead: int) -> tuple[int, int]:
    """Make the partitions of the coming days and drop past ones that are empty; answers how many of each."""
    row = (await running.read(DAYS, ahead=ahead))[0]
    return row.made, row.dropped
