-- Reference used in the events of a private flow. It is random, so it cannot be computed from names. Flows that have
-- ended publish no more events and keep NULL, so their rows are not rewritten. The default also serves the code that
-- was running before this migration.
ALTER TABLE flows ADD COLUMN event_ref uuid;
ALTER TABLE flows ALTER COLUMN event_ref SET DEFAULT gen_random_uuid();
UPDATE flows SET event_ref = gen_random_uuid() WHERE finished_at IS NULL;
