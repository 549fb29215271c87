"""Services with some tens of thousands of tickets of three months, put in by SQL: what plans are judged on."""

from collections.abc import Mapping
from datetime import UTC, datetime

from libs.operate import partition
from libs.shared import db
from libs.shared.keep import start
from libs.shared.service import Service
from tests.plan import UUID_AT

TICKETS = 15_000  # from 80 days ago until now

# Every row comes from `n`, the number of its ticket: `t` is when it was born, `id` its id.
BORN = f"""(SELECT n, t, public.uuid_at(t, n) AS id FROM (SELECT n, date_trunc('minute', now())
    - make_interval(mins => ({TICKETS} - n) * 8) AS t FROM generate_series(1, {TICKETS}) AS n) AS numbers)"""

LEAVES = (
    "SELECT oid::regclass AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
)

KERNEL = (
    "INSERT INTO inbox SELECT public.uuid_at(now() - make_interval(secs => n), n) FROM generate_series(1, 20000) n",
    f"INSERT INTO stream SELECT b.id, 5, '00-' FROM {BORN} b",
    "INSERT INTO outbox (event_id, topic, key, type, version, occurred_at, traceparent, body) SELECT gen_random_uuid(),"
    " 'zhida.tickets.v1', n::text, 'x', 1, now(), '00-', '{}' FROM generate_series(1, 20000) n",
    "INSERT INTO command SELECT 'p' || n % 50, n::text, '', 200, '{}', now() FROM generate_series(1, 20000) n",
    "INSERT INTO fence SELECT 'zhida.filled.v1', n, gen_random_uuid(), 7, NULL FROM generate_series(0, 47) n",
    "INSERT INTO lease SELECT 'endpoint:' || n, 'me', now() FROM generate_series(1, 100) n",
    'INSERT INTO dead (topic, partition, "offset", key, type, headers, error)'
    " SELECT 't', 0, n, n::text, 'x', '{}', 'e' FROM generate_series(1, 5000) n",
)
ROWS: Mapping[str, tuple[str, ...]] = {
    "intake": (
        f"""INSERT INTO ticket SELECT id, '95598', 'R' || n, 'a' || n % 200, 'title', repeat('text ', 40), NULL, NULL,
            NULL, NULL, NULL, 3, false, t, t, 'hotline' FROM {BORN} b""",
        f"INSERT INTO reference SELECT '95598', 'R' || n, id FROM {BORN} b",
        f"""INSERT INTO ticket_stage (ticket_id, stage, since, reached) SELECT id,
            CASE WHEN n % 50 = 0 THEN 'assigned' ELSE 'closed' END, t, '{{"received": "2026-01-01T00:00:00+00:00"}}'
            FROM {BORN} b""",
        f"INSERT INTO amendment SELECT public.uuid_at(t, n + 1), id, 'more', 'a1', t FROM {BORN} b WHERE n % 5 = 0",
        f"INSERT INTO vault SELECT id, id, 'k', '', repeat('x', 400)::bytea FROM {BORN} b",
        f"INSERT INTO late_fact SELECT public.uuid_at(t, n + 2), id, 'x', t, t FROM {BORN} b WHERE n % 5 = 0",
        f"""INSERT INTO rejected SELECT public.uuid_at(t, n), 't', 0, n, 'R', '[]', t, 'k', '', '' FROM {BORN} b""",
    ),
    "classification": (
        f"""INSERT INTO ticket SELECT id, '{{"title": "t", "channel": "95598"}}',
            CASE WHEN n % 50 = 0 THEN 'review' ELSE 'classified' END, 's', 'm', NULL, 1, 1, '{{}}', 'matrix', 'fault',
            'external', 'normal', 'low', t, t, NULL, 0, '', '3201' || n % 3000 FROM {BORN} b""",
        f"INSERT INTO review (ticket_id, opened_at, due_at, candidates)"
        f" SELECT id, t, t + interval '4 hours', '[]' FROM {BORN} b WHERE n % 50 = 0",
        f"INSERT INTO shadow SELECT id, 'm', NULL, 's', 1, 'v', 's', 1 FROM {BORN} b",
        f"INSERT INTO decision SELECT id, 's', 'm', 'r1', NULL, t, 60, 5 FROM {BORN} b WHERE n % 50 = 1",
        f"""UPDATE ticket t SET repeat_of = t.id, repeats = b.n % 7 + 1 FROM {BORN} b WHERE t.id = b.id
            AND b.n % 10 = 0""",
        f"INSERT INTO trace SELECT k * 100000 + n % 3000, id, 0 FROM {BORN} b, generate_series(1, 3) k",
        f"INSERT INTO arrival SELECT id, ARRAY[id] FROM {BORN} b WHERE n % 50 = 3",
        """INSERT INTO usual SELECT 'C' || c, '3201', h, 2900, 2800, 5, 5
            FROM generate_series(1, 60) c, generate_series(0, 167) h""",
        """INSERT INTO hot_event SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid),
            CASE WHEN n < 5 THEN 'open' ELSE 'closed' END, 'C04', '3201', 'C04-1', 'm', 't', 5, 0.1, 60, 30, now(),
            CASE WHEN n >= 5 THEN now() - make_interval(hours => n) END,
            CASE WHEN n >= 5 THEN (ARRAY['classification', 's1'])[n % 2 + 1] END, NULL,
            CASE WHEN n % 3 = 0 THEN now() END, CASE WHEN n % 3 = 0 THEN 's1' END,
            CASE WHEN n = 3 THEN CAST(lpad('', 32, '0') AS uuid) END
            FROM generate_series(1, 1000) n""",
        f"""INSERT INTO hot_member SELECT id, CAST(lpad(to_hex(n % 1000 + 1), 32, '0') AS uuid), 0.5, t, 'b'
            FROM {BORN} b WHERE n % 2 = 0""",
        f"""INSERT INTO settled SELECT id, CASE WHEN n % 3 = 0 THEN 's' ELSE 's' || n % 100 END,
            '[{{"department": {{"code": "d", "name": "n"}}, "text": "x"}}]', t, CASE WHEN n % 50 = 0 THEN t END
            FROM {BORN} b WHERE n % 2 = 0""",
        f"INSERT INTO occasion SELECT n % 3000, id, t, 's', NULL, ARRAY[id], 1 FROM {BORN} b WHERE n % 2 = 0",
        """INSERT INTO cumulative_problem SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), n % 3000, 'r', 'n', 's', 'm',
            '3201', NULL, NULL, 't', 't', '{}', 3, 3, 60, now(), now() + interval '60 days'
            FROM generate_series(1, 6000) n""",
        """INSERT INTO daily SELECT current_date - d, 's' || s, 9, 3 FROM generate_series(0, 90) d,
            generate_series(1, 120) s""",
    ),
    "dispatch": (
        f"""INSERT INTO ticket (ticket_id, state, channel, external_ref, agent_id, title, text, star, sensitive,
            opened_at, situation_code, situation_name, category_path, lead, lead_name, supervisor, sla_class,
            join_policy, urgency, matrix_version, classified_at, closed_at)
            SELECT id, CASE WHEN n % 50 = 0 THEN 'open' ELSE 'closed' END, '95598', 'R' || n, 'a' || n % 200, 'title',
            repeat('text ', 40), 3, false, t, 's', 'name', '[]', 'lead', 'lead', 'sup', 'maintenance', 'all', 'normal',
            'm', t, t FROM {BORN} b""",
        f"""INSERT INTO work_order (work_order_id, ticket_id, department, department_name, state, created_at)
            SELECT public.uuid_at(t, n + 100000), id, 'd' || n % 20, 'name',
            CASE WHEN n % 50 = 0 THEN 'assigned' ELSE 'closed' END, t FROM {BORN} b""",
        f"""INSERT INTO history (ticket_id, work_order_id, at, what, by)
            SELECT id, NULL, t, 'accepted', 'x' FROM {BORN} b""",
        f"""INSERT INTO return_case (return_id, work_order_id, ticket_id, situation, department, reason_code, reason,
            judge_kind, judge, opened_at, decision)
            SELECT public.uuid_at(t, n), public.uuid_at(t, n + 100000), id, 's' || n % 200, 'd' || n % 20, 'x', 'x',
            'lead', 'lead', t, CASE WHEN n % 50 <> 0 THEN 'reject' END FROM {BORN} b WHERE n % 5 = 0""",
        f"""INSERT INTO cell SELECT public.uuid_at(date_trunc('month', t, 'UTC'), 0), 's' || n % 200, 'd' || n % 20, 3,
            'name', 'lead', 1, 0, 0, 0, 0 FROM {BORN} b ON CONFLICT DO NOTHING""",
        f"""INSERT INTO reassignment SELECT id, 'd1', 'd2', 'name', NULL, NULL, 'x', 'x', 'done', t, t, id, 1, 1, 0
            FROM {BORN} b WHERE n % 50 = 0""",
        f"""INSERT INTO reassignment_item SELECT id, public.uuid_at(t, n + k), id FROM {BORN} b,
            generate_series(1, 100) k WHERE n % 50 = 0""",
        f"""INSERT INTO question (question_id, ticket_id, work_order_id, asked_by, asker, text, asked_at)
            SELECT public.uuid_at(t, n + 3), id, public.uuid_at(t, n + 100000), 'agent', 'a', 'x', t FROM {BORN} b""",
        f"""INSERT INTO amendment SELECT public.uuid_at(t, n + 1), id, 'more', 'a1', t FROM {BORN} b""",
        f"""INSERT INTO master SELECT id, true, n % 500 = 0, false FROM {BORN} b WHERE n % 100 = 0""",
        f"""INSERT INTO member SELECT b.id, m.id, CASE WHEN b.n % 7 = 0 THEN 'joining' ELSE 'member' END, '[]', true,
            'x', NULL, b.t FROM {BORN} b JOIN {BORN} m ON m.n = b.n - b.n % 100 WHERE b.n % 100 BETWEEN 1 AND 30""",
        """UPDATE ticket t SET master = coalesce(n.master_id, t.ticket_id) FROM (
            SELECT ticket_id, master_id FROM member WHERE state = 'member'
            UNION ALL SELECT master_id, NULL FROM master) AS n WHERE n.ticket_id = t.ticket_id""",
        "INSERT INTO department SELECT 'd' || n, 'name' FROM generate_series(0, 19) n",
        """INSERT INTO endpoint (department, url, networks, concurrency, timeout_seconds, state, created_at,
            updated_at) SELECT 'd' || n, 'https://x', '{}', 16, 15, 'active', now(), now()
            FROM generate_series(0, 19) n""",
        f"""INSERT INTO delivery (delivery_id, department, ticket_id, work_order_id, type, body, traceparent, state,
            created_at, due_at, give_up_at)
            SELECT public.uuid_at(t, n * 2 + k), 'd' || n % 20, id, public.uuid_at(t, n + 100000),
            'work_order.assigned', repeat('x', 200), '', CASE WHEN n % 10 = 0 THEN 'pending' ELSE 'delivered' END, t, t,
            now() + interval '1 day' FROM {BORN} b, generate_series(0, 1) k""",
        f"INSERT INTO diversion SELECT id, 'd1', 'x', t FROM {BORN} b WHERE n % 20 = 0",
        f"""INSERT INTO attempt SELECT public.uuid_at(t, n * 2), 1, t, 5, 204, NULL, NULL FROM {BORN} b
            WHERE n % 5 = 0""",
    ),
    "sla_timer": (
        f"INSERT INTO ticket SELECT id, n % 50 <> 0, CASE WHEN n % 50 <> 0 THEN t END FROM {BORN} b",
        f"INSERT INTO work_order SELECT id, public.uuid_at(t, n + 100000), 'd' || n % 20 FROM {BORN} b",
        f"""INSERT INTO clock (ticket_id, id, work_order_id, kind, department, department_name, lead, lead_name,
            supervisor, started_at, due_at, limit_seconds, rule, sla_class, star, state)
            SELECT id, public.uuid_at(t, n * 2 + k), public.uuid_at(t, n + 100000), 'accept', 'd' || n % 20, 'x',
            'lead', 'x', 's', t, t + interval '1 hour', 3600, 'r', 'maintenance', 3,
            CASE WHEN n % 50 = 0 THEN 'running' ELSE 'met' END FROM {BORN} b, generate_series(0, 1) k""",
        f"""INSERT INTO timer SELECT now() + make_interval(mins => n - 100), public.uuid_at(t, n * 2), id, 0, 50
            FROM {BORN} b""",
    ),
    "notification": (
        "INSERT INTO recipient SELECT 'agent:a' || n, 100, 50 FROM generate_series(0, 199) n",
        f"""INSERT INTO notice SELECT 'agent:a' || n % 200, n / 200, public.uuid_at(t, n), id, 'ticket_answered',
            'f' || n, '{{}}', t, t FROM {BORN} b""",
        """INSERT INTO channel SELECT 'c' || n, 'https://x', 'json', NULL, '{}', '{agent:*}', '{}', 'en', false, now()
            FROM generate_series(0, 4) n""",
        f"""INSERT INTO delivery (channel, notice_id, recipient, number, ticket_id, kind, fact, caused_at, created_at,
            state, next_at)
            SELECT 'c' || n % 5, public.uuid_at(t, n), 'agent:a' || n % 200, n / 200, id, 'ticket_answered', 'f' || n,
            t, t, CASE WHEN n % 10 = 0 THEN 'pending' ELSE 'sent' END, t FROM {BORN} b""",
    ),
}


