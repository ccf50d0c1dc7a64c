-- How far each invariant is verified: by the worker continuously, and by the last full run.
CREATE TABLE invariant_marks (
    run text NOT NULL CONSTRAINT invariant_marks_run CHECK (run IN ('continuous', 'full')),
    name text NOT NULL,
    -- The last verified item; NULL before the first one.
    mark json,
    -- Whether nothing was left to verify after the mark.
    is_done boolean NOT NULL DEFAULT false,
    -- The first violation; it stays until a full run finds none.
    violation text,
    broken_at timestamptz,
    verified_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT invariant_marks_pkey PRIMARY KEY (run, name)
) WITH (fillfactor = 50);

-- For invariants of numbered items: the last verified number of each unit, such as a stream.
CREATE TABLE invariant_ranges (
    run text NOT NULL,
    name text NOT NULL,
    unit bigint NOT NULL,
    verified bigint NOT NULL,
    CONSTRAINT invariant_ranges_pkey PRIMARY KEY (run, name, unit)
) WITH (fillfactor = 50);

-- The last full run, if one was requested.
CREATE TABLE invariant_runs (
    only_row boolean NOT NULL DEFAULT true CONSTRAINT invariant_runs_pkey PRIMARY KEY,
    status text NOT NULL
        CONSTRAINT invariant_runs_status CHECK (status IN ('PENDING', 'PROGRESS', 'SUCCESS', 'FAILURE')),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT invariant_runs_only_row CHECK (only_row)
);
