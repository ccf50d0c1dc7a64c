-- Which Redis may be believed, and under which name its keys begin. No run_id: none may be.
CREATE TABLE cache_trust (
    only_row boolean NOT NULL DEFAULT true CONSTRAINT cache_trust_pkey PRIMARY KEY,
    generation uuid NOT NULL DEFAULT gen_random_uuid(),
    run_id text,
    CONSTRAINT cache_trust_only_row CHECK (only_row)
) WITH (fillfactor = 20);

INSERT INTO cache_trust DEFAULT VALUES;
