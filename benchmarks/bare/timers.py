"""Timers, bare: one statement in a loop deletes what is due by range and inserts what follows from it.

Each fired timer leaves the same rows as Zhida's: the next timer and two events (a warning, and before whom it is
brought) of the same size; each transaction is committed with fsync. No stream is locked, no version drawn, no clock
read, no generation compared, no body built.
"""

import time

import asyncpg

TABLES = """
    CREATE TABLE timer (fire_at timestamptz, id uuid, ticket_id uuid NOT NULL, generation int NOT NULL,
        percent int NOT NULL, PRIMARY KEY (fire_at, id));
    CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL,
        topic text NOT NULL, key text NOT NULL, type text NOT NULL, version bigint NOT NULL,
        occurred_at timestamptz NOT NULL, traceparent text NOT NULL, body bytea NOT NULL)"""
FILL = """
    INSERT INTO timer SELECT now() + make_interval(secs => 600 + n * 259200.0 / $1), gen_random_uuid(),
        gen_random_uuid(), 0, 50 FROM generate_series(1, $1) AS n"""
DUE = """
    INSERT INTO timer SELECT now() - interval '1 s' + make_interval(secs => n * 1.0 / $1), gen_random_uuid(),
        gen_random_uuid(), 0, 50 FROM generate_series(1, $1) AS n"""
FIRE = """
    WITH due AS (SELECT fire_at, id FROM timer WHERE fire_at <= now() ORDER BY fire_at, id LIMIT 1000),
    gone AS (
        DELETE FROM timer t USING due d WHERE t.fire_at = d.fire_at AND t.id = d.id
        RETURNING t.fire_at, t.id, t.ticket_id, t.generation),
    following AS (INSERT INTO timer SELECT fire_at + interval '9 h', id, ticket_id, generation, 80 FROM gone),
    said AS (
        INSERT INTO outbox (event_id, topic, key, type, version, occurred_at, traceparent, body)
        SELECT gen_random_uuid(), 'clocks', CAST(ticket_id AS text), 'ClockWarned', 1, now(), repeat('0', 55), $1
        FROM gone, generate_series(1, 2))
    SELECT count(*) FROM gone"""
ONE_EVENT = FIRE.replace("generate_series(1, 2)", "generate_series(1, 1)").replace(
    "following AS (INSERT INTO timer SELECT fire_at + interval '9 h', id, ticket_id, generation, 80 FROM gone),", ""
)


async def fires(url: str, pending: int, due: int, size: int) -> dict[str, float]:
    """Timers a second, with so many pending: `same` rows out as Zhida's, and `one` event row out and nothing else.

    size: bytes of an event's body.
    """
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(TABLES)
        await connection.execute(FILL, pending, timeout=3600)
        found = {}
        for name, statement in (("same", FIRE), ("one", ONE_EVENT)):
            await connection.execute(DUE, due, timeout=600)
            await connection.execute("VACUUM ANALYZE timer", timeout=3600)
            prepared = await connection.prepare(statement)
            body, fired, began = b"x" * size, 0, time.perf_counter()
            while number := await prepared.fetchval(body):
                fired += number
            found[name] = fired / (time.perf_counter() - began)
        return found
    finally:
        await connection.close()
