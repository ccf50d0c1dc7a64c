-- For the trace of a request.
CREATE INDEX loads_request ON loads (request_id) WHERE request_id <> '';
