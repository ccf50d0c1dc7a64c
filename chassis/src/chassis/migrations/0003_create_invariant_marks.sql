-- How far the worker has verified each invariant.
CREATE TABLE invariant_marks (
    name text CONSTRAINT invariant_marks_pkey PRIMARY KEY,
    -- Where the next step begins; NULL at the start.
    mark json,
    -- Whether nothing was left to verify after the last step.
    is_done boolean NOT NULL DEFAULT false,
    -- The last violation that was detected; it stays until a full run detects none.
    violation text,
    broken_at timestamptz,
    verified_at timestamptz NOT NULL DEFAULT now(),
    -- When the verification of all items last began and ended.
    began_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
) WITH (fillfactor = 50);

-- For invariants of numbered items: the last verified number of each unit, such as a stream.
CREATE TABLE invariant_ranges (
    name text NOT NULL,
    unit bigint NOT NULL,
    verified bigint NOT NULL,
    CONSTRAINT invariant_ranges_pkey PRIMARY KEY (name, unit)
) WITH (fillfactor = 50);

-- The last full run, if one was requested.
CREATE TABLE invariant_runs (
    only_row boolean NOT NULL DEFAULT true CONSTRAINT invariant_runs_pkey PRIMARY KEY,
    status text NOT NULL DEFAULT 'PENDING'
        CONSTRAINT invariant_runs_status CHECK (status IN ('PENDING', 'PROGRESS', 'SUCCESS', 'FAILURE')),
    started_at timestamptz,
    finished_at timestamptz,
    checks json NOT NULL DEFAULT '[]',
    CONSTRAINT invariant_runs_only_row CHECK (only_row)
);
