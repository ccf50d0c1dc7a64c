-- A stream. Its row is locked by each append until the commit, so positions have no gaps and become visible in order.
CREATE TABLE streams (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT streams_pkey PRIMARY KEY,
    name text NOT NULL CONSTRAINT streams_name UNIQUE,
    -- None yet: nobody has appended, only a schema was put. Such a stream is unknown to readers.
    producer text,
    position bigint NOT NULL DEFAULT 0,
    -- Counts changes of the stream's schemas; 0 while there is none.
    revision integer NOT NULL DEFAULT 0,
    first_at timestamptz,
    last_at timestamptz
) WITH (fillfactor = 50);

INSERT INTO streams (name, producer)
VALUES ('sequence', 'sequence'), ('orders', 'orders'), ('specstore', 'specstore'), ('factory', 'factory');

-- The events of one name in one stream. Written only while the stream's row is locked.
CREATE TABLE series (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT series_pkey PRIMARY KEY,
    stream_id bigint NOT NULL CONSTRAINT series_stream REFERENCES streams (id),
    name text NOT NULL,
    last bigint NOT NULL,
    -- How its events are published.
    routing_key text NOT NULL,
    type text NOT NULL,
    headers text NOT NULL,
    CONSTRAINT series_name UNIQUE (stream_id, name)
) WITH (fillfactor = 50);

-- Stream and series come from the statement that inserts the event: references would only cost their checks.
CREATE TABLE events (
    stream_id bigint NOT NULL,
    position bigint NOT NULL,
    series_id bigint NOT NULL,
    sequence bigint NOT NULL,
    id uuid NOT NULL CONSTRAINT events_id UNIQUE,
    received_at timestamptz NOT NULL,
    request_id text NOT NULL,
    -- The posted body as JSON text without its first characters, {"event":{ and without its last, }
    -- so that a page is made by putting texts together.
    body text NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (stream_id, position),
    CONSTRAINT events_sequence UNIQUE (series_id, sequence)
);

-- What a consumer has acknowledged of a series, and how often it refused the event after that.
CREATE TABLE offsets (
    series_id bigint NOT NULL CONSTRAINT offsets_series REFERENCES series (id),
    consumer text NOT NULL,
    acknowledged bigint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL,
    nacks integer NOT NULL DEFAULT 0,
    nacked_at timestamptz,
    reason text NOT NULL DEFAULT '',
    CONSTRAINT offsets_pkey PRIMARY KEY (series_id, consumer)
) WITH (fillfactor = 70);

-- Events that a consumer refused too often and passed by. While `replayed_at` is set one is given out again, first.
CREATE TABLE parked (
    series_id bigint NOT NULL CONSTRAINT parked_series REFERENCES series (id),
    sequence bigint NOT NULL,
    consumer text NOT NULL,
    nacks integer NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL,
    replayed_at timestamptz,
    CONSTRAINT parked_pkey PRIMARY KEY (series_id, consumer, sequence)
);

CREATE TABLE schemas (
    stream_id bigint NOT NULL CONSTRAINT schemas_stream REFERENCES streams (id),
    name text NOT NULL,
    version integer NOT NULL,
    document text NOT NULL,
    CONSTRAINT schemas_pkey PRIMARY KEY (stream_id, name, version)
);
