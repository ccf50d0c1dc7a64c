-- Owners of streams and consumers, and the user of each event. Everything stored before has neither.
--
-- append_events with 19 parameters and open_item with 8 stay for processes of the previous version; a later migration
-- drops them.

-- The user that appended the first event; of an older stream the first that appended since. NULL while there is none,
-- as for the streams of the services.
ALTER TABLE streams ADD COLUMN owner text;
-- NULL if the event was appended without a user.
ALTER TABLE runs ADD COLUMN username text;

-- Consumers that have an owner.
CREATE TABLE consumers (
    stream_id bigint NOT NULL CONSTRAINT consumers_stream REFERENCES streams (id),
    name text NOT NULL,
    owner text NOT NULL,
    CONSTRAINT consumers_pkey PRIMARY KEY (stream_id, name)
);

-- Schemas of streams without events. They apply only if their owner appends the first event; until then nobody knows
-- whose stream it will be.
CREATE TABLE schema_drafts (
    stream_id bigint NOT NULL CONSTRAINT schema_drafts_stream REFERENCES streams (id),
    -- Empty for a request without a user.
    owner text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    document text NOT NULL,
    CONSTRAINT schema_drafts_pkey PRIMARY KEY (stream_id, owner, name, version)
);

-- As in 0002, and:
-- 1. A stream is left out as well if it belongs to another user and the caller is not an admin.
-- 2. A stream without an owner gets the user as its owner.
-- 3. The runs record the user.
CREATE FUNCTION append_events(
    -- For each stream; an empty user is none
    streams_ text, producers_ text, users_ text, admins_ text, revisions_ text, counts_ text,
    -- For each name of each stream
    kind_streams_ text, kind_names_ text, kind_counts_ text, kind_keys_ text, kind_types_ text, kind_headers_ text,
    -- For each run: the number of its kind, its events, and how many of its stream and of its series follow behind it
    kinds_ text, run_counts_ text, behind_in_stream_ text, behind_in_series_ text, ids_ text, request_ids_ text,
    bodies_ text,
    expected_ bigint, publish_ boolean
) RETURNS SETOF text LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    WITH wanted AS (
        SELECT name, producer, username, is_admin, revision, count
        FROM unnest(
            string_to_array(streams_, E'\n'), string_to_array(producers_, E'\n'), string_to_array(users_, E'\n', ''),
            string_to_array(admins_, E'\n')::boolean[],
            string_to_array(revisions_, E'\n')::int[], string_to_array(counts_, E'\n')::bigint[]
        ) AS wanted (name, producer, username, is_admin, revision, count)
    ), moved AS (
        INSERT INTO streams AS stream (name, producer, owner, revision, position, first_at, last_at)
        SELECT name, producer, username, revision, count, clock_timestamp(), clock_timestamp()
        FROM wanted
        WHERE expected_ IS NULL OR expected_ = 0
           OR EXISTS (SELECT FROM streams WHERE streams.name = wanted.name)
        ORDER BY name
        ON CONFLICT ON CONSTRAINT streams_name DO UPDATE
        SET producer = excluded.producer,
            owner = coalesce(stream.owner, excluded.owner),
            position = stream.position + excluded.position,
            first_at = coalesce(stream.first_at, clock_timestamp()),
            last_at = greatest(stream.last_at, clock_timestamp())
        WHERE coalesce(stream.producer, excluded.producer) = excluded.producer
          AND (stream.owner IS NULL OR stream.owner = excluded.owner
               OR (SELECT is_admin FROM wanted WHERE wanted.name = stream.name))
          AND stream.revision = excluded.revision
          AND (expected_ IS NULL OR stream.position = expected_)
        RETURNING stream.id, stream.name, stream.position, stream.last_at
    ), kinds AS (
        SELECT kind.number, moved.id AS stream_id, moved.position, moved.last_at, wanted.username,
               kind.name, kind.count, kind.routing_key, kind.type, kind.headers
        FROM unnest(
            string_to_array(kind_streams_, E'\n'), string_to_array(kind_names_, E'\n'),
            string_to_array(kind_counts_, E'\n')::bigint[], string_to_array(kind_keys_, E'\n'),
            string_to_array(kind_types_, E'\n'), string_to_array(kind_headers_, E'\n')
        ) WITH ORDINALITY AS kind (stream, name, count, routing_key, type, headers, number)
        JOIN moved ON moved.name = kind.stream
        JOIN wanted ON wanted.name = kind.stream
    ), counted AS (
        INSERT INTO series AS counter (stream_id, name, last, routing_key, type, headers)
        SELECT stream_id, name, count, routing_key, type, headers FROM kinds ORDER BY stream_id, name
        ON CONFLICT ON CONSTRAINT series_name DO UPDATE SET last = counter.last + excluded.last
        RETURNING counter.id, counter.stream_id, counter.name, counter.last
    ), places AS MATERIALIZED (
        SELECT kinds.number, kinds.stream_id, kinds.position, kinds.last_at, kinds.username,
               counted.id AS series_id, counted.last
        FROM kinds JOIN counted ON counted.stream_id = kinds.stream_id AND counted.name = kinds.name
    ), published AS (
        INSERT INTO outbox (exchange, body, mandatory, messages)
        SELECT 'events', concat_ws(' ', moved.id, moved.position - count + 1, moved.position), false, count
        FROM moved JOIN wanted USING (name) WHERE publish_
    ), appended AS (
        INSERT INTO runs (stream_id, position, series_id, sequence, count, id, received_at, request_id, username, bodies)
        SELECT place.stream_id, place.position - behind_in_stream AS position,
               place.series_id, place.last - behind_in_series AS sequence,
               run.count, run.id, place.last_at, coalesce(request_id, ''), place.username, bodies
        FROM unnest(
            string_to_array(kinds_, E'\n')::bigint[], string_to_array(run_counts_, E'\n')::int[],
            string_to_array(behind_in_stream_, E'\n')::bigint[], string_to_array(behind_in_series_, E'\n')::bigint[],
            string_to_array(ids_, E'\n')::uuid[], string_to_array(request_ids_, E'\n'),
            string_to_array(bodies_, E'\x1e')
        ) AS run (kind, count, behind_in_stream, behind_in_series, id, request_id, bodies)
        JOIN places AS place ON place.number = run.kind
    )
    SELECT moved.name FROM moved;
END
$$;
