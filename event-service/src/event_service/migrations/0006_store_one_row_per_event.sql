-- One row per event in place of runs (docs/decisions/0012), and one row of the outbox per message in place of one per
-- range of positions. Ids, positions, sequences, offsets and the order of the outbox stay.
--
-- Requests wait while this converts the events. Afterwards a process of the previous version returns 503 for appends,
-- reads and acknowledgements until it is replaced.

LOCK TABLE streams, outbox, series, runs IN ACCESS EXCLUSIVE MODE;

-- Positions have no gaps and become visible in order, because each append locks the row of its stream until the commit.
CREATE TABLE event_rows (
    stream_id bigint NOT NULL,
    position bigint NOT NULL,
    series_id bigint NOT NULL,
    sequence bigint NOT NULL,
    id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    request_id text NOT NULL,
    -- NULL if the event was appended without a user.
    username text,
    -- As posted: json keeps the digits of numbers, jsonb would not.
    version json NOT NULL,
    -- NULL once a single event is erased.
    system json,
    trigger json,
    payload json
);

-- Faster than the default method, but not part of every build. Postgres compresses rows from 2 kB on.
DO $$
BEGIN
    ALTER TABLE event_rows ALTER COLUMN payload SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this build of Postgres has no lz4';
END
$$;

INSERT INTO event_rows (stream_id, position, series_id, sequence, id, received_at, request_id, username,
                        version, system, trigger, payload)
SELECT stream_id, position, series_id, sequence, id::uuid, received_at::timestamptz, request_id,
       user_json::json #>> '{}',
       posted -> 'event' -> 'version', posted -> 'system', posted -> 'trigger', posted -> 'payload'
FROM (SELECT *, ('{"event":{' || body || '}')::json AS posted FROM events OFFSET 0) AS event;

-- Rows of the outbox that stand for a range of positions become one row per message; new ids keep the order.
CREATE TEMPORARY TABLE messages ON COMMIT DROP AS
SELECT outbox.id, event.position AS place, outbox.created_at, event.id AS message_id, event.request_id AS correlation_id,
       series.routing_key, series.type, series.headers,
       json_build_object(
           'event', json_build_object('name', series.name, 'version', event.version),
           'system', event.system, 'trigger', event.trigger, 'payload', event.payload
       )::text AS body
FROM outbox
JOIN event_rows AS event
  ON event.stream_id = split_part(outbox.body, ' ', 1)::bigint
 AND event.position BETWEEN split_part(outbox.body, ' ', 2)::bigint AND split_part(outbox.body, ' ', 3)::bigint
JOIN series ON series.id = event.series_id;

DELETE FROM outbox;
INSERT INTO outbox (message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory, created_at)
SELECT message_id, 'events', routing_key, type, correlation_id, headers, body, false, created_at
FROM messages ORDER BY id, place;

-- As the chassis has it, for a relay of the previous version.
CREATE OR REPLACE VIEW outgoing AS
SELECT id, 1::bigint AS place, message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory, created_at
FROM outbox;

DROP FUNCTION page_for, page_from, items_of, place_of, events_of_series, events_of_stream;
DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN SELECT oid FROM pg_proc
               WHERE pronamespace = current_schema()::regnamespace AND proname IN ('append_events', 'open_item')
    LOOP
        EXECUTE 'DROP FUNCTION ' || old;
    END LOOP;
END
$$;
DROP VIEW events;
DROP FUNCTION user_json;
DROP TABLE runs;
ALTER TABLE series DROP COLUMN routing_key, DROP COLUMN type, DROP COLUMN headers;

ALTER TABLE event_rows RENAME TO events;
ALTER TABLE events
    ADD CONSTRAINT events_pkey PRIMARY KEY (stream_id, position),
    ADD CONSTRAINT events_sequence UNIQUE (series_id, sequence),
    ADD CONSTRAINT events_id UNIQUE (id);
ANALYZE events;

-- What a process of the previous version calls; it returns 503 for this error.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'append_events(' || repeat('text, ', 19) || 'bigint, boolean) RETURNS SETOF text',
        'page_for(text, text, text, bigint) RETURNS TABLE (newest bigint, page text)',
        'page_from(text, bigint, bigint) RETURNS TABLE (page text)',
        'place_of(uuid) RETURNS TABLE (stream_id bigint, series_id bigint, sequence bigint)'
    ] LOOP
        EXECUTE 'CREATE FUNCTION ' || signature || $body$ LANGUAGE plpgsql AS
            'BEGIN RAISE ''replace this process: it is older than the database'' USING ERRCODE = ''57P03''; END'
        $body$;
    END LOOP;
END
$$;
