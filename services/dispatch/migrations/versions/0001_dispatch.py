"""Tickets, work orders, returns, questions; endpoints with their secrets, deliveries and their attempts.

All of a ticket lies in the partitions of the month the ticket was born in. Nothing refers to another row by constraint:
rows that belong together are written under their ticket's lock, and go with their month.
"""

from alembic import op

revision = "dispatch_0001"
down_revision = None

# Updated a few times each, then never again; free room on the page takes the next versions.
HOT = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0"

TABLES = (
    """CREATE TABLE ticket (
        ticket_id uuid PRIMARY KEY,
        state text NOT NULL CHECK (state IN ('open', 'answered', 'closed')),
        round int NOT NULL DEFAULT 1,
        channel text NOT NULL, external_ref text NOT NULL, agent_id text,
        title text NOT NULL, text text NOT NULL, area_code text, address text,
        star smallint NOT NULL, sensitive boolean NOT NULL, opened_at timestamptz NOT NULL,
        situation_code text NOT NULL, situation_name text NOT NULL, category_path jsonb NOT NULL,
        lead text NOT NULL, lead_name text NOT NULL, supervisor text NOT NULL,
        sla_class text NOT NULL, join_policy text NOT NULL, urgency text NOT NULL, matrix_version text NOT NULL,
        classified_at timestamptz NOT NULL, first_contact_at timestamptz, answered_at timestamptz,
        closed_at timestamptz, satisfied boolean,
        transfers int NOT NULL DEFAULT 0, rulings int NOT NULL DEFAULT 0, messages int NOT NULL DEFAULT 0,
        hops int, first_contact_minutes double precision, resolve_minutes double precision,
        repeats int NOT NULL DEFAULT 0, master uuid
    ) PARTITION BY RANGE (ticket_id)""",
    f"CREATE TABLE ticket_default PARTITION OF ticket DEFAULT WITH (fillfactor = 80, {HOT})",
    "CREATE INDEX ticket_by_agent ON ticket (agent_id, ticket_id)",
    "CREATE INDEX ticket_not_closed_by_agent ON ticket (agent_id, ticket_id) WHERE state <> 'closed'",
    "CREATE INDEX ticket_by_master ON ticket (master, state, ticket_id) WHERE master IS NOT NULL",
    # Tickets that follow a master, are about to, or did. `departments` had a share, and get it back.
    """CREATE TABLE member (
        ticket_id uuid PRIMARY KEY, master_id uuid NOT NULL,
        state text NOT NULL CHECK (state IN ('joining', 'member', 'leaving', 'released')),
        departments jsonb NOT NULL, hot_event boolean NOT NULL, by text NOT NULL, reason text, at timestamptz NOT NULL
    ) PARTITION BY RANGE (ticket_id)""",
    f"CREATE TABLE member_default PARTITION OF member DEFAULT WITH (fillfactor = 80, {HOT})",
    "CREATE INDEX member_by_master ON member (master_id, ticket_id) WHERE state = 'member'",
    "CREATE INDEX member_moving ON member (master_id, ticket_id) WHERE state IN ('joining', 'leaving')",
    # `due`: something is to be done for its members. `over`: no more come by themselves.
    """CREATE TABLE master (
        master_id uuid PRIMARY KEY, due boolean NOT NULL, over boolean NOT NULL DEFAULT false,
        dissolved_by text, reason text) PARTITION BY RANGE (master_id)""",
    f"CREATE TABLE master_default PARTITION OF master DEFAULT WITH (fillfactor = 50, {HOT})",
    "CREATE INDEX master_due ON master (master_id) WHERE due",
    """CREATE TABLE work_order (
        work_order_id uuid NOT NULL,
        ticket_id uuid NOT NULL,
        department text NOT NULL, department_name text NOT NULL,
        state text NOT NULL CHECK (state IN
            ('assigned', 'accepted', 'reopened', 'returned', 'answered', 'reassigned', 'cancelled', 'closed')),
        created_at timestamptz NOT NULL,
        returns int NOT NULL DEFAULT 0, returned_from text, reassigned_from uuid,
        delivered_at timestamptz, accepted_at timestamptz, contacted_at timestamptz, answered_at timestamptz,
        answer text, resolution text,
        PRIMARY KEY (work_order_id, ticket_id)
    ) PARTITION BY RANGE (ticket_id)""",
    f"CREATE TABLE work_order_default PARTITION OF work_order DEFAULT WITH (fillfactor = 80, {HOT})",
    "CREATE INDEX work_order_by_ticket ON work_order (ticket_id)",
    "CREATE INDEX work_order_by_department ON work_order (department, work_order_id)",
    """CREATE INDEX work_order_open ON work_order (department, work_order_id)
        WHERE state IN ('assigned', 'accepted', 'reopened', 'returned')""",
    # What people did, beyond what the rows of ticket and work_order say of themselves.
    """CREATE TABLE history (
        history_id bigint GENERATED ALWAYS AS IDENTITY,
        ticket_id uuid NOT NULL, work_order_id uuid,
        at timestamptz NOT NULL, what text NOT NULL, by text NOT NULL, detail jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (ticket_id, history_id)) PARTITION BY RANGE (ticket_id)""",
    "CREATE TABLE history_default PARTITION OF history DEFAULT",
    # The returns court. `judge` is a department's code or a supervisor's principal.
    """CREATE TABLE return_case (
        return_id uuid NOT NULL, work_order_id uuid NOT NULL, ticket_id uuid NOT NULL,
        situation text NOT NULL, department text NOT NULL,
        reason_code text NOT NULL, reason text NOT NULL, suggested_department text,
        judge_kind text NOT NULL CHECK (judge_kind IN ('lead', 'supervisor')), judge text NOT NULL,
        opened_at timestamptz NOT NULL,
        decision text CHECK (decision IN ('uphold', 'reject', 'void')), ruled_by text, ruled_at timestamptz, note text,
        reassigned_to text, matrix_wrong boolean NOT NULL DEFAULT false,
        PRIMARY KEY (ticket_id, return_id)) PARTITION BY RANGE (ticket_id)""",
    "CREATE TABLE return_case_default PARTITION OF return_case DEFAULT",
    "CREATE INDEX return_case_by_order ON return_case (work_order_id)",
    "CREATE INDEX return_case_open ON return_case (judge_kind, return_id) WHERE decision IS NULL",
    "CREATE INDEX return_case_by_cell ON return_case (situation, department, return_id)",
    # Counts of a cell of the matrix, situation and executing department, by the month its work orders were assigned in.
    # `month` is the smallest UUIDv7 of it; slot 0 holds what the court adds, the others assignments by process.
    """CREATE TABLE cell (
        month uuid NOT NULL, situation text NOT NULL, department text NOT NULL, slot smallint NOT NULL,
        situation_name text NOT NULL, lead text NOT NULL,
        assigned int NOT NULL, returned int NOT NULL, upheld int NOT NULL, rejected int NOT NULL,
        matrix_wrong int NOT NULL, disputed_at timestamptz,
        PRIMARY KEY (month, situation, department, slot)) PARTITION BY RANGE (month)""",
    f"CREATE TABLE cell_default PARTITION OF cell DEFAULT WITH (fillfactor = 50, {HOT})",
    # All open work orders of a department moved to another one. `after_id` is the last that was listed, or moved:
    # whoever carries it on does so from there, in the transaction that moves them.
    """CREATE TABLE reassignment (
        reassignment_id uuid PRIMARY KEY,
        source text NOT NULL, target text NOT NULL, target_name text NOT NULL, situations text[], category text,
        reason text NOT NULL, by text NOT NULL,
        state text NOT NULL CHECK (state IN ('listing', 'moving', 'done')),
        created_at timestamptz NOT NULL, finished_at timestamptz, after_id uuid NOT NULL,
        total int NOT NULL DEFAULT 0, moved int NOT NULL DEFAULT 0, skipped int NOT NULL DEFAULT 0
    ) PARTITION BY RANGE (reassignment_id)""",
    "CREATE TABLE reassignment_default PARTITION OF reassignment DEFAULT",
    "CREATE INDEX reassignment_unfinished ON reassignment (reassignment_id) WHERE state <> 'done'",
    """CREATE TABLE reassignment_item (
        reassignment_id uuid NOT NULL, work_order_id uuid NOT NULL, ticket_id uuid NOT NULL,
        result text CHECK (result IN ('moved', 'skipped')), reason text, successor uuid, at timestamptz,
        PRIMARY KEY (reassignment_id, work_order_id)) PARTITION BY RANGE (reassignment_id)""",
    "CREATE TABLE reassignment_item_default PARTITION OF reassignment_item DEFAULT",
    """CREATE TABLE question (
        question_id uuid NOT NULL, ticket_id uuid NOT NULL, work_order_id uuid NOT NULL,
        asked_by text NOT NULL CHECK (asked_by IN ('agent', 'department')), asker text NOT NULL,
        text text NOT NULL, asked_at timestamptz NOT NULL,
        reply text, replied_by text, replied_at timestamptz,
        PRIMARY KEY (question_id, ticket_id)) PARTITION BY RANGE (ticket_id)""",
    "CREATE TABLE question_default PARTITION OF question DEFAULT",
    "CREATE INDEX question_by_ticket ON question (ticket_id)",
    """CREATE TABLE evidence (
        evidence_id uuid NOT NULL, ticket_id uuid NOT NULL, work_order_id uuid NOT NULL,
        kind text NOT NULL, uri text NOT NULL, note text, added_at timestamptz NOT NULL,
        PRIMARY KEY (ticket_id, evidence_id)) PARTITION BY RANGE (ticket_id)""",
    "CREATE TABLE evidence_default PARTITION OF evidence DEFAULT",
    # An amendment may come before the classification, and so before its ticket.
    """CREATE TABLE amendment (
        amendment_id uuid NOT NULL, ticket_id uuid NOT NULL, text text NOT NULL, by text NOT NULL,
        at timestamptz NOT NULL, PRIMARY KEY (ticket_id, amendment_id)) PARTITION BY RANGE (ticket_id)""",
    "CREATE TABLE amendment_default PARTITION OF amendment DEFAULT",
    # Departments heard of so far, to refuse a return to one that nobody knows.
    "CREATE TABLE department (code text PRIMARY KEY, name text NOT NULL)",
    f"""CREATE TABLE endpoint (
        department text PRIMARY KEY,
        url text NOT NULL, networks text[] NOT NULL, concurrency int NOT NULL, timeout_seconds int NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')), reason text,
        version int NOT NULL DEFAULT 1,
        breaker text NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'half_open')),
        failures int NOT NULL DEFAULT 0, trips int NOT NULL DEFAULT 0, blocked_until timestamptz,
        delivered bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0,
        last_success_at timestamptz, last_failure_at timestamptz, last_error text,
        created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
    ) WITH (fillfactor = 50, {HOT})""",
    """CREATE TABLE endpoint_key (
        key_id uuid PRIMARY KEY, department text NOT NULL REFERENCES endpoint,
        sealed bytea NOT NULL, public text NOT NULL,
        created_at timestamptz NOT NULL, expires_at timestamptz)""",
    "CREATE INDEX endpoint_key_by_department ON endpoint_key (department)",
    # One webhook. `seq` is its place among those of the same department and ticket, drawn under the ticket's lock:
    # only the first that is not settled is `pending`, those behind it are `waiting`.
    # A test event belongs to no ticket: its own id stands for one.
    """CREATE TABLE delivery (
        delivery_id uuid NOT NULL,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        department text NOT NULL, ticket_id uuid NOT NULL, work_order_id uuid,
        type text NOT NULL, body text NOT NULL, traceparent text NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'waiting', 'delivered', 'inbox', 'cancelled')),
        reason text,
        attempts int NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL, due_at timestamptz NOT NULL, give_up_at timestamptz NOT NULL,
        settled_at timestamptz, last_status int, last_error text,
        PRIMARY KEY (delivery_id, ticket_id)
    ) PARTITION BY RANGE (ticket_id)""",
    f"CREATE TABLE delivery_default PARTITION OF delivery DEFAULT WITH (fillfactor = 70, {HOT})",
    "CREATE INDEX delivery_due ON delivery (department, due_at, seq) WHERE state = 'pending'",
    "CREATE INDEX delivery_give_up ON delivery (give_up_at) WHERE state IN ('pending', 'waiting')",
    "CREATE INDEX delivery_by_ticket ON delivery (ticket_id, department, seq)",
    "CREATE INDEX delivery_by_department ON delivery (department, delivery_id)",
    """CREATE INDEX delivery_not_delivered ON delivery (department, state, delivery_id)
        WHERE state <> 'delivered'""",
    # From here on everything about that ticket goes to that department's inbox only.
    """CREATE TABLE diversion (
        ticket_id uuid NOT NULL, department text NOT NULL, reason text NOT NULL, at timestamptz NOT NULL,
        PRIMARY KEY (ticket_id, department)) PARTITION BY RANGE (ticket_id)""",
    "CREATE TABLE diversion_default PARTITION OF diversion DEFAULT",
    # By the day of the delivery: the log goes long before its ticket.
    """CREATE TABLE attempt (
        delivery_id uuid NOT NULL, number int NOT NULL, at timestamptz NOT NULL, ms int NOT NULL,
        status int, error text, answer text) PARTITION BY RANGE (delivery_id)""",
    "CREATE TABLE attempt_default PARTITION OF attempt DEFAULT",
    "CREATE INDEX attempt_by_delivery ON attempt (delivery_id)",
)


def upgrade() -> None:
    """Make them."""
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    op.execute(
        "DROP TABLE attempt, diversion, delivery, endpoint_key, endpoint, department, amendment, evidence, question,"
        " reassignment_item, reassignment, cell, return_case, history, work_order, master, member, ticket"
    )
