"""The bare pipeline's tables and its one statement for each hop.

Every statement forgets the outbox rows that were sent, claims the batch's ids, writes the effect of the new ones and
what is said about them into the outbox, and gives the ids of what is to be sent.
"""

SCHEMA = """
    CREATE TABLE intake_outbox (id uuid PRIMARY KEY, key text NOT NULL, body bytea NOT NULL);
    CREATE TABLE ticket (ticket_id uuid PRIMARY KEY, channel text NOT NULL, external_ref text NOT NULL,
        body bytea NOT NULL, at timestamptz NOT NULL DEFAULT now(), UNIQUE (channel, external_ref));

    CREATE TABLE classification_inbox (id uuid PRIMARY KEY);
    CREATE TABLE classification_outbox (id uuid PRIMARY KEY, key text NOT NULL, body bytea NOT NULL);
    CREATE TABLE classification (ticket_id uuid PRIMARY KEY, situation text NOT NULL, probability real NOT NULL,
        at timestamptz NOT NULL DEFAULT now());

    CREATE TABLE dispatch_inbox (id uuid PRIMARY KEY);
    CREATE TABLE dispatch_outbox (id uuid PRIMARY KEY, key text NOT NULL, body bytea NOT NULL);
    CREATE TABLE work_order (work_order_id uuid PRIMARY KEY, ticket_id uuid NOT NULL, department text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(), delivered_at timestamptz) WITH (fillfactor = 80);
    CREATE INDEX work_order_by_ticket ON work_order (ticket_id);
    CREATE TABLE delivery (delivery_id uuid PRIMARY KEY, department text NOT NULL, body bytea NOT NULL,
        state text NOT NULL DEFAULT 'pending') WITH (fillfactor = 80);
    CREATE INDEX delivery_pending ON delivery (delivery_id) WHERE state = 'pending';

    CREATE TABLE clocks_inbox (id uuid PRIMARY KEY);
    CREATE TABLE clocks_outbox (id uuid PRIMARY KEY, key text NOT NULL, body bytea NOT NULL);
    CREATE TABLE clock (clock_id uuid PRIMARY KEY, work_order_id uuid NOT NULL, due_at timestamptz NOT NULL);
    CREATE TABLE timer (fire_at timestamptz NOT NULL, clock_id uuid NOT NULL, PRIMARY KEY (fire_at, clock_id));

    CREATE TABLE stages_inbox (id uuid PRIMARY KEY);
    CREATE TABLE stage (ticket_id uuid PRIMARY KEY, stage int NOT NULL, at timestamptz NOT NULL DEFAULT now())
        WITH (fillfactor = 60);"""

INTAKE = """
    WITH sent AS (DELETE FROM intake_outbox WHERE id = ANY($1::uuid[])),
    given AS (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bytea[])
        AS g(id, ticket_id, channel, external_ref, body)),
    new AS (INSERT INTO ticket (ticket_id, channel, external_ref, body)
        SELECT ticket_id, channel, external_ref, body FROM given ORDER BY channel, external_ref
        ON CONFLICT (channel, external_ref) DO NOTHING RETURNING ticket_id)
    INSERT INTO intake_outbox SELECT id, ticket_id::text, body FROM given JOIN new USING (ticket_id) RETURNING id"""
CLASSIFICATION = """
    WITH sent AS (DELETE FROM classification_outbox WHERE id = ANY($1::uuid[])),
    new AS (INSERT INTO classification_inbox SELECT * FROM unnest($2::uuid[]) ON CONFLICT DO NOTHING RETURNING id),
    given AS (SELECT g.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::float8[], $7::bytea[])
        AS g(event_id, id, ticket_id, situation, probability, body) JOIN new ON new.id = g.event_id),
    effect AS (INSERT INTO classification (ticket_id, situation, probability)
        SELECT ticket_id, situation, probability FROM given)
    INSERT INTO classification_outbox SELECT id, ticket_id::text, body FROM given RETURNING id"""
DISPATCH = """
    WITH sent AS (DELETE FROM dispatch_outbox WHERE id = ANY($1::uuid[])),
    new AS (INSERT INTO dispatch_inbox SELECT DISTINCT * FROM unnest($2::uuid[]) ON CONFLICT DO NOTHING RETURNING id),
    given AS (SELECT g.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[],
        $8::bytea[], $9::bytea[]) AS g(event_id, id, ticket_id, work_order_id, delivery_id, department, body, webhook)
        JOIN new ON new.id = g.event_id),
    orders AS (INSERT INTO work_order (work_order_id, ticket_id, department)
        SELECT work_order_id, ticket_id, department FROM given),
    webhooks AS (INSERT INTO delivery (delivery_id, department, body)
        SELECT delivery_id, department, webhook FROM given)
    INSERT INTO dispatch_outbox SELECT id, ticket_id::text, body FROM given RETURNING id"""
DELIVERED = """
    WITH sent AS (DELETE FROM dispatch_outbox WHERE id = ANY($1::uuid[])),
    given AS (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[])
        AS g(id, delivery_id, work_order_id, key, body)),
    new AS (UPDATE delivery d SET state = 'delivered' FROM given g
        WHERE d.delivery_id = g.delivery_id AND d.state = 'pending' RETURNING d.delivery_id),
    orders AS (UPDATE work_order o SET delivered_at = now() FROM given g JOIN new USING (delivery_id)
        WHERE o.work_order_id = g.work_order_id)
    INSERT INTO dispatch_outbox SELECT id, key, body FROM given JOIN new USING (delivery_id) RETURNING id"""
CLOCKS = """
    WITH sent AS (DELETE FROM clocks_outbox WHERE id = ANY($1::uuid[])),
    new AS (INSERT INTO clocks_inbox SELECT * FROM unnest($2::uuid[]) ON CONFLICT DO NOTHING RETURNING id),
    given AS (SELECT g.* FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::timestamptz[], $7::bytea[])
        AS g(event_id, id, key, work_order_id, due_at, body) JOIN new ON new.id = g.event_id),
    clocks AS (INSERT INTO clock SELECT id, work_order_id, due_at FROM given),
    timers AS (INSERT INTO timer SELECT due_at, id FROM given)
    INSERT INTO clocks_outbox SELECT id, key, body FROM given RETURNING id"""
STAGES = """
    WITH new AS (INSERT INTO stages_inbox SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING id),
    furthest AS (SELECT ticket_id, max(stage) AS stage FROM unnest($1::uuid[], $2::uuid[], $3::int[])
        AS g(event_id, ticket_id, stage) JOIN new ON new.id = g.event_id GROUP BY ticket_id)
    INSERT INTO stage AS s (ticket_id, stage) SELECT ticket_id, stage FROM furthest ORDER BY ticket_id
    ON CONFLICT (ticket_id) DO UPDATE SET stage = greatest(s.stage, excluded.stage), at = now()"""
