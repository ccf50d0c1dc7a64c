-- The new tables of the chassis are still empty: these tables replace them, so that nothing is copied.
DROP TABLE open_uploads, upload_chunks;
ALTER TABLE uploads RENAME CONSTRAINT uploads_pkey TO open_uploads_pkey;
ALTER TABLE uploads RENAME TO open_uploads;
ALTER TABLE blocks RENAME COLUMN import_id TO upload_id;
ALTER TABLE blocks RENAME CONSTRAINT blocks_pkey TO upload_chunks_pkey;
ALTER TABLE blocks RENAME TO upload_chunks;

-- Processes of the previous version may still be running; a migration of the next version may drop both views.
CREATE VIEW uploads AS SELECT id, seen_at FROM open_uploads;
CREATE VIEW blocks AS SELECT upload_id AS import_id, number, content FROM upload_chunks;
