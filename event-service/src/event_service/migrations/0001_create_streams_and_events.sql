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

-- Events of one name that one append brought, one behind the other: as they come they are kept, one row for many. That
-- is what makes appending many cheap (docs/decisions/0012). `position` and `sequence` are those of the last one.
-- Stream and series come from the statement that inserts the run: references would only cost their checks.
CREATE TABLE runs (
    stream_id bigint NOT NULL,
    position bigint NOT NULL,
    series_id bigint NOT NULL,
    sequence bigint NOT NULL,
    -- So whoever looks for an event finds its run at most so far behind it.
    count integer NOT NULL CONSTRAINT runs_count CHECK (count BETWEEN 1 AND 100),
    -- Of the first event. Those of the others follow from it: see the view.
    id uuid NOT NULL CONSTRAINT runs_id UNIQUE,
    received_at timestamptz NOT NULL,
    request_id text NOT NULL,
    -- For each event a line: the posted body as JSON text without its first characters, {"event":{ and without its
    -- last, } so that a page is made by putting texts together.
    bodies text NOT NULL,
    CONSTRAINT runs_pkey PRIMARY KEY (stream_id, position),
    CONSTRAINT runs_sequence UNIQUE (series_id, sequence)
);

CREATE FUNCTION iso_time(moment_ timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment_ AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- An event is found by `run_position` or `run_sequence`, those of its run. Ids of one append are counted up in their
-- digits 14 to 16, as the service makes them. What is the same for all of a run is worked out once, which OFFSET sees to.
CREATE VIEW events AS
SELECT run.stream_id, run.position - run.count + line.place AS position,
       run.series_id, run.sequence - run.count + line.place AS sequence,
       once.before || lpad(to_hex(once.counter + line.place - 1), 3, '0') || once.behind AS id,
       once.received_at, run.request_id, line.body, run.position AS run_position, run.sequence AS run_sequence, run.count
FROM runs AS run,
     LATERAL (
         SELECT left(run.id::text, 15) AS before, substr(run.id::text, 19) AS behind,
                ('x' || substr(run.id::text, 16, 3))::bit(12)::integer AS counter,
                iso_time(run.received_at) AS received_at
         OFFSET 0
     ) AS once,
     string_to_table(run.bodies, E'\n') WITH ORDINALITY AS line (body, place);

-- Sequences and positions have no gaps: so many events are so many numbers. Functions that are planned once for all: put
-- into a larger statement, the view would sooner or later be read as a whole.
CREATE FUNCTION events_of_series(series_ bigint, after_ bigint, limit_ bigint)
RETURNS SETOF events LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT * FROM events
    WHERE series_id = series_ AND run_sequence > after_ AND run_sequence < after_ + limit_ + 100
      AND run_sequence - count < after_ + limit_ AND sequence BETWEEN after_ + 1 AND after_ + limit_;
END
$$;

CREATE FUNCTION events_of_stream(stream_ bigint, after_ bigint, limit_ bigint)
RETURNS SETOF events LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT * FROM events
    WHERE stream_id = stream_ AND run_position > after_ AND run_position < after_ + limit_ + 100
      AND run_position - count < after_ + limit_ AND position BETWEEN after_ + 1 AND after_ + limit_;
END
$$;

-- Where the event with that id is, if anywhere. Its run has an id that differs in the counted digits only, and is not
-- above.
CREATE FUNCTION place_of(id_ uuid)
RETURNS TABLE (stream_id bigint, series_id bigint, sequence bigint, "position" bigint, run_position bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    before text := left(id_::text, 15);
    behind text := substr(id_::text, 19);
    first_of_append uuid := before || '000' || behind;
    counter integer := ('x' || substr(id_::text, 16, 3))::bit(12)::integer;
BEGIN
    RETURN QUERY
    SELECT run.stream_id, run.series_id, run.sequence - run.count + found.place, run.position - run.count + found.place,
           run.position
    FROM runs AS run, LATERAL (
        SELECT counter - ('x' || substr(run.id::text, 16, 3))::bit(12)::integer + 1 AS place
    ) AS found
    WHERE run.id BETWEEN first_of_append AND id_ AND substr(run.id::text, 19) = behind AND found.place <= run.count;
END
$$;

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