async def make_months(owner_url: str, service: Service) -> None:
    """The past months that the rows are of; empty."""
    engine = db.engine(owner_url, service.name, None, "tests")
    past = [start(datetime.now(UTC), "month", ago) for ago in (1, 2, 3)]
    try:
        for kept in service.keeps:
            for table, column in kept.tables.items():
                if kept.unit == "month":
                    await partition.make(engine, [partition.Partition(table, first, "month") for first in past], column)
    finally:
        await engine.dispose()


async def fill(owner_url: str, service: Service, *, past: bool) -> None:
    """Put the rows in: those of tickets born before this month, or since."""
    engine = db.engine(owner_url, service.name, None, "tests")
    sign = "<" if past else ">="
    some = f"(SELECT * FROM {BORN} WHERE t {sign} date_trunc('month', now(), 'UTC'))"
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(UUID_AT)
            for statement in (*KERNEL, *ROWS[service.name]):
                if past or BORN in statement:
                    await connection.exec_driver_sql(statement.replace(BORN, some))
    finally:
        await engine.dispose()


async def analyze(owner_url: str, service: Service) -> None:
    """Let Postgres look at the tables that have rows, as autovacuum does; it leaves empty partitions alone."""
    engine = db.engine(owner_url, service.name, None, "tests")
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for row in (await connection.exec_driver_sql(LEAVES)).all():
                if (await connection.exec_driver_sql(f"SELECT EXISTS (SELECT FROM {row.name})")).scalar():
                    await connection.exec_driver_sql(f"VACUUM (ANALYZE) {row.name}")
    finally:
        await engine.dispose()
