CREATE TABLE sequences (
    name text CONSTRAINT sequences_pkey PRIMARY KEY,
    minimum bigint NOT NULL,
    maximum bigint NOT NULL,
    cycle boolean NOT NULL,
    format text NOT NULL DEFAULT '{}',
    -- How many were ever handed out; beyond bigint where a cycle goes round often enough.
    issued numeric NOT NULL DEFAULT 0,
    built_in boolean NOT NULL DEFAULT false,
    CONSTRAINT sequences_range CHECK (minimum <= maximum),
    CONSTRAINT sequences_issued CHECK (
        issued >= 0 AND (cycle OR issued <= maximum::numeric - minimum + 1)
    )
) WITH (fillfactor = 20);  -- one row is updated for ever: room for it to stay on its page

INSERT INTO sequences (name, minimum, maximum, cycle, built_in) VALUES
    ('sequence', 1000, 9999, true, true),
    ('batch-sequence', 30000, 39999, true, true),
    ('image-sequence', 1, 999999999, true, true),
    ('json-sequence', 1, 999999999, true, true);
