-- What waits to be published, in the order in which it was written; a row that was sent is gone.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
    message_id uuid NOT NULL DEFAULT gen_random_uuid(),
    exchange text NOT NULL,
    routing_key text NOT NULL DEFAULT '',
    type text NOT NULL DEFAULT '',
    correlation_id text NOT NULL DEFAULT '',
    headers text NOT NULL DEFAULT '{}',
    body text NOT NULL,
    -- Whether it waits until somebody is there to take it.
    mandatory boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    messages integer NOT NULL DEFAULT 1
);

-- What the relay publishes: the messages of each row, in the order of `place`. A service that keeps the content of its
-- messages anyway replaces this view by one of its own, in which one row of the outbox stands for many of them.
CREATE VIEW outgoing AS
SELECT id, 1::bigint AS place, message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory, created_at
FROM outbox;

-- Messages whose effect is committed.
CREATE TABLE inbox (
    message_id uuid NOT NULL,
    queue text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_pkey PRIMARY KEY (message_id, queue)
);
CREATE INDEX inbox_received ON inbox (received_at);

-- Messages whose handler raised, until they succeed or are given up.
CREATE TABLE message_failures (
    message_id text NOT NULL,
    queue text NOT NULL,
    failures integer NOT NULL,
    reason text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT message_failures_pkey PRIMARY KEY (message_id, queue)
);

CREATE TABLE idempotency_keys (
    username text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    status integer NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (username, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- What each worker last said of itself.
CREATE TABLE workers (
    worker text CONSTRAINT workers_pkey PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    broker_connected boolean NOT NULL,
    dead_letters text NOT NULL DEFAULT '{}'
);
