-- Retention deletes the first events of a stream, erasure the content of one event.

-- The first position that is left; if no event is left, the next position.
ALTER TABLE streams ADD COLUMN first bigint NOT NULL DEFAULT 1;
-- Likewise the first sequence.
ALTER TABLE series ADD COLUMN first bigint NOT NULL DEFAULT 1;
CREATE OR REPLACE VIEW feeds AS
SELECT id, stream_id, name, last, first FROM series WHERE name <> '*'
UNION ALL
SELECT -id, id, '*', position, first FROM streams WHERE producer IS NOT NULL;
-- Number of events that were deleted before the consumer acknowledged them.
ALTER TABLE offsets ADD COLUMN missed bigint NOT NULL DEFAULT 0;
-- NOT VALID, because rows of earlier versions satisfy it, and checking them would take a while.
ALTER TABLE events
    ADD COLUMN erased_at timestamptz,
    ADD CONSTRAINT events_erased CHECK (
        CASE WHEN erased_at IS NULL THEN num_nulls(system, trigger, payload) = 0
        ELSE num_nonnulls(system, trigger, payload) = 0 END
    ) NOT VALID;

CREATE TABLE retention (
    stream_id bigint NOT NULL CONSTRAINT retention_pkey PRIMARY KEY CONSTRAINT retention_stream REFERENCES streams (id),
    max_age_days integer CONSTRAINT retention_max_age_days CHECK (max_age_days >= 1),
    max_events bigint CONSTRAINT retention_max_events CHECK (max_events >= 1),
    -- The time of the last deletion, so that streams take turns.
    deleted_at timestamptz
);

-- As before, and for an erased event the time of its erasure.
CREATE OR REPLACE VIEW event_documents AS
SELECT event.stream_id, event.position, event.series_id, event.sequence, event.id,
       format(
           '{"event":{"id":"%s","name":%s,"version":%s},"system":%s,"trigger":%s,"payload":%s,"stream":%s,"sequence":%s,'
           '"position":%s,"producer":%s,"user":%s,"request_id":%s,"received_at":"%s"%s}',
           event.id, to_json(series.name), event.version, coalesce(event.system, 'null'), coalesce(event.trigger, 'null'),
           coalesce(event.payload, 'null'), to_json(stream.name), event.sequence, event.position,
           to_json(stream.producer), coalesce(to_json(event.username), 'null'), to_json(event.request_id),
           iso_time(event.received_at), ',"erased_at":"' || iso_time(event.erased_at) || '"'
       ) AS document
FROM events AS event
JOIN series ON series.id = event.series_id
JOIN streams AS stream ON stream.id = event.stream_id;
