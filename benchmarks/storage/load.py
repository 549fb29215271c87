"""Stored tickets, made by SQL: each as it would stand in every service's tables after its life, one in 500 still open.

Ids are UUIDv7 of evenly spread moments of the last months, so that they lie in partitions as they would for real.
"""

import time

import asyncpg

MONTHS = 4
STEP = 100_000  # tickets of one transaction
DEPARTMENTS = ("district_bureau", "transmission_station", "repair_centre", "billing_centre", "metering_centre")
TABLES = {  # what is written for a ticket, by service
    "intake": ("ticket", "reference", "ticket_stage", "stream"),
    "classification": ("ticket", "review", "stream"),
    "dispatch": ("ticket", "work_order", "history", "delivery", "stream"),
    "sla_timer": ("ticket", "work_order", "clock", "stream"),
    "notification": ("notice", "recipient", "stream"),
}

ID = """CAST(lpad(to_hex(ms + {later}), 12, '0') || '7' || substr(md5('{salt}' || n), 1, 3) || '8'
    || substr(md5('{salt}' || n), 4, 15) AS uuid)"""
LIVES = f"""
    CREATE TEMP TABLE life AS
    SELECT *, to_timestamp(ms / 1000.0) AS born, {ID.format(salt="t", later=0)} AS ticket_id,
        {ID.format(salt="o", later=300)} AS order_id, {ID.format(salt="d", later=301)} AS delivery_id,
        {ID.format(salt="a", later=400)} AS accept_id, {ID.format(salt="r", later=401)} AS resolve_id,
        {ID.format(salt="n", later=9000)} AS notice_id,
        'A' || n % 200 AS agent, 'load-' || n AS reference, n % 500 = 0 AS open,
        (CAST($3 AS text[]))[1 + n % cardinality(CAST($3 AS text[]))] AS department
    FROM (SELECT n, CAST($4 AS bigint) + n * CAST($5 AS bigint) / $6 AS ms
        FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) n) s"""
TEXT = "'变电站离小区太近，请重新选址。第' || n || '户来电。'"
CLOSED = "CASE WHEN open THEN NULL ELSE born + interval '2 hours' END"

