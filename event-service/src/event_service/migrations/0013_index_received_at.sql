-- no transaction
-- For the newest events of all streams. Events of one append have the same time, so the index needs no other column.
-- Appends continue while it is built.
DROP INDEX IF EXISTS events_received;
CREATE INDEX CONCURRENTLY events_received ON events (received_at);
