-- What an upload requests: the encoding, the names of columns in the file as a JSON object, a format of dates.
ALTER TABLE imports
    ADD COLUMN encoding text,
    ADD COLUMN column_mapping text,
    ADD COLUMN date_format text,
-- What the beginning of the file shows; null until the header has been read. Names are JSON arrays.
    ADD COLUMN detected_encoding text,
    ADD COLUMN has_returns boolean NOT NULL DEFAULT false,
    ADD COLUMN column_names text,
    ADD COLUMN ignored_columns text,
-- The state of the decoder between two steps: the bytes of an incomplete character, and the mode, null at the beginning.
    ADD COLUMN undecoded bytea NOT NULL DEFAULT '',
    ADD COLUMN decoder_mode numeric(20),
-- What the message about the import adds to its reason: a JSON object.
    ADD COLUMN hint text;
