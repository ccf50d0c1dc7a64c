-- Locked while a dataset is added, so that many at once cannot pass a quota.
CREATE TABLE owners (
    id text CONSTRAINT owners_pkey PRIMARY KEY,
    datasets integer NOT NULL DEFAULT 0
);

CREATE TABLE datasets (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT datasets_pkey PRIMARY KEY,
    owner text NOT NULL CONSTRAINT datasets_owner REFERENCES owners,
    name text NOT NULL,
    revisions integer NOT NULL,
    findability text NOT NULL,
    modified_at timestamptz NOT NULL,
    -- The schedule of the newest upload, and whose spec it runs again.
    every_seconds bigint,
    due_at timestamptz,
    scheduled_revision integer,
    CONSTRAINT datasets_name UNIQUE (owner, name),
    CONSTRAINT datasets_schedule CHECK (
        (every_seconds IS NULL) = (due_at IS NULL) AND (due_at IS NULL) = (scheduled_revision IS NULL)
    )
);
CREATE INDEX datasets_due ON datasets (due_at) WHERE due_at IS NOT NULL;

-- A revision of a dataset and the flow that runs it are one.
CREATE TABLE flows (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT flows_pkey PRIMARY KEY,
    dataset bigint NOT NULL CONSTRAINT flows_dataset REFERENCES datasets,
    revision integer NOT NULL,
    name text NOT NULL CONSTRAINT flows_name UNIQUE,
    spec text NOT NULL,
    findability text NOT NULL,
    state text NOT NULL,
    -- Whether pipelines are run elsewhere, and only updates come from there.
    is_external boolean NOT NULL,
    -- When its schedule wanted it, where one did.
    due_at timestamptz,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    -- Set together with the one FlowFinished.
    finished_at timestamptz,
    CONSTRAINT flows_revision UNIQUE (dataset, revision),
    CONSTRAINT flows_due UNIQUE (dataset, due_at),
    CONSTRAINT flows_state CHECK (state IN ('QUEUED', 'INPROGRESS', 'SUCCEEDED', 'FAILED')),
    CONSTRAINT flows_finished CHECK ((finished_at IS NOT NULL) = (state IN ('SUCCEEDED', 'FAILED')))
);
CREATE INDEX flows_unfinished ON flows (id) WHERE finished_at IS NULL;

CREATE TABLE pipelines (
    flow bigint NOT NULL CONSTRAINT pipelines_flow REFERENCES flows,
    position integer NOT NULL,
    name text NOT NULL CONSTRAINT pipelines_name UNIQUE,
    title text NOT NULL,
    kind text NOT NULL,
    target text NOT NULL,
    needs integer[] NOT NULL,
    has_begun boolean NOT NULL DEFAULT false,
    -- What it said itself at its end.
    succeeded boolean,
    state text NOT NULL DEFAULT 'QUEUED',
    is_ready boolean NOT NULL,
    errors text NOT NULL DEFAULT '[]',
    log text NOT NULL DEFAULT '[]',
    stats text NOT NULL DEFAULT '{}',
    -- The worker that runs it: only the newest attempt is listened to.
    attempt integer NOT NULL DEFAULT 0,
    leased_until timestamptz,
    heard_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pipelines_pkey PRIMARY KEY (flow, position),
    CONSTRAINT pipelines_state CHECK (state IN ('QUEUED', 'INPROGRESS', 'SUCCEEDED', 'FAILED'))
);
CREATE INDEX pipelines_heard ON pipelines (heard_at) WHERE state IN ('QUEUED', 'INPROGRESS');

-- One row: made once, kept for ever.
CREATE TABLE signing_key (
    id boolean CONSTRAINT signing_key_pkey PRIMARY KEY DEFAULT true,
    private_pem text NOT NULL,
    public_pem text NOT NULL,
    CONSTRAINT signing_key_one CHECK (id)
);
