-- For the trace of a request; runs of a schedule have none.
CREATE INDEX flows_request ON flows (request_id) WHERE request_id <> '';
