"""Clocks, what is known of their subjects, by month of the ticket's birth; and the timers of their next points."""

from alembic import op

revision = "sla_timer_0001"
down_revision = None

VACUUM = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0"
DAYS_AHEAD = 14

# Runs as the owner, because the service's own role may not make tables. Days are UTC days.
TIMER_DAYS = f"""
CREATE FUNCTION timer_days(ahead int, OUT made int, OUT dropped int) LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = {{schema}}, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    day date;
    part text;
    occupied boolean;
BEGIN
    made := 0;
    dropped := 0;
    IF NOT pg_try_advisory_xact_lock(hashtext('{{schema}}.timer_days')) THEN
        RETURN;
    END IF;
    FOR day IN SELECT today + n FROM generate_series(0, ahead) AS n LOOP
        part := 'timer_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE timer INCLUDING INDEXES) WITH ({VACUUM})', part);
        -- The rows of that day that wait in the default partition move over first: ATTACH refuses them otherwise.
        LOCK TABLE timer, timer_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM timer_default WHERE fire_at >= $1 AND fire_at < $2 RETURNING *)'
            ' INSERT INTO %I SELECT * FROM moved', part)
            USING day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC';
        EXECUTE format('ALTER TABLE timer ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    -- A day that is over goes once it is empty, and not before.
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'timer'::regclass AND c.relname ~ '^timer_\\d{{{{8}}}}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - 1
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', part) INTO occupied;
        CONTINUE WHEN occupied;
        LOCK TABLE timer IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', part) INTO occupied;
        CONTINUE WHEN occupied;
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
END $$"""


def upgrade() -> None:
    """Make them, with timers' partitions for the next two weeks."""
    # `ended`: it has its answer, or is closed; nothing runs on. `closed_at` null: it may go on. `joined`: the strictest
    # promise of the tickets merged into it, until it is reopened.
    op.execute(
        "CREATE TABLE ticket (id uuid PRIMARY KEY, ended boolean NOT NULL DEFAULT false, closed_at timestamptz,"
        " joined jsonb)"
        " PARTITION BY RANGE (id)"
    )
    op.execute(f"CREATE TABLE ticket_default PARTITION OF ticket DEFAULT WITH (fillfactor = 70, {VACUUM})")
    op.execute(
        "CREATE TABLE work_order (ticket_id uuid, id uuid, department text,"
        " accepted boolean NOT NULL DEFAULT false, contacted boolean NOT NULL DEFAULT false,"
        " ended boolean NOT NULL DEFAULT false, PRIMARY KEY (ticket_id, id)) PARTITION BY RANGE (ticket_id)"
    )
    op.execute(f"CREATE TABLE work_order_default PARTITION OF work_order DEFAULT WITH (fillfactor = 70, {VACUUM})")
    op.execute(
        "CREATE TABLE clock (ticket_id uuid, id uuid, work_order_id uuid,"
        " kind text NOT NULL CHECK (kind IN ('accept', 'first_contact', 'ruling', 'resolve')),"
        " department text, department_name text, lead text NOT NULL, lead_name text NOT NULL,"
        " supervisor text NOT NULL, started_at timestamptz NOT NULL, due_at timestamptz NOT NULL,"
        " limit_seconds bigint NOT NULL, rule text NOT NULL, sla_class text NOT NULL, star int NOT NULL,"
        " state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'met', 'missed', 'cancelled')),"
        " stopped_at timestamptz, passed int NOT NULL DEFAULT 0, generation int NOT NULL DEFAULT 0,"
        " PRIMARY KEY (ticket_id, id)) PARTITION BY RANGE (ticket_id)"
    )
    op.execute(f"CREATE TABLE clock_default PARTITION OF clock DEFAULT WITH (fillfactor = 70, {VACUUM})")
    op.execute("CREATE INDEX clock_by_due ON clock (state, due_at, id)")
    op.execute("CREATE INDEX clock_by_department ON clock (department, state, due_at, id)")
    # One pending timer a clock. A stopped clock's timer stays and is found void when due: cancelling costs nothing.
    op.execute(
        "CREATE TABLE timer (fire_at timestamptz NOT NULL, id uuid NOT NULL, ticket_id uuid NOT NULL,"
        " generation int NOT NULL, percent int NOT NULL, PRIMARY KEY (fire_at, id)) PARTITION BY RANGE (fire_at)"
    )
    op.execute(f"CREATE TABLE timer_default PARTITION OF timer DEFAULT WITH ({VACUUM})")
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TIMER_DAYS.format(schema=schema))
    op.execute(f"SELECT timer_days({DAYS_AHEAD})")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP FUNCTION timer_days")
    op.execute("DROP TABLE ticket, work_order, clock, timer")
