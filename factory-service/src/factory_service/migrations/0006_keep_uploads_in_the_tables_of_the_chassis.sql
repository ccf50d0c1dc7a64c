-- The new tables of the chassis are still empty: this table replaces one of them, so that nothing is copied.
DROP TABLE upload_chunks;
ALTER TABLE load_chunks DROP CONSTRAINT load_chunks_load;
ALTER TABLE load_chunks RENAME COLUMN load_id TO upload_id;
ALTER TABLE load_chunks RENAME CONSTRAINT load_chunks_pkey TO upload_chunks_pkey;
ALTER TABLE load_chunks RENAME TO upload_chunks;

-- Processes of the previous version may still be running. A migration of the next version may drop this view and the
-- status UPLOADING, with its deletion in store/loads.py.
CREATE VIEW load_chunks AS SELECT upload_id AS load_id, number, content FROM upload_chunks;
