-- Any number of events to any number of streams in one statement; gives the names of the streams that took theirs.
-- A function, so that a connection plans it once: planning would take longer than all the rest.
--
-- 1. The rows of the streams are locked and moved on, in the order of their names against deadlocks. A stream is left
--    out that has another producer, other schemas, or another position than expected.
-- 2. The series are counted on; nobody touches them who does not hold the stream.
-- 3. Runs are written for the streams that were moved on, and for each such stream a row of the outbox that stands for
--    its events: their content is not written twice.
--
-- No name and no JSON text has a line break in it: each column travels as one text of lines. Runs have several lines
-- each, and are parted by U+001E.
CREATE FUNCTION append_events(
    -- For each stream
    streams_ text, producers_ text, revisions_ text, counts_ text,
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
        SELECT name, producer, revision, count
        FROM unnest(
            string_to_array(streams_, E'\n'), string_to_array(producers_, E'\n'),
            string_to_array(revisions_, E'\n')::int[], string_to_array(counts_, E'\n')::bigint[]
        ) AS wanted (name, producer, revision, count)
    ), moved AS (
        INSERT INTO streams AS stream (name, producer, revision, position, first_at, last_at)
        SELECT name, producer, revision, count, clock_timestamp(), clock_timestamp()
        FROM wanted
        WHERE expected_ IS NULL OR expected_ = 0
           OR EXISTS (SELECT FROM streams WHERE streams.name = wanted.name)
        ORDER BY name
        ON CONFLICT ON CONSTRAINT streams_name DO UPDATE
        SET producer = excluded.producer,
            position = stream.position + excluded.position,
            first_at = coalesce(stream.first_at, clock_timestamp()),
            last_at = greatest(stream.last_at, clock_timestamp())
        WHERE coalesce(stream.producer, excluded.producer) = excluded.producer
          AND stream.revision = excluded.revision
          AND (expected_ IS NULL OR stream.position = expected_)
        RETURNING stream.id, stream.name, stream.position, stream.last_at
    ), kinds AS (
        SELECT kind.number, moved.id AS stream_id, moved.position, moved.last_at,
               kind.name, kind.count, kind.routing_key, kind.type, kind.headers
        FROM unnest(
            string_to_array(kind_streams_, E'\n'), string_to_array(kind_names_, E'\n'),
            string_to_array(kind_counts_, E'\n')::bigint[], string_to_array(kind_keys_, E'\n'),
            string_to_array(kind_types_, E'\n'), string_to_array(kind_headers_, E'\n')
        ) WITH ORDINALITY AS kind (stream, name, count, routing_key, type, headers, number)
        JOIN moved ON moved.name = kind.stream
    ), counted AS (
        INSERT INTO series AS counter (stream_id, name, last, routing_key, type, headers)
        SELECT stream_id, name, count, routing_key, type, headers FROM kinds ORDER BY stream_id, name
        ON CONFLICT ON CONSTRAINT series_name DO UPDATE SET last = counter.last + excluded.last
        RETURNING counter.id, counter.stream_id, counter.name, counter.last
    ), places AS MATERIALIZED (
        SELECT kinds.number, kinds.stream_id, kinds.position, kinds.last_at, counted.id AS series_id, counted.last
        FROM kinds JOIN counted ON counted.stream_id = kinds.stream_id AND counted.name = kinds.name
    ), published AS (
        INSERT INTO outbox (exchange, body, mandatory, messages)
        SELECT 'events', concat_ws(' ', moved.id, moved.position - count + 1, moved.position), false, count
        FROM moved JOIN wanted USING (name) WHERE publish_
    ), appended AS (
        INSERT INTO runs (stream_id, position, series_id, sequence, count, id, received_at, request_id, bodies)
        SELECT place.stream_id, place.position - behind_in_stream AS position,
               place.series_id, place.last - behind_in_series AS sequence,
               run.count, run.id, place.last_at, coalesce(request_id, ''), bodies
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

CREATE OR REPLACE VIEW outgoing AS
SELECT outbox.id, event.position AS place, event.id::uuid AS message_id, outbox.exchange, series.routing_key, series.type,
       event.request_id AS correlation_id, series.headers, '{"event":{' || event.body || '}' AS body, outbox.mandatory,
       outbox.created_at
FROM outbox
-- What is appended at once is whole runs.
JOIN events AS event
  ON event.stream_id = split_part(outbox.body, ' ', 1)::bigint
 AND event.run_position BETWEEN split_part(outbox.body, ' ', 2)::bigint AND split_part(outbox.body, ' ', 3)::bigint
JOIN series ON series.id = event.series_id;
