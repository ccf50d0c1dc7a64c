-- Data from elsewhere, fetched once for each flow, so that all its pipelines see the same.
CREATE TABLE sources (
    flow bigint NOT NULL CONSTRAINT sources_flow REFERENCES flows,
    location text NOT NULL,
    -- The attempt that fetches it: while that is under way, the others wait.
    position integer NOT NULL,
    attempt integer NOT NULL,
    -- Where it lies, once it is there; or why it never will be.
    object text,
    error text,
    CONSTRAINT sources_pkey PRIMARY KEY (flow, location),
    CONSTRAINT sources_outcome CHECK (object IS NULL OR error IS NULL)
);

-- Files that can be downloaded. Written in the transaction that ends their pipeline: an attempt that was taken over
-- leaves nothing behind that anybody could see.
CREATE TABLE results (
    flow bigint NOT NULL CONSTRAINT results_flow REFERENCES flows,
    path text NOT NULL,
    position integer NOT NULL,
    object text NOT NULL,
    bytes bigint NOT NULL,
    hash text NOT NULL,
    rows bigint,
    content_type text NOT NULL,
    CONSTRAINT results_pkey PRIMARY KEY (flow, path),
    CONSTRAINT results_position UNIQUE (flow, position)
);
