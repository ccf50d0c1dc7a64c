-- no transaction
-- For the events that a request caused. Appends continue while it is built.
DROP INDEX IF EXISTS events_request;
CREATE INDEX CONCURRENTLY events_request ON events (request_id, received_at, stream_id, position) WHERE request_id <> '';
