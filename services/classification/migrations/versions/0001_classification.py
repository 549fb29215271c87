"""Matrix versions, models, what is in force, tickets with their classification, the review queue, decisions; what
tickets are compared by, hot events and their members.
"""

from alembic import op

revision = "classification_0001"
down_revision = None

VACUUM = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0"


def upgrade() -> None:
    """Make them."""
    op.execute(
        "CREATE TABLE matrix (version text PRIMARY KEY, pack text NOT NULL, title text NOT NULL, source text NOT NULL,"
        " situations int NOT NULL, loaded_by text NOT NULL, loaded_at timestamptz NOT NULL)"
    )
    # A model's bytes are compressed already: stored outside the row, as they are.
    op.execute(
        "CREATE TABLE model (version text PRIMARY KEY, matrix_version text NOT NULL REFERENCES matrix,"
        " labels text[] NOT NULL, bytes bytea NOT NULL, sha256 text NOT NULL, fingerprint text NOT NULL,"
        " digests bytea NOT NULL, report jsonb NOT NULL, trained_by text NOT NULL, trained_at timestamptz NOT NULL)"
    )
    op.execute("ALTER TABLE model ALTER COLUMN bytes SET STORAGE EXTERNAL")
    # Every training, whoever began it, and what came of it; `version`: the model that was kept.
    op.execute(
        "CREATE TABLE training (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, by text NOT NULL,"
        " began_at timestamptz NOT NULL, ended_at timestamptz NOT NULL, version text, active boolean NOT NULL,"
        " reason text NOT NULL)"
    )
    # Who put which matrix, model or shadow in force, from when on; of a kind's rows that have begun the last one is.
    # `said`: that it came in force has been published.
    op.execute(
        "CREATE TABLE activation (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " kind text NOT NULL CHECK (kind IN ('matrix', 'model', 'shadow')), version text, by text NOT NULL,"
        " reason text NOT NULL, at timestamptz NOT NULL, effective_at timestamptz NOT NULL, said boolean NOT NULL,"
        " cancelled_by text, cancelled_at timestamptz)"
    )
    op.execute("CREATE INDEX activation_by_kind ON activation (kind, effective_at, id) WHERE cancelled_at IS NULL")
    op.execute("CREATE INDEX activation_not_said ON activation (effective_at) WHERE NOT said AND cancelled_at IS NULL")
    op.execute(
        "CREATE TABLE draft (draft_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL,"
        " state text NOT NULL CHECK (state IN ('open', 'published', 'discarded')), base text NOT NULL,"
        " form jsonb NOT NULL, revision int NOT NULL, problems jsonb NOT NULL, origin jsonb, opened_by text NOT NULL,"
        " opened_at timestamptz NOT NULL, changed_at timestamptz NOT NULL, version text, effective_at timestamptz)"
    )
    op.execute(
        "CREATE TABLE draft_change (draft_id int NOT NULL, revision int NOT NULL, at timestamptz NOT NULL,"
        " by text NOT NULL, reason text NOT NULL, differences jsonb NOT NULL, PRIMARY KEY (draft_id, revision))"
    )
    # Cells that the returns court finds wrong too often, as dispatch says; one a cell and month.
    op.execute(
        "CREATE TABLE suggestion (suggestion_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cell text NOT NULL,"
        " month text NOT NULL, evidence jsonb NOT NULL, state text NOT NULL CHECK (state IN"
        " ('open', 'accepted', 'dismissed')), said_at timestamptz NOT NULL, settled_by text, settled_at timestamptz,"
        " reason text, draft_id int, UNIQUE (cell, month))"
    )
    # What-if runs; `asked_at` tells one request from the next of the same draft.
    op.execute(
        "CREATE TABLE trial (draft_id int PRIMARY KEY, revision int NOT NULL, days int NOT NULL, state text NOT NULL"
        " CHECK (state IN ('waiting', 'running', 'done', 'failed')), done int NOT NULL, total int NOT NULL,"
        " outcome jsonb, fault text, asked_by text NOT NULL, asked_at timestamptz NOT NULL, ended_at timestamptz)"
    )
    op.execute("CREATE INDEX trial_waiting ON trial (asked_at) WHERE state IN ('waiting', 'running')")
    op.execute(
        "CREATE TABLE ticket (id uuid PRIMARY KEY, ticket jsonb NOT NULL, state text NOT NULL"
        " CHECK (state IN ('classified', 'review', 'split')), situation text NOT NULL, matrix_version text NOT NULL,"
        " model_version text, probability real NOT NULL, margin real NOT NULL, words text[] NOT NULL,"
        " decided_by text NOT NULL, business_type text NOT NULL, complaint_object text NOT NULL, urgency text NOT NULL,"
        " risk text NOT NULL, received_at timestamptz NOT NULL, classified_at timestamptz, repeat_of uuid,"
        " repeats int NOT NULL DEFAULT 0, sketch bytea NOT NULL DEFAULT '', place text) PARTITION BY RANGE (id)"
    )
    op.execute(f"CREATE TABLE ticket_default PARTITION OF ticket DEFAULT WITH (fillfactor = 90, {VACUUM})")
    op.execute("CREATE INDEX ticket_by_time ON ticket (classified_at) WHERE classified_at IS NOT NULL")
    op.execute("CREATE INDEX ticket_in_review ON ticket (id) WHERE state = 'review'")
    # Where it is watched for hot events; null: nowhere.
    op.execute("CREATE INDEX ticket_by_place ON ticket (place, id) WHERE place IS NOT NULL")
    op.execute("CREATE INDEX ticket_repeats ON ticket (repeat_of, repeats) WHERE repeat_of IS NOT NULL")
    # The queue: a row goes with its decision.
    op.execute(
        "CREATE TABLE review (ticket_id uuid PRIMARY KEY, opened_at timestamptz NOT NULL, due_at timestamptz NOT NULL,"
        " candidates jsonb NOT NULL, claimed_by text, claimed_until timestamptz, claimed_at timestamptz)"
        f" WITH (fillfactor = 70, {VACUUM})"
    )
    op.execute("CREATE INDEX review_in_order ON review (due_at, ticket_id)")
    # Without a situation: the ticket was split. Without `waited`: a part that its reviewer named while splitting.
    op.execute(
        "CREATE TABLE decision (ticket_id uuid PRIMARY KEY, situation text, matrix_version text NOT NULL,"
        " by text NOT NULL, note text, at timestamptz NOT NULL, waited real, deciding real)"
        " PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE decision_default PARTITION OF decision DEFAULT")
    op.execute("CREATE INDEX decision_by_time ON decision (at)")
    # What a model that is only watched said of a ticket, beside what was said by what is in force.
    op.execute(
        "CREATE TABLE shadow (ticket_id uuid PRIMARY KEY, matrix_version text NOT NULL, model_version text,"
        " situation text NOT NULL, probability real NOT NULL, shadow_version text NOT NULL,"
        " shadow_situation text NOT NULL, shadow_probability real NOT NULL) PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE shadow_default PARTITION OF shadow DEFAULT")
    # What a ticket is looked for under: customer, place, bands of its text.
    op.execute(
        "CREATE TABLE trace (key bigint, ticket_id uuid, known smallint NOT NULL, PRIMARY KEY (key, ticket_id))"
        " PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE trace_default PARTITION OF trace DEFAULT")
    # New tickets on their way to the watch for hot events, which takes them out: those of one transaction are a row.
    op.execute(f"CREATE TABLE arrival (first_id uuid PRIMARY KEY, ticket_ids uuid[] NOT NULL) WITH ({VACUUM})")
    # How many tickets are usual, by hour of the week.
    op.execute(
        "CREATE TABLE usual (category text, place text, hour smallint, week int NOT NULL, first_week int NOT NULL,"
        " tickets double precision NOT NULL, mean double precision NOT NULL, PRIMARY KEY (category, place, hour))"
        " WITH (fillfactor = 70)"
    )
    op.execute("CREATE INDEX usual_by_week ON usual (week)")
    # `told_to`: of an event that was folded, the last member that was told so; null: no more are to be told.
    op.execute(
        "CREATE TABLE hot_event (hot_event_id uuid PRIMARY KEY,"
        " state text NOT NULL CHECK (state IN ('open', 'closed')), category text NOT NULL, place text NOT NULL,"
        " situation text NOT NULL, matrix_version text NOT NULL, title text NOT NULL, opened_with int NOT NULL,"
        " usual double precision NOT NULL, minutes int NOT NULL, members int NOT NULL, opened_at timestamptz NOT NULL,"
        " closed_at timestamptz, closed_by text, reason text, folded_at timestamptz, folded_by text, told_to uuid,"
        " dissolved_at timestamptz, dissolved_by text, dissolve_reason text) WITH (fillfactor = 70)"
    )
    op.execute("CREATE INDEX hot_event_by_state ON hot_event (state, hot_event_id)")
    op.execute(
        "CREATE INDEX hot_event_closed_by_person ON hot_event (closed_at)"
        " WHERE state = 'closed' AND closed_by <> 'classification'"
    )
    op.execute("CREATE INDEX hot_event_telling ON hot_event (hot_event_id) WHERE told_to IS NOT NULL")
    # `late`: it joined when the event was folded already, and was told so then.
    op.execute(
        "CREATE TABLE hot_member (ticket_id uuid, hot_event_id uuid, similarity real NOT NULL,"
        " joined_at timestamptz NOT NULL, joined_by text NOT NULL, join_reason text, left_at timestamptz, left_by text,"
        " leave_reason text, late boolean NOT NULL DEFAULT false, PRIMARY KEY (ticket_id, hot_event_id))"
        " PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE hot_member_default PARTITION OF hot_member DEFAULT")
    op.execute("CREATE INDEX hot_member_of_event ON hot_member (hot_event_id, ticket_id)")
    # Up to when what was classified has been counted; requests by the day they came, in the matrix's time zone.
    op.execute(
        "CREATE TABLE counted (single boolean PRIMARY KEY DEFAULT true CHECK (single), until timestamptz NOT NULL)"
    )
    op.execute(
        "CREATE TABLE daily (day date, situation text, tickets int NOT NULL, grievances int NOT NULL,"
        " PRIMARY KEY (day, situation)) WITH (fillfactor = 70)"
    )
    # Occasions that a rule counts, under rule and place (or customer); `began`: the ticket an occasion was found by.
    op.execute(
        "CREATE TABLE occasion (key bigint, began uuid, at timestamptz NOT NULL, situation text NOT NULL,"
        " hot_event uuid, tickets uuid[] NOT NULL, requests int NOT NULL, PRIMARY KEY (key, began))"
        " PARTITION BY RANGE (began)"
    )
    op.execute("CREATE TABLE occasion_default PARTITION OF occasion DEFAULT")
    # Its id is that of the proactive ticket.
    op.execute(
        "CREATE TABLE cumulative_problem (problem_id uuid PRIMARY KEY, key bigint NOT NULL, rule text NOT NULL,"
        " name text NOT NULL, situation text NOT NULL, matrix_version text NOT NULL, area_code text, address text,"
        " customer_id text, title text NOT NULL, text text NOT NULL, tickets uuid[] NOT NULL, count int NOT NULL,"
        " times int NOT NULL, days int NOT NULL, found_at timestamptz NOT NULL, over_at timestamptz NOT NULL)"
    )
    op.execute("CREATE INDEX cumulative_problem_open ON cumulative_problem (key, over_at)")
    # What fixed answered tickets; reopened ones were not fixed by it.
    op.execute(
        "CREATE TABLE settled (ticket_id uuid PRIMARY KEY, situation text NOT NULL, answers jsonb NOT NULL,"
        " answered_at timestamptz NOT NULL, reopened_at timestamptz) PARTITION BY RANGE (ticket_id)"
    )
    op.execute("CREATE TABLE settled_default PARTITION OF settled DEFAULT WITH (fillfactor = 90)")
    op.execute("CREATE INDEX settled_lately ON settled (situation, answered_at) WHERE reopened_at IS NULL")


def downgrade() -> None:
    """Drop them."""
    op.execute(
        "DROP TABLE settled, cumulative_problem, occasion, daily, counted, hot_member, hot_event,"
        " usual, arrival, trace, shadow, decision, review, ticket, trial,"
        " draft_change, draft, suggestion, activation, training, model, matrix"
    )
