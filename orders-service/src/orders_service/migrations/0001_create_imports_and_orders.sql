-- An upload that is under way. The row goes when it becomes an import, or when nothing was heard of it for a while.
CREATE TABLE uploads (
    id uuid CONSTRAINT uploads_pkey PRIMARY KEY,
    username text NOT NULL,
    idempotency_key text,
    seen_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uploads_key UNIQUE (username, idempotency_key)
);

-- The file as it came, in pieces of any length; each is gone once it is imported.
CREATE TABLE blocks (
    import_id uuid NOT NULL,
    number integer NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT blocks_pkey PRIMARY KEY (import_id, number)
);
-- Read once and thrown away: packing it would cost more than it saves.
ALTER TABLE blocks ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE imports (
    id uuid CONSTRAINT imports_pkey PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT imports_number UNIQUE,
    username text NOT NULL,
    request_id text NOT NULL,
    file_name text NOT NULL,
    dry_run boolean NOT NULL,
    batch_no bigint,
    status text NOT NULL DEFAULT 'PENDING'
        CONSTRAINT imports_status CHECK (status IN ('PENDING', 'PROGRESS', 'SUCCESS', 'FAILURE')),
    -- Why it failed: a key of the messages, and what is named in it.
    reason text,
    reason_names text,
    cancelled boolean NOT NULL DEFAULT false,
    -- The day on which ages are counted.
    uploaded_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    -- Estimated by its lines until the end, then exact.
    total bigint NOT NULL,
    valid bigint NOT NULL DEFAULT 0,
    invalid bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    -- Whose turn it is: a job of an earlier one has had its effect.
    turn integer NOT NULL DEFAULT 1,
    -- Where the next step goes on.
    blocks integer NOT NULL,
    next_block integer NOT NULL DEFAULT 0,
    separator text,
    columns text,
    line bigint NOT NULL DEFAULT 1,
    rest bytea NOT NULL DEFAULT '',
    skipping boolean NOT NULL DEFAULT false,
    state_before bytea,
    zipcode_before bytea
);
CREATE INDEX imports_unfinished ON imports (id) WHERE status IN ('PENDING', 'PROGRESS');
CREATE INDEX imports_without_batch_no ON imports (number) WHERE batch_no IS NULL;

-- What errors.csv is made of, a piece of it for each piece of the file.
CREATE TABLE reports (
    import_id uuid NOT NULL,
    number integer NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT reports_pkey PRIMARY KEY (import_id, number)
);
ALTER TABLE reports ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE orders (
    id bigint CONSTRAINT orders_pkey PRIMARY KEY,
    birthday date NOT NULL,
    -- A bit for each rule that it fails; 0 is valid.
    failed smallint NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    state text NOT NULL,
    zipcode text NOT NULL
);

-- How many orders there are of each state: the sum of the rows, one for each step and now and then summed up.
CREATE TABLE order_counts (
    state text NOT NULL,
    valid boolean NOT NULL,
    orders bigint NOT NULL
);

-- The ids of a dry run, which stores no orders, so that a later one counts as a duplicate.
CREATE TABLE dry_ids (
    import_id uuid NOT NULL,
    id bigint NOT NULL,
    CONSTRAINT dry_ids_pkey PRIMARY KEY (import_id, id)
);
