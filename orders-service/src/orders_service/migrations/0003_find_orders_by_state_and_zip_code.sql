-- For each step of an import the ids of its orders, by what is asked for: a fraction of the price of an index.
CREATE TABLE orders_by_state (
    -- Of two letters, in capitals; empty for others, which cannot be asked for.
    state text NOT NULL,
    valid boolean NOT NULL,
    ids bigint[] NOT NULL
);
CREATE TABLE orders_by_zipcode (
    -- Its first three characters.
    beginning text COLLATE "C" NOT NULL,
    ids bigint[] NOT NULL
);
ALTER TABLE orders_by_state ALTER COLUMN ids SET STORAGE EXTERNAL;
ALTER TABLE orders_by_zipcode ALTER COLUMN ids SET STORAGE EXTERNAL;

INSERT INTO orders_by_state (state, valid, ids)
SELECT CASE WHEN state ~ '^[A-Za-z]{2}$' THEN upper(state) ELSE '' END, failed = 0, array_agg(id)
FROM orders GROUP BY 1, 2;
INSERT INTO orders_by_zipcode (beginning, ids) SELECT left(zipcode, 3), array_agg(id) FROM orders GROUP BY 1;

CREATE INDEX orders_by_state_state ON orders_by_state (state);
CREATE INDEX orders_by_zipcode_beginning ON orders_by_zipcode (beginning);

-- An offset is counted in the key alone where vacuum has seen the orders: after each twentieth more of them.
ALTER TABLE orders SET (autovacuum_vacuum_insert_scale_factor = 0.05);
