-- Who dies lets go of the key at once, where a row would stay.
ALTER TABLE uploads DROP COLUMN username, DROP COLUMN idempotency_key;
