-- A workbook is read from its stored chunks, which are kept until the end: the position is the offset of the next row in
-- the XML of the first sheet. The number is that of the preceding row, the length that of all texts before it.
ALTER TABLE imports
    ADD COLUMN is_workbook boolean NOT NULL DEFAULT false,
    ADD COLUMN sheet_offset bigint NOT NULL DEFAULT 0,
    ADD COLUMN sheet_row integer NOT NULL DEFAULT 0,
    ADD COLUMN sheet_text_length bigint NOT NULL DEFAULT 0;
