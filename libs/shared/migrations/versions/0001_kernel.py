"""The kernel's tables, the same in every service's schema."""

from alembic import op

revision = "kernel_0001"
down_revision = None

# Every row is deleted within milliseconds: dead ones are cleared away by number, not by a share of an empty table.
HOT = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0"
# A handful of rows, updated many times a second, in place: one page has room for their next versions.
FEW = "fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500"
# One row a ticket, updated with each thing said about it; no column of an index changes, so it stays on its page.
WIDE = "fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0"


def upgrade() -> None:
    """Make them."""
    # Event ids already handled. Partitioned by day through the time in the UUIDv7 itself.
    op.execute("CREATE TABLE inbox (id uuid PRIMARY KEY) PARTITION BY RANGE (id)")
    op.execute("CREATE TABLE inbox_default PARTITION OF inbox DEFAULT")
    # The lock of a ticket, the last version said about it, and the trace it belongs to.
    op.execute(
        'CREATE TABLE stream (key text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, traceparent text)'
        f" WITH ({WIDE})"
    )
    op.execute(
        "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL,"
        " topic text NOT NULL, key text NOT NULL, type text NOT NULL, version bigint NOT NULL,"
        f" occurred_at timestamptz NOT NULL, traceparent text NOT NULL, body bytea NOT NULL) WITH ({HOT})"
    )
    # The only truth about how far a partition was handled.
    op.execute(
        "CREATE TABLE fence (topic text, partition int, topic_id uuid NOT NULL, next_offset bigint NOT NULL,"
        f" stopped text, PRIMARY KEY (topic, partition)) WITH ({FEW})"
    )
    op.execute(
        f"CREATE TABLE lease (name text PRIMARY KEY, owner text NOT NULL, until timestamptz NOT NULL) WITH ({FEW})"
    )
    # Buried records (error set) and those parked behind them (error null), in order of id for each key.
    op.execute(
        "CREATE TABLE dead (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL,"
        ' partition int NOT NULL, "offset" bigint NOT NULL, key text, type text NOT NULL, headers jsonb NOT NULL,'
        " body bytea, error text, at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    op.execute("CREATE INDEX dead_by_key ON dead (key, id)")
    op.execute("CREATE TABLE parked_key (key text PRIMARY KEY, count bigint NOT NULL)")
    op.execute(
        "CREATE TABLE halt (single boolean PRIMARY KEY DEFAULT true CHECK (single), reason text NOT NULL,"
        " at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    # Idempotency keys of HTTP commands, with the answer to replay.
    op.execute(
        "CREATE TABLE command (principal text, idempotency_key text, fingerprint bytea NOT NULL,"
        " status int NOT NULL, body jsonb NOT NULL, at timestamptz NOT NULL,"
        " PRIMARY KEY (principal, idempotency_key)) WITH (autovacuum_vacuum_scale_factor = 0.05)"
    )
    # What was dropped by age, and when; `swept_at` null: rows beside the partitions are still to be deleted.
    op.execute(
        "CREATE TABLE retired (kept text, part text, low uuid NOT NULL, high uuid NOT NULL,"
        " at timestamptz NOT NULL DEFAULT clock_timestamp(), swept_at timestamptz, PRIMARY KEY (kept, part))"
    )
    op.execute(
        "CREATE TABLE retention (single boolean PRIMARY KEY DEFAULT true CHECK (single), ran_at timestamptz NOT NULL,"
        " held int NOT NULL, oldest date)"
    )
    op.execute("CREATE INDEX command_by_age ON command USING brin (at)")
    op.execute(
        "CREATE TABLE api_key (prefix text PRIMARY KEY, hash bytea NOT NULL, scopes text[] NOT NULL,"
        " principal text NOT NULL, expires_at timestamptz, revoked_at timestamptz,"
        " created_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute(
        "DROP TABLE inbox, stream, outbox, fence, lease, dead, parked_key, halt, command, retired, retention, api_key"
    )
