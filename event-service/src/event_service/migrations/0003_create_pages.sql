-- Pages of events as finished JSON. Functions, so that a connection plans them once; STABLE, so that all of one call
-- sees the same moment.

-- An event as a reader gets it, without its closing brace; `body_` as it is stored, names as JSON.
CREATE FUNCTION open_item(
    id_ uuid, body_ text, stream_ text, sequence_ bigint, position_ bigint, producer_ text, request_id_ text,
    received_at_ timestamptz
) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat(
        '{"event":{"id":"', id_, '",', body_, ',"stream":', stream_, ',"sequence":', sequence_, ',"position":', position_,
        ',"producer":', producer_, ',"request_id":"', request_id_,
        '","received_at":"', to_char(received_at_ AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '"'
    )
$$;

-- What the consumer has not acknowledged, replayed events first. `newest` is the last sequence at that moment, whether
-- in the page or not. No row for a stream that nobody has written to.
CREATE FUNCTION page_for(stream_ text, name_ text, consumer_ text, limit_ bigint)
RETURNS TABLE (newest bigint, page text) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    known record;
    counted record;
    done bigint;
    again bigint[];
BEGIN
    SELECT id, to_json(streams.name) AS name, to_json(producer) AS producer INTO known
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
    SELECT array_agg(parked.sequence) INTO again
    FROM parked WHERE series_id = counted.id AND consumer = consumer_ AND replayed_at IS NOT NULL;
    newest := counted.last;
    SELECT string_agg(open_item(id, body, known.name::text, event.sequence, position, known.producer::text,
                                request_id, received_at) || '}', ',' ORDER BY turn, event.sequence)
    INTO page
    FROM (
        (
            SELECT 0 AS turn, events.* FROM events
            WHERE again IS NOT NULL AND series_id = counted.id AND events.sequence = ANY(again)
            ORDER BY events.sequence LIMIT limit_
        )
        UNION ALL
        (
            SELECT 1, events.* FROM events
            WHERE series_id = counted.id AND events.sequence > coalesce(done, 0)
            ORDER BY events.sequence LIMIT limit_
        )
        LIMIT limit_
    ) AS event;
    RETURN NEXT;
END
$$;

-- The stream as it is from that position on, all names. No row for a stream that nobody has written to.
CREATE FUNCTION page_from(stream_ text, position_ bigint, limit_ bigint)
RETURNS TABLE (page text) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    known record;
BEGIN
    SELECT id, to_json(streams.name) AS name, to_json(producer) AS producer INTO known
    FROM streams WHERE streams.name = stream_ AND producer IS NOT NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT string_agg(open_item(id, body, known.name::text, sequence, position, known.producer::text,
                                request_id, received_at) || '}', ',' ORDER BY position)
    INTO page
    FROM (
        SELECT * FROM events WHERE stream_id = known.id AND position >= position_ ORDER BY position LIMIT limit_
    ) AS event;
    RETURN NEXT;
END
$$;
