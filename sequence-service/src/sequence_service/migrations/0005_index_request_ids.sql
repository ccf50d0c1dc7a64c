-- no transaction
-- For the trace of a request. Numbers are issued while it is built.
DROP INDEX IF EXISTS issued_numbers_request;
CREATE INDEX CONCURRENTLY issued_numbers_request ON issued_numbers (request_id, issued_at);
