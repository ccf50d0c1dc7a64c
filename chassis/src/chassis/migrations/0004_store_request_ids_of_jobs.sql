-- For the trace of a request. Empty for events, which their streams record, and for messages before this migration.
ALTER TABLE inbox ADD COLUMN request_id text NOT NULL DEFAULT '';
CREATE INDEX inbox_request ON inbox (request_id, received_at) WHERE request_id <> '';
