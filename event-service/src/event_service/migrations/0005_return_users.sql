-- Every way to read returns the user of an event.

CREATE FUNCTION user_json(username_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(to_json(username_)::text, 'null')
$$;

-- As in 0001, with the user as JSON.
CREATE OR REPLACE VIEW events AS
SELECT run.stream_id, run.position - run.count + line.place AS position,
       run.series_id, run.sequence - run.count + line.place AS sequence,
       once.before || lpad(to_hex(once.counter + line.place - 1), 3, '0') || once.behind AS id,
       once.received_at, run.request_id, line.body, run.position AS run_position, run.sequence AS run_sequence, run.count,
       once.user_json
FROM runs AS run,
     LATERAL (
         SELECT left(run.id::text, 15) AS before, substr(run.id::text, 19) AS behind,
                ('x' || substr(run.id::text, 16, 3))::bit(12)::integer AS counter,
                iso_time(run.received_at) AS received_at, user_json(run.username) AS user_json
         OFFSET 0
     ) AS once,
     string_to_table(run.bodies, E'\n') WITH ORDINALITY AS line (body, place);

-- As in 0003, with the user; names and user as JSON.
CREATE FUNCTION open_item(
    id_ text, body_ text, stream_ text, sequence_ bigint, position_ bigint, producer_ text, user_ text, request_id_ text,
    received_at_ text
) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat(
        '{"event":{"id":"', id_, '",', body_, ',"stream":', stream_, ',"sequence":', sequence_, ',"position":', position_,
        ',"producer":', producer_, ',"user":', user_, ',"request_id":"', request_id_, '","received_at":"', received_at_, '"'
    )
$$;

-- The items of a run from that position to that.
CREATE OR REPLACE FUNCTION items_of(
    stream_id_ bigint, run_position_ bigint, first_ bigint, last_ bigint, stream_ text, producer_ text
) RETURNS text LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN (
        SELECT string_agg(open_item(id, body, stream_, sequence, position, producer_, user_json, request_id,
                                    received_at) || '}', ',' ORDER BY position)
        FROM events
        WHERE stream_id = stream_id_ AND run_position = run_position_ AND position BETWEEN first_ AND last_
    );
END
$$;

-- What the consumer has not acknowledged, replayed events first. `newest` is the last sequence at that moment, whether
-- in the page or not. No row for a stream that nobody has written to.
CREATE OR REPLACE FUNCTION page_for(stream_ text, name_ text, consumer_ text, limit_ bigint)
RETURNS TABLE (newest bigint, page text) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    known record;
    counted record;
    done bigint;
    until bigint;
    again bigint[];
    replayed text;
BEGIN
    SELECT id, to_json(streams.name)::text AS name, to_json(producer)::text AS producer INTO known
    FROM streams WHERE streams.name = stream_ AND producer IS NOT NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT id, last INTO counted FROM series WHERE stream_id = known.id AND series.name = name_;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 0::bigint, NULL::text;
        RETURN;
    END IF;
    SELECT acknowledged INTO done FROM offsets WHERE series_id = counted.id AND consumer = consumer_;
    done := coalesce(done, 0);
    again := ARRAY(
        SELECT parked.sequence FROM parked
        WHERE series_id = counted.id AND consumer = consumer_ AND replayed_at IS NOT NULL
        ORDER BY parked.sequence LIMIT limit_
    );
    IF again <> '{}' THEN
        SELECT string_agg(open_item(id, body, known.name, event.sequence, position, known.producer, user_json,
                                    request_id, received_at) || '}', ',' ORDER BY event.sequence)
        INTO replayed
        FROM unnest(again) AS wanted (sequence),
             LATERAL events_of_series(counted.id, wanted.sequence - 1, 1) AS event;
    END IF;
    newest := counted.last;
    until := done + limit_ - cardinality(again);
    SELECT concat_ws(',', replayed, string_agg(
        CASE count WHEN 1
        THEN open_item(id::text, bodies, known.name, sequence, position, known.producer, user_json(username),
                       request_id, iso_time(received_at)) || '}'
        ELSE items_of(known.id, position, position - sequence + done + 1, position - sequence + until, known.name,
                      known.producer)
        END, ',' ORDER BY sequence))
    INTO page
    FROM runs
    WHERE series_id = counted.id AND sequence > done AND sequence < until + 100 AND sequence - count < until;
    RETURN NEXT;
END
$$;

-- The stream as it is from that position on, all names. No row for a stream that nobody has written to.
CREATE OR REPLACE FUNCTION page_from(stream_ text, position_ bigint, limit_ bigint)
RETURNS TABLE (page text) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    known record;
    until bigint := position_ + limit_ - 1;
BEGIN
    SELECT id, to_json(streams.name)::text AS name, to_json(producer)::text AS producer INTO known
    FROM streams WHERE streams.name = stream_ AND producer IS NOT NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT string_agg(
        CASE count WHEN 1
        THEN open_item(id::text, bodies, known.name, sequence, position, known.producer, user_json(username),
                       request_id, iso_time(received_at)) || '}'
        ELSE items_of(known.id, position, position_, until, known.name, known.producer)
        END, ',' ORDER BY position)
    INTO page
    FROM runs
    WHERE stream_id = known.id AND position >= position_ AND position < until + 100 AND position - count < until;
    RETURN NEXT;
END
$$;
