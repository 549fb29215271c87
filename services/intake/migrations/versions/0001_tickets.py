"""Tickets as received, where each stands, the vault, and what was refused; by month of a ticket's birth."""

from alembic import op

revision = "intake_0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    # Written once; every text in it is masked. Its id is a UUIDv7: the order of ids is the order of arrival.
    op.execute(
        "CREATE TABLE ticket (ticket_id uuid PRIMARY KEY, channel text NOT NULL, external_ref text NOT NULL,"
        " agent_id text, title text NOT NULL, text text NOT NULL, business_type text, complaint_object text,"
        " area_code text, address text, customer_id text, star smallint NOT NULL, sensitive boolean NOT NULL,"
        " opened_at timestamptz NOT NULL, received_at timestamptz NOT NULL, received_by text NOT NULL,"
        " split_from uuid, hot_event uuid) PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE ticket_default PARTITION OF ticket DEFAULT")
    # Which ticket stands under a reference: one over all months, for as long as the ticket is kept. Rows lie in order
    # of time, so that a small index is enough to find those of a month that is gone.
    op.execute(
        "CREATE TABLE reference (channel text, external_ref text, ticket_id uuid NOT NULL,"
        " PRIMARY KEY (channel, external_ref))"
    )
    op.execute("CREATE INDEX reference_by_age ON reference USING brin (ticket_id) WITH (autosummarize = on)")
    # Narrow, updated on every step of a ticket's way.
    op.execute(
        "CREATE TABLE ticket_stage (ticket_id uuid PRIMARY KEY, stage text NOT NULL, since timestamptz NOT NULL,"
        " reached jsonb NOT NULL, orders jsonb NOT NULL DEFAULT '{}', situation text, lead_department text,"
        " hops smallint, transfers smallint NOT NULL DEFAULT 0, first_contact_minutes real, resolve_minutes real,"
        " told_minutes real, parts uuid[], master_id uuid) PARTITION BY RANGE (ticket_id)"
    )
    op.execute(
        "CREATE TABLE ticket_stage_default PARTITION OF ticket_stage DEFAULT WITH (fillfactor = 60,"
        " autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)"
    )
    op.execute("CREATE INDEX ticket_stage_by_stage ON ticket_stage (stage, ticket_id) WITH (fillfactor = 70)")
    op.execute(
        "CREATE TABLE amendment (amendment_id uuid NOT NULL, ticket_id uuid NOT NULL, text text NOT NULL,"
        " by text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (ticket_id, amendment_id))"
        " PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE amendment_default PARTITION OF amendment DEFAULT")
    # Originals of tickets (id = ticket_id) and amendments (id = amendment_id): AES-256-GCM, bound to the id.
    op.execute(
        "CREATE TABLE vault (ticket_id uuid, id uuid, key_id text NOT NULL, nonce bytea NOT NULL,"
        " sealed bytea NOT NULL, PRIMARY KEY (ticket_id, id)) PARTITION BY RANGE (ticket_id)"
    )
    op.execute("ALTER TABLE vault ALTER COLUMN sealed SET STORAGE EXTERNAL")  # ciphertext does not compress
    op.execute("CREATE TABLE vault_default PARTITION OF vault DEFAULT")
    # Who read an original (subject = ticket_id) or a refused record (subject = rejected_id).
    op.execute(
        "CREATE TABLE audit (audit_id uuid PRIMARY KEY, subject uuid NOT NULL, principal text NOT NULL,"
        " key_prefix text NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (audit_id)"
    )
    op.execute("CREATE TABLE audit_default PARTITION OF audit DEFAULT")
    op.execute("CREATE INDEX audit_by_subject ON audit (subject, audit_id)")
    # Records of the inbound topic that could not be taken; the record itself is sealed, bound to its id.
    op.execute(
        "CREATE TABLE rejected (rejected_id uuid PRIMARY KEY, topic text NOT NULL, partition int NOT NULL,"
        ' "offset" bigint NOT NULL, reference text NOT NULL, errors jsonb NOT NULL, at timestamptz NOT NULL,'
        " key_id text NOT NULL, nonce bytea NOT NULL, sealed bytea NOT NULL) PARTITION BY RANGE (rejected_id)"
    )
    op.execute("ALTER TABLE rejected ALTER COLUMN sealed SET STORAGE EXTERNAL")
    op.execute("CREATE TABLE rejected_default PARTITION OF rejected DEFAULT")
    # What was heard of a ticket after its close, or when it was not here any more.
    op.execute(
        "CREATE TABLE late_fact (event_id uuid NOT NULL, ticket_id uuid NOT NULL, type text NOT NULL,"
        " occurred_at timestamptz NOT NULL, heard_at timestamptz NOT NULL, PRIMARY KEY (ticket_id, event_id))"
        " PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE late_fact_default PARTITION OF late_fact DEFAULT")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE ticket, reference, ticket_stage, amendment, vault, audit, rejected, late_fact")
