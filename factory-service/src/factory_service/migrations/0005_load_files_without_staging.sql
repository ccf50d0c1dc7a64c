-- The factory that is being loaded; its points are there already, the factory is not.
ALTER TABLE loads ADD COLUMN factory_id bigint;

-- How many entries with one content have been loaded or skipped of a file.
CREATE TABLE load_ordinals (
    load_id uuid NOT NULL CONSTRAINT load_ordinals_load REFERENCES loads (id) ON DELETE CASCADE,
    digest bytea NOT NULL,
    count integer NOT NULL,
    CONSTRAINT load_ordinals_pkey PRIMARY KEY (load_id, digest)
);

-- Loads in progress continue where the previous release left them. Its workers may still be running, so
-- load_entries, load_equals, load_parts and the columns reader, next_chunk and next_part can be dropped in the next.
UPDATE loads l SET factory_id = e.factory_id FROM load_entries e WHERE e.load_id = l.id AND e.number = l.next_entry;
INSERT INTO load_ordinals (load_id, digest, count)
SELECT e.load_id, e.digest, count(*) FROM load_entries e JOIN loads l ON l.id = e.load_id
WHERE e.number < l.next_entry OR e.factory_id IS NOT NULL GROUP BY e.load_id, e.digest;
