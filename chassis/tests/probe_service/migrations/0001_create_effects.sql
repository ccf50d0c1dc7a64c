CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT effects_pkey PRIMARY KEY, name text NOT NULL);
-- Each unit has the items 1, 2, 3 … up to its last one.
CREATE TABLE units (id bigint CONSTRAINT units_pkey PRIMARY KEY, last bigint NOT NULL);
CREATE TABLE items (
    unit bigint NOT NULL, number bigint NOT NULL, size bigint NOT NULL DEFAULT 0,
    CONSTRAINT items_pkey PRIMARY KEY (unit, number)
);
