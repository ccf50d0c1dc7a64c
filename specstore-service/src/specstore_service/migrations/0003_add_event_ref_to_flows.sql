-- What events call the flow of a private dataset. Random, so that nobody can compute it from names. The default also
-- serves the code that was running before this migration.
ALTER TABLE flows ADD COLUMN event_ref uuid;
ALTER TABLE flows ALTER COLUMN event_ref SET DEFAULT gen_random_uuid();
UPDATE flows SET event_ref = gen_random_uuid();
ALTER TABLE flows ALTER COLUMN event_ref SET NOT NULL;
