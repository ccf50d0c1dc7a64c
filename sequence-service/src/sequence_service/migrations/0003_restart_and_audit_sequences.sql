-- A process of the previous version cannot format the numbers of a sequence that restarts: it returns 500 and issues none.
-- It issues numbers without recording them, so switch `audit` on only when all processes are replaced.
ALTER TABLE sequences
    ADD COLUMN reset text,
    ADD COLUMN timezone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN audit boolean NOT NULL DEFAULT false,
    -- The name of the current period, in which `issued` counts. NULL without `reset`, and before the first number.
    ADD COLUMN period text,
    ADD CONSTRAINT sequences_reset CHECK (reset IN ('year', 'month', 'day')),
    ADD CONSTRAINT sequences_period CHECK (reset IS NOT NULL OR period IS NULL);

-- Who drew which numbers of a sequence with `audit`: a row for each contiguous range.
CREATE TABLE issued_numbers (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT issued_numbers_pkey PRIMARY KEY,
    sequence text NOT NULL,
    -- Empty without `reset`.
    period text NOT NULL,
    first_ticket numeric NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    username text NOT NULL,
    request_id text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT issued_numbers_ticket UNIQUE (sequence, period, first_ticket),
    CONSTRAINT issued_numbers_range CHECK (first <= last)
);
CREATE INDEX issued_numbers_by_id ON issued_numbers (sequence, id);
CREATE INDEX issued_numbers_by_number ON issued_numbers (sequence, first, last);
