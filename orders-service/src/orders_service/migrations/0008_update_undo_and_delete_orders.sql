-- The number of the import that created the order; null for orders that are older than this column.
ALTER TABLE orders ADD COLUMN import_number bigint;

ALTER TABLE imports
    -- A row with the ID of an existing order replaces it, instead of being a duplicate.
    ADD COLUMN may_update boolean NOT NULL DEFAULT false,
    ADD COLUMN updated bigint NOT NULL DEFAULT 0,
    -- How many orders have the number of the import, and the range of their IDs, through which an undo walks.
    ADD COLUMN created bigint NOT NULL DEFAULT 0,
    ADD COLUMN first_id bigint,
    ADD COLUMN last_id bigint,
    -- Null until an undo is requested.
    ADD COLUMN undo_status text
        CONSTRAINT imports_undo_status CHECK (undo_status IN ('PENDING', 'PROGRESS', 'SUCCESS')),
    ADD COLUMN undo_request_id text,
    ADD COLUMN undo_requested_at timestamptz,
    ADD COLUMN undo_finished_at timestamptz,
    ADD COLUMN undo_deleted bigint NOT NULL DEFAULT 0,
    -- The next step of the undo begins at this ID.
    ADD COLUMN undo_next_id bigint;

-- How many orders of each import were deleted one by one; number 0 is for orders without the number of an import.
CREATE TABLE order_deletions (
    import_number bigint CONSTRAINT order_deletions_pkey PRIMARY KEY,
    orders bigint NOT NULL
);
