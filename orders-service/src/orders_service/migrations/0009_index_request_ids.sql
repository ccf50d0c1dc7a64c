-- For the trace of a request.
CREATE INDEX imports_request ON imports (request_id);
CREATE INDEX imports_undo_request ON imports (undo_request_id) WHERE undo_request_id IS NOT NULL;
