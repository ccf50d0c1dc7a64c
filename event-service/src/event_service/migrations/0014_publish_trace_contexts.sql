-- As before, and the messages of an append carry its trace context. An append of the previous version has none.
CREATE OR REPLACE FUNCTION append_events(appends_ json, publish_ boolean)
RETURNS TABLE (index bigint, outcome text, stream_producer text, stream_position bigint, stream_revision integer)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    append record;
    stream streams;
    trace_header text;
BEGIN
    -- In the order of names: otherwise two calls could each wait for a stream that the other has locked.
    FOR append IN
        SELECT appends.*
        FROM ROWS FROM (json_to_recordset(appends_) AS (
            stream text, stream_key text, producer text, username text, is_admin boolean, revision integer,
            expected_position bigint, request_id text, traceparent text, events json
        )) WITH ORDINALITY AS appends (
            stream, stream_key, producer, username, is_admin, revision, expected_position, request_id, traceparent, events,
            index
        )
        ORDER BY appends.stream, appends.index
    LOOP
        SELECT * INTO stream FROM streams WHERE name = append.stream FOR NO KEY UPDATE;
        IF NOT FOUND AND coalesce(append.expected_position, 0) = 0 THEN
            INSERT INTO streams (name) VALUES (append.stream) ON CONFLICT ON CONSTRAINT streams_name DO NOTHING;
            SELECT * INTO stream FROM streams WHERE name = append.stream FOR NO KEY UPDATE;
        END IF;

        index := append.index;
        stream_producer := stream.producer;
        stream_position := coalesce(stream.position, 0);
        stream_revision := coalesce(stream.revision, 0);
        outcome := CASE
            WHEN stream_revision <> append.revision THEN 'schemas_changed'
            WHEN stream.producer <> append.producer THEN 'locked'
            WHEN stream.owner <> coalesce(append.username, '') AND NOT append.is_admin THEN 'locked'
            WHEN stream_position <> append.expected_position THEN 'conflict'
            ELSE 'appended'
        END;
        RETURN NEXT;
        CONTINUE WHEN outcome <> 'appended';

        trace_header := coalesce(',"traceparent":' || to_json(append.traceparent), '');
        UPDATE streams
        SET producer = append.producer,
            owner = coalesce(owner, append.username),
            position = position + json_array_length(append.events),
            first_at = coalesce(first_at, clock_timestamp()),
            last_at = greatest(last_at, clock_timestamp())
        WHERE id = stream.id
        RETURNING last_at INTO stream.last_at;

        WITH posted AS MATERIALIZED (
            SELECT id, key, name, version, system, trigger, payload, event, index_in_append,
                   row_number() OVER (PARTITION BY name ORDER BY index_in_append) AS index_in_series,
                   count(*) OVER (PARTITION BY name) AS count_in_series
            FROM ROWS FROM (json_to_recordset(append.events) AS (
                id uuid, key text, event json, system json, trigger json, payload json
            )) WITH ORDINALITY AS posted (id, key, event, system, trigger, payload, index_in_append),
            LATERAL (SELECT event ->> 'name' AS name, event -> 'version' AS version) AS head
        ), counted AS (
            INSERT INTO series AS existing (stream_id, name, last)
            SELECT stream.id, name, count(*) FROM posted GROUP BY name
            ON CONFLICT ON CONSTRAINT series_name DO UPDATE SET last = existing.last + excluded.last
            RETURNING existing.id, existing.name, existing.last
        ), published AS (
            INSERT INTO outbox (message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory)
            SELECT id, 'events', append.stream_key || '.' || key, key, append.request_id,
                   format('{"stream":%s,"event":%s%s}', to_json(append.stream), to_json(name), trace_header),
                   format('{"event":%s,"system":%s,"trigger":%s,"payload":%s}', event, system, trigger, payload),
                   false
            FROM posted WHERE publish_ ORDER BY index_in_append
        )
        INSERT INTO events (stream_id, position, series_id, sequence, id, received_at, request_id, username,
                            version, system, trigger, payload)
        SELECT stream.id, stream.position + index_in_append,
               counted.id, counted.last - count_in_series + index_in_series,
               posted.id, stream.last_at, append.request_id, append.username, version, system, trigger, payload
        FROM posted JOIN counted USING (name);
    END LOOP;
END
$$;
