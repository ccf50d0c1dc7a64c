-- Total duration of fetching the sources of a flow, which is limited.
ALTER TABLE flows ADD COLUMN fetch_seconds double precision NOT NULL DEFAULT 0;
