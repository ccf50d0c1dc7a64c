-- Numbers of things come from these rows, so they have no gaps; `version` is that of the list as a whole.
CREATE TABLE collections (
    name text CONSTRAINT collections_pkey PRIMARY KEY,
    last_id bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    mark text NOT NULL DEFAULT substr(md5(random()::text), 1, 8)
) WITH (fillfactor = 20);

INSERT INTO collections (name) VALUES ('factories'), ('sprockets');

-- An ETag is version and mark: the mark keeps versions of one database apart from those of another.
CREATE TABLE factories (
    id bigint CONSTRAINT factories_pkey PRIMARY KEY,
    name text NOT NULL,
    points bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    mark text NOT NULL DEFAULT substr(md5(random()::text), 1, 8)
) WITH (fillfactor = 50);

CREATE SEQUENCE production_sent;

-- No foreign key: it would be asked for every point. Points of a factory that is gone are swept (gone_factories).
-- `sent` is drawn when a value is accepted: the value sent last wins, whichever worker comes first.
CREATE TABLE points (
    factory_id bigint NOT NULL,
    time bigint NOT NULL,
    actual bigint NOT NULL,
    goal bigint NOT NULL,
    sent bigint NOT NULL,
    CONSTRAINT points_pkey PRIMARY KEY (factory_id, time)
);

CREATE TABLE gone_factories (
    id bigint CONSTRAINT gone_factories_pkey PRIMARY KEY
);

CREATE TABLE sprockets (
    id bigint CONSTRAINT sprockets_pkey PRIMARY KEY,
    teeth integer NOT NULL,
    pitch_diameter integer NOT NULL,
    outside_diameter integer NOT NULL,
    pitch integer NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    mark text NOT NULL DEFAULT substr(md5(random()::text), 1, 8),
    CONSTRAINT sprockets_positive CHECK (least(teeth, pitch_diameter, outside_diameter, pitch) > 0)
) WITH (fillfactor = 50);
