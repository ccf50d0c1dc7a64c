-- Consumers of all names of a stream, leases, and delays after a NACK. A process of the previous version can still read
-- and write all tables.

-- A feed is what a consumer reads in order: the events of one name, numbered by their sequences, or all events of a
-- stream, numbered by their positions. The latter has the name `*`, and minus the ID of its stream as its ID. The columns
-- `series_id` of offsets, parked and leases contain the ID of a feed, and `sequence` contains a number of that feed.
CREATE VIEW feeds AS
SELECT id, stream_id, name, last FROM series WHERE name <> '*'
UNION ALL
SELECT -id, id, '*', position FROM streams WHERE producer IS NOT NULL;

-- `*` was a valid event name. Such events belong to the feed of all names, in which no consumer has an offset yet.
DELETE FROM parked WHERE series_id IN (SELECT id FROM series WHERE name = '*');
DELETE FROM offsets WHERE series_id IN (SELECT id FROM series WHERE name = '*');

ALTER TABLE offsets
    DROP CONSTRAINT offsets_series,
    -- NULL until the consumer acknowledges an event or leases one. Older consumers read in order.
    ADD COLUMN has_leases boolean DEFAULT false,
    -- Only valid if `nacks` is greater than 0: the time until which reads return no event after the offset.
    ADD COLUMN delayed_until timestamptz;

ALTER TABLE parked
    DROP CONSTRAINT parked_series,
    -- The time at which the lease of a replayed event, or the delay after its NACK, ends. NULL if it has neither.
    ADD COLUMN available_at timestamptz;

-- For each consumer with leases: one row for each number after its offset, up to the last one that it has leased.
CREATE TABLE leases (
    series_id bigint NOT NULL,
    consumer text NOT NULL,
    sequence bigint NOT NULL,
    -- The time at which the lease, or the delay after a NACK, ends. NULL once the event is acknowledged or parked.
    available_at timestamptz,
    nacks integer NOT NULL DEFAULT 0,
    nacked_at timestamptz,
    reason text NOT NULL DEFAULT '',
    CONSTRAINT leases_pkey PRIMARY KEY (series_id, consumer, sequence)
) WITH (fillfactor = 70);
