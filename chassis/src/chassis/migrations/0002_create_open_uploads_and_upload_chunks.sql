-- Files that are being received. The row is deleted when the service accepts the file.
CREATE TABLE open_uploads (
    id uuid CONSTRAINT open_uploads_pkey PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- The content of uploaded files, until the service deletes it.
CREATE TABLE upload_chunks (
    upload_id uuid NOT NULL,
    number integer NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT upload_chunks_pkey PRIMARY KEY (upload_id, number)
);
-- Chunks are read once: compressing them would cost more than it saves.
ALTER TABLE upload_chunks ALTER COLUMN content SET STORAGE EXTERNAL;
