-- A deleted sequence keeps its name, its definition and its counter, so that none of its numbers is ever issued again.
ALTER TABLE sequences
    ADD COLUMN deleted_at timestamptz,
    ADD CONSTRAINT sequences_built_in_stay CHECK (NOT built_in OR deleted_at IS NULL);