INSERTS = (
    f"""INSERT INTO intake.ticket SELECT ticket_id, '95598', reference, agent, '变电站选址', {TEXT}, 'opinion',
        'external', '320102', NULL, NULL, 3, false, born, born, 'platform' FROM life ORDER BY ticket_id""",
    "INSERT INTO intake.reference SELECT '95598', reference, ticket_id FROM life ORDER BY ticket_id",
    """INSERT INTO intake.ticket_stage (ticket_id, stage, since, reached, orders, situation, lead_department, hops)
        SELECT ticket_id, CASE WHEN open THEN 'assigned' ELSE 'closed' END, born + interval '2 hours',
        jsonb_build_object('received', born, 'classified', born, 'assigned', born, 'accepted', born, 'answered', born),
        jsonb_build_object(order_id, jsonb_build_object('department', department, 'name', department, 'since', born,
            'state', CASE WHEN open THEN 'assigned' ELSE 'answered' END)), '变电站选址', 'planning', 2
        FROM life ORDER BY ticket_id""",
    f"""INSERT INTO classification.ticket SELECT ticket_id, jsonb_build_object('channel', '95598', 'external_ref',
        reference, 'agent_id', agent, 'title', '变电站选址', 'text', {TEXT},
        'place', '{{"area_code": "320102"}}'::jsonb, 'customer', '{{"star": 3}}'::jsonb, 'opened_at', born),
        CASE WHEN n % 2000 = 1 THEN 'review' ELSE 'classified' END,
        'A01-1', 'power_95598-2026.11', NULL, 0.9, 0.8, '{{变电站}}', 'matrix', 'opinion', 'external', 'normal',
        'normal', born, born FROM life ORDER BY ticket_id""",
    """INSERT INTO classification.review SELECT ticket_id, born, born + interval '4 hours',
        jsonb_build_array(jsonb_build_object('probability', 0.4, 'situation',
            '{"code": "A01-1", "name": "变电站选址", "path": ["供电", "布局", "布点"]}'::jsonb)), NULL, NULL
        FROM life WHERE n % 2000 = 1 ORDER BY ticket_id""",
    f"""INSERT INTO dispatch.ticket SELECT ticket_id, CASE WHEN open THEN 'open' ELSE 'closed' END, 1, '95598',
        reference, agent, '变电站选址', {TEXT}, '320102', NULL, 3, false, born, 'A01-1', '规划变电站选址争议',
        '["供电能力", "电网规划布局", "变电站布点"]', 'planning', '计划发展部', 'deputy-planning', 'construction',
        'all', 'normal', 'power_95598-2026.11', born, born, {CLOSED}, {CLOSED}, NOT open, 0, 0, 0, 2, 5, 60
        FROM life ORDER BY ticket_id""",
    f"""INSERT INTO dispatch.work_order SELECT order_id, ticket_id, department, department,
        CASE WHEN open THEN 'assigned' ELSE 'closed' END, born, 0, NULL, NULL, born, born, born, {CLOSED},
        '已到现场核实，问题已处理。', NULL FROM life ORDER BY order_id""",
    """INSERT INTO dispatch.history (ticket_id, work_order_id, at, what, by)
        SELECT ticket_id, order_id, born, what, department FROM life, unnest('{accepted,answered,closed}'::text[]) what
        ORDER BY ticket_id""",
    f"""INSERT INTO dispatch.delivery (delivery_id, department, ticket_id, work_order_id, type, body, traceparent,
        state, attempts, created_at, due_at, give_up_at, settled_at, last_status)
        SELECT delivery_id, department, ticket_id, order_id, 'work_order.assigned',
        jsonb_build_object('text', {TEXT}), '', 'delivered', 1, born, born, born + interval '1 day', born, 204
        FROM life ORDER BY delivery_id""",
    "INSERT INTO sla_timer.ticket SELECT ticket_id, NOT open, " + CLOSED + " FROM life ORDER BY ticket_id",
    """INSERT INTO sla_timer.work_order (ticket_id, id, department, accepted, contacted, ended)
        SELECT ticket_id, order_id, department, NOT open, NOT open, NOT open FROM life ORDER BY ticket_id""",
    """INSERT INTO sla_timer.clock (ticket_id, id, work_order_id, kind, department, department_name, lead, lead_name,
        supervisor, started_at, due_at, limit_seconds, rule, sla_class, star, state, stopped_at)
        SELECT ticket_id, id, CASE WHEN kind = 'resolve' THEN NULL ELSE order_id END, kind, department, department,
        'planning', '计划发展部', 'deputy-planning', born, born + interval '60 days', 5184000, kind, 'construction', 3,
        CASE WHEN open THEN 'running' ELSE 'met' END, born
        FROM life, LATERAL (VALUES ('accept', accept_id), ('resolve', resolve_id)) c(kind, id) ORDER BY ticket_id""",
    """INSERT INTO notification.recipient (address, last_number)
        SELECT 'agent:' || agent, max(n) FROM life GROUP BY agent
        ON CONFLICT (address) DO UPDATE SET last_number = greatest(recipient.last_number, excluded.last_number)""",
    f"""INSERT INTO notification.notice SELECT 'agent:' || agent, n, notice_id, ticket_id, 'ticket_answered',
        notice_id::text, jsonb_build_object('title', '变电站选址', 'text', {TEXT}), born, born
        FROM life WHERE NOT open ORDER BY ticket_id""",
    *(
        f"INSERT INTO {service}.stream SELECT ticket_id::text, 4, NULL FROM life ORDER BY ticket_id"
        for service in TABLES
    ),
)


async def load(url: str, first: int, last: int, total: int) -> None:
    """Store the tickets `first` to `last` of `total`, whose ids are spread over the last months."""
    connection = await asyncpg.connect(url, command_timeout=600)
    span = MONTHS * 30 * 86_400_000  # ms
    begin = int(time.time() * 1000) - span - 3_600_000
    try:
        for start in range(first, last + 1, STEP):
            stop = min(start + STEP - 1, last)
            async with connection.transaction():
                await connection.execute("SET LOCAL search_path = pg_temp")
                await connection.execute(LIVES, start, stop, list(DEPARTMENTS), begin, span, total)
                for insert in INSERTS:
                    await connection.execute(insert)
                await connection.execute("DROP TABLE life")
    finally:
        await connection.close()


async def settled(url: str) -> None:
    """Statistics and visibility as autovacuum would have made them by then."""
    connection = await asyncpg.connect(url, command_timeout=600)
    try:
        for service, tables in TABLES.items():
            for table in tables:
                await connection.execute(f"VACUUM (ANALYZE) {service}.{table}")
    finally:
        await connection.close()


async def sample(url: str, count: int) -> list[tuple[str, str]]:
    """Some stored tickets, of any age: (ticket_id, work_order_id)."""
    connection = await asyncpg.connect(url, command_timeout=60)
    try:
        rows = await connection.fetch(
            "SELECT ticket_id::text, work_order_id::text FROM dispatch.work_order"
            " TABLESAMPLE SYSTEM (5) ORDER BY random() LIMIT $1",
            count,
        )
        rows = rows or await connection.fetch(
            "SELECT ticket_id::text, work_order_id::text FROM dispatch.work_order LIMIT $1", count
        )
        return [(row[0], row[1]) for row in rows]
    finally:
        await connection.close()
