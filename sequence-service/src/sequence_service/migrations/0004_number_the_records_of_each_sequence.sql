-- The number of a sequence's records is the position of the newest one. A process of an unreleased version that writes
-- records without a position returns 500 for audited sequences, and issues none of their numbers.
ALTER TABLE issued_numbers ADD COLUMN position bigint;
UPDATE issued_numbers SET position = numbered.position
FROM (SELECT id, row_number() OVER (PARTITION BY sequence ORDER BY id) AS position FROM issued_numbers) AS numbered
WHERE issued_numbers.id = numbered.id;
ALTER TABLE issued_numbers
    ALTER COLUMN position SET NOT NULL,
    ADD CONSTRAINT issued_numbers_position UNIQUE (sequence, position);
DROP INDEX issued_numbers_by_id;
