"""Inboxes with a gapless number per recipient, and channels with their deliveries; by month of the ticket's birth."""

from alembic import op

revision = "notification_0001"
down_revision = None

HOT = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0"


def upgrade() -> None:
    """Make them."""
    # The row of a recipient is the lock under which its numbers are drawn.
    op.execute(
        "CREATE TABLE recipient (address text PRIMARY KEY, last_number bigint NOT NULL DEFAULT 0,"
        f" read_number bigint NOT NULL DEFAULT 0, language text) WITH (fillfactor = 50, {HOT})"
    )
    op.execute(
        "CREATE TABLE notice (recipient text NOT NULL, number bigint NOT NULL, id uuid NOT NULL,"
        " ticket_id uuid NOT NULL, kind text NOT NULL, fact text NOT NULL, data jsonb NOT NULL,"
        " caused_at timestamptz NOT NULL, created_at timestamptz NOT NULL,"
        " PRIMARY KEY (recipient, number, ticket_id)) PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE notice_default PARTITION OF notice DEFAULT")
    op.execute("CREATE UNIQUE INDEX notice_by_fact ON notice (ticket_id, recipient, fact)")  # a fact has one ticket
    op.execute("CREATE INDEX notice_by_age ON notice USING brin (created_at)")
    op.execute(
        "CREATE TABLE channel (name text PRIMARY KEY, url text NOT NULL, format text NOT NULL, secret text,"
        " networks text[] NOT NULL, recipients text[] NOT NULL, kinds text[] NOT NULL, language text NOT NULL,"
        " removed boolean NOT NULL DEFAULT false, updated_at timestamptz NOT NULL)"
    )
    op.execute(
        "CREATE TABLE delivery (id uuid NOT NULL DEFAULT gen_random_uuid(), channel text NOT NULL,"
        " notice_id uuid NOT NULL, recipient text NOT NULL, number bigint NOT NULL, ticket_id uuid NOT NULL,"
        " kind text NOT NULL, fact text NOT NULL, caused_at timestamptz NOT NULL, created_at timestamptz NOT NULL,"
        " state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),"
        " attempts int NOT NULL DEFAULT 0, next_at timestamptz NOT NULL, status int, reason text NOT NULL DEFAULT '',"
        " ended_at timestamptz, PRIMARY KEY (id, ticket_id)) PARTITION BY RANGE (ticket_id)"
    )
    op.execute(f"CREATE TABLE delivery_default PARTITION OF delivery DEFAULT WITH (fillfactor = 70, {HOT})")
    # A group is told a fact once, however many of its people hear of it.
    op.execute("CREATE UNIQUE INDEX delivery_by_fact ON delivery (ticket_id, channel, fact)")
    op.execute("CREATE INDEX delivery_due ON delivery (channel, next_at) WHERE state = 'pending'")
    op.execute("CREATE INDEX delivery_by_state ON delivery (state, created_at, id)")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE recipient, notice, channel, delivery")
