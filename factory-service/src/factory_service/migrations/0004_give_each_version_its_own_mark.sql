-- A version is a number and a mark, both new with each change: what Redis holds of one version is never taken for
-- another, though a restore from a dump, or a primary that lost its last changes, counts the same numbers again.
ALTER TABLE collections ALTER COLUMN mark SET DEFAULT gen_random_uuid()::text;
ALTER TABLE factories ALTER COLUMN mark SET DEFAULT gen_random_uuid()::text;
ALTER TABLE sprockets ALTER COLUMN mark SET DEFAULT gen_random_uuid()::text;

-- Processes of the previous release that still run must not read Redis anymore: this release does not notify them of
-- its writes. They then read from Postgres. The table can be dropped in the next release.
UPDATE cache_trust SET generation = gen_random_uuid(), run_id = NULL;
ALTER TABLE cache_trust ADD CONSTRAINT cache_trust_retired CHECK (run_id IS NULL);
