CREATE TABLE loads (
    id uuid CONSTRAINT loads_pkey PRIMARY KEY,
    -- UPLOADING is what nobody has been told of yet.
    status text NOT NULL DEFAULT 'UPLOADING',
    size_bytes bigint NOT NULL DEFAULT 0,
    -- How far it has come: where the file is read next, and what has to be known there.
    next_chunk integer NOT NULL DEFAULT 0,
    reader jsonb NOT NULL DEFAULT '{}',
    next_entry integer NOT NULL DEFAULT 0,
    next_part integer NOT NULL DEFAULT 0,
    factories bigint NOT NULL DEFAULT 0,
    sprockets bigint NOT NULL DEFAULT 0,
    points bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    error text,
    request_id text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT loads_status CHECK (status IN ('UPLOADING', 'PENDING', 'PROGRESS', 'SUCCESS', 'FAILURE'))
);

CREATE TABLE load_chunks (
    load_id uuid NOT NULL CONSTRAINT load_chunks_load REFERENCES loads (id) ON DELETE CASCADE,
    number integer NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT load_chunks_pkey PRIMARY KEY (load_id, number)
);
ALTER TABLE load_chunks ALTER COLUMN content SET STORAGE EXTERNAL;

-- What has been read of the file: things in their order, and of a chart each array in parts of one size.
CREATE TABLE load_entries (
    load_id uuid NOT NULL CONSTRAINT load_entries_load REFERENCES loads (id) ON DELETE CASCADE,
    number integer NOT NULL,
    digest bytea NOT NULL,
    -- Which of its equals in the file it is.
    ordinal integer NOT NULL,
    parts integer NOT NULL,
    sprocket integer[],
    factory_id bigint,
    CONSTRAINT load_entries_pkey PRIMARY KEY (load_id, number)
);

-- How many equals of it have been read.
CREATE TABLE load_equals (
    load_id uuid NOT NULL CONSTRAINT load_equals_load REFERENCES loads (id) ON DELETE CASCADE,
    digest bytea NOT NULL,
    count integer NOT NULL,
    CONSTRAINT load_equals_pkey PRIMARY KEY (load_id, digest)
);

CREATE TABLE load_parts (
    load_id uuid NOT NULL CONSTRAINT load_parts_load REFERENCES loads (id) ON DELETE CASCADE,
    entry integer NOT NULL,
    series smallint NOT NULL,
    number integer NOT NULL,
    "values" bigint[] NOT NULL,
    CONSTRAINT load_parts_pkey PRIMARY KEY (load_id, entry, series, number)
);

-- An entry is known by its content and by which of its equals in the file it is, as long as what came of it is here.
CREATE TABLE loaded (
    digest bytea NOT NULL,
    ordinal integer NOT NULL,
    collection text NOT NULL CONSTRAINT loaded_collection REFERENCES collections (name),
    id bigint NOT NULL,
    CONSTRAINT loaded_pkey PRIMARY KEY (digest, ordinal)
);
CREATE INDEX loaded_by_thing ON loaded (collection, id);
